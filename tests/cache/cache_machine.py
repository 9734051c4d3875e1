"""A state machine over caches: whatever is done to them, one more token gives the logits that
the whole text gives without a cache.

The reference is a list of tokens per row. After every step the cache that it was done to is
probed on a fork, and now and then each live one, for most structural bugs stay hidden until the
next token.
"""

from __future__ import annotations

import gc
import math
from collections import Counter
from typing import Any

import numpy as np
from cache_runs import StopsAt, batch_of, uncached
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from samples import random_parameters

from numtx.cache import BlockPool, Cache
from numtx.config import Config
from numtx.errors import CacheError
from numtx.step import step

CAPACITY = 14
CACHES = 3
ALL = 4  # steps from one probe of all of them to the next
SOURCE = 4
SEEDS = st.integers(0, 2**16)


class Live:
    """A cache and what should be in it."""

    def __init__(self, cache: Cache, rows: list[list[int]], source: Any) -> None:
        self.cache = cache
        self.rows = rows
        self.source = source  # ids and mask of the encoder's tokens, once it has run
        self.evicted = [0] * len(rows)  # tokens of each row that a ring has no longer

    def append(self, ids: Any, mask: Any, room: float) -> None:
        for row, tokens, real in zip(self.rows, ids, mask, strict=True):
            row.extend(tokens[real].tolist())
        held = zip(self.rows, self.evicted, strict=True)
        self.evicted = [int(max(gone, len(row) - room)) for row, gone in held]

    def can_truncate(self, lengths: list[int], window: int | None) -> bool:
        """Whether what the next token looks at is still there."""
        return all(
            gone == 0 or length == 0 or window == 1 or max(0, length - (window or 0) + 1) >= gone
            for length, gone in zip(lengths, self.evicted, strict=True)
        )


