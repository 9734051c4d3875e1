"""Two runs of the same model beside each other: where do they part, and why?

The second may come from any other implementation: a file of arrays under the stages' names,
or a part of them, in its own precision and layout (`fit`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ..check.weigh import Weighed
from ..diagnosis.diagnose import Case, Found, diagnose, error_of
from ..diagnosis.diagnose_gradient import GradientCase, diagnose_gradient
from ..errors import TraceError, nearest
from ..files import LazyArrays
from ..fitting.axes import orders_of
from ..fitting.fit import Fitted, fit
from ..fitting.precision import FLOAT32, FLOAT64, Precision, coarsest, content
from ..mistakes.at import can_fit
from ..parameters import parameter_shapes
from ..recompute import layered
from ..shapes import Array
from ..stages.graph import Graph, Stage
from .choices import as_good
from .comparison import CellPair, Comparison, Difference
from .sides import Side
from .weighing import Weighing

NEAR = 1e-3  # at most: a known mistake makes numbers more exactly than that
LATER = 4  # gradients after the first that differs, which a mistake is held to too


def compare(
    first: Side,
    second: Side,
    tolerance: float | None = None,
    progress: Callable[[float], None] | None = None,
) -> Comparison:
    """Hold the second run against the first.

    tolerance  relative, for every array; None: by the precision of the numbers (`Weighing`)
    progress   called with the share of the known mistakes that were tried

    Raises `TraceError` where the two have no array in common, and where the second is a trace
    and the first is not: the trace is what the other is held against.
    """
    if first.trace is None and second.trace is not None:
        raise TraceError(
            f"{first.name} is no trace of numtx, and {second.name} is: give the trace first"
        )
    return _Comparing(first, second, tolerance, progress).result()


def pair_of(first: Side, second: Side, name: str) -> tuple[Array, Array]:
    """What is expected under a name that both have, and what the second has, in one shape and in
    float64.

    Raises `TraceError` where they fit no one shape.
    """
    _, got, fitted = _Comparing(first, second, None).fit(name)
    if fitted is None:
        raise TraceError(f"{second.name}: {name!r} has shape {got.shape}, which does not fit")
    return fitted.expected.astype(np.float64), fitted.array.astype(np.float64)


def with_hint(name: str, missing: Sequence[str]) -> str:
    """An unknown name, and which of those that its file lacks may be meant by it."""
    hint = nearest(name, missing)
    return f"{name} ({hint})" if hint.startswith("did you mean") else name


class _Comparing:
    def __init__(
        self,
        first: Side,
        second: Side,
        tolerance: float | None,
        progress: Callable[[float], None] | None = None,
    ) -> None:
        self.first, self.second, self.progress = first, second, progress
        self.trace = first.trace or second.trace
        self.graph: Graph | None = self.trace.graph if self.trace else None
        names = list(self.graph.stages) if self.graph else list(first.arrays)
        self.stages = [n for n in names if not n.startswith(("parameters/", "grad/"))]
        self.parameters = [n for n in names if n.startswith("parameters/")]
        if self.trace:
            self.parameters = [f"parameters/{n}" for n in parameter_shapes(self.trace.config)]
        self.gradients = self.backwards()
        self.fitted: dict[str, None] = {}
        self.weighing = Weighing(first.trace, tolerance)
        self.precisions: dict[str, Precision] = {}
        self.undecided: set[str] = set()  # what follows from a choice that rounding has changed
        self.orders = frozenset[str]()
        if self.graph is not None and second.trace is None:
            self.orders = orders_of(self.graph, second.arrays, first.arrays)

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
        found = Comparison(
            self.differences(self.parameters),
            self.differences(self.stages),
            self.differences(self.gradients),
            [name for name in known if name in first and name not in second],
            [name for name in known if name in second and name not in first],
            self.unknown(first, known),
            self.unknown(second, known),
            self.config(),
            [],
            self.weighing.given,
            (self.first, self.second),
        )
        return self.explained(found)

    def differences(self, names: Sequence[str]) -> list[Difference]:
        """Of the arrays that both have, in order; each is as precise as what it is made from."""
        found = []
        for name in names:
            stage = self.stage(name)
            made_from = self.precisions if stage is None or _is_gradient(name) else stage.inputs
            before = [self.precisions[n] for n in made_from if n in self.precisions]
            self.precisions[name] = coarsest(self.weighing.precision, *before)
            if name in self.first.arrays and name in self.second.arrays:
                found.append(self.difference(name))
        return found

    def explained(self, found: Comparison) -> Comparison:
        """The comparison with the causes of its first difference.

        In float64 what differs by no more than float32 may have been computed in float32 somewhere
        on its way. Where a known mistake makes just these numbers, it is one; else it is rounding.
        """
        wrong = found.first
        if wrong is None:
            return found
        fine = wrong.precision == "float64" and self.weighing.given is None
        if not fine or not self.relaxed(wrong).equal:
            return found._replace(causes=self.causes(found, FLOAT32 if fine else None))
        causes = self.causes(found, FLOAT64)
        if causes:
            return found._replace(causes=causes)
        found = found._replace(
            values=[self.relaxed(d) for d in found.values],
            gradients=[self.relaxed(d) for d in found.gradients],
        )
        return found._replace(causes=self.causes(found, None))

    def relaxed(self, found: Difference) -> Difference:
        """A difference in float64, as it is where something on the way was computed in float32."""
        if found.equal or found.precision != "float64" or not found.fits:
            return found
        return self.difference(found.name, FLOAT32)

    def causes(self, found: Comparison, precision: Precision | None) -> list[Found]:
        """Known mistakes in the first stage that differs; only a trace says how one is made.

        precision  of the numbers that a mistake is held to; None: that of the stage
        """
        wrong = found.first
        if wrong is None or self.first.trace is None:
            return []
        if wrong.name not in self.fitted:  # another shape: as a mistake in the axes makes it
            is_stage = self.graph is not None and wrong.name in self.graph
            tolerance = self.weighing.tolerance(wrong.name, FLOAT32)
            return self.causes_of_value(wrong.name, tolerance) if is_stage else []
        precision = precision or self.precisions[wrong.name]
        if precision.bits < FLOAT32.bits and self.weighing.given is None:
            return []
        tolerance = self.weighing.tolerance(wrong.name, precision)
        if self.weighing.given is None:
            tolerance = min(tolerance, NEAR)
        if not _is_gradient(wrong.name):
            causes = self.causes_of_value(wrong.name, tolerance)
            return causes or self.misnamed(wrong.name, tolerance)
        if not all(d.equal for d in found.parameters):
            return []
        return self.causes_of_gradient(wrong.name, found.gradients, tolerance)

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

    def causes_of_value(self, name: str, tolerance: float) -> list[Found]:
        assert self.graph is not None
        own = layered(self.own(), {name: self.second.arrays[name]})
        case = Case(self.graph, self.graph[name], own, self.first.arrays, tolerance)
        return diagnose(case, self.progress)

    def misnamed(self, name: str, tolerance: float) -> list[Found]:
        """Another stage of the trace that has the numbers which the file has under this name."""
        expected, _, fitted = self.fit(name)
        assert fitted is not None and self.graph is not None
        if fitted.array.dtype.kind != "f" or not can_fit(fitted.array):
            return []
        stages = [n for n in self.stages if n != name and n in self.first.arrays]
        return [
            Found(
                f"these are the numbers of {other}; --map gives it its name", (),
                f"这是 {other} 的数；用 --map 给它应有的名字",
            )
            for other in stages
            if self.first.arrays[other].shape == expected.shape
            and self.first.arrays[other].dtype.kind == "f"
            and error_of(self.first.arrays[other], fitted.array) <= tolerance
        ][:1]  # fmt: skip

    def causes_of_gradient(
        self, name: str, gradients: Sequence[Difference], tolerance: float
    ) -> list[Found]:
        """Known mistakes of the backward pass, where all values are right."""
        trace, bare = self.first.trace, name.removeprefix("grad/")
        _, _, fitted = self.fit(name)
        assert fitted is not None and trace is not None
        own = self.own()
        wrong = [d.name for d in gradients if not d.equal and d.name != name and d.name in own]
        case = GradientCase(
            trace.graph, bare, trace.arrays, trace.gradients,
            {d.name.removeprefix("grad/") for d in gradients if d.equal}, fitted.array,
            tolerance, {n.removeprefix("grad/"): own[n] for n in wrong[:LATER]},
            self.weighing.terms_of,
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
        axes = stage.axes if stage else ()
        return expected, got, fit(got, expected, axes, leaf, self.orders)

    def difference(self, name: str, least: Precision = FLOAT64) -> Difference:
        """Two arrays beside each other.

        least  the finest precision that the second may have
        """
        expected, got, fitted = self.fit(name)
        is_parameter = name.removeprefix("grad/").startswith("parameters/")
        if fitted is None:
            note = f"shape {got.shape}; {expected.shape} was expected"
            if is_parameter and got.shape == expected.shape[::-1]:
                note += " (numtx has matrices as (in, out))"
            return Difference(name, expected.size, expected.size, math.inf, math.inf, (), note)
        self.fitted[name] = None
        expected, got, note = fitted.expected, fitted.array, fitted.note
        if is_parameter:
            note = _transposed(expected, got) or note
        precision = coarsest(least, self.precisions[name], content(got, expected))
        self.precisions[name] = precision
        weighed, tolerance = self.weighing.weigh(name, expected, got, precision)
        if weighed.beyond and self.is_undecided(name, got, precision):
            weighed, tolerance = Weighed(0, weighed.largest, 0.0, []), math.inf
        worst = []
        for offset in weighed.worst:
            cell = tuple(int(i) for i in np.unravel_index(offset, expected.shape))
            worst.append(CellPair(cell, expected[cell].item(), got[cell].item()))
        return Difference(
            name, expected.size, weighed.beyond, weighed.largest, weighed.relative, tuple(worst),
            note, tolerance, precision.name,
            _more(np.isnan, got, expected), _more(np.isinf, got, expected),
        )  # fmt: skip

    def is_undecided(self, name: str, got: Array, precision: Precision) -> bool:
        """Whether rounding may have chosen other experts, here or in what this is made from."""
        if name in self.undecided or (_is_gradient(name) and self.undecided):
            return True
        stage, trace = self.stage(name), self.first.trace
        if stage is None or trace is None or stage.operation != "choose":
            return False
        if precision is FLOAT64 or self.weighing.given is not None:
            return False
        if not as_good(trace, stage, got, self.weighing.tolerance(stage.inputs[0], precision)):
            return False
        front = [name]
        while front:
            self.undecided.add(front[-1])
            readers = trace.graph.consumers.get(front.pop(), ())
            front += [one.name for one in readers if one.name not in self.undecided]
        return True


def _is_gradient(name: str) -> bool:
    return name.startswith("grad/")


def _more(kind: Callable[[Array], Array], got: Array, expected: Array) -> int:
    """How many cells are of a kind that should not be."""
    if got.dtype.kind != "f":
        return 0
    there = kind(got)
    if expected.dtype.kind == "f" and there.any():
        there = there & ~kind(expected)
    return int(np.count_nonzero(there))


def _transposed(expected: Array, got: Array) -> str:
    """What is to be said of a parameter that is there, but the other way round."""
    if expected.ndim != 2 or expected.shape[0] != expected.shape[1]:
        return ""
    if np.array_equal(expected, got) or not np.allclose(expected.T, got, 1e-4, 1e-6):
        return ""
    return "transposed: numtx has matrices as (in, out)"
