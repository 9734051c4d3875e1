"""Which cells read a cell: a stage's specification walked backwards.

The gradient of a cell is the sum over its consumers of their recorded gradient times the
partial derivative; this finds the consumers without trying every cell of the run.
"""

from __future__ import annotations

import itertools
import math
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
        if stage.operation == "contract" and len(stage.inputs) > 1:
            yield from _through_contraction(oracle, stage, source, index)
            continue
        if stage.operation in _THROUGH_ROW and source == stage.inputs[0]:
            yield from _THROUGH_ROW[stage.operation](oracle, stage, index)
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


def _through_contraction(
    oracle: Oracle, stage: Stage, source: str, index: tuple[int, ...]
) -> Iterator[Share]:
    """The partial derivative of a product is its other factor: nothing need be summed."""
    plan = oracle.contraction(stage)
    operand = stage.inputs.index(source)
    mine = _bound(_operand_axes(stage, operand, len(index)), index, plan.sizes)
    for place in candidates(oracle, stage, source, index):
        if operand == 2:
            yield Share(stage, place, 1.0, 1.0)
            continue
        bound = {**mine, **_bound(stage.axes, place, plan.sizes)}
        if "h" in bound and "g" not in bound:
            bound["g"] = bound["h"] // (plan.sizes["h"] // plan.sizes["g"])
        first, second = (
            cells.flat[sum(step * bound[letter] for letter, step in steps.items())]
            for cells, steps in zip(plan.operands[:2], plan.steps[:2], strict=True)
        )
        if first == 0.0 and plan.is_context and not math.isfinite(second):
            second = 0.0  # as the oracle has it: a weight of exactly 0 takes nothing
        factor = second if operand == 0 else first
        if factor:
            yield Share(stage, place, factor, abs(factor))


def _through_softmax(oracle: Oracle, stage: Stage, index: tuple[int, ...]) -> Iterator[Share]:
    """d A_i / d x_j = A_i (own - A_j) is the same as d A_j / d x_i, which cell j has."""
    reads = oracle.cell(stage.name, index).reads
    mine = reads[index[-1]].value
    for i, read in enumerate(reads):
        if read.partial or read.size:
            # The bound goes with the depth of the cell whose derivative it is.
            size = read.size + abs(read.partial) * abs(mine - read.value)
            yield Share(stage, (*index[:-1], i), read.partial, size)


def _through_log_softmax(oracle: Oracle, stage: Stage, index: tuple[int, ...]) -> Iterator[Share]:
    """d l_i / d x_j = own - P_j, where 1 - P_j is d l_j / d x_j"""
    mine = oracle.cell(stage.name, index).reads[index[-1]]
    for i in range(oracle.cells(stage.name).shape[-1]):
        own = 1.0 if i == index[-1] else 0.0
        yield Share(stage, (*index[:-1], i), mine.partial - 1.0 + own, mine.size - 1.0 + own)


def _through_norm(oracle: Oracle, stage: Stage, index: tuple[int, ...]) -> Iterator[Share]:
    """d y_i / d x_j = gain_i / deviation * (own - 1/d - n_i n_j / d), without 1/d for rms"""
    cells, gain = (oracle.cells(name) for name in stage.inputs[:2])
    start = cells.offset((*index[:-1], 0))
    row = [float(x) for x in cells.flat[start : start + cells.shape[-1]]]
    width, j = len(row), index[-1]
    mean = math.fsum(row) / width if stage.attributes["centred"] else 0.0
    variance = math.fsum((x - mean) ** 2 for x in row) / width
    deviation = math.sqrt(variance + stage.attributes["epsilon"])
    through = 1.0 / width if stage.attributes["centred"] else 0.0
    loss = 1.0 + 2.0 * max(abs(x) for x in row) / deviation
    for i, x in enumerate(row):
        own = 1.0 if i == j else 0.0
        across = (x - mean) * (row[j] - mean) / (deviation * deviation * width)
        scale = gain.flat[i] / deviation
        size = abs(scale) * (own + through + abs(across)) * loss
        yield Share(stage, (*index[:-1], i), scale * (own - through - across), size)


_THROUGH_ROW = {
    "softmax": _through_softmax,
    "log_softmax": _through_log_softmax,
    "norm": _through_norm,
}


def cost(oracle: Oracle, source: str, index: tuple[int, ...]) -> int:
    """About how many cells are read to find the consumers of a cell."""
    total = 0
    for stage in oracle.graph.consumers.get(source, ()):
        if oracle.has(stage):
            places = list(candidates(oracle, stage, source, index))
            total += len(places)
            if stage.operation != "contract" and places:
                reads = len(oracle.cell(stage.name, places[0]).reads)
                whole = stage.operation in _THROUGH_ROW and source == stage.inputs[0]
                total += reads * (1 if whole else len(places))
    return total


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
        if stage.operation == "append":  # the second part stands after the first
            bound.pop("s", None)
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