def padded(rows: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Rows of tokens, padded on the left, and their mask."""
    longest = max(len(row) for row in rows)
    ids = np.array([[0] * (longest - len(row)) + row for row in rows])
    mask = np.array([[False] * (longest - len(row)) + [True] * len(row) for row in rows])
    return ids, mask


def is_filled(machine: Any) -> bool:
    """Whether some cache holds a token: what follows on nothing finds nothing."""
    return any(any(live.rows) for live in machine.live)


class StopError(Exception):
    """Raised in the middle of a call."""


class CacheMachine(RuleBasedStateMachine):
    """The machine; `machine_of` says for which model and storage."""

    config: Config
    parameters: dict[str, np.ndarray]
    storage: str
    room: int
    blocks: int | None

    @property
    def capacity(self) -> float:
        return math.inf if self.storage == "ring" else self.room

    @property
    def has_source(self) -> bool:
        return len(self.config.sides) == 2

    def new_source(self, generator: np.random.Generator, rows: int) -> Any:
        ids = generator.integers(0, self.config.vocabulary_of("encoder"), (rows, SOURCE))
        mask = generator.random((rows, SOURCE)) < 0.6
        mask[np.arange(rows), generator.integers(0, SOURCE, rows)] = True
        return ids, mask

    @initialize(rows=st.integers(2, 3), seed=SEEDS, length=st.integers(0, 6))
    def start(self, rows: int, seed: int, length: int) -> None:
        """Some tokens at once, or none: most rules have to do with what is there."""
        self.pool = BlockPool(self.config, 3, self.blocks) if self.storage == "paged" else None
        cache = Cache(self.config, self.parameters, rows, self.room, self.storage, pool=self.pool)
        self.live = [Live(cache, [[] for _ in range(rows)], None)]
        self.touched, self.number = self.live[0], 0
        self.has_failed = False
        if length:
            self.append(0, seed, length, padding=bool(seed % 2))

    def pick(self, number: int) -> Live:
        self.touched = self.live[number % len(self.live)]
        return self.touched

    def pick_filled(self, number: int) -> Live:
        filled = [live for live in self.live if any(live.rows)]
        self.touched = filled[number % len(filled)]
        return self.touched

    def run(self, live: Live, cache: Cache, ids: Any, mask: Any, source: Any) -> Any:
        ids_in, source_mask = (None, None) if live.source or not self.has_source else source
        batch = batch_of(self.config, ids, mask, ids_in, source_mask)
        return step(self.config, self.parameters, batch, cache).logits[:, 0]

    @rule(which=SEEDS, seed=SEEDS, padding=st.booleans())
    def append_one(self, which: int, seed: int, padding: bool) -> None:
        self.append(which, seed, 1, padding)

    @rule(which=SEEDS, seed=SEEDS, length=st.integers(2, 4), padding=st.booleans())
    def append_some(self, which: int, seed: int, length: int, padding: bool) -> None:
        self.append(which, seed, length, padding)

    def append(self, which: int, seed: int, length: int, padding: bool) -> None:
        live = self.pick(which)
        generator = np.random.default_rng(seed)
        rows = len(live.rows)
        source = self.new_source(generator, rows)
        ids = generator.integers(0, self.config.vocabulary, (rows, length))
        mask = generator.random((rows, length)) < 0.6 if padding else np.ones(ids.shape, bool)
        fits = live.cache.length + length <= self.capacity
        try:
            self.run(live, live.cache, ids, mask, source)
        except CacheError as error:
            assert not fits or (self.blocks and "pool is full" in str(error))
            return
        assert fits
        live.append(ids, mask, self.room if self.storage == "ring" else math.inf)
        live.source = live.source or (source if self.has_source else None)
        self.has_failed = False

    @precondition(lambda self: not self.has_failed)  # once more would show nothing more
    @rule(which=SEEDS, seed=SEEDS)
    def append_and_fail(self, which: int, seed: int) -> None:
        """An error in the middle of a call, after layers were written."""
        live = self.pick(which)
        self.has_failed = True
        generator = np.random.default_rng(seed)
        rows = len(live.rows)
        ids = generator.integers(0, self.config.vocabulary, (rows, 2))
        source = (None, None)
        if self.has_source and not live.source:
            source = self.new_source(generator, rows)
        try:
            batch = batch_of(self.config, ids, None, *source)
            last = f"decoder.{self.config.decoder_layers - 1}.feed_forward.output"
            step(self.config, self.parameters, batch, live.cache, tap=StopsAt(last, StopError))
        except (StopError, CacheError):
            return
        raise AssertionError("the call should have failed")

    @precondition(lambda self: len(self.live) < CACHES and is_filled(self))
    @rule(which=SEEDS)
    def fork(self, which: int) -> None:
        live = self.pick_filled(which)
        fork = Live(live.cache.fork(), [list(row) for row in live.rows], live.source)
        fork.evicted = list(live.evicted)
        self.live.append(fork)

    @precondition(lambda self: len(self.live) > 1)
    @rule(which=SEEDS, explicitly=st.booleans())
    def release(self, which: int, explicitly: bool) -> None:
        """A cache that is let go, in words or in silence."""
        live = self.live.pop(which % len(self.live))
        self.touched = self.live[0]  # or it would not be let go
        if explicitly:
            live.cache.release()

    @precondition(is_filled)
    @rule(which=SEEDS, seed=SEEDS, by_a_few=st.booleans())
    def truncate(self, which: int, seed: int, by_a_few: bool) -> None:
        live = self.pick_filled(which)
        generator = np.random.default_rng(seed)
        least = [max(0, len(row) - 2) if by_a_few else 0 for row in live.rows]
        lengths = [
            int(generator.integers(low, len(row) + 1))
            for low, row in zip(least, live.rows, strict=True)
        ]
        can = live.can_truncate(lengths, self.config.widest_window)
        try:
            live.cache.truncate(lengths)
        except CacheError:
            assert not can
            return
        assert can
        live.evicted = np.minimum(live.evicted, lengths).tolist()
        live.rows = [row[:length] for row, length in zip(live.rows, lengths, strict=True)]

    @precondition(is_filled)
    @rule(which=SEEDS, seed=SEEDS, rows=st.integers(1, 4))
    def reorder(self, which: int, seed: int, rows: int) -> None:
        live = self.pick_filled(which)
        index = np.random.default_rng(seed).integers(0, len(live.rows), rows)
        live.cache.reorder(index)
        live.rows = [list(live.rows[i]) for i in index]
        live.evicted = [live.evicted[i] for i in index]
        if live.source:
            live.source = live.source[0][index], live.source[1][index]

    @precondition(is_filled)
    @rule(which=SEEDS)
    def reset(self, which: int) -> None:
        live = self.pick_filled(which)
        live.cache.reset()
        live.rows = [[] for _ in live.rows]
        live.evicted = [0] * len(live.rows)
        live.source = None
        self.has_failed = False
        assert live.cache.length == 0 and live.cache.numbers == 0

    @invariant()
    def probe(self) -> None:
        self.number += 1
        for live in self.live:
            if live is not self.touched and self.number % ALL:
                continue
            assert live.cache.lengths.tolist() == [len(row) for row in live.rows]
            if live.cache.length >= self.capacity:
                continue
            generator = np.random.default_rng(self.number)
            next_ids = generator.integers(0, self.config.vocabulary, (len(live.rows), 1))
            source = live.source or self.new_source(generator, len(live.rows))
            fork = live.cache.fork()
            try:
                got = self.run(live, fork, next_ids, np.ones(next_ids.shape, bool), source)
            except CacheError:
                assert self.blocks  # no block is left for the probe
                continue
            finally:
                fork.release()
            whole = [[*row, int(new)] for row, (new,) in zip(live.rows, next_ids, strict=True)]
            ids, mask = padded(whole)
            expected = uncached(
                self.config, self.parameters, batch_of(self.config, ids, mask, *source)
            )
            assert float(np.abs(got - expected[:, -1]).max()) <= 1e-10

    @invariant()
    def accounts(self) -> None:
        """Every block that a live cache holds counts once for each place; no other is used."""
        if self.pool is None:
            return
        tables = [live.cache._storage.table for live in self.live]
        held = Counter(block for table in tables for row in table for block in row)
        known = range(len(self.pool._references))
        assert {b: n for b in known if (n := self.pool.references(b))} == dict(held)
        assert self.pool.used == len(held) <= (self.blocks or math.inf)
        assert sorted(self.pool._free) == [b for b in known if b not in held]
        for live in self.live:
            columns = -(-live.cache.length // 3)
            assert {len(row) for row in live.cache._storage.table} == {columns}

    def teardown(self) -> None:
        pool = getattr(self, "pool", None)
        self.live, self.touched = [], None
        if pool is not None and pool.used:
            gc.collect()  # what an error still held
            assert pool.used == 0


def machine_of(
    config: Config, storage: str = "contiguous", room: int = CAPACITY, blocks: int | None = None
) -> type[RuleBasedStateMachine]:
    """The machine for one model and one storage.

    room    the columns that a cache may hold; a ring is never full, it keeps so many tokens
    blocks  the blocks of a pool; a call that asks for more must fail and change nothing
    """
    fields = {
        "config": config, "parameters": random_parameters(config), "storage": storage,
        "room": room, "blocks": blocks,
    }  # fmt: skip
    return type("Machine", (CacheMachine,), fields)
