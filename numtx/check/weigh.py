"""The differences of two arrays beside what is tolerated, a part of the arrays at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from ..shapes import Array

AT_ONCE = 1 << 17  # cells that are in work together

Bounds = Callable[[Array], Array | float]  # of cells by their flat places


class Weighed(NamedTuple):
    """beyond: how many cells differ by more than is tolerated; largest, relative: the largest
    difference, and in units of the tolerance; worst: the flat places of the worst cells."""

    beyond: int
    largest: float
    relative: float
    worst: list[int]


def weigh(expected: Array, got: Array, tolerance: float, bounds: Bounds, most: int = 5) -> Weighed:
    """Two arrays of one shape beside each other.

    tolerance  relative to the size of a cell, or the root mean square of the expected array, or
               what `bounds` says of the cell, whichever is largest; whole numbers must be equal

    `bounds` is asked only of cells that would otherwise differ.
    """
    a, b = expected.reshape(-1), got.reshape(-1)
    if a.dtype == b.dtype and a.dtype.kind in "fiub" and np.array_equal(a, b):
        return Weighed(0, 0.0, 0.0, [])
    exact = expected.dtype.kind != "f"
    typical = root_mean_square(a)
    largest = most_relative = 0.0
    places, beyond = [], []
    for part in _parts(a.size):
        apart = _apart(a[part], b[part])
        largest = max(largest, float(apart.max(initial=0.0)))
        size = np.maximum(np.abs(_finite(a[part])), typical)
        relative = np.where(apart > 0.0, np.inf, 0.0) if exact else _over(apart, tolerance * size)
        top = float(relative.max(initial=0.0))
        if top <= 1.0:
            most_relative = max(most_relative, top)
        else:
            wrong = np.flatnonzero(relative > 1.0)
            most_relative = max(most_relative, float(relative[relative <= 1.0].max(initial=0.0)))
            place = wrong + part.start
            if not exact:
                room = tolerance * np.maximum(size[wrong], bounds(place))
                again = _over(apart[wrong], room)
                most_relative = max(most_relative, float(again[again <= 1.0].max(initial=0.0)))
                place, again = place[again > 1.0], again[again > 1.0]
            else:
                again = relative[wrong]
            places.append(place)
            beyond.append(again)
    if not places:
        return Weighed(0, largest, most_relative, [])
    place, ratio = np.concatenate(places), np.concatenate(beyond)
    order = np.argsort(-ratio, kind="stable")[:most]
    most_relative = float(ratio.max(initial=most_relative))
    return Weighed(place.size, largest, most_relative, place[order].tolist())


def root_mean_square(flat: Array) -> float:
    """Of the finite numbers of an array, those that are not counting as 0."""
    parts = (_finite(flat[part]) for part in _parts(flat.size))
    # Not by a BLAS, whose threads would wait beside every part for longer than it takes.
    total = sum(float(np.add.reduce(part * part)) for part in parts)
    return math.sqrt(total / flat.size) if flat.size else 0.0


def _parts(size: int) -> Iterator[slice]:
    return (slice(start, start + AT_ONCE) for start in range(0, size, AT_ONCE))


def _finite(x: Array) -> Array:
    x = x.astype(np.float64)
    finite = np.isfinite(x)
    return x if finite.all() else np.where(finite, x, 0.0)


def _apart(a: Array, b: Array) -> Array:
    """Absolute differences; 0 between equal infinities and between NaNs."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    with np.errstate(invalid="ignore"):
        apart: Array = np.abs(a - b)
    if np.isfinite(apart).all():
        return apart
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    return np.where(same, 0.0, np.where(np.isnan(apart), np.inf, apart))


def _over(apart: Array, room: Array) -> Array:
    with np.errstate(over="ignore"):  # of a difference where nothing is tolerated
        found: Array = apart / (room + 1e-300)
    return found
