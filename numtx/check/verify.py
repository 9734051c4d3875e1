"""The check of a trace by the oracle: every stage and every gradient from recorded inputs."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

from ..arithmetic.cells import Single
from ..errors import TraceError
from ..oracle.gradients import Sums, cost, gather, pass_on
from ..shapes import Array, describe
from ..small_repr import in_notebook, small_repr
from ..stages.graph import Stage
from ..trace.trace import Trace

BUDGET = 1_000_000  # cells read, up to which every cell is checked


@small_repr()
class Finding(NamedTuple):
    """What the check of one array found. `worst` is the largest error in units of tolerance:
    above 1 the array is wrong; the cell, what the oracle expects there and what was recorded.
    `cells` of `of` cells were checked."""

    name: str
    kind: str  # value or gradient
    cells: int
    of: int
    worst: float
    cell: tuple[int, ...]
    expected: Single
    got: Single

    @property
    def ok(self) -> bool:
        return self.worst <= 1.0

    def __str__(self) -> str:
        place = f"{self.name}[{','.join(map(str, self.cell))}]"
        return (
            f"{self.kind} of {place}: expected {self.expected!r}, got {self.got!r} "
            f"({self.worst:.3g} times the tolerance)"
        )


@in_notebook
@small_repr("ok", "share", "wrong", "findings", "skipped")
class Verification(NamedTuple):
    """All findings of a check, in order of computation. `skipped` are arrays of which no cell
    was checked: an input is missing, or one cell alone would take too long; `missing` are stages
    that the trace leaves out."""

    findings: list[Finding]
    skipped: list[str]
    missing: list[str]

    @property
    def ok(self) -> bool:
        return all(finding.ok for finding in self.findings)

    @property
    def wrong(self) -> list[Finding]:
        """The arrays that do not follow from their inputs, the first computed first."""
        return [finding for finding in self.findings if not finding.ok]

    @property
    def share(self) -> float:
        """The share of the cells that was checked."""
        return sum(f.cells for f in self.findings) / max(1, sum(f.of for f in self.findings))


def verify(trace: Trace, budget: int | None = BUDGET, seed: int = 0) -> Verification:
    """Recompute every recorded stage from its recorded inputs, and every recorded gradient
    from the recorded gradients of its consumers.

    An array is right where it differs by at most 8 * eps * the oracle's bound of its cells, which
    follows each formula and adds a rounding at every step (of a sum: the sum of absolute terms).

    budget  how many cells may be read, about; where more would be, cells are sampled: the
            first, the last, a large one, and others drawn by `seed`, one of every array at least.
            None: no limit
    """
    for name, array in trace.values.items():
        axes = trace.graph[name].axes
        if array.ndim != len(axes) or array.dtype.kind not in "fbiu":
            raise TraceError(
                f"{name} is {describe(array)}; it should be numbers with {len(axes)} axes"
            )
    try:
        with _without_collector():
            return _checked(trace, budget, seed)
    except (IndexError, ValueError) as error:
        raise TraceError(
            f"the shapes of the trace do not fit one another ({error}); trace it again"
        ) from None


@contextmanager
def _without_collector() -> Iterator[None]:
    """The oracle's numbers hold no circles, and there are millions of them: looking for circles
    takes a third of the time."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


def _checked(trace: Trace, budget: int | None, seed: int) -> Verification:
    check = _Check(trace)
    if budget is not None and check.reads() > budget:
        return check.sampled(budget, np.random.default_rng(seed))
    return check.report()


