"""How a token is chosen: filters, sampling, beam search, and the probability of a given text."""

from __future__ import annotations

import itertools

import decoding_checks as checks
import filter_checks
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numtx.batch import Batch
from numtx.decoding import (
    Filters,
    beam_search,
    filtered_greedy,
    generate,
    sampler,
    sequence_log_probability,
)
from numtx.decoding import filters as f
from numtx.errors import DecodingError


@pytest.mark.parametrize(
    "check", filter_checks.CHECKS + checks.CHECKS, ids=lambda check: check.__name__
)
def test_law(check):
    check()


@st.composite
def some_logits(draw):
    """Three rows of both signs; rounding makes ties."""
    tokens, seed = draw(st.integers(1, 13)), draw(st.integers(0, 2**32))
    logits = np.random.default_rng(seed).standard_normal((3, tokens)) * draw(
        st.sampled_from([0.01, 1.0, 5.0, 100.0])
    )
    return np.round(logits) if draw(st.booleans()) else logits


@given(some_logits(), st.integers(1, 15))
def test_top_k_keeps_exactly_so_many(logits, k):
    filter_checks.top_k_law(logits, k)


@given(some_logits(), st.floats(0, 1, exclude_min=True))
def test_top_p_keeps_the_smallest_set_that_reaches_p(logits, p):
    filter_checks.top_p_law(logits, p)


@given(some_logits(), st.floats(0, 1))
def test_min_p_keeps_a_share_of_the_largest(logits, p):
    filter_checks.min_p_law(logits, p if p > 1e-300 else 0.0)


@given(some_logits(), st.floats(0, 1e6))
def test_temperature_keeps_the_order(logits, temperature):
    filter_checks.temperature_law(logits, temperature)


@given(some_logits(), st.floats(1, 100), st.data())
def test_a_penalty_never_raises_a_seen_token(logits, penalty, data):
    token = st.integers(0, logits.shape[1] - 1)
    rows = data.draw(st.lists(st.lists(token, max_size=6), min_size=3, max_size=3))
    filter_checks.penalty_law(logits, rows, penalty)


@given(
    some_logits(),
    st.builds(
        Filters,
        repetition_penalty=st.floats(0.1, 10),
        temperature=st.floats(0, 10),
        top_k=st.none() | st.integers(1, 15),
        top_p=st.floats(0.01, 1),
        min_p=st.floats(0, 1),
    ),
    st.integers(0, 100),
)
def test_filters_together_leave_a_distribution_to_draw_from(logits, filters, seed):
    rows = [[0], [0, 0], []]
    probabilities = [step.probabilities for step in filters.steps(logits, rows)]
    for one in probabilities:
        np.testing.assert_allclose(one.sum(1), 1.0)
    for before, after in itertools.pairwise(filters.steps(logits, rows)):
        assert np.isneginf(after.logits[np.isneginf(before.logits)]).all()  # ruled out for good
    token = sampler(filters, seed)(logits, rows)
    assert (probabilities[-1][np.arange(3), token] > 0).all()


def test_filters_left_alone_change_nothing():
    logits = filter_checks.drawn(0)
    assert Filters()(logits, [[1], [2], [3]]) is logits
    assert [step.name for step in Filters().steps(logits, [])] == ["logits"]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_types_are_kept_and_input_is_not_written_to(dtype):
    logits = filter_checks.drawn(0).astype(dtype)
    before = logits.copy()
    filters = Filters(repetition_penalty=2.0, temperature=0.5, top_k=9, top_p=0.9, min_p=0.01)
    for step in filters.steps(logits, [[1], [2], [3]]):
        assert step.logits.dtype == dtype
    assert np.array_equal(logits, before)


def test_top_p_by_hand():
    """0.5, 0.3, 0.15, 0.05: 0.6 needs the second, which crosses it."""
    logits = np.log([[0.3, 0.05, 0.5, 0.15]])
    for p, kept in (
        (0.4, [2]),
        (0.6, [0, 2]),
        (0.79, [0, 2]),
        (0.81, [0, 2, 3]),
        (1.0, [*range(4)]),
    ):
        assert np.flatnonzero(np.isfinite(f.keep_top_p(logits, p))[0]).tolist() == kept


