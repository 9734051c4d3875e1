"""The one walk over a trace: its stages in computing order, with all that is shown of each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ..errors import StageError
from ..parameters import parameter_shapes
from ..shapes import Array
from ..stages.graph import Stage
from ..trace.trace import Trace
from .headings import section_of, shape_arithmetic
from .numbers import decimals_for
from .stage_grid import Marks, Style


class Shown(NamedTuple):
    """A stage as it is shown.

    number    in computing order, among the stages that are not shown too
    section   the part of the model that it stands in
    shape     how its shape follows from those of its inputs; empty for a single number
    gradient  with the decimals that it is shown to, where there is one
    """

    number: int
    section: str
    stage: Stage
    shape: str
    value: Array
    marks: Marks
    gradient: tuple[Array, int] | None


GRADIENT_MARKS = Marks(zero="0")  # an exact zero is `0`, not `0.00`


def walk(trace: Trace, style: Style, stages: list[str] | None = None) -> Iterator[Shown]:
    """The stages that were recorded, or those of them in `stages` (see `Graph.select`).

    Raises `StageError` where the style asks for a row that the batch does not have.
    """
    rows = len(next(iter(trace.tokens.values())))
    if style.row is not None and style.row >= rows:
        raise StageError(f"--row {style.row}: the batch has {rows} rows, 0 to {rows - 1}")
    shapes = shapes_of(trace)
    wanted = None if stages is None else set(stages)
    for number, (name, stage) in enumerate(trace.graph.stages.items(), 1):
        if name not in trace or (wanted is not None and name not in wanted):
            continue
        value = trace[name]
        yield Shown(
            number, section_of(name), stage,
            shape_arithmetic(stage, shapes) if value.ndim else "", value,
            Marks(mask_of(trace, name), trace.pins.get(name)),
            gradient_of(trace, name, style),
        )  # fmt: skip


def shapes_of(trace: Trace) -> dict[str, tuple[int, ...]]:
    """The shapes of all stages and of what they read, of a run of which some were kept too."""
    shapes = {name: array.shape for name, array in trace.arrays.items()}
    if trace.phases or len(trace.values) == len(trace.graph):
        return shapes
    shapes.update({f"parameters/{n}": s for n, s in parameter_shapes(trace.config).items()})
    lengths = {side: len(rows[0]) for side, rows in trace.tokens.items()}
    count = len(next(iter(trace.tokens.values())))
    for name in trace.graph.stages:
        if name not in shapes:
            shapes[name] = trace.graph.shape(name, count, lengths)
    return shapes


def gradient_of(trace: Trace, name: str, style: Style) -> tuple[Array, int] | None:
    """The gradient of a stage or parameter, and the decimals that show it."""
    if name not in trace.gradients:
        return None
    gradient = trace.grad(name)
    return gradient, decimals_for(gradient, style.precision)


def mask_of(trace: Trace, name: str) -> Array | None:
    """The mask that a stage's cells lie under, where it has one."""
    place, _, leaf = name.rpartition(".")
    if leaf not in ("masked_scores", "weights") or f"{place}.mask" not in trace:
        return None
    return trace[f"{place}.mask"]
