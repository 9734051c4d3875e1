"""Context shift of numtx's own cache: its storages, its errors, and what it leaves alone."""

from __future__ import annotations

import numpy as np
import pytest
from samples import among

from numtx.batch import Batch
from numtx.cache import BlockPool, Cache
from numtx.cache.shift import movable
from numtx.errors import CacheError
from numtx.models import MODELS, parameters_of
from numtx.ops.positions import rotate_forward, rotation
from numtx.step import step
from numtx.tap import Recorder

IDS = np.array([[3, 1, 4, 1, 5, 9], [2, 6, 5, 3, 5, 8]])
SEVERAL = among(
    lambda c: (
        "decoder" in c.sides
        and c.attention == "multi-head"
        and len(c.sides) == 1
        and movable(c)
        and (len(c.values_of("position_base")) > 1 or c.rotary_scaling is not None)
    )
)  # angles that differ by layer, or are scaled
MASK = np.array([[1, 1, 1, 1, 1, 1], [0, 1, 1, 1, 1, 1]], bool)


def warm(name, mask=None, **options):
    """A model, its parameters, a cache with six columns, and what was recorded."""
    config = MODELS[name].config(dtype="float64")
    parameters, recorder = parameters_of(config), Recorder()
    cache = Cache(config, parameters, 2, **options)
    step(config, parameters, Batch(IDS, mask=mask), cache, tap=recorder)
    return config, parameters, cache, recorder


@pytest.mark.parametrize("options", [{}, {"storage": "paged", "block_size": 2}])
@pytest.mark.parametrize("name", ["decoder, deep", *SEVERAL])
def test_keys_of_every_layer_are_those_of_their_new_places(name, options):
    """Rows whose tokens stand in other columns: what is counted is each row's own tokens."""
    config, parameters, cache, first = warm(name, MASK, **options)
    cache.shift(1, 2)
    assert cache.lengths.tolist() == [4, 3]
    second = Recorder()
    step(config, parameters, Batch(IDS[:, :1]), cache, tap=second)
    for row, columns in enumerate(([0, 3, 4, 5], [1, 4, 5])):
        held = cache.valid[row, :-1]
        for layer in range(config.decoder_layers):
            at = f"decoder.{layer}.self_attention"
            own = config.layer("decoder", layer)
            leaf = "keys" if own.query_key_norm is None else "normed_keys"
            keys = first.values[f"{at}.{leaf}"][row : row + 1][..., columns, :]
            if own.rotated:
                places = np.arange(len(columns))[None], own.rotated, own.position_base
                how = own.rotary_layout, "float64", own.rotary_scaling
                keys = rotate_forward(keys, rotation(*places, *how))
            got = second.values[f"{at}.all_keys"][row][:, :-1][:, held]
            assert np.allclose(got, keys[0], rtol=0.0, atol=1e-13)
            values = first.values[f"{at}.values"][row][:, columns]
            assert np.array_equal(second.values[f"{at}.all_values"][row][:, :-1][:, held], values)
    assert cache.positions[:, -1].tolist() == [4, 3]


@pytest.mark.parametrize("fields", [{"chunk": 2}, {"query_growth": 2}, {"query_growth": (None, 2)}])
def test_positions_that_act_by_their_own_size_cannot_be_moved(fields):
    assert movable(MODELS["decoder, deep"].config())
    assert not movable(MODELS["decoder, deep"].config(window=None, **fields))


def test_forks_and_the_pool_are_left_as_they_were():
    config, parameters, cache, _ = warm("decoder, deep", storage="paged", block_size=2)
    pool = cache._storage.pool
    fork = cache.fork()
    expected = step(config, parameters, Batch(IDS[:, :1]), cache.fork()).logits
    fork.shift(0, 3)
    assert (fork.length, cache.length) == (3, 6)
    assert np.array_equal(step(config, parameters, Batch(IDS[:, :1]), cache).logits, expected)
    fork.release()
    assert pool.used == 2 * 4  # seven columns of two rows


def test_room_that_is_not_there_changes_nothing():
    config = MODELS["decoder, deep"].config(dtype="float64")
    pool = BlockPool(config, 2, 6)
    *_, cache, _ = warm("decoder, deep", storage="paged", pool=pool)
    with pytest.raises(CacheError, match="pool is full"):
        cache.shift(0, 1)
    assert (cache.length, pool.used) == (6, 6)


def test_a_full_cache_goes_on_after_a_shift():
    config, parameters, cache, _ = warm("decoder, deep", capacity=6)
    with pytest.raises(CacheError, match="cache is full"):
        step(config, parameters, Batch(IDS[:, :1]), cache)
    cache.shift(1, 1)
    step(config, parameters, Batch(IDS[:, :1]), cache)
    assert (cache.length, cache.lengths.tolist()) == (6, [6, 6])
    cache.shift(0, 6)
    assert (cache.length, cache.lengths.tolist()) == (0, [0, 0])


@pytest.mark.parametrize(
    ("name", "options", "keep", "drop", "message"),
    [
        ("decoder, deep", {}, -1, 1, "shift: keep is int -1; it is a whole number of at least 0"),
        ("decoder, deep", {}, 0, 1.5, r"shift: drop is float 1\.5; it is a whole number"),
        ("decoder, deep", {}, 3, 3, "shift: keep=3, drop=3 are more tokens than row 1 holds, 5"),
        ("decoder, many words", {}, 0, 1, "positions are part of what was"),
        ("decoder, rotary, grouped, gated", {"storage": "ring"}, 0, 0, "ring: it drops the oldest"),
    ],
)
def test_what_cannot_be_shifted_is_said_and_nothing_changes(name, options, keep, drop, message):
    *_, cache, _ = warm(name, MASK, **options)
    before = cache.lengths.tolist()
    with pytest.raises(CacheError, match=message) as caught:
        cache.shift(keep, drop)
    assert "\n" not in str(caught.value) and cache.lengths.tolist() == before


def test_what_is_hidden_is_seen_no_more_and_nothing_moves():
    config, parameters, cache, _ = warm("decoder, deep")
    cache.hide(2)
    assert (cache.lengths.tolist(), cache.valid.sum(1).tolist()) == ([6, 6], [4, 4])
    recorder = Recorder()
    step(config, parameters, Batch(IDS[:, :1]), cache, tap=recorder)
    weights = recorder.values["decoder.0.self_attention.weights"]
    assert not weights[..., :2].any() and weights[..., 2:].all()
    assert cache.positions[:, -1].tolist() == [6, 6]
    with pytest.raises(CacheError, match="hide: drop=6 are more tokens than row 0 holds, 5"):
        cache.hide(6)
