"""Two runs of the same model beside each other: where do they part, and why?

The second may come from any other implementation: a file of arrays under the stages' names,
or a part of them, in its own precision and layout (`fit`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from ..check.gradient_terms import GradientTerms
from ..check.weigh import Bounds, weigh
from ..errors import TraceError, nearest
from ..files import LazyArrays
from ..oracle.oracle import Oracle
from ..parameters import parameter_shapes
from ..shapes import Array
from ..stages.graph import Graph, Stage
from .comparison import CellPair, Comparison, Difference
from .diagnose import Case, Found, diagnose
from .diagnose_gradient import GradientCase, diagnose_gradient
from .fit import Fitted, fit
from .sides import Side

# Relative to the sum of absolute terms of a cell (or to its array's root mean square, where
# that is more), for two whole runs in the coarser of their two types.
TOLERANCES = {"float64": 1e-10, "float32": 2e-5, "float16": 2e-2}
LATER = 4  # gradients after the first that differs, which a mistake is held to too
ORACLE_CELLS = 200_000  # cells read to weigh a stage by the oracle; beyond, by its numbers


def compare(first: Side, second: Side, tolerance: float | None = None) -> Comparison:
    """Hold the second run against the first.

    tolerance  relative, for every array; None: by the types of the two, see TOLERANCES

    Raises `TraceError` where the two have no array in common, and where the second is a trace
    and the first is not: the trace is what the other is held against.
    """
    if first.trace is None and second.trace is not None:
        raise TraceError(
            f"{first.name} is no trace of numtx, and {second.name} is: give the trace first"
        )
    return _Comparing(first, second, tolerance).result()


def with_hint(name: str, missing: Sequence[str]) -> str:
    """An unknown name, and which of those that its file lacks may be meant by it."""
    hint = nearest(name, missing)
    return f"{name} ({hint})" if hint.startswith("did you mean") else name


class _Comparing:
    def __init__(self, first: Side, second: Side, tolerance: float | None) -> None:
        self.first, self.second, self.tolerance = first, second, tolerance
        self.trace = first.trace or second.trace
        self.graph: Graph | None = self.trace.graph if self.trace else None
        names = list(self.graph.stages) if self.graph else list(first.arrays)
        self.stages = [n for n in names if not n.startswith(("parameters/", "grad/"))]
        self.parameters = [n for n in names if n.startswith("parameters/")]
        if self.trace:
            self.parameters = [f"parameters/{n}" for n in parameter_shapes(self.trace.config)]
        self.gradients = self.backwards()
        self.fitted: dict[str, None] = {}
        self.oracle: Oracle | None = None
        if first.trace is not None:
            eps = float(np.finfo(first.trace.config.dtype).eps)
            self.oracle = Oracle(first.trace.graph, first.arrays, eps)
        self.terms: GradientTerms | None = None

    def backwards(self) -> list[str]:
        """The gradients in computing order: that of a stage, then those of the parameters that
        no stage before it reads."""
        if self.graph is None:
            return [name for name in self.first.arrays if name.startswith("grad/")]
        left = dict.fromkeys(self.parameters)
        read: dict[str, list[str]] = {}
        for stage in self.graph:
            read[stage.name] = [name for name in stage.inputs if name in left]
            for name in read[stage.name]:
                left.pop(name, None)
        order = [n for stage in reversed(self.stages) for n in (stage, *read[stage])]
        return [f"grad/{name}" for name in (*order, *left)]

    def result(self) -> Comparison:
        first, second = self.first.arrays, self.second.arrays
        known = [*self.stages, *self.parameters, *self.gradients]
        if not any(name in first and name in second for name in known):
            some = [with_hint(name, [n for n in known if n in first]) for name in list(second)[:5]]
            raise TraceError(
                f"{self.second.name}: has no stage of {self.first.name}; it has "
                f"{', '.join(some) or 'nothing'}: --map gives them names"
            )
        values = self.differences(self.stages)
        found = Comparison(
            self.differences(self.parameters),
            values,
            self.differences(self.gradients),
            [name for name in known if name in first and name not in second],
            [name for name in known if name in second and name not in first],
            self.unknown(first, known),
            self.unknown(second, known),
            self.config(),
            [],
            "by type" if self.tolerance is None else f"{self.tolerance:g}",
        )
        wrong = found.first
        if wrong is None:
            return found
        if not wrong.name.startswith("grad/"):
            return found._replace(causes=self.causes(wrong.name))
        if values and all(d.equal for d in found.parameters):
            found = found._replace(causes=self.causes_of_gradient(wrong.name, found.gradients))
        return found

    def differences(self, names: Sequence[str]) -> list[Difference]:
        first, second = self.first.arrays, self.second.arrays
        return [self.difference(name) for name in names if name in first and name in second]

    def unknown(self, arrays: Mapping[str, Array], known: Sequence[str]) -> list[str]:
        """Names of nothing that could be compared; the counts that a run was given are no
        result."""
        aside = set(known)
        for side in (self.first, self.second):
            aside.update(side.trace.inputs if side.trace else ())
        return [name for name in arrays if name not in aside]

    def config(self) -> dict[str, tuple[object, object]]:
        if self.first.trace is None or self.second.trace is None:
            return {}
        a, b = self.first.trace.config.to_dict(), self.second.trace.config.to_dict()
        return {name: (a[name], b.get(name)) for name in a if a[name] != b.get(name)}

    def causes(self, name: str) -> list[Found]:
        """Known mistakes in a stage; only a trace says how a stage is made."""
        if self.graph is None or self.first.trace is None or name not in self.fitted:
            return []
        tolerance = self.tolerance_of(self.first.arrays[name], self.second.arrays[name])
        case = Case(self.graph, self.graph[name], self.own(), self.first.arrays, tolerance)
        return diagnose(case)

    def causes_of_gradient(self, name: str, gradients: Sequence[Difference]) -> list[Found]:
        """Known mistakes of the backward pass, where all values are right."""
        if self.first.trace is None or name not in self.fitted:
            return []
        trace, bare = self.first.trace, name.removeprefix("grad/")
        expected, got, fitted = self.fit(name)
        assert fitted is not None
        own = self.own()
        wrong = [d.name for d in gradients if not d.equal and d.name != name and d.name in own]
        case = GradientCase(
            trace.graph, bare, trace.arrays, trace.gradients,
            {d.name.removeprefix("grad/") for d in gradients if d.equal}, fitted.array,
            self.tolerance_of(expected, got),
            {n.removeprefix("grad/"): own[n] for n in wrong[:LATER]},
        )  # fmt: skip
        return diagnose_gradient(case)

    def own(self) -> LazyArrays:
        """The arrays of the second side that were compared, in the first side's shapes, and the
        counts that its run was given."""
        counts = (name for name in self.second.arrays if name.startswith("inputs/"))

        def read(name: str) -> Array:
            fitted = self.fit(name)[2] if name in self.fitted else None
            return self.second.arrays[name] if fitted is None else fitted.array

        return LazyArrays({**self.fitted, **dict.fromkeys(counts)}, read)

    def stage(self, name: str) -> Stage | None:
        bare = name.removeprefix("grad/")
        return self.graph[bare] if self.graph is not None and bare in self.graph else None

    def fit(self, name: str) -> tuple[Array, Array, Fitted | None]:
        """What is expected, what the second side has, and that brought into shape."""
        expected, got = self.first.arrays[name], self.second.arrays[name]
        stage = self.stage(name)
        leaf = stage.leaf.name if stage and not name.startswith("grad/") else ""
        return expected, got, fit(got, expected, stage.axes if stage else (), leaf)

    def difference(self, name: str) -> Difference:
        expected, got, fitted = self.fit(name)
        is_parameter = name.removeprefix("grad/").startswith("parameters/")
        if fitted is None:
            note = f"shape {got.shape}; {expected.shape} was expected"
            if is_parameter and got.shape == expected.shape[::-1]:
                note += " (numtx has matrices as (in, out))"
            return Difference(name, expected.size, expected.size, math.inf, math.inf, (), note)
        note = fitted.note
        if is_parameter:
            note = _transposed(expected, fitted.array) or note
        self.fitted[name] = None
        expected, tolerance = fitted.expected, self.tolerance_of(expected, got)
        found = weigh(expected, fitted.array, tolerance, self.bounds(name, expected))
        worst = []
        for offset in found.worst:
            cell = tuple(int(i) for i in np.unravel_index(offset, expected.shape))
            worst.append(CellPair(cell, expected[cell].item(), fitted.array[cell].item()))
        return Difference(
            name, expected.size, found.beyond, found.largest, found.relative, tuple(worst), note
        )

    def tolerance_of(self, expected: Array, got: Array) -> float:
        """The tolerance of two arrays: that of the coarser type; whole numbers are exact."""
        if self.tolerance is not None:
            return self.tolerance
        kinds = [str(x.dtype) for x in (expected, got) if x.dtype.kind == "f"]
        return max((TOLERANCES.get(kind, 1e-10) for kind in kinds), default=0.0)

    def bounds(self, name: str, expected: Array) -> Bounds:
        """What a stage's cells are weighed by besides their numbers: the oracle's bounds, where
        that is not much work; for a gradient, the size of its terms."""
        if name.startswith("grad/"):
            return lambda places: self.terms_of(name.removeprefix("grad/"))

        def of_oracle(places: Array) -> Array | float:
            trace, oracle = self.first.trace, self.oracle
            if trace is None or oracle is None or name not in trace:
                return 0.0
            stage = trace.graph[name]
            if not oracle.has(stage) or oracle.cells(name).shape != expected.shape:
                return 0.0
            if oracle.reads(stage) * places.size > ORACLE_CELLS:
                return 0.0
            return oracle.recomputed(stage, places)[1]

        return of_oracle

    def terms_of(self, name: str) -> float:
        """The size of the terms of a gradient of the trace."""
        if self.first.trace is None or self.oracle is None:
            return 0.0
        if self.terms is None:
            self.terms = GradientTerms(self.first.trace, self.oracle)
        return self.terms.room(name)


def _transposed(expected: Array, got: Array) -> str:
    """What is to be said of a parameter that is there, but the other way round."""
    if expected.ndim != 2 or expected.shape[0] != expected.shape[1]:
        return ""
    if np.array_equal(expected, got) or not np.allclose(expected.T, got, 1e-4, 1e-6):
        return ""
    return "transposed: numtx has matrices as (in, out)"
