"""A ring of a window: what it holds, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from cache_runs import batch_of, in_chunks, tokens, uncached
from samples import GENERATING, among, config_of, one, random_parameters, some

from numtx.batch import Batch
from numtx.cache import Cache
from numtx.errors import CacheError
from numtx.step import step
from numtx.tap import Recorder

ROWS, LENGTH, WINDOW = 2, 9, 4
DECODERS = [n for n in among(lambda c: c.sides == ("decoder",)) if n in GENERATING]
DECODER = one(lambda c: c.sides == ("decoder",) and c.kv_heads < c.heads and c.rotated)
MASK = np.array([[True] * 9, [0, 1, 1, 0, 0, 1, 0, 1, 1]], bool)


def text(columns=LENGTH, seed=0):
    return tokens(config_of(DECODER), ROWS, columns, seed)


def windowed(name=DECODER, window=WINDOW):
    config = config_of(name, window=window, decoder_layers=3)
    return config, random_parameters(config)


def ring_of(config, parameters, capacity=None):
    return Cache(config, parameters, ROWS, capacity, "ring")


@pytest.mark.parametrize("name", some(4, __name__, DECODERS))
@pytest.mark.parametrize("chunks", [(9,), (1,) * 9, (2, 5, 1, 1), (6, 3)])
def test_a_ring_of_exactly_the_window_equals_the_mask(name, chunks):
    config, parameters = windowed(name)
    batch = Batch(text(), mask=MASK)
    ring = ring_of(config, parameters)
    everything = Cache(config, parameters, ROWS)
    expected = in_chunks(config, parameters, batch, chunks, everything)
    got = in_chunks(config, parameters, batch, chunks, ring)
    np.testing.assert_allclose(got[MASK], expected[MASK], rtol=0.0, atol=1e-10)
    assert ring.lengths.tolist() == everything.lengths.tolist() == [9, 5]
    assert ring.length == WINDOW and everything.length == LENGTH
    assert ring.numbers * LENGTH == everything.numbers * WINDOW
    assert ring.positions[0].tolist() == [5, 6, 7, 8]
    assert ring.positions[1].tolist() == [1, 2, 3, 4] and ring.valid.all()


@pytest.mark.parametrize("window", [9, 12])
@pytest.mark.parametrize("name", some(4, __name__, DECODERS))
def test_a_window_at_least_as_long_as_the_sequence_equals_none(name, window):
    """Law V4, bit for bit: the mask is the same."""
    config, parameters = windowed(name, window)
    free, _ = windowed(name, None)
    batch = Batch(text(), mask=MASK)
    expected = uncached(free, parameters, batch)
    assert np.array_equal(uncached(config, parameters, batch), expected)
    narrow, _ = windowed(name, 8)
    assert not np.array_equal(uncached(narrow, parameters, batch), expected)
    got = in_chunks(config, parameters, batch, (4, 1, 4), ring_of(config, parameters))
    np.testing.assert_allclose(got[MASK], expected[MASK], rtol=0.0, atol=1e-10)


def test_a_call_sees_the_old_and_the_new_and_only_then_the_oldest_go():
    config, parameters = windowed()
    ring = ring_of(config, parameters)
    step(config, parameters, Batch(text(4)), ring)
    recorder = Recorder()
    step(config, parameters, Batch(text(3, 1)), ring, tap=recorder)
    keys = recorder.values["decoder.0.self_attention.all_keys"]
    assert keys.shape[2] == 4 + 3
    assert np.array_equal(keys[:, :, 4:], recorder.values["decoder.0.self_attention.rotated_keys"])
    assert ring.length == WINDOW and ring.positions.tolist() == [[3, 4, 5, 6]] * 2
    again = Recorder()
    step(config, parameters, Batch(text(1, 2)), ring, tap=again)
    assert np.array_equal(
        again.values["decoder.0.self_attention.all_keys"][:, :, :4], keys[:, :, -4:]
    )


@pytest.mark.parametrize("capacity", [None, 6])
def test_truncation_within_what_is_held_and_past_it(capacity):
    config, parameters = windowed()
    ids = text()
    room = capacity or WINDOW
    for kept in range(LENGTH + 1):
        ring = ring_of(config, parameters, capacity)
        step(config, parameters, Batch(ids), ring)
        # The next token looks at WINDOW - 1 tokens; the first LENGTH - room are gone.
        if kept and max(0, kept - (WINDOW - 1)) < LENGTH - room:
            before = ring.lengths, ring.positions
            with pytest.raises(CacheError, match="are evicted; give the ring more capacity"):
                ring.truncate(kept)
            assert all(map(np.array_equal, before, (ring.lengths, ring.positions)))
            continue
        ring.truncate(kept)
        assert ring.lengths.tolist() == [kept] * ROWS
        other = text(2, 5)
        got = step(config, parameters, Batch(other), ring, every_position=True).logits
        whole = np.concatenate((ids[:, :kept], other), 1)
        expected = uncached(config, parameters, Batch(whole))[:, kept:]
        np.testing.assert_allclose(got, expected, rtol=0.0, atol=1e-10)


def test_rows_that_are_cut_unevenly_go_on_each_from_its_own_end():
    config, parameters = windowed()
    ids = text()
    for kept in ([7, 9], [9, 7], [8, 7], [0, 8]):
        ring = ring_of(config, parameters, 7)
        step(config, parameters, Batch(ids), ring)
        for seed in (5, 6):  # what is still held of the tokens before is looked at again
            more, ring = text(3, seed), ring.fork()  # which has gone round
            ring.truncate(kept)
            assert ring.lengths.tolist() == kept
            got = in_chunks(config, parameters, Batch(more), (1, 2), ring)
            for row, length in enumerate(kept):
                whole = np.concatenate((ids[row, :length], more[row]))[None]
                expected = uncached(config, parameters, Batch(whole))[0, length:]
                np.testing.assert_allclose(got[row], expected, rtol=0.0, atol=1e-10)
                held = ring.positions[row, ring.valid[row]].tolist()
                assert held == list(range(length + 3))[-len(held) :]
    for row, kept in enumerate(([4, 9], [9, 4])):  # whichever has lost what it would look at
        with pytest.raises(CacheError, match=f"row {row} cut to 4 tokens needs token 1"):
            full = ring_of(config, parameters, 7)
            step(config, parameters, Batch(ids), full)
            full.truncate(kept)


def test_a_ring_is_never_full_and_does_not_grow():
    config, parameters = windowed()
    ring = ring_of(config, parameters)
    rooms = []
    for number in range(5):
        step(config, parameters, Batch(text(5, number)), ring)
        rooms.append(ring.numbers)
    assert ring.lengths.tolist() == [25] * ROWS and ring.capacity is None
    assert len(set(rooms)) == 1


@pytest.mark.parametrize(
    ("window", "capacity", "message"),
    [
        (None, None, "a model without a window"),
        (None, 5, "a model without a window"),
        (4, 3, r"room for 3; it holds at least one window \(4\)"),
    ],
)
def test_models_and_sizes_without_a_ring(window, capacity, message):
    config, parameters = windowed(DECODER, window)
    with pytest.raises(CacheError, match=message):
        ring_of(config, parameters, capacity)


def test_positions_of_the_callers_own_are_refused():
    config, parameters = windowed()
    ring = ring_of(config, parameters)
    with pytest.raises(CacheError, match="positions given with a ring"):
        step(config, parameters, Batch(text(2), positions=[[3, 4], [0, 1]]), ring)
    assert ring.length == 0
    step(config, parameters, batch_of(config, text(2)), ring)
    assert ring.length == 2
