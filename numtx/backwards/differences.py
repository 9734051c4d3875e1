"""The Jacobian of a function by differences, cell by cell, and where it has none.

A derivative is taken at several steps: a long one of fourth order where that agrees with a short
one, else the short. Where the slopes to the two sides differ however short the step, there is a
kink (a relu at 0, a tie of a maximum), and all between the two is as right.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..shapes import Array

LONG, SHORT, SHORTEST = 1e-3, 1e-5, 1e-6
AGREE = 1e-6  # of the largest derivative: two steps that differ by less say the same
MOST = 4_000_000  # numbers of a Jacobian; of a larger one some cells are tried


class Jacobian(NamedTuple):
    """d result / d input of one input.

    cells   the places of the input that were moved, flat
    slopes  [cells, numbers of the result]
    jumps   half of what the slopes to the two sides differ by, at kinks; else 0
    """

    cells: Array
    slopes: Array
    jumps: Array


def jacobian(
    forward: Callable[[Array], Array],
    x: Array,
    generator: np.random.Generator,
    samples: int | None = None,
) -> Jacobian:
    """Of as many random cells as are asked for, or of all that fit."""
    here = forward(x)
    cells = np.flatnonzero(np.isfinite(x))
    most = max(1, MOST // max(1, here.size)) if samples is None else samples
    if cells.size > most:
        cells = np.sort(generator.choice(cells, most, replace=False))
    slopes, jumps = np.zeros((2, cells.size, here.size))
    for k, cell in enumerate(cells):
        slopes[k], jumps[k] = _slopes(forward, x, int(cell), here)
    return Jacobian(cells, slopes, jumps)


def _slopes(
    forward: Callable[[Array], Array], x: Array, cell: int, here: Array
) -> tuple[Array, Array]:
    size = max(1.0, abs(float(x.flat[cell])))

    def at(step: float) -> tuple[Array, Array]:
        """The slopes to the right and to the left."""
        found = []
        for sign in (1.0, -1.0):
            moved = x.copy()
            moved.flat[cell] += sign * step * size
            found.append((forward(moved) - here).reshape(-1) / (moved.flat[cell] - x.flat[cell]))
        return found[0], found[1]

    with np.errstate(all="ignore"):
        whole, half = at(LONG), at(LONG / 2.0)
        long = (4.0 * (half[0] + half[1]) - whole[0] - whole[1]) / 6.0
        right, left = at(SHORT)
        short, bend = (right + left) / 2.0, np.abs(right - left)
        right, left = at(SHORTEST)
        shortest, jump = (right + left) / 2.0, np.abs(right - left)
        room = AGREE * max(_largest(long), _largest(shortest))
        near = np.where(np.abs(short - shortest) <= room, short, shortest)
        slopes = np.where(np.abs(long - near) <= room, long, near)
        noise = 1e-8 * np.abs(here).max(initial=0.0, where=np.isfinite(here)) + 10.0 * room
        kinks = (jump > 0.5 * bend) & (jump > noise)
        slopes = np.where(kinks, shortest, slopes)
    return np.where(np.isfinite(slopes), slopes, 0.0), np.where(kinks, jump / 2.0, 0.0)


def _largest(x: Array) -> float:
    return float(np.abs(x).max(initial=0.0, where=np.isfinite(x)))
