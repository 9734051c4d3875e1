"""Which cells read a cell: a stage's specification walked backwards.

The gradient of a cell is the sum over its consumers of their recorded gradient times the
partial derivative; this finds the consumers without trying every cell of the run.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

from ..shapes import parse
from .oracle import Oracle
from .resolve import Stage

# Operations that read, for a cell, the whole row of their first input, or a part of it.
_ROW_WISE = ("softmax", "log_softmax", "norm", "rotate")


class Share(NamedTuple):
    """One consumer of a cell: d(its cell) / d(the cell), and the sum of absolute terms of it."""

    stage: Stage
    cell: tuple[int, ...]
    partial: float
    size: float


def consumers(oracle: Oracle, source: str, index: tuple[int, ...]) -> Iterator[Share]:
    """The cells that read a cell, with a partial derivative that is not 0, or may only seem so."""
    offset = oracle.cells(source).offset(index)
    for stage in oracle.graph.consumers.get(source, ()):
        if not oracle.has(stage):
            continue
        for place in candidates(oracle, stage, source, index):
            reads = [
                read
                for read in oracle.cell(stage.name, place).reads
                if read.offset == offset and read.source == source
            ]
            partial = sum(read.partial for read in reads)
            size = sum(read.size for read in reads)
            if partial or size:
                yield Share(stage, place, partial, size)


def candidates(
    oracle: Oracle, stage: Stage, source: str, index: tuple[int, ...]
) -> Iterator[tuple[int, ...]]:
    """The cells of a stage that may read a cell of one of its inputs."""
    result = stage.axes
    shape = oracle.cells(stage.name).shape
    found: dict[tuple[int, ...], None] = {}
    for operand, name in enumerate(stage.inputs):
        if name != source:
            continue
        sizes = _sizes(oracle, stage)
        bound = _bound(_operand_axes(stage, operand, len(index)), index, sizes)
        if stage.operation in _ROW_WISE and operand == 0:
            bound.pop(result[-1])
        if stage.operation == "pick" and len(stage.inputs) == 1:
            bound.pop("s")
        ranges = [
            _range(axis, length, bound, sizes) for axis, length in zip(result, shape, strict=True)
        ]
        found.update(dict.fromkeys(itertools.product(*ranges)))
    yield from found


def _operand_axes(stage: Stage, operand: int, axes: int) -> tuple[str, ...]:
    """The axis letters of an input of a stage."""
    if stage.operation == "norm" and operand > 0:
        return stage.axes[-1:]
    if stage.operation == "add":
        return stage.axes
    found = parse(stage.specification).operands
    # A table of sinusoidal positions has counts only, and nothing flows to them.
    return found[operand] if operand < len(found) and len(found[operand]) == axes else ("?",) * axes


def _sizes(oracle: Oracle, stage: Stage) -> dict[str, int]:
    sizes = dict(oracle.graph.sizes)
    cells = zip(stage.axes, oracle.cells(stage.name).shape, strict=True)
    sizes.update({axis: length for axis, length in cells if len(axis) == 1})
    return sizes


def _bound(axes: tuple[str, ...], index: tuple[int, ...], sizes: dict[str, int]) -> dict[str, int]:
    """The letters that a cell of an input fixes."""
    bound = {}
    for axis, number in zip(axes, index, strict=True):
        for letter in axis[:0:-1]:
            number, bound[letter] = divmod(number, sizes[letter])
        bound[axis[0]] = number
    return bound


def _range(
    axis: str, length: int, bound: dict[str, int], sizes: dict[str, int]
) -> list[int] | range:
    """The places along an axis of the result."""
    if axis == "h" and "h" not in bound and "g" in bound:
        share = sizes["h"] // sizes["g"]
        return range(bound["g"] * share, (bound["g"] + 1) * share)
    if all(letter in bound for letter in axis):
        number = 0
        for letter in axis:
            number = number * sizes[letter] + bound[letter]
        return [number]
    return range(length)
