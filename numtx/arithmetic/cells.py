"""The numbers of a run, read where they are needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..shapes import Array

Single = float | int | bool


class Read(NamedTuple):
    """One cell that was read: where, what stood there, d(value)/d(it), and how far rounding may
    move that, in units of the machine epsilon."""

    source: str
    offset: int
    value: Single
    partial: float
    size: float


class Cell(NamedTuple):
    """One cell recomputed; `magnitude` is its bound, in units of the machine epsilon."""

    value: Single
    magnitude: float
    reads: list[Read]


class Cells:
    """An array as a flat row of numbers with strides; nothing of it is copied."""

    __slots__ = ("flat", "name", "shape", "strides")

    def __init__(self, name: str, array: Array) -> None:
        self.name = name
        self.shape = array.shape
        self.flat = array.reshape(-1)
        strides = [1] * array.ndim
        for axis in range(array.ndim - 2, -1, -1):
            strides[axis] = strides[axis + 1] * array.shape[axis + 1]
        self.strides = tuple(strides)

    def offset(self, index: Sequence[Any]) -> Any:
        """Where a cell stands in the flat row; of many cells, where each does."""
        found = 0
        for i, stride in zip(index, self.strides, strict=True):
            found = found + i * stride
        return found

    def index(self, offset: int) -> tuple[int, ...]:
        """The cell that stands at a place of the flat row."""
        found = []
        for stride in self.strides:
            found.append(offset // stride)
            offset %= stride
        return tuple(found)

    def value(self, offset: Any) -> Any:
        """What stands there: a Python number, or an array of float64, integers or booleans."""
        if not isinstance(offset, np.ndarray):
            return self.flat.item(offset)
        found = self.flat[offset]
        return found.astype(np.float64, copy=False) if found.dtype.kind == "f" else found
