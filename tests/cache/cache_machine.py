"""A state machine over caches: whatever is done to them, one more token gives the logits that
the whole text gives without a cache.

The reference is a list of tokens per row. After every step each live cache is probed on a
fork, for most structural bugs stay hidden until the next token.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from cache_cases import SOURCE_VOCABULARY, VOCABULARY, batch_of, uncached, weights
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from numtx.cache import Cache
from numtx.config import Config
from numtx.errors import CacheError
from numtx.step import step

CAPACITY = 14
CACHES = 3
SOURCE = 4
SEEDS = st.integers(0, 2**16)


class Live:
    """A cache and what should be in it."""

    def __init__(self, cache: Cache, rows: list[list[int]], source: Any) -> None:
        self.cache = cache
        self.rows = rows
        self.source = source  # ids and mask of the encoder's tokens, once it has run


def padded(rows: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Rows of tokens, padded on the left, and their mask."""
    longest = max(len(row) for row in rows)
    ids = np.array([[0] * (longest - len(row)) + row for row in rows])
    mask = np.array([[False] * (longest - len(row)) + [True] * len(row) for row in rows])
    return ids, mask


def is_filled(machine: Any) -> bool:
    """Whether some cache holds a token: what follows on nothing finds nothing."""
    return any(any(live.rows) for live in machine.live)


def machine_of(config: Config) -> type[RuleBasedStateMachine]:
    """The machine for one model."""
    parameters = weights(config)
    has_source = config.model == "encoder-decoder"

    def new_source(generator: np.random.Generator, rows: int) -> Any:
        ids = generator.integers(0, SOURCE_VOCABULARY, (rows, SOURCE))
        mask = generator.random((rows, SOURCE)) < 0.6
        mask[np.arange(rows), generator.integers(0, SOURCE, rows)] = True
        return ids, mask

    class Machine(RuleBasedStateMachine):
        @initialize(rows=st.integers(2, 3))
        def start(self, rows: int) -> None:
            cache = Cache(config, parameters, rows, CAPACITY)
            self.live = [Live(cache, [[] for _ in range(rows)], None)]
            self.number = 0

        def pick(self, number: int) -> Live:
            return self.live[number % len(self.live)]

        def pick_filled(self, number: int) -> Live:
            filled = [live for live in self.live if any(live.rows)]
            return filled[number % len(filled)]

        def run(self, live: Live, cache: Cache, ids: Any, mask: Any, source: Any) -> Any:
            ids_in, source_mask = (None, None) if live.source or not has_source else source
            batch = batch_of(config, ids, mask, ids_in, source_mask)
            return step(config, parameters, batch, cache).logits[:, 0]

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
            source = new_source(generator, rows)
            ids = generator.integers(0, VOCABULARY, (rows, length))
            mask = generator.random((rows, length)) < 0.6 if padding else np.ones(ids.shape, bool)
            fits = live.cache.length + length <= CAPACITY
            try:
                self.run(live, live.cache, ids, mask, source)
            except CacheError:
                assert not fits
                return
            assert fits
            for row, tokens, real in zip(live.rows, ids, mask, strict=True):
                row.extend(tokens[real].tolist())
            live.source = live.source or (source if has_source else None)

        @rule(which=SEEDS, seed=SEEDS)
        def append_and_fail(self, which: int, seed: int) -> None:
            """An error in the middle of a call, after layers were written."""
            live = self.pick(which)
            generator = np.random.default_rng(seed)
            rows = len(live.rows)

            class StopError(Exception):
                pass

            class Tap:
                active = False

                def __call__(self, name: str, value: Any) -> Any:
                    if name == "hidden" and self.layer == 1:
                        raise StopError
                    return value

                def __init__(self, layer: int = 0) -> None:
                    self.layer = layer

                def at(self, scope: str) -> Any:
                    return Tap(int(scope)) if scope.isdigit() else Tap(self.layer)

            ids = generator.integers(0, VOCABULARY, (rows, 2))
            source = (None, None)
            if has_source and not live.source:
                source = new_source(generator, rows)
            try:
                step(
                    config, parameters, batch_of(config, ids, None, *source), live.cache, tap=Tap()
                )
            except (StopError, CacheError):
                return
            raise AssertionError("the call should have failed")

        @precondition(lambda self: len(self.live) < CACHES and is_filled(self))
        @rule(which=SEEDS)
        def fork(self, which: int) -> None:
            live = self.pick_filled(which)
            self.live.append(Live(live.cache.fork(), [list(row) for row in live.rows], live.source))

        @precondition(is_filled)
        @rule(which=SEEDS, seed=SEEDS)
        def truncate(self, which: int, seed: int) -> None:
            live = self.pick_filled(which)
            generator = np.random.default_rng(seed)
            lengths = [int(generator.integers(0, len(row) + 1)) for row in live.rows]
            live.cache.truncate(lengths)
            live.rows = [row[:length] for row, length in zip(live.rows, lengths, strict=True)]

        @precondition(is_filled)
        @rule(which=SEEDS, seed=SEEDS, rows=st.integers(1, 4))
        def reorder(self, which: int, seed: int, rows: int) -> None:
            live = self.pick_filled(which)
            index = np.random.default_rng(seed).integers(0, len(live.rows), rows)
            live.cache.reorder(index)
            live.rows = [list(live.rows[i]) for i in index]
            if live.source:
                live.source = live.source[0][index], live.source[1][index]

        @precondition(is_filled)
        @rule(which=SEEDS)
        def reset(self, which: int) -> None:
            live = self.pick_filled(which)
            live.cache.reset()
            live.rows = [[] for _ in live.rows]
            live.source = None
            assert live.cache.length == 0 and live.cache.numbers == 0

        @invariant()
        def probe(self) -> None:
            self.number += 1
            for live in self.live:
                assert live.cache.lengths.tolist() == [len(row) for row in live.rows]
                if live.cache.length == CAPACITY:
                    continue
                generator = np.random.default_rng(self.number)
                next_ids = generator.integers(0, VOCABULARY, (len(live.rows), 1))
                source = live.source or new_source(generator, len(live.rows))
                fork = live.cache.fork()
                got = self.run(live, fork, next_ids, np.ones(next_ids.shape, bool), source)
                whole = [[*row, int(new)] for row, (new,) in zip(live.rows, next_ids, strict=True)]
                ids, mask = padded(whole)
                expected = uncached(config, parameters, batch_of(config, ids, mask, *source))
                np.testing.assert_allclose(got, expected[:, -1], rtol=0.0, atol=1e-10)

    return Machine