def test_penalty_by_hand():
    logits = np.array([[2.0, -2.0, 0.0, 1.0]])
    assert f.penalise_repetition(logits, [[0, 1, 1, 2]], 2.0).tolist() == [[1.0, -4.0, 0.0, 1.0]]


def test_seeds_one_a_row():
    logits = np.zeros((2, 7))
    choose = sampler(Filters(), [3, 3])
    for n in range(5):
        first, second = choose(logits, [[0] * n, [0] * n])
        assert first == second
    with pytest.raises(DecodingError, match="seed has 2 numbers for 3 rows"):
        choose(np.zeros((3, 7)), [[0]] * 3)


@pytest.mark.parametrize("seed", [-1, 1.5, None, "1", [1, -2], True])
def test_seeds_that_are_none(seed):
    with pytest.raises(DecodingError, match=r"seed is .* it is a whole number from 0 up"):
        sampler(Filters(), seed)


def test_a_row_that_has_ended_may_compute_anything():
    """Its logits are not looked at, so that nan there troubles nobody."""
    seen = []

    def choose(logits, rows):
        seen.append(logits.copy())
        return np.argmax(logits, -1)

    config, parameters = checks.model(seed=3)
    batch = checks.prompt(config)
    plain = generate(config, parameters, batch, max_new_tokens=6, choose=choose).new
    end = plain[0][0]
    seen.clear()
    found = generate(config, parameters, batch, max_new_tokens=6, eos=end, choose=choose).new
    assert found[0] == [end]
    assert all((logits[0] == 0).all() for logits in seen[1:])


def test_what_is_chosen_by_are_the_logits_as_they_are():
    seen = []

    def choose(logits, rows):
        seen.append(logits)
        return np.argmax(logits, -1)

    config, parameters = checks.model(seed=3)
    batch = checks.prompt(config)
    steps = generate(config, parameters, batch, max_new_tokens=4, eos=2, choose=choose).steps
    for logits, step in zip(seen, steps, strict=True):
        assert logits.dtype == step.logits.dtype
        assert np.array_equal(logits[step.counts], step.logits[step.counts])


def test_no_new_tokens():
    config, parameters = checks.model()
    found = beam_search(config, parameters, Batch([[1]]), max_new_tokens=0, num_beams=3)
    assert found.new == [[]]
    assert found.steps == []


def test_no_number_of_beams_beats_all_texts():
    config, parameters = checks.model(vocabulary=4)
    batch = Batch([[1, 2]])
    best = [
        beam_search(config, parameters, batch, max_new_tokens=3, num_beams=n).hypotheses[0][0]
        for n in (1, 2, 64)
    ]
    assert all(one.score <= best[-1].score + 1e-12 for one in best)


BAD = [
    ({"temperature": -0.5}, "temperature is float -0.5; it is a finite number from 0 up"),
    ({"temperature": float("nan")}, "temperature is float nan"),
    ({"temperature": float("inf")}, "temperature is float inf"),
    ({"temperature": "hot"}, "temperature is str 'hot'"),
    ({"temperature": None}, "temperature is NoneType None"),
    ({"top_p": 0}, "top_p is int 0; it is a finite number above 0 and at most 1"),
    ({"top_p": 1.01}, "top_p is float 1.01"),
    ({"top_p": float("nan")}, "top_p is float nan"),
    ({"top_k": 0}, "top_k is int 0; it is a whole number from 1 up"),
    ({"top_k": -1}, "top_k is int -1"),
    ({"top_k": 2.5}, "top_k is float 2.5"),
    ({"top_k": True}, "top_k is bool True"),
    ({"min_p": -0.1}, "min_p is float -0.1; it is a finite number from 0"),
    ({"min_p": 1.1}, "min_p is float 1.1"),
    ({"repetition_penalty": 0}, "repetition_penalty is int 0; it is a finite number above 0"),
    ({"repetition_penalty": -1.5}, "repetition_penalty is float -1.5"),
    ({"repetition_penalty": float("inf")}, "repetition_penalty is float inf"),
]


