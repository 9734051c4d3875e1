"""The numbers of a run one by one, as the oracle reads them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..shapes import Array

Number = float | int | bool


class Read(NamedTuple):
    """One cell that was read: where, what stood there, d(value)/d(it), and the sum of the
    absolute terms of that derivative."""

    source: str
    offset: int
    value: Number
    partial: float
    size: float


class Cell(NamedTuple):
    """One cell recomputed."""

    value: Number
    magnitude: float
    reads: list[Read]


class Cells:
    """An array as a flat list of Python numbers with strides."""

    __slots__ = ("flat", "name", "shape", "strides")

    def __init__(self, name: str, array: Array) -> None:
        self.name = name
        self.shape = array.shape
        self.flat: list[Number] = array.ravel().tolist()
        strides = [1] * array.ndim
        for axis in range(array.ndim - 2, -1, -1):
            strides[axis] = strides[axis + 1] * array.shape[axis + 1]
        self.strides = tuple(strides)

    def offset(self, index: Sequence[int]) -> int:
        """Where a cell stands in the flat list."""
        return sum(i * stride for i, stride in zip(index, self.strides, strict=True))

    def index(self, offset: int) -> tuple[int, ...]:
        """The cell that stands at a place of the flat list."""
        found = []
        for stride in self.strides:
            found.append(offset // stride)
            offset %= stride
        return tuple(found)
