"""How large the terms are that a gradient is summed of, and those that they are made of.

Where terms cancel, digits are lost, and no sum after that brings them back: what two right programs
leave may have nothing in common, and is small only beside the terms that cancelled. So it is with
the gradient of a key bias, 0 by theory as a softmax does not see a constant, with that of scores
whose values are all alike, and with all that is computed from either.
"""

from __future__ import annotations

import math

import numpy as np

from ..oracle.gradients import consumers, cost, gather
from ..oracle.oracle import Oracle
from ..shapes import Array
from ..trace.trace import Trace
from .weigh import root_mean_square

CELLS = 50  # of one gradient, weighed at most
READS = 1_000  # cells read for that, about
AMPLE = 8.0
ROUNDINGS = 16.0  # of a term on its way through one formula, about


class GradientTerms:
    """The size of the terms of a trace's gradients, one number for each array.

    A term is dy * dy/dx for a cell y that reads x, and as large as y's own terms, where they are
    larger than dy: a gradient that has lost digits passes on how many. The terms of a sum count as
    the root of their sum of squares: where they are independent that is about the size of the sum
    itself; where they cancel, it is the size of what cancelled.
    """

    def __init__(self, trace: Trace, oracle: Oracle) -> None:
        self.trace, self.oracle = trace, oracle
        self.gradients = {
            name: array
            for name, array in trace.gradients.items()
            if oracle.cells(name).shape == array.shape
        }
        self._sizes = trace.term_sizes
        for stage in reversed(list(trace.graph)):  # backwards: each needs those of its readers
            if stage.name in self.gradients:
                self.of(stage.name)

    def room(self, name: str) -> float:
        """The size that a difference of a gradient is relative to.

        A tolerance for whole runs leaves room for what a chain of stages amplifies, an eighth of
        which is ample for the rounding of terms. Between a gradient that keeps all digits and
        one that is nothing but rounding both happen, and the mean of the two sizes counts.
        """
        terms = self.of(name)
        if not terms:
            return 0.0
        typical = root_mean_square(self.gradients[name].reshape(-1))
        return max(math.sqrt(typical * terms), terms / AMPLE)

    def of(self, name: str) -> float:
        """The root mean square, over some cells of a stage or of `parameters/NAME`, of the size
        of their gradient's terms; 0 where no gradient is on record that they are made of."""
        if name not in self.gradients or not self.gradients[name].size:
            return 0.0
        if name not in self._sizes:
            self._sizes[name] = self._weighed(name)
        return self._sizes[name]

    def _weighed(self, name: str) -> float:
        shape = self.gradients[name].shape
        cells = math.prod(shape)
        readers = [s for s in self.trace.graph.consumers.get(name, ()) if self.oracle.has(s)]
        count = max(1, READS // max(1, cost(self.oracle, name, readers)))
        offsets = np.linspace(0, cells - 1, min(cells, count, CELLS), dtype=int)
        squares = []
        for offset in offsets.tolist():
            squares += [self._squares(name, tuple(map(int, np.unravel_index(offset, shape))))]
        size = math.sqrt(sum(squares) / len(squares))
        # What cancels within one formula (a softmax over one key) shows in its roundings alone.
        recorded = [stage for stage in readers if stage.name in self.gradients]
        roundings = gather(self.oracle, name, offsets, self._flow, recorded).bound
        own = root_mean_square(roundings) / ROUNDINGS
        return max(size, own, root_mean_square(self.gradients[name].reshape(-1)))

    def _flow(self, stage: str) -> Array:
        """The gradient of a stage, flat, 0 where it is pinned."""
        flat: Array = self.gradients[stage].reshape(-1)
        pins = self.trace.pins.get(stage)
        return flat if pins is None else np.where(pins.reshape(-1), 0.0, flat)

    def _squares(self, name: str, cell: tuple[int, ...]) -> float:
        """The sum of the squares of the terms at one cell."""
        total = 0.0
        for reader in consumers(self.oracle, name, cell):
            stage, pins = reader.stage.name, self.trace.pins.get(reader.stage.name)
            if stage in self.gradients and (pins is None or not pins[reader.cell]):
                flow = abs(self.gradients[stage][reader.cell].item())
                term = max(flow, self._sizes[stage]) * reader.partial
                total += term * term if math.isfinite(term) else 0.0
        return total
