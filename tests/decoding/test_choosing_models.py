"""Sampling and beam search over drawn models, prompts and options (laws D5 and D6)."""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import decoding_checks as checks
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from numtx.batch import Batch
from numtx.config import Config
from numtx.decoding import (
    Filters,
    beam_search,
    filtered_greedy,
    generate,
    sampler,
    sequence_log_probability,
)


class Case(NamedTuple):
    config: Config
    parameters: dict
    batch: Batch  # all rows, padded on the left
    alone: list[Batch]
    ends: list[int]


@st.composite
def cases(draw):
    """A lively model and a batch of ragged rows."""
    kind = draw(st.sampled_from(["decoder-only", "encoder-decoder"]))
    config, parameters = checks.model(
        kind, seed=draw(st.integers(0, 10**6)), vocabulary=draw(st.integers(2, 6)),
        gain=draw(st.sampled_from([0.3, 1.0, 4.0])),
    )  # fmt: skip
    token = st.integers(0, config.vocabulary - 1)
    count = draw(st.integers(1, 3))
    rows = draw(st.lists(st.lists(token, min_size=1, max_size=4), min_size=count, max_size=count))
    sources = [draw(st.lists(token, min_size=3, max_size=3)) for _ in rows]
    alone = [
        checks.prompt(config, [row], [source]) for row, source in zip(rows, sources, strict=True)
    ]
    ends = draw(st.lists(token, max_size=2, unique=True))
    return Case(config, parameters, checks.prompt(config, rows, sources), alone, ends)


@given(cases(), st.integers(0, 6), st.integers(0, 10**6), st.floats(0.3, 3.0))
def test_a_row_is_drawn_alike_alone_and_in_a_batch(case, longest, seed, temperature):
    filters = Filters(temperature=temperature, top_p=0.95, repetition_penalty=1.1)
    options = {"max_new_tokens": longest, "stop": case.ends, "pad": 1}
    found = generate(
        case.config, case.parameters, case.batch, choose=sampler(filters, seed), **options
    )
    for row, one in enumerate(case.alone):
        alone = generate(
            case.config, case.parameters, one, choose=sampler(filters, seed + row), **options
        )
        assert alone.new[0] == found.new[row]
        assert len(found.new[row]) <= longest
        assert not set(found.new[row][:-1]) & set(case.ends)
        assert len(found.new[row]) == longest or found.new[row][-1] in case.ends


@given(cases(), st.integers(0, 6), st.floats(-2, 2), st.floats(0.5, 3))
def test_one_beam_is_greedy(case, longest, length_penalty, penalty):
    options = {"max_new_tokens": longest, "stop": case.ends}
    choose = filtered_greedy(Filters(repetition_penalty=penalty))
    expected = generate(case.config, case.parameters, case.batch, choose=choose, **options).new
    found = beam_search(
        case.config, case.parameters, case.batch, num_beams=1, length_penalty=length_penalty,
        repetition_penalty=penalty, **options,
    )  # fmt: skip
    assert found.new == expected


@given(cases(), st.integers(1, 5), st.integers(1, 5), st.floats(-2, 2))
def test_hypotheses_are_unique_sorted_and_recomputed(case, longest, beams, length_penalty):
    found = beam_search(
        case.config, case.parameters, case.batch, num_beams=beams, max_new_tokens=longest,
        stop=case.ends, length_penalty=length_penalty,
    )  # fmt: skip
    for one, hypotheses in zip(case.alone, found.hypotheses, strict=True):
        assert 1 <= len(hypotheses) <= beams
        texts = [h.tokens for h in hypotheses]
        assert len(set(texts)) == len(texts)
        assert [h.score for h in hypotheses] == sorted((h.score for h in hypotheses), reverse=True)
        for h in hypotheses:
            total = sequence_log_probability(case.config, case.parameters, one, [h.tokens]).total
            np.testing.assert_allclose(h.log_probability, total[0], rtol=0, atol=1e-9)
            np.testing.assert_allclose(
                h.score, total[0] / len(h.tokens) ** length_penalty, rtol=0, atol=1e-8
            )
            assert h.ended == (h.tokens[-1] in case.ends)
            assert h.ended or len(h.tokens) == longest
            assert not set(h.tokens[:-1]) & set(case.ends)


@given(cases(), st.floats(-2, 2))
@settings(max_examples=10)
def test_enough_beams_are_exhaustive_search(case, length_penalty):
    longest = 2 if case.config.vocabulary > 3 else 3
    texts = checks.every_text(set(case.ends), longest, case.config.vocabulary)
    found = beam_search(
        case.config, case.parameters, case.batch, num_beams=len(texts), max_new_tokens=longest,
        stop=case.ends, length_penalty=length_penalty,
    )  # fmt: skip
    for one, hypotheses in zip(case.alone, found.hypotheses, strict=True):
        assert sorted(h.tokens for h in hypotheses) == sorted(texts)
        every = [
            sequence_log_probability(case.config, case.parameters, one, [text]).total[0]
            / len(text) ** length_penalty
            for text in texts
        ]
        np.testing.assert_allclose(hypotheses[0].score, max(every), rtol=0, atol=1e-9)
        # Every text ends once or is cut once: their probabilities are all there is.
        assert math.isclose(math.fsum(math.exp(h.log_probability) for h in hypotheses), 1.0)


@given(cases())
@settings(max_examples=10)
def test_all_texts_of_a_length_have_probability_one(case):
    length = 2 if case.config.vocabulary > 3 else 4
    texts = list(itertools.product(range(case.config.vocabulary), repeat=length))
    one = case.alone[0]
    total = 0.0
    for text in texts:
        found = sequence_log_probability(case.config, case.parameters, one, [text])
        running = np.cumsum(found.per_token[0])
        assert (np.diff(running, prepend=0.0) <= 0).all()  # a running sum never rises
        total += math.exp(found.total[0])
    assert math.isclose(total, 1.0, rel_tol=1e-9)
