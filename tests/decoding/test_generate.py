"""Generation: every path gives the tokens of the plain loop."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from samples import some

from numtx.batch import Batch
from numtx.cache import Cache
from numtx.check.verify import verify
from numtx.config import Config
from numtx.decoding import (
    Filters,
    beam_search,
    filtered_greedy,
    generate,
    record_generation,
    sampler,
    sequence_log_probability,
)
from numtx.errors import CacheError, DecodingError, NumtxError
from numtx.model import forward
from numtx.parameters import initialise
from numtx.trace.files import load_trace, save_trace

VOCABULARY = 11


def model(kind, positions="sinusoidal", heads=2, key_value_heads=1, **fields):
    both = kind == "encoder-decoder"
    values = {
        "model": kind, "width": 8, "heads": heads, "key_value_heads": key_value_heads,
        "hidden": 10, "vocabulary": VOCABULARY, "decoder_layers": 2,
        "encoder_layers": 1 if both else 0, "positions": positions,
        "position_limit": 30 if positions == "learned" else None,
    }  # fmt: skip
    return Config(**{**values, **fields})


def weights(config, seed=3):
    """Parameters large enough that the choice changes from step to step."""
    generator = np.random.default_rng(seed)
    return {
        name: array + 0.4 * generator.standard_normal(array.shape)
        for name, array in initialise(config, seed).items()
    }


def prompt_of(config, rows, sources=None):
    """Rows of different lengths, padded on the left."""
    longest = max(len(row) for row in rows)
    ids = [[0] * (longest - len(row)) + row for row in rows]
    mask = np.array([[False] * (longest - len(row)) + [True] * len(row) for row in rows])
    if config.model == "encoder-decoder":
        return Batch(sources, ids, decoder_mask=mask)
    return Batch(ids, mask=mask)


def the_plain_loop(config, parameters, row, source, limit, ends, logits=None):
    """Document 003's loop: run everything, take the last position, choose, append, until the
    end comes or the limit. What each word was chosen by is added to `logits`."""
    generated = list(row)
    while len(generated) - len(row) < limit:
        ids = [generated]
        batch = Batch([source], ids) if config.model == "encoder-decoder" else Batch(ids)
        last = forward(config, parameters, batch)[0].logits[0, -1]
        next_token = int(np.argmax(last))
        generated.append(next_token)
        if logits is not None:
            logits.append(last)
        if next_token in ends:
            break
    return generated[len(row) :]


def plain(config, parameters, pairs, limit, ends=()):
    """For each row the tokens of the plain loop, and the logits that each was chosen by."""
    found = []
    for pair in pairs:
        logits = []
        found.append((the_plain_loop(config, parameters, *pair, limit, ends, logits), logits))
    return found


def assert_plain(result, expected):
    """Tokens and logits: equal tokens may hide wrong logits."""
    choosing = [step for step in result.steps if step.tokens is not None]
    assert len(result.new) == len(expected)
    for row, (tokens, logits) in enumerate(expected):
        assert result.new[row] == tokens
        got = [step.logits[row] for step in choosing if step.counts[row]]
        np.testing.assert_allclose(got, logits, rtol=0.0, atol=1e-10)


ROWS = [[1], [4, 7, 2], [5, 5]]
SOURCES = [[3, 8, 1, 9], [2, 2, 6, 0], [7, 1, 1, 5]]


def lively(config, pairs):
    """Parameters under which the rows say different things, and two stop tokens that end the
    rows at different steps."""
    for seed in range(200):
        parameters = weights(config, seed)
        free = [the_plain_loop(config, parameters, *pair, 8, set()) for pair in pairs]
        for eos, other in itertools.permutations(range(VOCABULARY), 2):
            ends = [
                min((row.index(token) for token in (eos, other) if token in row), default=9)
                for row in free
            ]
            if len(set(ends)) == len(ends) and min(ends) > 0 and eos in free[0] + free[1]:
                return parameters, eos, other
    raise AssertionError("no seed will do")


@pytest.mark.parametrize(
    "positions", some(1, __name__, ["sinusoidal", "learned", "rotary", "None"])
)
@pytest.mark.parametrize("kind", ["decoder-only", "encoder-decoder"])
def test_every_path_gives_the_tokens_of_the_plain_loop(kind, positions):
    config = model(kind, None if positions == "None" else positions)
    pairs = list(zip(ROWS, SOURCES, strict=True))
    parameters, eos, other = lively(config, pairs)
    for ends in (set(), {eos}, {eos, other}):
        options = {"max_new_tokens": 8, "stop": sorted(ends)}
        batch, expected = (
            prompt_of(config, ROWS, SOURCES),
            plain(config, parameters, pairs, 8, ends),
        )
        for path in ({}, {"use_cache": False}, {"chunk": 1}, {"chunk": 2}, {"chunk": 5}):
            assert_plain(generate(config, parameters, batch, **options, **path), expected)
        for (row, source), one in zip(pairs, expected, strict=True):
            alone = prompt_of(config, [row], [source])
            assert_plain(generate(config, parameters, alone, **options), [one])
    assert len({len(tokens) for tokens, _ in expected}) > 1  # rows did end at different steps


@pytest.mark.parametrize("chunk", [None, 1, 2])
@pytest.mark.parametrize("storage", ["contiguous", "paged", "ring"])
@pytest.mark.parametrize("kind", ["decoder-only", "encoder-decoder"])
def test_rows_that_end_early_keep_the_logits_of_their_last_token(kind, storage, chunk):
    """Padding on the right: in chunks, a row's last token stands in an earlier chunk."""
    config = model(kind, "rotary", window=4)
    parameters = weights(config)
    ids = [[1, 0, 0, 0, 0], [4, 7, 2, 9, 3], [5, 5, 0, 0, 0]]
    mask = np.arange(5) < np.array([[1], [5], [2]])
    rows = [row[real].tolist() for row, real in zip(np.array(ids), mask, strict=True)]
    batch = Batch(ids, mask=mask)
    if kind == "encoder-decoder":
        batch = Batch(SOURCES, ids, decoder_mask=mask)
    cache = Cache(config, parameters, 3, storage=storage)
    got = generate(config, parameters, batch, max_new_tokens=4, chunk=chunk, cache=cache)
    assert got.prompt == rows
    assert_plain(got, plain(config, parameters, list(zip(rows, SOURCES, strict=True)), 4))