@pytest.mark.parametrize(("fields", "message"), BAD)
def test_values_that_no_filter_takes(fields, message):
    with pytest.raises(DecodingError, match=message) as caught:
        Filters(**fields)
    assert "\n" not in str(caught.value)
    name, value = next(iter(fields.items()))
    if name == "repetition_penalty":
        with pytest.raises(DecodingError, match=message):
            f.penalise_repetition(np.zeros((1, 2)), [[0]], value)
    else:
        plain = {
            "temperature": f.temper, "top_k": f.keep_top_k, "top_p": f.keep_top_p,
            "min_p": f.keep_min_p,
        }  # fmt: skip
        with pytest.raises(DecodingError, match=message):
            plain[name](np.zeros((1, 2)), value)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([0.0, np.nan, 1.0], "logits: row 1, token 1 is nan"),
        ([0.0, 1.0, np.inf], "logits: row 1, token 2 is inf"),
        ([-np.inf] * 3, "logits: row 1 is -inf throughout"),
    ],
)
def test_logits_that_nothing_can_be_chosen_by(row, message):
    logits = np.array([[0.0, -np.inf, 1.0], row])
    for choose in (sampler(Filters()), filtered_greedy(Filters())):
        with pytest.raises(DecodingError, match=message):
            choose(logits, [[0], [0]])


@pytest.mark.parametrize("logits", [np.zeros(3), np.zeros((2, 2, 3)), np.zeros((2, 3), int)])
def test_logits_of_another_kind(logits):
    with pytest.raises(DecodingError, match="floats of shape"):
        Filters()(logits, [[0], [0]])


@pytest.mark.parametrize(("token", "named"), [(-1, "-1"), (3, "3"), (-100, "-100")])
def test_a_penalty_for_what_is_no_token(token, named):
    with pytest.raises(DecodingError, match=f"row 1 has token {named}; ids are 0 to 2"):
        f.penalise_repetition(np.zeros((2, 3)), [[0], [1, token]], 2.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_beams": 0}, "num_beams is int 0; it is a whole number from 1 up"),
        ({"num_beams": -2}, "num_beams is int -2"),
        ({"num_beams": 2.0}, "num_beams is float 2.0"),
        ({"max_new_tokens": -1}, "max_new_tokens is int -1"),
        ({"length_penalty": float("nan")}, "length_penalty is float nan"),
        ({"length_penalty": 1e9}, "it is a finite number from -10 to 10"),
        ({"repetition_penalty": 0.0}, "repetition_penalty is float 0.0"),
        ({"eos": 5}, "stop is int 5; it is a whole number from 0 to 4"),
        ({"stop": [1, -1]}, "stop is int -1"),
    ],
)
def test_options_that_beam_search_does_not_take(options, message):
    config, parameters = checks.model()
    with pytest.raises(DecodingError, match=message):
        beam_search(
            config, parameters, Batch([[1]]), **{"max_new_tokens": 2, "num_beams": 2, **options}
        )


def test_logits_that_no_beam_can_go_on_by():
    config, parameters = checks.model()
    parameters["output.b"] = np.full(checks.VOCABULARY, np.nan)
    with pytest.raises(DecodingError, match="row 0, token 0 is nan"):
        beam_search(config, parameters, Batch([[1]]), max_new_tokens=2, num_beams=2)


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        ([[5], [1]], "tokens: row 0 is int 5; it is a whole number from 0 to 4"),
        ([[1], [-1]], "tokens: row 1 is int -1"),
        ([[1]], "tokens has 1 rows and the prompt 2"),
    ],
)
def test_texts_that_have_no_probability(tokens, message):
    config, parameters = checks.model()
    with pytest.raises(DecodingError, match=message):
        sequence_log_probability(config, parameters, Batch([[1], [2]]), tokens)
