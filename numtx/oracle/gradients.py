"""Gradients from those of what reads a cell: of a whole stage, of some cells, or of one.

The gradient of a cell is the sum over its consumers of their recorded gradient times the partial
derivative. The derivatives come from the formulas themselves (`derivatives`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ..arithmetic.contraction import Contraction
from ..arithmetic.derivatives import Share as Flow
from ..arithmetic.derivatives import forward
from ..shapes import Array, parse
from ..stages.graph import Stage
from .oracle import Oracle, index_of

Flat = Callable[[str], Array]  # the recorded gradient at a stage, flat; 0 where it is pinned


class Sums:
    """The gradient that reaches cells: its total, and how far rounding may have moved it."""

    def __init__(self, cells: int) -> None:
        self.total = np.zeros(cells)
        self.bound = np.zeros(cells)

    def add(self, places: Array, flow: Flow) -> None:
        """Each share is rounded once more when it is added."""
        np.add.at(self.total, places, flow.gradient)
        np.add.at(self.bound, places, flow.bound + abs(flow.gradient))

    def add_one(self, place: int, flow: Flow) -> None:
        """The same of a single number, which arrays would make slow."""
        self.total[place] += flow.gradient
        self.bound[place] += flow.bound + abs(flow.gradient)


def pass_on(
    oracle: Oracle, stage: Stage, gradient: Array, sums: Mapping[str, Sums]
) -> tuple[Array, Array]:
    """A whole stage recomputed, flat: its values and their bounds; on the way, what it passes on
    is added to the cells that it read.

    gradient  that of the stage, flat
    """
    if stage.operation == "contract":
        through_contraction(oracle, stage, gradient, sums)
        return oracle.recomputed(stage)
    rows = gradient.reshape(oracle.rows(stage), -1)
    values, bounds = [], []
    with np.errstate(all="ignore"):
        for piece in oracle.pieces(stage):
            values.append(piece.values)
            bounds.append(piece.bounds)
            for flow in piece.backward(rows[piece.rows]):
                source, offset = flow.number.leaf or ("", 0)
                if piece.rows.size == 1 and isinstance(flow.gradient, float):
                    sums[source].add_one(int(offset), flow)
                else:
                    sums[source].add(np.broadcast_to(offset, piece.rows.shape), flow)
    return np.concatenate(values).reshape(-1), np.concatenate(bounds).reshape(-1)


def through_contraction(
    oracle: Oracle, stage: Stage, gradient: Array, sums: Mapping[str, Sums]
) -> None:
    """What a contraction passes on, without making its values once more."""
    for source, plan, arrays in _towards_operands(oracle, stage, gradient):
        total, bound = plan.whole(arrays)
        sums[source].total += total
        sums[source].bound += bound


def through_contraction_unbounded(
    oracle: Oracle, stage: Stage, gradient: Array, totals: Mapping[str, Array]
) -> None:
    """The totals alone, added to arrays that are flat."""
    for source, plan, arrays in _towards_operands(oracle, stage, gradient):
        totals[source][:] += plan.values(arrays)


def _towards_operands(
    oracle: Oracle, stage: Stage, gradient: Array
) -> Iterator[tuple[str, Contraction, list[Array]]]:
    """For each input of a contraction, the contraction that gives what reaches it."""
    selective = "selective" in stage.attributes
    for operand, source in enumerate(stage.inputs):
        plan, others = oracle.contraction(stage).towards(operand)
        yield source, plan, [gradient, *(_finite(oracle, stage, k, selective) for k in others)]


def _finite(oracle: Oracle, stage: Stage, operand: int, selective: bool) -> Array:
    """An operand; where a factor of 0 takes nothing, what is not finite counts as 0."""
    flat = oracle.cells(stage.inputs[operand]).flat
    if selective and not np.isfinite(flat).all():
        return np.where(np.isfinite(flat), flat, 0.0)
    return flat


# ---- some cells


def gather(
    oracle: Oracle, source: str, offsets: Array, gradient: Flat, stages: Sequence[Stage]
) -> Sums:
    """The gradient at some cells of a source, from the stages that read it.

    offsets  of the cells, ascending
    """
    found = Sums(len(offsets))
    for stage in stages:
        flat = gradient(stage.name)
        if stage.operation == "contract":
            _gather_contraction(oracle, stage, source, offsets, flat, found)
            continue
        rows = np.unique(np.concatenate([
            readers(oracle, stage, operand, offsets).reshape(-1)
            for operand, name in enumerate(stage.inputs) if name == source
        ]))  # fmt: skip
        by_row = flat.reshape(oracle.rows(stage), -1)
        with np.errstate(all="ignore"):
            for piece in oracle.columns(stage, rows):
                for flow in piece.backward(by_row[piece.rows]):
                    if flow.number.leaf is not None and flow.number.leaf.source == source:
                        _keep(flow, piece.rows, offsets, found)
    return found


def _keep(flow: Flow, rows: Array, offsets: Array, found: Sums) -> None:
    """Add what reached those cells that were asked for."""
    assert flow.number.leaf is not None
    read, gradient, bound = (
        np.broadcast_to(x, rows.shape) for x in (flow.number.leaf.offset, flow.gradient, flow.bound)
    )
    places = np.minimum(np.searchsorted(offsets, read), len(offsets) - 1)
    hit = offsets[places] == read
    found.add(places[hit], Flow(flow.number, gradient[hit], bound[hit]))


def _gather_contraction(
    oracle: Oracle, stage: Stage, source: str, offsets: Array, flat: Array, found: Sums
) -> None:
    selective = "selective" in stage.attributes
    for operand, name in enumerate(stage.inputs):
        if name == source:
            plan, others = oracle.contraction(stage).towards(operand)
            flats = [flat, *(_finite(oracle, stage, k, selective) for k in others)]
            total, bound = plan.gather(flats, offsets)
            found.total += total
            found.bound += bound


def cost(oracle: Oracle, source: str, stages: Sequence[Stage]) -> int:
    """About how many cells are read for the gradient at one cell."""
    total = 0
    for stage in stages:
        for operand, name in enumerate(stage.inputs):
            if name == source and stage.operation == "contract":
                total += 2 * oracle.contraction(stage).towards(operand)[0].count
            elif name == source:
                each = oracle.reads(stage)
                total += readers(oracle, stage, operand, np.zeros(1, int)).size * each
    return total


def readers(oracle: Oracle, stage: Stage, operand: int, offsets: Array) -> Array:
    """The rows of a stage (its cells, where it is not by row) that may read cells of one of its
    inputs: [cells, readers of each]."""
    by_row = oracle.operation(stage).by_row
    shape = oracle.cells(stage.name).shape[: -1 if by_row else None]
    axes = stage.axes[: len(shape)]
    source = oracle.cells(stage.inputs[operand]).shape
    index = np.unravel_index(offsets, source)
    bound = dict(zip(_operand_axes(stage, operand, len(source)), index, strict=True))
    if stage.operation == "append":  # the second part stands after the first
        bound.pop("s", None)
    if stage.attributes.get("over") == "projection":  # every head reads all heads
        bound.pop("h", bound.pop("g", None))
    free = [n for axis, n in zip(axes, shape, strict=True) if axis not in bound]
    grids = np.indices(free).reshape(len(free), math.prod(free))
    rows = np.zeros((len(offsets), math.prod(free)), int)
    open_axes = iter(grids)
    for axis, length in zip(axes, shape, strict=True):
        place = bound[axis][:, None] if axis in bound else next(open_axes)[None]
        rows = rows * length + place
    return rows


def _operand_axes(stage: Stage, operand: int, axes: int) -> tuple[str, ...]:
    """The axis letters of an input of a stage, those that say nothing of its readers as `?k`."""
    if stage.operation == "add":
        return stage.axes
    found = parse(stage.specification).operands
    # A table of sinusoidal positions has counts only, and nothing flows to them.
    if operand < len(found) and len(found[operand]) == axes:
        return found[operand]
    return tuple(f"?{k}" for k in range(axes))


# ---- one cell


class Reader(NamedTuple):
    """One consumer of a cell: d(its cell) / d(the cell)."""

    stage: Stage
    cell: tuple[int, ...]
    partial: float


def consumers(oracle: Oracle, source: str, index: tuple[int, ...]) -> Iterator[Reader]:
    """The cells that read a cell, with the partial derivatives that are not 0."""
    offset = oracle.cells(source).offset(index)
    for stage in oracle.graph.consumers.get(source, ()):
        if not oracle.has(stage):
            continue
        found: dict[int, float] = {}
        for operand, name in enumerate(stage.inputs):
            if name == source and stage.operation == "contract":
                _by_contraction(oracle, stage, operand, offset, found)
        if stage.operation != "contract":
            _by_formula(oracle, stage, source, offset, found)
        for place, partial in found.items():
            if partial:
                yield Reader(stage, oracle.cells(stage.name).index(place), partial)


def _by_contraction(
    oracle: Oracle, stage: Stage, operand: int, offset: int, found: dict[int, float]
) -> None:
    """The partial derivative of a product is its other factor: nothing need be summed."""
    plan, others = oracle.contraction(stage).towards(operand)
    starts, moves = plan.starts(offset), plan.terms
    selective = "selective" in stage.attributes
    factors = np.ones(plan.count)
    if others:
        flat = _finite(oracle, stage, others[0], selective)
        factors = flat[starts[1] + moves[1]].astype(np.float64)
    for place, factor in zip((starts[0] + moves[0]).tolist(), factors.tolist(), strict=True):
        found[place] = found.get(place, 0.0) + factor


def _by_formula(
    oracle: Oracle, stage: Stage, source: str, offset: int, found: dict[int, float]
) -> None:
    by_row = oracle.operation(stage).by_row
    shape = oracle.cells(stage.name).shape
    rows = np.concatenate([
        readers(oracle, stage, operand, np.array([offset])).reshape(-1)
        for operand, name in enumerate(stage.inputs) if name == source
    ])  # fmt: skip
    for row in dict.fromkeys(rows.tolist()):
        index = index_of(row, shape[:-1] if by_row else shape)
        numbers = oracle.row(stage, (*index, 0) if by_row else index)
        for j, partial in enumerate(forward(numbers, source, offset)):
            found[row * len(numbers) + j if by_row else row] = partial