def test_more_words_than_a_byte_counts():
    """A token is chosen, and given back to the model, by its whole number."""
    config = model("decoder-only", vocabulary=700)
    parameters = weights(config)
    parameters["output.b"] = np.where(np.arange(700) < 300, -20.0, 0.0)
    found = generate(config, parameters, prompt_of(config, ROWS), max_new_tokens=4, eos=2)
    assert_plain(found, plain(config, parameters, [(row, None) for row in ROWS], 4))
    assert min(token for row in found.new for token in row) >= 300
    filters = Filters(top_k=3, top_p=0.9, repetition_penalty=1.3)
    for one in (sampler(filters), filtered_greedy(filters)):
        drawn = generate(config, parameters, prompt_of(config, ROWS), max_new_tokens=4, choose=one)
        assert min(token for row in drawn.new for token in row) >= 300
    beams = beam_search(config, parameters, Batch([[1]]), max_new_tokens=2, num_beams=2)
    (best, *_), texts = beams.hypotheses[0], [h.tokens for h in beams.hypotheses[0]]
    total = sequence_log_probability(config, parameters, Batch([[1]]), [best.tokens]).total
    assert min(map(min, texts)) >= 300 and abs(total[0] - best.log_probability) < 1e-10


def test_a_row_that_has_ended_gives_padding_and_the_others_go_on():
    config = model("decoder-only")
    parameters, eos, other = lively(config, [(row, None) for row in ROWS])
    result = generate(
        config, parameters, prompt_of(config, ROWS), max_new_tokens=8, eos=eos, stop=[other], pad=9
    )
    lengths = [len(row) for row in result.new]
    for row, length in enumerate(lengths):
        assert all(step.tokens[row] == 9 for step in result.steps[length:])
        assert not {eos, other} & set(result.new[row][:-1])
    assert min(lengths) < max(lengths) <= 8


def test_what_each_step_computed_read_and_recomputed():
    config = model("decoder-only")
    parameters = weights(config)
    batch = Batch([[3, 1, 4, 1]])
    with_cache = generate(config, parameters, batch, max_new_tokens=3).steps
    assert [(s.phase, s.attention, s.read, s.recomputed) for s in with_cache] == [
        ("prefill", (4, 4), 0, 0), ("decode.0", (1, 5), 4, 0), ("decode.1", (1, 6), 5, 0),
    ]  # fmt: skip
    without = generate(config, parameters, batch, max_new_tokens=3, use_cache=False).steps
    assert [(s.phase, s.attention, s.read, s.recomputed) for s in without] == [
        ("prefill", (4, 4), 0, 0), ("decode.0", (5, 5), 0, 4), ("decode.1", (6, 6), 0, 5),
    ]  # fmt: skip


def test_the_cat_without_a_cache_computes_two_keys_again():
    """Document 000: at step 3, <SOS> The cat, the keys and values of <SOS> and The were known."""
    config = model("decoder-only")
    steps = generate(config, weights(config), Batch([[1]]), max_new_tokens=3, use_cache=False).steps
    assert [(step.computed, step.recomputed) for step in steps] == [(1, 0), (2, 1), (3, 2)]


def test_going_on_from_a_cache_of_earlier_text():
    config = model("encoder-decoder", "rotary")
    parameters = weights(config)
    cache = Cache(config, parameters, 3)
    first = generate(
        config, parameters, prompt_of(config, ROWS, SOURCES), max_new_tokens=4, cache=cache
    )
    last = [[row[-1]] for row in first.new]
    second = generate(config, parameters, Batch(None, last), max_new_tokens=3, cache=cache)
    for row, source, early, late in zip(ROWS, SOURCES, first.new, second.new, strict=True):
        assert the_plain_loop(config, parameters, row, source, 7, set()) == early + late


