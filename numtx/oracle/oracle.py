"""The slow oracle: stages and gradients of a run once more, from the recorded arrays.

One cell with what it was made of, some rows at once, or a whole stage: always the formula of the
stage's operation (`operations`), over numbers that remember.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..arithmetic.cells import Cell, Cells, Read
from ..arithmetic.contraction import Contraction
from ..arithmetic.derivatives import Share, backward, order
from ..arithmetic.number import Number, lift
from ..errors import StageError
from ..formulas.rows import Rows
from ..shapes import Array
from ..small_repr import small_repr
from ..stages.graph import Graph, Stage
from .operations import OPERATIONS, Operation

AT_ONCE = 1 << 18  # cells of a stage that are recomputed together
FEW = 8  # rows that are recomputed one by one: single numbers are quicker than short arrays


def index_of(place: int, shape: Sequence[int]) -> tuple[int, ...]:
    """The index of a flat place."""
    return tuple(int(i) for i in np.unravel_index(place, shape)) if shape else ()


class Columns(NamedTuple):
    """Some rows of a stage recomputed: for each cell of a row one number, over all the rows."""

    rows: Array
    numbers: list[Number]

    @property
    def values(self) -> Array:
        """[rows, cells of a row]"""
        return self._stacked([number.value for number in self.numbers])

    @property
    def bounds(self) -> Array:
        """How far rounding may have moved each, in units of the machine epsilon."""
        return self._stacked([number.bound for number in self.numbers])

    def backward(self, gradients: Array) -> list[Share]:
        """What the cells that were read take of the gradients [rows, cells of a row]."""
        seeds = gradients[0].tolist() if self.rows.size == 1 else gradients.T  # as are the numbers
        return backward(list(zip(self.numbers, seeds, strict=True)))

    def _stacked(self, found: Sequence[Any]) -> Array:
        if not any(isinstance(x, np.ndarray) for x in found) and self.rows.size == 1:
            return np.array([found])
        return np.stack([np.broadcast_to(x, self.rows.shape) for x in found], -1)


@small_repr("graph", "eps")
class Oracle:
    """Recomputes cells of a run from its recorded arrays.

    arrays maps stage names, `parameters/NAME` and `inputs/NAME` to arrays; eps is the machine
    epsilon of the run's type.
    """

    def __init__(self, graph: Graph, arrays: Mapping[str, Array], eps: float) -> None:
        self.graph = graph
        self.eps = eps
        self._arrays = arrays
        self._cells: dict[str, Cells] = {}
        self._contractions: dict[str, Contraction] = {}
        self._reads: dict[str, int] = {}

    def cells(self, name: str) -> Cells:
        """The numbers of a source; an error names what is missing."""
        if name not in self._cells:
            if name not in self._arrays:
                raise StageError(f"{name!r} is needed but was not recorded")
            self._cells[name] = Cells(name, self._arrays[name])
        return self._cells[name]

    def read(self, cells: Cells, offset: Any) -> Any:
        """What stands at a place of a source, or at many."""
        return cells.value(offset)

    def has(self, stage: Stage) -> bool:
        """Whether everything that a stage reads was recorded."""
        return all(name in self._arrays for name in stage.inputs)

    def operation(self, stage: Stage) -> Operation:
        """The record of a stage's operation; one without a record is an error."""
        return OPERATIONS[stage.operation]

    # ---- one cell

    def number(self, name: str, index: Sequence[int]) -> Number:
        """One cell of a stage, with all that it was made of."""
        stage = self.graph[name]
        return self.row(stage, index)[index[-1] if self.operation(stage).by_row else 0]

    def row(self, stage: Stage, index: Sequence[int]) -> list[Number]:
        """The cells of the row of a cell; of an operation that is not by row, the cell alone."""
        operation = self.operation(stage)
        index = tuple(index)
        with np.errstate(all="ignore"):
            found = operation.formula(Rows(self, stage, index[:-1] if operation.by_row else index))
        return [lift(x) for x in (found if isinstance(found, list) else [found])]

    def cell(self, name: str, index: Sequence[int]) -> Cell:
        """Recompute one cell of a stage."""
        number = self.number(name, index)
        reads = [
            Read(*share.number.leaf, share.number.value, share.gradient, share.bound)
            for share in backward([(number, 1.0)])
            if share.number.leaf is not None
        ]
        return Cell(number.value, number.bound, reads)

    def reads(self, stage: Stage) -> int:
        """About how many cells are read for one cell of a stage."""
        if stage.name not in self._reads:
            self._reads[stage.name] = self._counted(stage)
        return self._reads[stage.name]

    def _counted(self, stage: Stage) -> int:
        if stage.operation == "contract":
            plan = self.contraction(stage)
            return plan.count * min(2, len(plan.operands)) + (len(plan.operands) > 2)
        if self.operation(stage).by_row:  # its row, and a cell of every other input
            row: int = self.cells(stage.inputs[0]).shape[-1]
            return row + len(stage.inputs) - 1
        (number,) = self.row(stage, (0,) * len(self.cells(stage.name).shape))
        return sum(other.leaf is not None for other in order([number]))

    # ---- many rows

    def rows(self, stage: Stage) -> int:
        """How many rows a stage has; of an operation that is not by row, how many cells."""
        size, shape = self.cells(stage.name).flat.size, self.cells(stage.name).shape
        return size // shape[-1] if self.operation(stage).by_row else size

    def columns(self, stage: Stage, rows: Array) -> list[Columns]:
        """Some rows of a stage: a few each by itself, many together."""
        if stage.operation == "contract":
            return [Columns(rows, [self._gathered(stage, rows)])]
        if rows.size > FEW:
            return [Columns(rows, [lift(x) for x in self._formula(stage, rows, True)])]
        by_row, shape = self.operation(stage).by_row, self.cells(stage.name).shape
        found = []
        for row in rows.tolist():
            index = index_of(row, shape[:-1] if by_row else shape)
            numbers = self.row(stage, (*index, 0) if by_row else index)
            found.append(Columns(np.array([row]), numbers))
        return found

    def plain(self, stage: Stage) -> Array:
        """A whole stage, for its values alone.

        Raises `ValueError` where the shapes of its inputs do not go together.
        """
        shape = self.cells(stage.name).shape
        if stage.operation == "contract":
            arrays = [self.cells(name).flat for name in stage.inputs]
            selective = "selective" in stage.attributes
            return self.contraction(stage).values(arrays, selective).reshape(shape)
        found = [
            np.stack(
                [np.broadcast_to(x, rows.shape) for x in self._formula(stage, rows, False)], -1
            )
            for rows in self._parts(stage)
        ]
        return np.concatenate(found).reshape(shape)

    def _formula(self, stage: Stage, rows: Array, remembers: bool) -> list[Any]:
        """The cells of a row, for many rows at once."""
        operation, shape = self.operation(stage), self.cells(stage.name).shape
        shape = shape[:-1] if operation.by_row else shape
        place = np.unravel_index(rows, shape) if shape else ()
        with np.errstate(all="ignore"):
            found = operation.formula(Rows(self, stage, place, remembers))
        return found if isinstance(found, list) else [found]

    def _parts(self, stage: Stage) -> Iterator[Array]:
        """The numbers of all rows, as many at a time as are recomputed together."""
        count = self.rows(stage)
        cells = self.cells(stage.name).flat.size // max(1, count)
        inputs = sum(self.cells(name).flat.size for name in stage.inputs)  # read by a cell at most
        step = max(1, AT_ONCE // max(1, cells, inputs))
        if step < count:
            step = max(1, AT_ONCE // max(1, cells, self.reads(stage)))
        return (np.arange(start, min(count, start + step)) for start in range(0, count, step))

    def recomputed(self, stage: Stage, offsets: Array | None = None) -> tuple[Array, Array]:
        """A stage, or some of its cells, flat: the values, and their bounds.

        offsets  of the cells in the flat array, ascending; None: all
        """
        if stage.operation == "contract" and offsets is None:
            arrays = [self.cells(name).flat for name in stage.inputs]
            return self.contraction(stage).whole(arrays, "selective" in stage.attributes)
        cells = self.cells(stage.name).flat.size // max(1, self.rows(stage))
        if offsets is None:
            pieces = list(self.pieces(stage))
        else:
            rows, place = np.unique(offsets // cells, return_inverse=True)
            pieces = self.columns(stage, rows)
        values = np.concatenate([piece.values for piece in pieces])
        bounds = np.concatenate([piece.bounds for piece in pieces])
        if offsets is None:
            return values.reshape(-1), bounds.reshape(-1)
        return values[place, offsets % cells], bounds[place, offsets % cells]

    def pieces(self, stage: Stage) -> Iterator[Columns]:
        """All rows of a stage, some at a time."""
        for rows in self._parts(stage):
            yield from self.columns(stage, rows)

    def _gathered(self, stage: Stage, offsets: Array) -> Number:
        flats = [self.cells(name).flat for name in stage.inputs]
        plan, selective = self.contraction(stage), "selective" in stage.attributes
        return Number(*plan.gather(flats, offsets, selective))

    def contraction(self, stage: Stage) -> Contraction:
        """The walk of a contraction, worked out once a stage."""
        if stage.name not in self._contractions:
            shapes = tuple(self.cells(name).shape for name in stage.inputs)
            result, known = self.cells(stage.name).shape, tuple(self.graph.sizes.items())
            self._contractions[stage.name] = Contraction.of(
                stage.specification, shapes, result, known
            )
        return self._contractions[stage.name]
