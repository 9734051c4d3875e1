"""Two runs of the same model beside each other: where do they part, and why?

The second may come from any other implementation: a file of arrays under the stages' names,
or a part of them, in its own precision and layout (`fit`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import TraceError, nearest
from ..files import NpzFile
from ..parameters import parameter_shapes
from ..shapes import Array
from ..small_repr import small_repr
from ..stages.resolve import Graph, Stage
from .diagnose import Found, Patient, diagnose
from .files import load_trace
from .fit import fit
from .gradient_terms import GradientTerms
from .trace import Trace

# Relative to the sum of absolute terms of a cell (or to its array's root mean square, where
# that is more), for two whole runs in the coarser of their two types. For a gradient that has
# lost half of these digits and more, since its terms cancel, relative to its terms.
TOLERANCES = {"float64": 1e-10, "float32": 2e-5, "float16": 2e-2}
ORACLE_CELLS = 200_000  # cells read to weigh a stage by the oracle; beyond, by its numbers


@small_repr()
class Side(NamedTuple):
    """One side of a comparison: arrays by name, and the trace where the file is one."""

    name: str
    arrays: Mapping[str, Array]
    trace: Trace | None


class CellPair(NamedTuple):
    cell: tuple[int, ...]
    expected: float
    got: float


@small_repr()
class Difference(NamedTuple):
    """Two arrays of one name.

    differing  how many cells differ beyond the tolerance, of `cells`
    largest    the largest difference, and `relative` the same in units of the tolerance
    worst      the worst cells, the worst first
    note       what was done to the second array to bring it into shape, or why it cannot be
    """

    name: str
    cells: int
    differing: int
    largest: float
    relative: float
    worst: tuple[CellPair, ...]
    note: str = ""

    @property
    def equal(self) -> bool:
        return self.differing == 0

    @property
    def fits(self) -> bool:
        """Whether the two were brought into one shape, so that cells could be compared."""
        return self.equal or bool(self.worst)


@small_repr("equal", "first", "causes", "parameters", "values", "gradients", "unknown")
class Comparison(NamedTuple):
    """All arrays that both sides have, in computing order; gradients backwards.

    tolerance   name of type -> relative tolerance, or the one that was given
    only_first, only_second  stages, parameters and gradients that one side leaves out
    unknown_first, unknown   arrays of the first and of the second side that are none of these
    config      fields of the configuration that differ: name -> (first, second)
    causes      known mistakes that reproduce the first stage that differs
    """

    parameters: list[Difference]
    values: list[Difference]
    gradients: list[Difference]
    only_first: list[str]
    only_second: list[str]
    unknown_first: list[str]
    unknown: list[str]
    config: dict[str, tuple[object, object]]
    causes: list[Found]
    tolerance: str

    @property
    def first(self) -> Difference | None:
        """The first stage that differs, in computing order; else the first gradient."""
        return next((d for d in (*self.values, *self.gradients) if not d.equal), None)

    @property
    def equal(self) -> bool:
        """Whether all that both sides have is equal; see `compared` and `of`."""
        return all(d.equal for d in (*self.parameters, *self.values, *self.gradients))

    @property
    def compared(self) -> int:
        """How many arrays were compared."""
        return len(self.parameters) + len(self.values) + len(self.gradients)

    @property
    def of(self) -> int:
        """How many arrays there are in the two sides together."""
        unknown = {*self.unknown_first, *self.unknown}
        return self.compared + len(self.only_first) + len(self.only_second) + len(unknown)


def read_side(path: str | Path, names: Mapping[str, str] | None = None) -> Side:
    """A side from a file: a trace, or any `.npz` of arrays; `names` renames its arrays."""
    with NpzFile(path) as file:
        trace = load_trace(path) if "meta" in file.headers and not names else None
        known: dict[str, Array] = {}
        if trace is not None:
            known = {**trace.arrays, **{f"grad/{n}": a for n, a in trace.gradients.items()}}
        arrays = {n: file.read(n) for n in file.headers if n != "meta" and n not in known}
    for theirs in names or {}:
        if theirs not in arrays:
            raise TraceError(f"{path}: --map names {theirs!r}; {nearest(theirs, arrays)}")
    renamed: dict[str, Array] = {}
    for theirs, array in arrays.items():
        name = (names or {}).get(theirs, theirs)
        if name in renamed:
            raise TraceError(f"{path}: two arrays are called {name!r} after --map")
        if array.dtype.kind not in "fiub":
            raise TraceError(f"{path}: {theirs!r} is {array.dtype}; numbers are needed")
        renamed[name] = array
    return Side(str(path), {**known, **renamed}, trace)


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
        self.fitted: dict[str, Array] = {}
        self.oracle = first.trace.oracle() if first.trace else None
        self.terms: dict[float, GradientTerms] = {}

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
        wrong = next((d for d in values if not d.equal), None)
        return found if wrong is None else found._replace(causes=self.causes(wrong.name))

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
        own = dict(self.fitted)
        own.update({n: a for n, a in self.second.arrays.items() if n.startswith("inputs/")})
        patient = Patient(self.graph, self.graph[name], own, self.first.arrays, tolerance)
        return diagnose(patient)

    def stage(self, name: str) -> Stage | None:
        bare = name.removeprefix("grad/")
        return self.graph[bare] if self.graph is not None and bare in self.graph else None

    def difference(self, name: str) -> Difference:
        expected, got = self.first.arrays[name], self.second.arrays[name]
        stage = self.stage(name)
        is_parameter = name.removeprefix("grad/").startswith("parameters/")
        leaf = stage.leaf.name if stage and not name.startswith("grad/") else ""
        fitted = fit(got, expected, stage.axes if stage else (), leaf)
        if fitted is None:
            note = f"shape {got.shape}; {expected.shape} was expected"
            if is_parameter and got.shape == expected.shape[::-1]:
                note += " (numtx has matrices as (in, out))"
            return Difference(name, expected.size, expected.size, math.inf, math.inf, (), note)
        note = fitted.note
        if is_parameter:
            note = _transposed(expected, fitted.array) or note
        self.fitted[name] = fitted.array
        expected = fitted.expected
        relative = self.relative(name, expected, fitted.array, self.tolerance_of(expected, got))
        beyond = int(np.count_nonzero(relative > 1.0))
        order = np.argsort(-relative, axis=None, kind="stable")[: min(5, beyond)]
        worst = []
        for offset in order.tolist():
            cell = tuple(int(i) for i in np.unravel_index(offset, expected.shape))
            worst.append(CellPair(cell, expected[cell].item(), fitted.array[cell].item()))
        largest = _apart(expected, fitted.array)
        return Difference(
            name, expected.size, beyond, float(largest.max(initial=0.0)),
            float(relative.max(initial=0.0)), tuple(worst), note,
        )  # fmt: skip

    def tolerance_of(self, expected: Array, got: Array) -> float:
        """The tolerance of two arrays: that of the coarser type; whole numbers are exact."""
        if self.tolerance is not None:
            return self.tolerance
        kinds = [str(x.dtype) for x in (expected, got) if x.dtype.kind == "f"]
        return max((TOLERANCES.get(kind, 1e-10) for kind in kinds), default=0.0)

    def relative(self, name: str, expected: Array, got: Array, tolerance: float) -> Array:
        """Differences in units of what is tolerated."""
        apart = _apart(expected, got)
        if expected.dtype.kind != "f":
            return np.where(apart > 0.0, np.inf, 0.0)
        finite = np.where(np.isfinite(expected), expected.astype(np.float64), 0.0)
        typical = math.sqrt(np.mean(finite * finite)) if finite.size else 0.0
        size = np.maximum(np.abs(finite), typical)
        size = np.maximum(size, self.magnitudes(name, expected.shape))
        if name.startswith("grad/") and (apart > tolerance * size).any():
            terms = self.terms_of(name.removeprefix("grad/"), tolerance)
            if typical <= math.sqrt(tolerance) * terms:
                size = np.maximum(size, terms)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(apart == 0.0, 0.0, apart / (tolerance * size + 1e-300))

    def terms_of(self, name: str, tolerance: float) -> float:
        """The size of the terms of a gradient of the trace."""
        trace = self.first.trace
        if trace is None or self.oracle is None:
            return 0.0
        if tolerance not in self.terms:
            self.terms[tolerance] = GradientTerms(trace, self.oracle, tolerance)
        return self.terms[tolerance].of(name)

    def magnitudes(self, name: str, shape: Sequence[int]) -> Array | float:
        """The oracle's sums of absolute terms, where that is not much work."""
        trace = self.first.trace
        if trace is None or self.oracle is None or name not in trace:
            return 0.0
        if trace[name].shape != tuple(shape):
            return 0.0
        oracle, stage = self.oracle, trace.graph[name]
        if not oracle.has(stage) or stage.operation == "given":
            return 0.0
        reads = len(oracle.cell(name, (0,) * len(shape)).reads)
        if reads * math.prod(shape) > ORACLE_CELLS:
            return 0.0
        cells = [oracle.cell(name, index).magnitude for index in np.ndindex(*shape)]
        return np.array(cells).reshape(shape)


def _apart(a: Array, b: Array) -> Array:
    """Absolute differences; 0 between equal infinities and between NaNs."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    with np.errstate(invalid="ignore"):
        apart = np.abs(a - b)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    return np.where(same, 0.0, np.where(np.isnan(apart), np.inf, apart))


def _transposed(expected: Array, got: Array) -> str:
    """What is to be said of a parameter that is there, but the other way round."""
    if expected.ndim != 2 or expected.shape[0] != expected.shape[1]:
        return ""
    if np.array_equal(expected, got) or not np.allclose(expected.T, got, 1e-4, 1e-6):
        return ""
    return "transposed: numtx has matrices as (in, out)"