class _Check:
    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.oracle = trace.oracle()
        self.unit = 8.0 * self.oracle.eps
        self.tiny = float(np.finfo(trace.config.dtype).tiny)
        self.stages = [s for s in trace.graph if s.name in trace and self.oracle.has(s)]
        checked = {stage.name for stage in self.stages}
        lost = [stage for stage in trace.graph if stage.name not in checked]
        self.skipped = [stage.name for stage in lost if stage.name in trace]
        # A gradient of which a share cannot be known; a trace without gradients has none.
        partly = dict.fromkeys(source for stage in lost for source in stage.inputs)
        partly |= dict.fromkeys(name for name in trace.outside if name in trace.graph.consumers)
        self.partly = [name for name in partly if name in trace.gradients]
        self.skipped += [f"grad/{name}" for name in self.partly]
        self.missing = [stage.name for stage in trace.graph if stage.name not in trace]

    def reads_each(self, stage: Stage) -> int:
        """How many cells one cell of a stage reads, itself included."""
        return 1 + self.oracle.reads(stage)

    def reads(self) -> int:
        """How many cells a check of everything reads."""
        return sum(self.trace[s.name].size * self.reads_each(s) for s in self.stages)

    def flow(self, name: str) -> Array:
        """The recorded gradient of a stage, flat; a pinned cell passes nothing on."""
        flat: Array = self.trace.grad(name).reshape(-1)
        if name in self.trace.pins:
            flat = np.where(self.trace.pins[name].reshape(-1), 0.0, flat)
        return flat

    def report(self) -> Verification:
        findings = []
        sums: dict[str, Sums] = {}
        for stage in self.stages:
            found = None
            flows = stage.name in self.trace.gradients
            if flows or self.trace[stage.name].dtype.kind != "f":  # a choice passes nothing back
                for source in stage.inputs:  # one that gets nothing at all has a gradient: zero
                    if source not in sums:
                        sums[source] = Sums(self.oracle.cells(source).flat.size)
            if flows:
                found = pass_on(self.oracle, stage, self.flow(stage.name), sums)
            findings.append(self.values(stage, None, found))
        for name, reached in sums.items():
            if name in self.trace.gradients and name not in self.partly:
                findings.append(self.gradient(name, None, reached))
        return Verification(findings, self.skipped, self.missing)

    def sampled(self, budget: int, draw: np.random.Generator) -> Verification:
        """Some cells of every stage and of every gradient, one at least; of a gradient none where
        one cell alone is beyond the budget."""
        share = budget // (2 * len(self.stages))
        findings = []
        for stage in self.stages:
            array, count = self.trace[stage.name], share // self.reads_each(stage)
            if self.oracle.operation(stage).by_row:  # the other cells of a row cost nothing more
                width = array.shape[-1]
                rows = np.unique(_sample(array, count, draw, least=1) // width)
                offsets = (rows[:, None] * width + np.arange(width)).reshape(-1)
            else:
                offsets = _sample(array, count, draw)
            findings.append(self.values(stage, offsets))
        sources = dict.fromkeys(source for stage in self.stages for source in stage.inputs)
        for name in sources:
            if name not in self.trace.gradients or name in self.partly:
                continue
            readers = [
                stage
                for stage in self.trace.graph.consumers[name]
                if stage.name in self.trace.gradients
            ]
            each = cost(self.oracle, name, readers)
            if each > budget:  # one cell alone
                self.skipped.append(f"grad/{name}")
                continue
            offsets = _sample(self.trace.grad(name), share // max(each, 1), draw, least=1)
            found = gather(self.oracle, name, offsets, self.flow, readers)
            findings.append(self.gradient(name, offsets, found))
        return Verification(findings, self.skipped, self.missing)

    def values(
        self, stage: Stage, offsets: Array | None, found: tuple[Array, Array] | None = None
    ) -> Finding:
        """A stage, or some of its cells, recomputed (`found`, where that was done already); a
        pinned cell is as it was recorded."""
        array = self.trace[stage.name]
        flat = array.reshape(-1) if offsets is None else array.reshape(-1)[offsets]
        expected, bound = found or self.oracle.recomputed(stage, offsets)
        if stage.name in self.trace.pins:
            pinned = self.trace.pins[stage.name].reshape(-1)
            expected = np.where(pinned if offsets is None else pinned[offsets], flat, expected)
        return self.worst(stage.name, "value", array, offsets, expected, bound)

    def gradient(self, name: str, offsets: Array | None, found: Sums) -> Finding:
        array = self.trace.grad(name)
        return self.worst(name, "gradient", array, offsets, found.total, found.bound)

    def worst(
        self,
        name: str,
        kind: str,
        array: Array,
        offsets: Array | None,  # the cells that were checked; None: all
        expected: Array,
        bound: Array | float,
    ) -> Finding:
        """The cell of an array with the largest error in units of its tolerance."""
        flat = array.reshape(-1) if offsets is None else array.reshape(-1)[offsets]
        error = self.error(flat, expected, bound)
        place = int(error.argmax()) if error.size else 0
        offset = place if offsets is None else int(offsets[place])
        index = tuple(int(i) for i in np.unravel_index(offset, array.shape))
        return Finding(
            name, kind, flat.size, array.size, float(error[place]), index,
            expected[place].item(), flat[place].item(),
        )  # fmt: skip

    def error(self, got: Array, right: Array, bound: Array | float) -> Array:
        """Differences in units of what rounding explains; inf where that is no number."""
        with np.errstate(all="ignore"):
            apart = np.abs(got.astype(np.float64) - right.astype(np.float64))
            same = (got == right) | ((got != got) & (right != right))
            error = np.where(same, 0.0, apart / (self.unit * bound + self.tiny))
        return np.where(np.isfinite(apart) | same, error, np.inf)


def _sample(array: Array, count: int, draw: np.random.Generator, least: int = 3) -> Array:
    """The first, the last and the largest cell of an array, and others drawn: `count` in all,
    but `least` at least. Ascending."""
    if count >= array.size:
        return np.arange(array.size)
    flat = array.reshape(-1)
    chosen = dict.fromkeys([_largest(flat), 0, array.size - 1])
    drawn = draw.integers(0, array.size, max(count, 0)).tolist()
    chosen.update(dict.fromkeys(drawn[: max(0, count - len(chosen))]))
    return np.sort(list(chosen)[: max(count, least)])


def _largest(flat: Array) -> int:
    """The place of a number that is large in size, of those that are finite."""
    places = (int(flat.argmax()), int(flat.argmin()))  # of NaN, where there is one
    finite = [place for place in places if np.isfinite(flat[place])]
    if finite:
        return max(finite, key=lambda place: abs(float(flat[place])))
    return int(np.argmax(np.where(np.isfinite(flat), np.abs(flat), -1.0)))
