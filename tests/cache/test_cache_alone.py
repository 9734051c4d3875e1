"""A cache by itself: what is refused or interrupted changes nothing, and what it hands out cannot
be written to. A step around it would roll back, and hide what it leaves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from cache_runs import StopsAt
from samples import random_parameters
from warm_caches import (
    CONFIG,
    DECODER,
    DECODER_WEIGHTS,
    DEPTH,
    EACH_STORAGE,
    ROWS,
    WEIGHTS,
    after,
    same,
    some,
    sources,
    warm,
)

from numtx.batch import Batch
from numtx.cache import Cache
from numtx.errors import BatchError, CacheError
from numtx.step import step


@pytest.mark.parametrize("storage", ["contiguous", "paged"])
def test_a_reserve_that_is_refused_changes_nothing(storage):
    """Of the cache alone, with no step around it that would roll back."""
    cache = warm(3, 5, storage)
    before, room = after(cache), cache.numbers
    for one in (cache, cache.fork()):
        with pytest.raises(CacheError, match="3 of 5 columns are taken and 3 more"):
            one.reserve(3)
    assert (cache.length, cache.numbers) == (3, room)
    with pytest.raises(CacheError, match="append outside a call"):
        cache.append(0)
    assert same(after(cache), before)  # a fork is taken, so no call is open
    cache.reserve(2)
    cache.rollback()
    assert same(after(cache), before)


@pytest.mark.parametrize("layer", range(DEPTH))
def test_memory_that_runs_out_on_the_way_changes_nothing(monkeypatch, layer):
    """While room is made for one layer after the other."""
    cache = warm(3)
    before, room, empty, left = after(cache), cache.numbers, np.empty, [2 * layer]

    def full(*arguments, **options):
        if not left[0]:
            raise MemoryError
        left[0] -= 1
        return empty(*arguments, **options)

    monkeypatch.setattr("numtx.cache.storage.np.empty", full)
    with pytest.raises(MemoryError):
        cache.reserve(3)
    monkeypatch.undo()
    assert cache.numbers == room and same(after(cache), before)


@EACH_STORAGE
@pytest.mark.parametrize(
    "place", ["0.self_attention.keys", f"{DEPTH - 1}.feed_forward.output", "logits"]
)
def test_ctrl_c_inside_a_step_changes_nothing(storage, place):
    """Before any layer was written, after some, and after all of them."""
    cache = warm(3, storage=storage)
    before = after(cache)
    tap = StopsAt(place, KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        step(DECODER, DECODER_WEIGHTS, Batch(some(2, seed=3)), cache, tap=tap)
    assert cache.length == 3 and cache.lengths.tolist() == [3, 3]
    assert same(after(cache), before)


def test_ctrl_c_while_the_encoder_is_new_forgets_its_part():
    cache = Cache(CONFIG, WEIGHTS, ROWS)
    tap = StopsAt(f"{DEPTH - 1}.cross_attention.output", KeyboardInterrupt)
    batch = Batch(sources(), some(2))
    with pytest.raises(KeyboardInterrupt):
        step(CONFIG, WEIGHTS, batch, cache, tap=tap)
    assert (cache.length, cache.numbers, cache.source) == (0, 0, None)
    again = step(CONFIG, WEIGHTS, batch, cache).logits
    assert np.array_equal(again, step(CONFIG, WEIGHTS, batch, Cache(CONFIG, WEIGHTS, ROWS)).logits)
    with pytest.raises(BatchError):  # one that has the encoder's part keeps it
        step(CONFIG, WEIGHTS, Batch(None, some(1) + CONFIG.vocabulary), cache)
    assert cache.source is not None and len(cache._cross) == DEPTH


@EACH_STORAGE
def test_every_view_is_read_only_or_a_copy(storage):
    """What a cache hands out: its own account, and every stream of every layer."""
    cache = warm(3, storage=storage)
    before = after(cache)
    for own in (cache.valid, cache.positions, cache.lengths):
        own[...] = 0
    assert cache.valid.all() and cache.positions.tolist() == [[0, 1, 2]] * 2
    assert cache.lengths.tolist() == [3, 3] and same(after(cache), before)
    cache.reserve(1)
    widths = {"keys": DECODER.d_k, "values": DECODER.d_v}
    new = {name: np.zeros((ROWS, 1, 1, width)) for name, width in widths.items()}
    for layer in range(DEPTH):
        every = cache.append(layer, **new)
        assert every.keys() == widths.keys()
        assert not any(array.flags.writeable for array in every.values())
    cache.rollback()
    assert same(after(cache), before)


def test_the_encoder_s_part_is_read_only_and_the_caller_s_arrays_are_not_kept():
    cache = Cache(CONFIG, WEIGHTS, ROWS)
    valid, streams = np.ones((ROWS, 5), bool), {"keys": np.ones((ROWS, 1, 5, 2))}
    cache.mark_source(valid)
    kept = cache.cross(0, **streams)
    assert not any(array.flags.writeable for array in kept.values())
    valid[...], streams["keys"][...] = False, 7.0
    assert cache.source.all() and (cache.cross(0)["keys"] == 1.0).all()
    cache.source[...] = False
    assert cache.source.all()


def test_a_fork_from_before_the_encoder_has_run_shares_nothing_of_it():
    cache = Cache(CONFIG, WEIGHTS, ROWS)
    fork, batch = cache.fork(), Batch(sources(), some(2))
    expected = step(CONFIG, WEIGHTS, batch, fork).logits
    assert (cache.numbers, cache.source) == (0, None)
    assert np.array_equal(step(CONFIG, WEIGHTS, batch, cache).logits, expected)
    assert fork.numbers == cache.numbers
    single = replace(CONFIG, dtype="float32")
    own = random_parameters(single)
    half = Cache(single, own, ROWS)
    step(single, own, batch, half)
    assert half.bytes * 2 == cache.bytes and half.numbers == cache.numbers
