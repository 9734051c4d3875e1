"""Paged storage: blocks shared, copied on write, counted, and given back."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from cache_runs import batch_of, tokens
from samples import GENERATING, config_of, one, random_parameters, some

from numtx.batch import Batch
from numtx.cache import BlockPool, Cache
from numtx.errors import CacheError
from numtx.step import step
from numtx.tap import Recorder

ROWS, SIZE = 2, 4
NAME = one(lambda c: c.sides == ("decoder",) and c.kv_heads < c.heads and c.rotated)
LATENT = one(lambda c: c.sides == ("decoder",) and c.query_latent and c.rotated)
CONFIG = config_of(NAME, window=None, decoder_layers=4)
OWN = random_parameters(CONFIG)
PER_TOKEN = CONFIG.decoder_layers * CONFIG.kv_heads * (CONFIG.d_k + CONFIG.d_v)


@cache
def model(name):
    """A model and its parameters; a learned table of positions is long enough for every test."""
    if name == NAME:
        return CONFIG, OWN
    config = config_of(name)
    if config.position_limit is not None:
        config = config_of(name, position_limit=40)
    return config, random_parameters(config)


def paged(pool, name=NAME, columns=0, capacity=None):
    cache = Cache(*model(name), ROWS, capacity, "paged", pool=pool)
    if columns:
        run(cache, name, columns, 0)
    return cache


def run(cache, name, columns, seed, tap=None):
    config, own = model(name)
    source = None
    if len(config.sides) == 2 and cache.source is None:
        source = tokens(config, ROWS, 5, 1, "encoder")
    batch = batch_of(config, tokens(config, cache.batch, columns, seed), source=source)
    return step(config, own, batch, cache, **({"tap": tap} if tap else {}))


def content(cache, name, fork=True):
    """Every stream of every layer, as one more token sees it, or as it stands in the blocks."""
    if not fork:
        return {
            f"{layer}.{stream}": array[np.array(cache._storage.table)].copy()
            for layer, arrays in enumerate(cache._storage.pool.arrays)
            for stream, array in arrays.items()
        }
    recorder = Recorder()
    fork = cache.fork()
    run(fork, name, 1, 99, recorder)
    fork.release()
    every = {n: a for n, a in recorder.values.items() if ".self_attention.all_" in n}
    assert every
    return {n: a[..., :-1, :] for n, a in every.items()}


def same(first, second):
    return first.keys() == second.keys() and all(np.array_equal(first[k], second[k]) for k in first)


@pytest.mark.parametrize("name", some(4, __name__, GENERATING))
@pytest.mark.parametrize("columns", [3, 4, 6])
def test_writing_to_a_fork_never_changes_another(name, columns):
    """Bit for bit, in both directions, from a full block and from a partly filled one."""
    pool = BlockPool(model(name)[0], SIZE)
    first = paged(pool, name, columns)
    before = content(first, name)
    second, third = first.fork(), first.fork()
    assert same(content(second, name), before)
    run(second, name, 3, 5)
    assert same(content(first, name), before) and same(content(third, name), before)
    after = content(second, name)
    run(first, name, 2, 6)
    third.truncate(columns - 1)
    run(third, name, 1, 7)
    assert same(content(second, name), after)
    del first, third
    assert same(content(second, name), after)


def test_forks_share_blocks_until_they_write():
    pool = BlockPool(CONFIG, SIZE)
    cache = paged(pool, columns=6)  # a full block and a half one in each row
    assert pool.used == 2 * ROWS
    forks = [cache.fork() for _ in range(3)]
    assert pool.used == 2 * ROWS
    assert {pool.references(block) for row in cache._storage.table for block in row} == {4}
    run(forks[0], NAME, 1, 1)
    assert pool.used == 3 * ROWS  # the half block copied, the full one shared
    run(forks[0], NAME, 1, 2)
    assert pool.used == 3 * ROWS  # it is its own by now
    run(forks[0], NAME, 1, 3)
    assert pool.used == 4 * ROWS
    del forks
    assert pool.used == 2 * ROWS
    assert {pool.references(block) for row in cache._storage.table for block in row} == {1}
    assert pool.numbers == pool.used * SIZE * PER_TOKEN
    cache.release()
    assert pool.used == 0 and pool.numbers == 0


def test_beams_share_what_they_have_in_common():
    pool = BlockPool(CONFIG, SIZE)
    cache = paged(pool, columns=6)
    cache.reorder([1, 1, 1])
    assert pool.used == 2
    run(cache, NAME, 1, 4)
    assert pool.used == 1 + 3  # the last of three may write into the shared block itself
    cache.reorder([2])
    assert pool.used == 2


def test_blocks_come_back_however_a_cache_ends():
    pool = BlockPool(CONFIG, SIZE)
    cache = paged(pool, columns=9)
    assert pool.used == 3 * ROWS
    cache.truncate(5)
    assert pool.used == 2 * ROWS
    cache.truncate([0, 4])
    assert pool.used == ROWS
    cache.reset()
    assert pool.used == 0
    run(cache, NAME, 2, 1)
    del cache
    assert pool.used == 0
    with pytest.raises(CacheError, match="cache is full"):
        paged(pool, capacity=3, columns=5)
    assert pool.used == 0


def test_a_released_cache_is_of_no_more_use():
    pool = BlockPool(CONFIG, SIZE)
    cache = paged(pool, columns=3)
    fork = cache.fork()
    cache.release()
    cache.release()
    assert cache.length == 0 and pool.used == ROWS
    for use in (
        cache.fork, lambda: cache.truncate(0), lambda: cache.reorder([0]),
        lambda: run(cache, NAME, 1, 1),
    ):  # fmt: skip
        with pytest.raises(CacheError, match="has been released"):
            use()
    run(fork, NAME, 1, 1)
    assert fork.lengths.tolist() == [4, 4]
    contiguous = Cache(CONFIG, OWN, 1)
    contiguous.release()
    with pytest.raises(CacheError, match="has been released"):
        contiguous.fork()


def test_a_full_pool_changes_nothing():
    pool = BlockPool(CONFIG, SIZE, blocks=5)
    cache = paged(pool, columns=6)
    fork = cache.fork()
    before = content_tables(cache, fork)
    assert (pool.used, pool.free) == (4, 1)
    with pytest.raises(CacheError, match="4 of 5 blocks are used and 2 more") as caught:
        run(fork, NAME, 1, 1)  # both rows would copy their half block
    assert "\n" not in str(caught.value)
    assert content_tables(cache, fork) == before and pool.used == 4
    cache.release()
    run(fork, NAME, 1, 1)
    assert pool.used == 4


@pytest.mark.parametrize(("blocks", "columns"), [(5, 1), (6, 3), (7, 3)])
def test_a_refused_reserve_leaves_a_full_pool_as_it_was(blocks, columns):
    """Of the cache alone: no step around it rolls back. A half block is to be copied in each
    row, and a new one beside it in each where there are more columns."""
    pool = BlockPool(CONFIG, SIZE, blocks=blocks)
    cache = paged(pool, columns=6)
    fork = cache.fork()
    tables, before = content_tables(cache, fork), content(cache, NAME, fork=False)
    with pytest.raises(CacheError, match="pool is full"):
        fork.reserve(columns)
    assert content_tables(cache, fork) == tables and (pool.used, pool.free) == (4, blocks - 4)
    assert {pool.references(block) for row in tables[0] for block in row} == {2}
    assert same(content(cache, NAME, fork=False), before)
    assert same(content(fork, NAME, fork=False), before)


def test_a_pool_up_to_its_limit_and_not_beyond():
    pool = BlockPool(CONFIG, SIZE, blocks=5)
    first = pool.take(3)
    for arrays in pool.arrays:  # what stands there stays when the pool grows
        for array in arrays.values():
            array[first] = 7.0
    second = pool.take(2)
    assert sorted(first + second) == list(range(5)) and (pool.used, pool.free) == (5, 0)
    for arrays in pool.arrays:
        assert all(len(a) == 5 and (a[first] == 7.0).all() for a in arrays.values())
    assert pool.take(0) == []
    with pytest.raises(CacheError, match="5 of 5 blocks are used and 1 more"):
        pool.take(1)
    pool.share(second)
    pool.give_back(second)
    assert pool.free == 0 and [pool.references(block) for block in second] == [1, 1]
    pool.give_back(second[:1])
    assert pool.free == 1 and pool.take(1) == second[:1]
    assert BlockPool(CONFIG, SIZE).free is None


def test_the_last_sharer_of_a_block_writes_into_it():
    """Nothing is copied for it, whichever of the two was let go."""
    for keeps_the_fork in (True, False):
        pool = BlockPool(CONFIG, SIZE, blocks=4)
        cache = paged(pool, columns=6)
        fork = cache.fork()
        kept, gone = (fork, cache) if keeps_the_fork else (cache, fork)
        tables = content_tables(kept)
        gone.release()
        run(kept, NAME, 2, 3)  # there would be no block to copy to
        assert content_tables(kept) == tables and pool.used == 4


def content_tables(*caches):
    return [[list(row) for row in cache._storage.table] for cache in caches]


def test_what_append_gives_is_a_read_only_copy():
    pool = BlockPool(CONFIG, SIZE)
    cache = paged(pool, columns=5)
    recorder = Recorder()
    run(cache, NAME, 1, 1, recorder)
    cache.reserve(1)
    new = {
        "keys": np.ones((ROWS, CONFIG.kv_heads, 1, CONFIG.d_k)),
        "values": np.ones((ROWS, CONFIG.kv_heads, 1, CONFIG.d_v)),
    }  # fmt: skip
    every = cache.append(0, **new)
    assert not every["keys"].flags.writeable
    assert not any(np.shares_memory(every["keys"], a["keys"]) for a in pool.arrays)
    assert (
        every["keys"].shape == (ROWS, CONFIG.kv_heads, 7, CONFIG.d_k)
        and (every["keys"][:, :, -1] == 1.0).all()
    )
    cache.rollback()
    assert cache.length == 6 and pool.used == 2 * ROWS


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BlockPool(CONFIG, 0), "block_size is int 0"),
        (lambda: BlockPool(CONFIG, 4, 0), "blocks is int 0"),
        (lambda: BlockPool(CONFIG, True), "block_size is bool True"),
        (lambda: Cache(CONFIG, OWN, 1, storage="page"), "storage is 'page'; it is one of"),
        (lambda: Cache(CONFIG, OWN, 1, pool=BlockPool(CONFIG)), "only paged storage has one"),
        (lambda: Cache(CONFIG, OWN, 1, storage="paged", block_size=0), "block_size is int 0"),
        (lambda: paged(BlockPool(config_of(LATENT))), "pool is of blocks for 2 layers of"),
    ],
)  # fmt: skip
def test_misuse_is_one_line(make, message):
    with pytest.raises(CacheError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_numbers_and_blocks_of_a_latent_cache():
    config, own = model(LATENT)
    per_token = config.decoder_layers * (config.key_value_latent + config.rotated)
    pool = BlockPool(config, SIZE)
    cache = paged(pool, LATENT, 5)
    assert cache.numbers == ROWS * 5 * per_token
    assert pool.block_numbers == SIZE * per_token
    assert pool.numbers == 2 * ROWS * pool.block_numbers
    again = Batch(tokens(config, ROWS, 1))
    assert step(config, own, again, cache).logits.shape == (ROWS, 1, config.vocabulary)
