"""How a formula reads: the cells of a stage's inputs, for one row of the stage or for many."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..arithmetic.cells import Cells
from ..arithmetic.contraction import Contraction
from ..arithmetic.number import EXACT, Number, Operand, Source, Value

if TYPE_CHECKING:
    from ..stages.graph import Stage


class Rows:
    """The place of a formula: a stage and an index of it.

    index       numbers for one cell (of an operation by row: without the last axis), or arrays
                of numbers for many
    remembers   False: cells are read as plain numbers or arrays, for the values alone
    """

    def __init__(
        self, oracle: Any, stage: Stage, index: Sequence[Any], remembers: bool = True
    ) -> None:
        self.oracle = oracle
        self.stage = stage
        self.index = tuple(index)
        self.remembers = remembers
        self.inputs = stage.inputs
        self.attributes = stage.attributes
        self.eps = oracle.eps
        self.single = not any(isinstance(i, np.ndarray) for i in self.index)

    # ---- what is read

    def at(self, operand: int, index: Sequence[Any], *by: Operand) -> Any:
        """A cell of an input; `by` are numbers that said which."""
        cells = self.oracle.cells(self.inputs[operand])
        return self._read(cells, cells.offset(index), by)

    def flat(self, operand: int, offset: int) -> Any:
        """A cell of an input by its place in the flat array."""
        return self._read(self.oracle.cells(self.inputs[operand]), offset, ())

    def row(self, operand: int) -> list[Any]:
        """A row of an input: all cells of its last axis."""
        length = self.shape(operand)[-1]
        return [self.at(operand, (*self.index, i)) for i in range(length)]

    def value_at(self, name: str, index: Sequence[Any]) -> Value:
        """What stands somewhere, without being remembered."""
        cells = self.oracle.cells(name)
        return cells.value(_within(cells.offset(index), cells))

    def _read(self, cells: Cells, offset: Any, by: Sequence[Operand]) -> Any:
        offset = _within(offset, cells)
        value = self.oracle.read(cells, offset)
        if not self.remembers:
            return value
        parents = tuple((x, 0.0, EXACT) for x in by if isinstance(x, Number))
        return Number(value, parents=parents, leaf=Source(cells.name, offset))

    def shape(self, operand: int) -> tuple[int, ...]:
        found: tuple[int, ...] = self.oracle.cells(self.inputs[operand]).shape
        return found

    @property
    def length(self) -> int:
        """How many queries the stage has."""
        length: int = self.oracle.cells(self.stage.name).shape[-2]
        return length

    @property
    def width(self) -> int:
        """Width of the model."""
        width: int = self.oracle.graph.sizes["d"]
        return width

    def contraction(self) -> tuple[Contraction, list[int]]:
        """The walk of the stage, and where each operand begins for this cell."""
        plan = self.oracle.contraction(self.stage)
        return plan, plan.starts(self.oracle.cells(self.stage.name).offset(self.index))

    # ---- what is made of it

    def plain(self, x: Operand) -> Value:
        """The bare value of a number."""
        return x.value if isinstance(x, Number) else x

    def constant(self, value: Value, text: str | Callable[[], str] = "", *by: Operand) -> Any:
        """A number of the formula itself, written as `text`; `by` are numbers that led to it."""
        if not self.remembers:
            return value
        parents = tuple((x, 0.0, EXACT) for x in by if isinstance(x, Number))
        return Number(value, 0.0, parents, "constant", text)

    def beside(self, x: Operand, reads: Sequence[Operand]) -> Operand:
        """A number, with cells that were read besides."""
        if not isinstance(x, Number):
            return x
        others = tuple((y, 0.0, EXACT) for y in reads if isinstance(y, Number))
        return Number(x.value, x.bound, ((x, 1.0, EXACT), *others), "same")


def _within(offset: Any, cells: Cells) -> Any:
    """Of many cells, those of a branch that is not taken may lie outside."""
    if isinstance(offset, np.ndarray):
        return np.clip(offset, 0, cells.flat.size - 1)
    return offset
