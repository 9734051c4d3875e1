"""One stage as text: heading, formula, shapes, grid, and one line of why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..shapes import Array
from ..stages.catalogue import Text
from ..stages.graph import Stage
from .grid import grid_text
from .headings import leaf_name, say, shape_arithmetic
from .numbers import MASKED, cell, decimals_for, summary
from .stage_grid import NO_MARKS, Marks, StageGrids, Style

WHY = {"zh": "为什么:", "en": "why:", "both": "why 为什么:"}


class StagePrinter:
    """Prints the stages of one run.

    shapes  of every stage and parameter, for the shape arithmetic
    """

    def __init__(self, shapes: Mapping[str, Sequence[int]], grids: StageGrids) -> None:
        self.shapes = shapes
        self.grids = grids

    @property
    def style(self) -> Style:
        return self.grids.style

    def stage(self, number: int, stage: Stage, array: Array, marks: Marks = NO_MARKS) -> str:
        """A stage with its number in computing order."""
        shapes = shape_arithmetic(stage, self.shapes) if array.ndim else ""
        title = say(stage.leaf.title, self.style.lang)
        head = f"[{number}] {leaf_name(stage.name)}"
        parts = [part for part in (head, title, stage.formula, shapes) if part]
        return "\n".join(
            [
                self.style.painter.bold("   ".join(parts)),
                self.array(stage, array, self.style.precision, marks),
                f"{WHY[self.style.lang]} {say(stage.leaf.why, self.style.lang)}",
            ]
        )

    def gradient(self, stage: Stage, gradient: Array) -> str:
        """The gradient at a stage; an exact zero is `0`, not `0.00`."""
        decimals = decimals_for(gradient, self.style.precision)
        head = f"gradient  d loss / d {stage.name}"
        if decimals > self.style.precision:
            head += f"   shown to {decimals} decimals"
        return "\n".join(
            [
                self.style.painter.bold(head),
                self.array(stage, gradient, decimals, Marks(zero="0")),
            ]
        )

    def array(self, stage: Stage, array: Array, decimals: int, marks: Marks) -> str:
        """The grids of an array, one for each row of the batch and each head."""
        if array.ndim == 0:
            return f"  {stage.name} = {cell(array.item(), max(decimals, 4))}"
        blocks = [] if self.grids.fits(array) or array.ndim < 3 else [summary(array)]
        for title, grid in self.grids.grids(stage, array, decimals, marks):
            text = grid_text(grid, self.style.width)
            blocks.append(f"{title}\n{text}" if title else text)
        return "\n".join(blocks)


def rounding_rule(precision: int, dtype: str, lang: str = "en") -> str:
    """What a reader needs to know of the digits."""
    rule = Text(
        f"显示到小数点后 {precision} 位，按 {dtype} 计算；只在显示时取整，"
        f"“{MASKED}”表示被遮住，恰为 0",
        f"shown to {precision} decimal{'s' * (precision != 1)}, computed in {dtype}; "
        f"rounded for display only, '{MASKED}' = masked, exactly 0",
    )
    return say(rule, lang)
