"""How large the terms are that a gradient is summed of.

A gradient may be 0 by theory and be nothing but rounding: that of a key bias, as a softmax does
not see a constant, or that of scores whose values are all alike. What two right programs leave
there has nothing in common, and is small only beside the terms that cancelled.
"""

from __future__ import annotations

import math

import numpy as np

from ..oracle.gradients import consumers, cost
from ..oracle.oracle import Oracle
from .trace import Trace

CELLS = 50  # of one gradient, weighed at most
READS = 1_000  # cells read for that, about


class GradientTerms:
    """The size of the terms of a trace's gradients, one number for each array.

    A term is |dy| * |dy/dx| for a cell y that reads x; the terms of a sum count as the root of
    their sum of squares. Where they are independent that is about the size of the sum itself;
    where they cancel, it is the size of what cancelled. Where dy is itself nothing but rounding,
    the size of its own terms stands for it.

    tolerance  relative: a gradient below this times its terms is nothing but rounding
    """

    def __init__(self, trace: Trace, oracle: Oracle, tolerance: float) -> None:
        self.trace, self.oracle = trace, oracle
        self.gradients = {
            name: array
            for name, array in trace.gradients.items()
            if oracle.cells(name).shape == array.shape
        }
        self._rounding: dict[str, float] = {}  # stages whose gradient is that -> its terms
        largest = {
            stage.name: float(np.abs(self.gradients[stage.name]).max(initial=0.0))
            for stage in trace.graph
            if stage.name in self.gradients
        }
        small = tolerance * max(largest.values(), default=0.0)
        for name in reversed(largest):  # backwards: what reads a stage is known before it
            if largest[name] <= small:
                terms = self.of(name)
                if largest[name] <= tolerance * terms:
                    self._rounding[name] = terms

    def of(self, name: str) -> float:
        """The root mean square, over some cells of a stage or of `parameters/NAME`, of the size
        of their gradient's terms; 0 where no gradient is on record that they are made of."""
        if name not in self.gradients or not self.gradients[name].size:
            return 0.0
        shape = self.gradients[name].shape
        cells = math.prod(shape)
        readers = [s for s in self.trace.graph.consumers.get(name, ()) if self.oracle.has(s)]
        count = max(1, READS // max(1, cost(self.oracle, name, readers)))
        squares = []
        for offset in np.linspace(0, cells - 1, min(cells, count, CELLS), dtype=int).tolist():
            squares += [self._squares(name, tuple(map(int, np.unravel_index(offset, shape))))]
        return math.sqrt(sum(squares) / len(squares))

    def _squares(self, name: str, cell: tuple[int, ...]) -> float:
        """The sum of the squares of the terms at one cell."""
        total = 0.0
        for reader in consumers(self.oracle, name, cell):
            stage, pins = reader.stage.name, self.trace.pins.get(reader.stage.name)
            if stage in self.gradients and (pins is None or not pins[reader.cell]):
                flow = self._rounding.get(stage, self.gradients[stage][reader.cell].item())
                term = flow * reader.partial
                total += term * term if math.isfinite(term) else 0.0
        return total
