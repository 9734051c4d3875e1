"""What two right runs may differ by, at each stage, in the precision that the numbers have.

The precision is the coarsest of a stage's own numbers and of those that it is made from; the
tolerance is what rounding in that precision does to this run (`roundings`).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

import numpy as np

from ..check.gradient_terms import GradientTerms
from ..check.weigh import Bounds, Weighed, weigh
from ..fitting.precision import FLOAT32, FLOAT64, PRECISIONS, Precision
from ..oracle.oracle import Oracle
from ..shapes import Array
from ..trace.trace import Trace
from .rounding import roundings

# Relative to the sum of absolute terms of a cell (or to its array's root mean square, where that
# is more), for two whole runs in float64; in coarser formats, so many roundings.
TOLERANCE = 1e-10
ROUNDINGS = 32.0
# Where no run can be rounded: for whole runs of some layers, about.
ASSUMED = {"float64": TOLERANCE, "float32": 2e-5, "float16": 2e-2, "bfloat16": 2e-1}
TURNED = 4.0  # roundings of an angle, for a position in float32
ORACLE_CELLS = 200_000  # cells read to weigh a stage by the oracle; beyond, by its numbers


class Weighing:
    """The tolerances of a comparison.

    trace  the first side; None: nothing is known of how the arrays are made
    given  a tolerance for every array, of whatever precision
    """

    def __init__(self, trace: Trace | None, given: float | None) -> None:
        self.trace, self.given = trace, given
        self._roundings: dict[Precision, dict[str, float]] = {}

    @property
    def precision(self) -> Precision:
        """That of the first side."""
        return FLOAT64 if self.trace is None else PRECISIONS[self.trace.config.dtype]

    def weigh(
        self, name: str, expected: Array, got: Array, precision: Precision
    ) -> tuple[Weighed, float]:
        """Two arrays of one shape beside each other, and the tolerance that they are held to."""
        if self.given is not None:
            return weigh(expected, got, self.given, self.bounds(name, expected)), self.given
        tolerance = self.least(precision)
        found = weigh(expected, got, tolerance, self.bounds(name, expected))
        if found.beyond and precision is not FLOAT64 and expected.dtype.kind == "f":
            amplified = self.amplified(name, precision)
            if amplified > tolerance:
                return weigh(expected, got, amplified, lambda places: 0.0), amplified
        return found, tolerance

    def least(self, precision: Precision) -> float:
        """The tolerance of a stage that amplifies nothing."""
        if precision is FLOAT64:
            return TOLERANCE
        return ROUNDINGS * precision.unit + TURNED * self._farthest * FLOAT32.unit

    def amplified(self, name: str, precision: Precision) -> float:
        """What rounding in a coarser format does to a stage of this run, or to a gradient."""
        if self.trace is None:
            return ASSUMED[precision.name]
        if precision not in self._roundings:
            self._roundings[precision] = roundings(self.trace, precision)
        found = self._roundings[precision].get(name)
        return ASSUMED[precision.name] if found is None else found

    def tolerance(self, name: str, precision: Precision) -> float:
        """The tolerance of one array; relative to its numbers."""
        if self.given is not None:
            return self.given
        if precision is FLOAT64:
            return TOLERANCE
        return max(self.least(precision), self.amplified(name, precision))

    @cached_property
    def _farthest(self) -> float:
        """The largest position, where positions are turned into angles or sinusoids, which are
        mostly made in float32."""
        if self.trace is None:
            return 0.0
        counts: Iterable[Array] = (
            array for name, array in self.trace.inputs.items() if name.endswith(".positions")
        )
        return float(max((array.max(initial=0) for array in counts), default=0.0))

    def bounds(self, name: str, expected: Array) -> Bounds:
        """What a stage's cells are weighed by besides their numbers: the oracle's bounds, where
        that is not much work; for a gradient, the size of its terms."""
        if name.startswith("grad/"):
            return lambda places: self.terms_of(name.removeprefix("grad/"))

        def of_oracle(places: Array) -> Array | float:
            trace, oracle = self.trace, self._oracle
            if trace is None or oracle is None or name not in trace:
                return 0.0
            stage = trace.graph[name]
            if not oracle.has(stage) or oracle.cells(name).shape != expected.shape:
                return 0.0
            if oracle.reads(stage) * places.size > ORACLE_CELLS:
                return 0.0
            return oracle.recomputed(stage, places)[1]

        return of_oracle

    @cached_property
    def _oracle(self) -> Oracle | None:
        if self.trace is None:
            return None
        eps = float(np.finfo(self.trace.config.dtype).eps)
        return Oracle(self.trace.graph, self.trace.arrays, eps)

    @cached_property
    def _terms(self) -> GradientTerms | None:
        if self.trace is None or self._oracle is None:
            return None
        return GradientTerms(self.trace, self._oracle)

    def terms_of(self, name: str) -> float:
        """The size of the terms of a gradient of the trace."""
        return 0.0 if self._terms is None else self._terms.room(name)
