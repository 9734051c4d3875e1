"""What a cache says of itself, what it refuses, and what its operations leave alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from cache_runs import batch_of, in_chunks
from samples import config_of, one, random_parameters
from warm_caches import (
    CONFIG,
    DECODER,
    DECODER_WEIGHTS,
    DEPTH,
    EACH_STORAGE,
    OTHER,
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
from numtx.errors import BatchError, CacheError, ConfigError, MaskError, NumtxError
from numtx.laws import exactness
from numtx.model import forward
from numtx.step import Encoded, step
from numtx.tap import Recorder


def test_length_lengths_positions_validity_and_bytes():
    cache = Cache(CONFIG, WEIGHTS, ROWS)
    assert (cache.length, cache.capacity, cache.numbers, cache.source) == (0, None, 0, None)
    mask = np.array([[True, True, True], [False, True, True]])
    step(CONFIG, WEIGHTS, batch_of(CONFIG, some(3), mask, sources()), cache)
    step(CONFIG, WEIGHTS, Batch(None, some(2), decoder_mask=[[True, False], [True, True]]), cache)
    assert cache.length == 5
    assert cache.lengths.tolist() == [4, 4]
    assert cache.valid.astype(int).tolist() == [[1, 1, 1, 1, 0], [0, 1, 1, 1, 1]]
    assert cache.positions.tolist() == [[0, 1, 2, 3, 3], [0, 0, 1, 2, 3]]
    per_token = CONFIG.kv_heads * (CONFIG.d_k + CONFIG.d_v)
    assert cache.numbers == DEPTH * ROWS * (5 + 5) * per_token  # of the target and the source
    assert cache.bytes == 8 * cache.numbers


def test_the_encoder_and_the_cross_keys_run_once():
    cache = Cache(CONFIG, WEIGHTS, ROWS)
    recorder = Recorder()
    step(CONFIG, WEIGHTS, Batch(sources(), some(2)), cache, phase="prefill", tap=recorder)
    step(CONFIG, WEIGHTS, Batch(None, some(1)), cache, phase="decode.0", tap=recorder)
    cross = "decoder.0.cross_attention"
    assert f"prefill.{cross}.keys" in recorder.values
    assert f"decode.0.{cross}.keys" not in recorder.values
    assert sum(name == "encoder.output" for name in recorder.values) == 1
    assert np.array_equal(
        recorder.values[f"decode.0.{cross}.all_keys"], recorder.values[f"prefill.{cross}.keys"]
    )


def test_encoded_once_and_handed_to_two_caches():
    first = step(CONFIG, WEIGHTS, Batch(sources(), some(2)), Cache(CONFIG, WEIGHTS, ROWS))
    cache = Cache(CONFIG, WEIGHTS, ROWS)
    again = step(CONFIG, WEIGHTS, Batch(None, some(2)), cache, encoded=first.encoded)
    assert np.array_equal(first.logits, again.logits)
    without = step(CONFIG, WEIGHTS, Batch(None, some(2)), encoded=first.encoded)
    np.testing.assert_allclose(without.logits, first.logits, rtol=0.0, atol=1e-10)


@EACH_STORAGE
def test_a_fork_is_independent_bit_for_bit(storage):
    """Either way, in every layer."""
    cache = warm(storage=storage)
    before = after(cache)
    step(DECODER, DECODER_WEIGHTS, Batch(some(1, seed=5)), cache)
    cache.truncate(3)  # with room left, so that nobody has to move before writing
    fork, other = cache.fork(), cache.fork()
    for writer in (fork, cache):
        writer.truncate(1)
        step(DECODER, DECODER_WEIGHTS, Batch(some(2, seed=6)), writer)
        assert same(after(other), before)
    cache, fork = other, other.fork()
    step(DECODER, DECODER_WEIGHTS, Batch(some(4, seed=3)), fork)
    fork.truncate(1)
    step(DECODER, DECODER_WEIGHTS, Batch(some(2, seed=4)), fork)
    assert same(after(cache), before)
    assert cache.length == 3


@EACH_STORAGE
def test_truncate_is_as_if_never_appended_bit_for_bit(storage):
    cache = warm(3, storage=storage)
    before = after(cache)
    step(DECODER, DECODER_WEIGHTS, Batch(some(4, seed=3)), cache)
    cache.truncate(3)
    assert cache.length == 3 and cache.lengths.tolist() == [3, 3]
    assert same(after(cache), before)


@EACH_STORAGE
def test_truncate_row_by_row(storage):
    cache = warm(4, storage=storage)
    cache.truncate([1, 3])
    assert cache.lengths.tolist() == [1, 3] and cache.length == 3
    assert cache.valid.tolist() == [[True, False, False], [True] * 3]
    got = step(DECODER, DECODER_WEIGHTS, Batch(some(1, seed=2)), cache).logits[:, 0]
    for row, length in enumerate((1, 3)):
        ids = np.concatenate((some(4)[row, :length], some(1, seed=2)[row]))[None]
        expected = forward(DECODER, DECODER_WEIGHTS, Batch(ids))[0].logits[0, -1]
        np.testing.assert_allclose(got[row], expected, rtol=0.0, atol=1e-10)


def test_reorder_gathers_everything_bit_for_bit():
    """What is cached; what the next token makes of it, too, where products allow moving rows."""
    cache = Cache(CONFIG, WEIGHTS, 3)
    mask = np.array([[1, 1, 1], [0, 1, 1], [1, 1, 0]], bool)
    source_mask = np.array([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [0, 1, 1, 1, 0]], bool)
    batch = batch_of(CONFIG, some(3, 3), mask, sources(3), source_mask)
    step(CONFIG, WEIGHTS, batch, cache)
    before, index = after(cache, CONFIG, WEIGHTS), [2, 0, 2]
    cache.reorder(index)
    other = Cache(CONFIG, WEIGHTS, 3)
    step(
        CONFIG, WEIGHTS,
        batch_of(CONFIG, some(3, 3)[index], mask[index], sources(3)[index], source_mask[index]),
        other,
    )  # fmt: skip
    found, expected = after(cache, CONFIG, WEIGHTS), after(other, CONFIG, WEIGHTS)
    cached = [name for name in found if name.endswith(("all_keys", "all_values"))]
    assert len(cached) == 2 * 2 * DEPTH  # keys and values, of itself and of the source
    for name in cached:
        own = slice(3) if "self_attention" in name else slice(None)  # without the new token
        assert np.array_equal(found[name][:, :, own], before[name][index][:, :, own]), name
    assert found.keys() == expected.keys()
    assert all(exactness.same(found[name], expected[name], moved=True) for name in found)
    assert cache.positions.tolist() == other.positions.tolist()


def test_reset_is_a_new_cache():
    cache = Cache(CONFIG, WEIGHTS, ROWS)
    step(CONFIG, WEIGHTS, Batch(sources(seed=4), some(4, seed=5)), cache)
    cache.reset()
    assert (cache.length, cache.numbers, cache.source) == (0, 0, None)
    batch = batch_of(CONFIG, some(3), None, sources())
    again = in_chunks(CONFIG, WEIGHTS, batch, (2, 1), cache)
    fresh = in_chunks(CONFIG, WEIGHTS, batch, (2, 1), Cache(CONFIG, WEIGHTS, ROWS))
    assert np.array_equal(again, fresh)


def test_overflow_raises_and_changes_nothing():
    cache = warm(3, capacity=5)
    before, bytes_before = after(cache), cache.bytes
    with pytest.raises(CacheError, match="3 of 5 columns are taken and 3 more"):
        step(DECODER, DECODER_WEIGHTS, Batch(some(3, seed=3)), cache)
    assert (cache.length, cache.bytes) == (3, bytes_before)
    assert same(after(cache), before)
    step(DECODER, DECODER_WEIGHTS, Batch(some(2, seed=3)), cache)
    assert cache.length == cache.capacity == 5


def test_an_error_on_the_way_changes_nothing():
    cache = warm(3)
    before = after(cache)
    recorder = Recorder({"decoder.1.feed_forward.output": np.zeros(1)})  # of a wrong shape
    with pytest.raises(NumtxError, match="has shape"):
        step(DECODER, DECODER_WEIGHTS, Batch(some(2)), cache, tap=recorder)
    assert cache.length == 3
    assert same(after(cache), before)


def test_what_is_read_cannot_be_written_and_a_trace_does_not_change():
    recorder = Recorder()
    cache = warm(2)
    step(DECODER, DECODER_WEIGHTS, Batch(some(1)), cache, tap=recorder)
    kept = recorder.values["decoder.0.self_attention.all_keys"].copy()
    cache.truncate(1)
    step(DECODER, DECODER_WEIGHTS, Batch(some(3, seed=8)), cache)
    assert np.array_equal(recorder.values["decoder.0.self_attention.all_keys"], kept)
    cache.reserve(1)
    cache.mark(np.ones((ROWS, 1), bool), np.zeros((ROWS, 1), np.int64))
    widths = {"keys": DECODER.d_k, "values": DECODER.d_v}
    new = {name: np.zeros((ROWS, 1, 1, width)) for name, width in widths.items()}
    with pytest.raises(ValueError, match="read-only"):
        cache.append(0, **new)["keys"][...] = 0.0
    with pytest.raises(CacheError, match="layer 0 was handed keys, values; each call writes"):
        cache.append(0, **new)
    with pytest.raises(CacheError, match=f"1 of {DEPTH} layers"):
        cache.commit()
    for operation in (cache.fork, lambda: cache.truncate(0), lambda: cache.reorder([0])):
        with pytest.raises(CacheError, match="in the middle of a call"):
            operation()
    with pytest.raises(CacheError, match="keys of layer 1 are float32"):
        cache.append(1, **{name: array.astype("float32") for name, array in new.items()})
    cache.rollback()
    assert cache.length == 4


def run(cache, batch, parameters=DECODER_WEIGHTS):
    step(DECODER, parameters, batch, cache)


def other_model(cache):
    config = replace(DECODER, key_value_heads=None)
    step(config, random_parameters(config), Batch(some(1)), cache)


def other_dtype(cache):
    config = replace(DECODER, dtype="float32")
    step(config, random_parameters(config), Batch(some(1)), cache)


@pytest.mark.parametrize(
    ("misuse", "error", "message"),
    [
        (other_model, CacheError, "another configuration"),
        (other_dtype, CacheError, "another configuration"),
        (lambda c: run(c, Batch(some(1)), OTHER), CacheError, "other parameters"),
        (lambda c: run(c, Batch(some(1, 3))), CacheError, "holds 2 rows"),
        (lambda c: c.truncate(4), CacheError, "row 0 holds 3 tokens and 4 were to be kept"),
        (lambda c: c.truncate([3, -1]), CacheError, "row 1 holds 3 tokens and -1"),
        (lambda c: c.truncate([1]), CacheError, r"shape \(1,\); it should be \(2,\)"),
        (lambda c: c.truncate(1.0), CacheError, "whole numbers"),
        (lambda c: c.truncate([True, False]), CacheError, "whole numbers"),
        (lambda c: c.reorder([0, 2]), CacheError, r"index\[1\] is 2; rows are 0 to 1"),
        (lambda c: c.reorder([-1, 0]), CacheError, r"index\[0\] is -1"),
        (lambda c: c.reorder([[0, 1]]), CacheError, "a list of rows"),
        (lambda c: c.reorder([]), CacheError, "whole numbers|a list of rows"),
        (lambda c: c.reorder(np.array([], int)), CacheError, "a list of rows"),
        (lambda c: c.commit(), CacheError, "commit outside a call"),
        (lambda c: c.append(0), CacheError, "append outside a call"),
        (lambda c: Cache(DECODER, DECODER_WEIGHTS, 0), CacheError, "batch is int 0"),
        (lambda c: Cache(DECODER, DECODER_WEIGHTS, 2, 0), CacheError, "capacity is int 0"),
        (lambda c: Cache(DECODER, DECODER_WEIGHTS, True), CacheError, "batch is bool True"),
        (lambda c: run(c, Batch(some(7))), BatchError, "position 9 lies"),
        (lambda c: run(c, Batch([[11], [0]])), BatchError, r"ids\[0,0\] is 11"),
        (lambda c: run(c, Batch(some(1), mask=[[1], [1]])), MaskError, "boolean"),
    ],
)  # fmt: skip
def test_misuse_is_one_line_and_leaves_the_cache_as_it_was(misuse, error, message):
    cache = warm(3)
    before = after(cache)
    with pytest.raises(error, match=message) as caught:
        misuse(cache)
    assert "\n" not in str(caught.value)
    assert same(after(cache), before)


def test_models_that_have_no_cache():
    encoder = config_of(one(lambda c: c.sides == ("encoder",)))
    with pytest.raises(CacheError, match="has no decoder"):
        Cache(encoder, random_parameters(encoder), 1)
    both_ways = replace(DECODER, causal=False)
    with pytest.raises(CacheError, match="not causal"):
        Cache(both_ways, DECODER_WEIGHTS, 1)
    with pytest.raises(ConfigError):
        replace(DECODER, model="no such")


def test_the_encoder_side_of_a_step():
    cache = Cache(CONFIG, WEIGHTS, ROWS)
    with pytest.raises(BatchError, match="ids is missing; the encoder has not run yet"):
        step(CONFIG, WEIGHTS, Batch(None, some(1)), cache)
    encoded = step(CONFIG, WEIGHTS, Batch(sources(), some(1)), cache).encoded
    with pytest.raises(CacheError, match="in the cache already"):
        step(CONFIG, WEIGHTS, Batch(sources(), some(1)), cache)
    assert cache.length == 1
    with pytest.raises(BatchError, match="encoded has 1 rows and decoder_ids 2"):
        one = Encoded(encoded.output[:1], encoded.valid[:1])
        step(CONFIG, WEIGHTS, Batch(None, some(1)), encoded=one)
