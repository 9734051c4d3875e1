"""Caches at work beside their reference: for each a list of tokens a row.

The laws drive it by drawn scripts, the state machine by its rules. After every step one more
token is tried on a fork of every live cache and compared with the whole text without a cache:
without this probe most structural bugs stay hidden.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..laws.law import LawBroken, expect
from ..laws.strategies import Action
from ..shapes import Array
from ..subjects.subject import FORK, LENGTHS, REORDER, RESET, TRUNCATE, Memory, Subject

CACHES, ROWS = 3, 4
LONGEST_SOURCE = 4


class Live:
    """A state, and what should be in it."""

    def __init__(self, rows: list[list[int]], state: Any = None, memory: Any = None) -> None:
        self.rows, self.state, self.memory = rows, state, memory


def padded(rows: list[list[int]], left: bool = True) -> tuple[Array, Array]:
    """Rows of tokens padded on the left, or on the right, and their mask."""
    longest = max(len(row) for row in rows)
    ids, mask = np.zeros((len(rows), longest), np.int64), np.zeros((len(rows), longest), bool)
    for number, row in enumerate(rows):
        place = slice(longest - len(row), None) if left else slice(0, len(row))
        ids[number, place], mask[number, place] = row, True
    return ids, mask


def kinds_of(subject: Subject) -> tuple[str, ...]:
    """What can be done to a subject's states."""
    return ("append", *(k for k in (FORK, TRUNCATE, REORDER, RESET) if k in subject.capabilities))


def largest_of(subject: Subject) -> int:
    """The most tokens to append at once: half of the longest input."""
    return max(4, subject.longest // 2)


class Bench:
    """Live caches of one subject; every method is one step."""

    def __init__(self, subject: Subject, rows: int) -> None:
        self.subject = subject
        self.live = [Live([[] for _ in range(rows)])]
        self.done: list[str] = [f"start({rows} rows)"]
        self.probes = 0

    def do(self, action: Action) -> bool:
        """One action, if it can be done now, and the probe after it."""
        live = self.live[action.which % len(self.live)]
        generator = np.random.default_rng(action.seed)
        if not getattr(self, f"_{action.kind}")(live, generator, action.size):
            return False
        self.done.append(str(action))
        self.probe()
        return True

    def _append(self, live: Live, generator: Any, size: int) -> bool:
        rows = len(live.rows)
        if max(map(len, live.rows)) + size >= self.subject.longest:
            return False
        ids = generator.integers(0, self.subject.vocabulary_size, (rows, size))
        mask = None
        if self.subject.ragged and generator.random() < 0.5:
            mask = self._mask(rows, size, live.state is None, generator)
        if live.memory is None:
            length = int(generator.integers(2, LONGEST_SOURCE + 1))
            live.memory = self._new_memory(rows, length, generator)
        _, live.state = self.subject.step(ids, live.state, mask, live.memory)
        real = np.ones(ids.shape, bool) if mask is None else mask
        for row, tokens, is_real in zip(live.rows, ids, real, strict=True):
            row.extend(tokens[is_real].tolist())
        return True

    def _mask(self, rows: int, size: int, first: bool, generator: Any) -> Array | None:
        """The padding of a chunk; a prefill holds something of every row."""
        if self.subject.holes:
            mask = generator.random((rows, size)) < 0.6
        elif first and "left" in self.subject.paddings:
            mask = np.arange(size) >= generator.integers(0, size, (rows, 1))
        else:
            return None
        mask[:, -1] |= first
        return np.asarray(mask)

    def _new_memory(self, rows: int, length: int, generator: Any) -> Memory | None:
        memory = self.subject.new_memory(rows, length, int(generator.integers(2**16)))
        if memory is None:
            return None
        mask = generator.random(memory.mask.shape) < 0.7
        mask[:, 0] |= ~mask.any(1)
        return Memory(memory.ids, mask)

    def _fork(self, live: Live, generator: Any, size: int) -> bool:
        if live.state is None or len(self.live) == CACHES:
            return False
        state = self.subject.fork(live.state)
        self.live.append(Live([list(row) for row in live.rows], state, live.memory))
        return True

    def _truncate(self, live: Live, generator: Any, size: int) -> bool:
        if live.state is None:
            return False
        if self.subject.ragged and self.subject.holes:
            lengths = [int(generator.integers(0, len(row) + 1)) for row in live.rows]
        elif len({*map(len, live.rows)}) == 1:
            lengths = [int(generator.integers(0, len(live.rows[0]) + 1))] * len(live.rows)
        else:
            return False
        try:
            live.state = self.subject.truncate(live.state, lengths)
        except NotImplementedError:  # it cannot go back so far, and says so
            return False
        live.rows = [row[:length] for row, length in zip(live.rows, lengths, strict=True)]
        return True

    def _reorder(self, live: Live, generator: Any, size: int) -> bool:
        if live.state is None:
            return False
        rows = self.subject.fixed_rows or (size - 1) % ROWS + 1
        index = generator.integers(0, len(live.rows), rows)
        live.state = self.subject.reorder(live.state, index.tolist())
        live.rows = [list(live.rows[i]) for i in index]
        if live.memory is not None:
            live.memory = Memory(live.memory.ids[index], live.memory.mask[index])
        return True

    def _reset(self, live: Live, generator: Any, size: int) -> bool:
        if live.state is None:
            return False
        live.state = self.subject.reset(live.state)
        live.rows = [[] for _ in live.rows]
        live.memory = None
        if LENGTHS in self.subject.capabilities and any(self.subject.lengths(live.state)):
            raise LawBroken(
                "a cache that was reset has a length", self.example(live), None,
                [0] * len(live.rows), self.subject.lengths(live.state),
            )  # fmt: skip
        return True

    def probe(self) -> None:
        """One more token on a fork of every live cache."""
        subject = self.subject
        for live in self.live:
            if live.state is None or max(map(len, live.rows)) >= subject.longest:
                continue
            if LENGTHS in subject.capabilities:
                expected, held = [len(row) for row in live.rows], subject.lengths(live.state)
                if held != expected:
                    what = "lengths are not the tokens of each row"
                    raise LawBroken(what, self.example(live), None, expected, held)
            self.probes += 1
            generator = np.random.default_rng(self.probes)
            ids = generator.integers(0, subject.vocabulary_size, (len(live.rows), 1))
            memory = live.memory or self._new_memory(len(live.rows), 3, generator)
            got, _ = subject.step(ids, subject.fork(live.state), None, memory)
            whole = [[*row, int(new)] for row, (new,) in zip(live.rows, ids, strict=True)]
            tokens, mask = padded(whole, "left" in subject.paddings)
            given = None if mask.all() else mask
            logits = subject.logits(tokens, given, memory)
            last = mask.shape[1] - 1 - np.argmax(mask[:, ::-1], 1)
            expected_logits = logits[np.arange(len(logits)), last][:, None]
            example = self.example(live)
            what = "one more token gives other logits than the whole text"
            expect(subject, what, expected_logits, got[:, -1:], {**example, "next": ids})

    def example(self, live: Live) -> dict[str, Any]:
        return {
            "script": " ".join(self.done),
            f"tokens of cache {self.live.index(live)}": live.rows,
        }