@pytest.mark.parametrize(("use_cache", "chunk"), [(True, None), (True, 2), (False, None)], ids=str)
@pytest.mark.parametrize("kind", ["decoder-only", "encoder-decoder"])
def test_a_recorded_generation_verifies_stage_by_stage(kind, use_cache, chunk, tmp_path):
    config = model(kind, "rotary", window=4, norm_place="pre", output_scale=0.5)
    parameters, eos, _ = lively(config, list(zip(ROWS[:2], SOURCES[:2], strict=True)))
    batch = prompt_of(config, ROWS[:2], SOURCES[:2])
    generation, trace = record_generation(
        config, parameters, batch, max_new_tokens=4, use_cache=use_cache, chunk=chunk, eos=eos
    )
    assert list(trace) == list(trace.graph.stages)
    report = verify(trace)
    assert report.ok, report.wrong
    assert len(report.findings) == len(trace.values)
    assert generation.new == generate(config, parameters, batch, max_new_tokens=4, eos=eos).new
    save_trace(trace, tmp_path / "trace.npz")
    again = load_trace(tmp_path / "trace.npz")
    assert list(again.graph.stages) == list(trace.graph.stages)
    assert verify(again).ok


def test_the_encoder_and_the_cross_keys_are_recorded_once():
    config = model("encoder-decoder")
    batch = prompt_of(config, ROWS, SOURCES)
    _, trace = record_generation(config, weights(config), batch, max_new_tokens=3)
    assert [name for name in trace if name.endswith("encoder.output")] == ["encoder.output"]
    keys = [name for name in trace if name.endswith("0.cross_attention.keys")]
    assert keys == ["prefill.decoder.0.cross_attention.keys"]
    grown = [trace[f"{phase}.decoder.0.self_attention.all_keys"].shape[2] for phase in trace.phases]
    assert grown == [3, 4, 5]
    assert trace["decode.1.decoder.0.self_attention.weights"].shape == (3, 2, 1, 5)


def test_a_pin_in_a_later_step_is_found_and_one_that_fits_nothing_is_named():
    config = model("decoder-only")
    parameters = weights(config)
    pinned = np.zeros((1, 1, 8))
    _, trace = record_generation(
        config, parameters, Batch([[3, 1]]), max_new_tokens=3,
        pins={"decode.1.decoder.output": pinned},
    )  # fmt: skip
    assert np.array_equal(trace["decode.1.decoder.output"], pinned)
    assert verify(trace).ok
    with pytest.raises(NumtxError, match=r"decode\.9"):
        record_generation(
            config, parameters, Batch([[3]]), max_new_tokens=2, pins={"decode.9.logits": pinned}
        )


def test_no_new_tokens_at_all():
    config = model("decoder-only")
    result = generate(config, weights(config), Batch([[3, 1]]), max_new_tokens=0)
    assert (result.prompt, result.new, result.steps) == ([[3, 1]], [[]], [])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_new_tokens": -1}, "max_new_tokens is int -1"),
        ({"max_new_tokens": 2.0}, "max_new_tokens is float 2.0"),
        ({"max_new_tokens": True}, "max_new_tokens is bool True"),
        ({"max_new_tokens": 2, "eos": 11}, "eos is int 11; it is a whole number from 0 to 10"),
        ({"max_new_tokens": 2, "stop": [3, -1]}, "stop is int -1"),
        ({"max_new_tokens": 2, "pad": -1}, "pad is int -1"),
        ({"max_new_tokens": 2, "chunk": 0}, "chunk is int 0"),
        ({"max_new_tokens": 2, "chunk": 1, "use_cache": False}, "chunk given with use_cache=False"),
    ],
)
def test_options_that_cannot_be_taken(options, message):
    config = model("decoder-only")
    with pytest.raises(DecodingError, match=message):
        generate(config, weights(config), Batch([[3, 1]]), **options)


def test_inputs_that_cannot_be_generated_from():
    config = model("decoder-only")
    parameters = weights(config)
    with pytest.raises(NumtxError, match="row 1 has no real token"):
        generate(
            config,
            parameters,
            Batch([[3], [1]], mask=np.array([[True], [False]])),
            max_new_tokens=1,
        )
    with pytest.raises(DecodingError, match="positions given"):
        generate(config, parameters, Batch([[3]], positions=[[4]]), max_new_tokens=1)
    with pytest.raises(CacheError, match="no decoder"):
        encoder = model("decoder-only", model="encoder-only", decoder_layers=0, encoder_layers=1)
        generate(encoder, weights(encoder), Batch([[3]]), max_new_tokens=1)
    with pytest.raises(CacheError, match="cache is full"):
        cache = Cache(config, parameters, 1, capacity=3)
        generate(config, parameters, Batch([[3, 1]]), max_new_tokens=5, cache=cache)


def test_logits_that_are_not_finite_are_named():
    config = model("decoder-only")
    parameters = weights(config)
    parameters["output.b"] = np.full(VOCABULARY, np.nan)
    with pytest.raises(DecodingError, match="prefill: logits of row 0 are not finite"):
        generate(config, parameters, Batch([[3, 1]]), max_new_tokens=1)
