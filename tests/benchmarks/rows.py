"""The rows of the table: each is a small function beside what it measures, told by `@row`."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from timing import Figures, Program, interleaved

CLOSE = 1e-4  # of the largest number, in float32


class DifferentNumbersError(Exception):
    """The two sides of a row compute different numbers: their times say nothing."""


class Measured(Protocol):
    """What the function of a row returns."""

    def measure(self, quick: bool) -> Figures:
        """Raises `DifferentNumbersError` before anything is timed."""


@dataclass(frozen=True)
class Pair:
    """Two programs that compute the same numbers: arrays, numbers, or a list of them.

    expected  what numtx's numbers are held to, where the timed peer cannot give it
    own       numtx's numbers, where what is timed does not return them
    checked   so many calls of each are compared; a training step goes on from call to call
    close     of the largest number; 0: bit for bit
    """

    ours: Program
    theirs: Program
    expected: Program | None = None
    own: Program | None = None
    checked: int = 1
    close: float = CLOSE

    def measure(self, quick: bool) -> Figures:
        for _ in range(self.checked):
            same((self.own or self.ours)(), (self.expected or self.theirs)(), self.close)
        return interleaved(self.ours, self.theirs, quick)


def same(ours: Any, theirs: Any, close: float = CLOSE) -> None:
    """Both are the same numbers, within `close` of the largest of an array."""
    lists = [x if isinstance(x, list) else [x] for x in (ours, theirs)]
    for place, (x, y) in enumerate(zip(*lists, strict=True)):
        x, y = np.asarray(x), np.asarray(y)
        if x.shape != y.shape:
            raise DifferentNumbersError(f"array {place} has shape {x.shape}, the peer's {y.shape}")
        error, size = np.abs(x - y).max(), np.abs(y).max()
        if not error <= close * size:  # nor where one of them is NaN
            raise DifferentNumbersError(f"array {place} is off by {error:.3g} of {size:.3g}")


class Row(NamedTuple):
    """One line of the table.

    aim    times faster than the peer
    needs  modules, or module:name, without which the row is skipped
    make   builds both sides, small ones where it is given True
    """

    work: str
    peer: str
    aim: float | None
    needs: tuple[str, ...]
    make: Callable[[bool], Measured]

    def lacks(self) -> str:
        """What is not installed; empty: the row can run."""
        for need in self.needs:
            module, _, name = need.partition(":")
            try:
                getattr(importlib.import_module(module), name or "__name__")
            except (ImportError, AttributeError):
                return need.replace(":", ".")
        return ""


ROWS: dict[str, Row] = {}
Make = Callable[..., Measured]


def row(
    name: str, work: str, peer: str, aim: float | None, *needs: str, **sizes: Any
) -> Callable[[Make], Make]:
    """Registers `make(quick, **sizes)` as a row of the table."""

    def register(make: Make) -> Make:
        assert name not in ROWS, name
        ROWS[name] = Row(work, peer, aim, needs, partial(make, **sizes))
        return make

    return register


def all_rows() -> dict[str, Row]:
    """Every row of every file beside this one, by name."""
    for path in Path(__file__).parent.glob("rows_*.py"):
        importlib.import_module(path.stem)
    return dict(sorted(ROWS.items()))
