"""The slow oracle: every operation once more, in plain Python over single numbers.

Written from the formulas of the catalogue, sharing no code with `ops`. For a cell it gives
the value, the sum of the absolute terms (which scales the tolerance), and the cells that it
read, each with the partial derivative of the value by it. So it checks values and gradients
and explains a cell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..errors import StageError
from ..shapes import Array, parse
from ..small_repr import small_repr
from .cells import Cell, Cells
from .contraction import Contraction
from .evaluators import EVALUATORS
from .resolve import Graph, Stage


@small_repr("graph", "eps")
class Oracle:
    """Recomputes cells of a run from its recorded arrays.

    arrays maps stage names, `parameters/NAME` and `inputs/NAME` to arrays; eps is the
    machine epsilon of the run's type.
    """

    def __init__(self, graph: Graph, arrays: Mapping[str, Array], eps: float) -> None:
        self.graph = graph
        self.eps = eps
        self._arrays = arrays
        self._cells: dict[str, Cells] = {}
        self._contractions: dict[str, Contraction] = {}

    def cells(self, name: str) -> Cells:
        """The numbers of a source; an error names what is missing."""
        if name not in self._cells:
            if name not in self._arrays:
                raise StageError(f"{name!r} is needed but was not recorded")
            self._cells[name] = Cells(name, self._arrays[name])
        return self._cells[name]

    def has(self, stage: Stage) -> bool:
        """Whether everything that a stage reads was recorded."""
        return all(name in self._arrays for name in stage.inputs)

    def cell(self, name: str, index: Sequence[int]) -> Cell:
        """Recompute one cell of a stage."""
        stage = self.graph[name]
        if stage.operation == "given":
            cells = self.cells(name)
            return Cell(cells.flat[cells.offset(index)], 0.0, [])
        return EVALUATORS[stage.operation](self, stage, tuple(index))

    def contraction(self, stage: Stage) -> Contraction:
        """The walk of a contraction, worked out at its first cell."""
        if stage.name not in self._contractions:
            self._contractions[stage.name] = Contraction(self, stage)
        return self._contractions[stage.name]

    def sizes(self, stage: Stage) -> dict[str, int]:
        """Sizes of every axis letter in a stage's specification."""
        sizes = dict(self.graph.sizes)
        specification = parse(stage.specification)
        for axes, name in zip(specification.operands, stage.inputs, strict=False):
            lengths = zip(axes, self.cells(name).shape, strict=True)
            sizes.update({axis: length for axis, length in lengths if len(axis) == 1})
        return sizes
