"""The check of a trace by the oracle: every stage and every gradient from recorded inputs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..errors import TraceError
from ..shapes import Array, describe
from ..small_repr import small_repr
from ..stages.cells import Cell, Number
from ..stages.consumers import consumers, cost
from ..stages.resolve import Stage
from .trace import Trace

BUDGET = 1_000_000  # cells read, up to which every cell is checked


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
    expected: Number
    got: Number

    @property
    def ok(self) -> bool:
        return self.worst <= 1.0

    def __str__(self) -> str:
        place = f"{self.name}[{','.join(map(str, self.cell))}]"
        return (
            f"{self.kind} of {place}: expected {self.expected!r}, got {self.got!r} "
            f"({self.worst:.3g} times the tolerance)"
        )


@small_repr("ok", "share", "wrong", "findings", "skipped")
class Report(NamedTuple):
    """All findings of a check, in order of computation. `skipped` are arrays of which no cell
    was checked: an input is missing, or one cell alone would take too long."""

    findings: list[Finding]
    skipped: list[str]

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


def verify(trace: Trace, budget: int | None = BUDGET, seed: int = 0) -> Report:
    """Recompute every recorded stage from its recorded inputs, and every recorded gradient
    from the recorded gradients of its consumers.

    An array is right where it differs by at most 8 * eps * the sum of the absolute terms.

    budget  how many cells may be read in all; where more would be, cells are sampled: the
            first, the last, the largest, and others drawn by `seed`. None: no limit
    """
    for name, array in trace.values.items():
        axes = trace.graph[name].axes
        if array.ndim != len(axes) or array.dtype.kind not in "fbiu":
            raise TraceError(
                f"{name} is {describe(array)}; it should be numbers with {len(axes)} axes"
            )
    try:
        return _checked(trace, budget, seed)
    except (IndexError, ValueError) as error:
        raise TraceError(
            f"the shapes of the trace do not fit one another ({error}); trace it again"
        ) from None


def _checked(trace: Trace, budget: int | None, seed: int) -> Report:
    check = _Check(trace)
    if budget is not None and check.reads() > budget:
        return check.sampled(budget, np.random.default_rng(seed))
    return check.report()


class _Sums:
    """The gradient that reaches the cells of one source: its total, and its absolute terms."""

    def __init__(self, cells: int) -> None:
        self.total = [0.0] * cells
        self.size = [0.0] * cells


class _Check:
    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.oracle = trace.oracle()
        self.unit = 8.0 * self.oracle.eps
        self.tiny = float(np.finfo(trace.config.dtype).tiny)
        self.sums: dict[str, _Sums] = {}
        self.stages = [s for s in trace.graph if s.name in trace and self.oracle.has(s)]
        checked = {stage.name for stage in self.stages}
        lost = [stage for stage in trace.graph if stage.name not in checked]
        self.skipped = [stage.name for stage in lost if stage.name in trace]
        # A gradient of which a share cannot be known; a trace without gradients has none.
        partly = dict.fromkeys(source for stage in lost for source in stage.inputs)
        self.partly = [name for name in partly if name in trace.gradients]
        self.skipped += [f"grad/{name}" for name in self.partly]

    def reads_each(self, stage: Stage) -> int:
        """How many cells one cell of a stage reads."""
        return 1 + len(self.oracle.cell(stage.name, (0,) * self.trace[stage.name].ndim).reads)

    def reads(self) -> int:
        """How many cells a check of everything reads."""
        return sum(self.trace[s.name].size * self.reads_each(s) for s in self.stages)

    def report(self) -> Report:
        findings = [self.values(stage) for stage in self.stages]
        for name, sums in self.sums.items():
            if name in self.trace.gradients and name not in self.partly:
                gradient = self.trace.grad(name)
                findings.append(self.worst(name, "gradient", gradient, None, sums.total, sums.size))
        return Report(findings, self.skipped)

    def sampled(self, budget: int, draw: np.random.Generator) -> Report:
        """Some cells of every stage; some of every gradient, as far as the budget goes."""
        share = budget // (2 * len(self.stages))
        findings = []
        for stage in self.stages:
            array = self.trace[stage.name]
            offsets = _sample(array, share // self.reads_each(stage), draw)
            cells = [self.recomputed(stage.name, offset) for offset in offsets]
            expected, sizes = [c.value for c in cells], [c.magnitude for c in cells]
            findings.append(self.worst(stage.name, "value", array, offsets, expected, sizes))
        left = budget // 2
        sources = dict.fromkeys(source for stage in self.stages for source in stage.inputs)
        for name in sources:
            if name not in self.trace.gradients or name in self.partly:
                continue
            array = self.trace.grad(name)
            each = cost(self.oracle, name, (0,) * array.ndim)
            if each > left:
                self.skipped.append(f"grad/{name}")
                continue
            offsets = _sample(array, share // max(each, 1), draw, least=1)
            left -= len(offsets) * each
            sums = [self.gradient(name, offset) for offset in offsets]
            expected, sizes = [total for total, _ in sums], [size for _, size in sums]
            findings.append(self.worst(name, "gradient", array, offsets, expected, sizes))
        return Report(findings, self.skipped)

    def recomputed(self, name: str, offset: int) -> Cell:
        """A cell as the oracle has it; a pinned one as it was recorded."""
        cells = self.oracle.cells(name)
        index = cells.index(offset)
        if name in self.trace.pins and self.trace.pins[name][index]:
            return Cell(cells.flat[offset], 0.0, [])
        return self.oracle.cell(name, index)

    def gradient(self, name: str, offset: int) -> tuple[float, float]:
        """The gradient at one cell from those of its consumers, and its absolute terms."""
        trace, total, size = self.trace, 0.0, 0.0
        for share in consumers(self.oracle, name, self.oracle.cells(name).index(offset)):
            consumer = share.stage.name
            pins = trace.pins.get(consumer)
            if consumer in trace.gradients and (pins is None or not pins[share.cell]):
                flow = trace.grad(consumer)[share.cell].item()
                total += flow * share.partial
                size += abs(flow) * share.size
        return total, size

    def values(self, stage: Stage) -> Finding:
        """Recompute a stage; on the way, pass its recorded gradient on to what it read."""
        trace, name = self.trace, stage.name
        array = trace[name]
        flow = self.flow(name)
        expected: list[Number] = []
        sizes: list[float] = []
        pinned = trace.pins[name].ravel().tolist() if name in trace.pins else None
        recorded = array.ravel().tolist()
        for offset, index in enumerate(np.ndindex(array.shape)):
            cell = self.oracle.cell(name, index)
            is_pinned = pinned is not None and pinned[offset]
            expected.append(recorded[offset] if is_pinned else cell.value)
            sizes.append(cell.magnitude)
            if flow is not None and flow[offset] != 0.0 and not is_pinned:
                self.pass_on(flow[offset], cell)
        if flow is not None:  # a source that got nothing at all still has a gradient: zero
            for source in stage.inputs:
                self.sums_of(source)
        return self.worst(name, "value", array, None, expected, sizes)

    def flow(self, name: str) -> list[float] | None:
        if name not in self.trace.gradients:
            return None
        flow: list[float] = self.trace.grad(name).ravel().tolist()
        return flow

    def sums_of(self, source: str) -> _Sums:
        if source not in self.sums:
            self.sums[source] = _Sums(len(self.oracle.cells(source).flat))
        return self.sums[source]

    def pass_on(self, gradient: float, cell: Cell) -> None:
        for read in cell.reads:
            if read.partial or read.size:
                sums = self.sums_of(read.source)
                sums.total[read.offset] += gradient * read.partial
                sums.size[read.offset] += abs(gradient) * read.size

    def worst(
        self,
        name: str,
        kind: str,
        array: Array,
        offsets: Sequence[int] | None,  # the cells that were checked; None: all
        expected: Sequence[Number],
        sizes: Sequence[float],
    ) -> Finding:
        """The cell of an array with the largest error in units of its tolerance."""
        flat = array.reshape(-1)
        recorded = (flat if offsets is None else flat[list(offsets)]).tolist()
        worst, place = 0.0, 0
        for k, (got, right, size) in enumerate(zip(recorded, expected, sizes, strict=True)):
            error = self.error(got, right, size)
            if error > worst:
                worst, place = error, k
        offset = place if offsets is None else offsets[place]
        index = tuple(int(i) for i in np.unravel_index(offset, array.shape))
        return Finding(
            name, kind, len(recorded), array.size, worst, index, expected[place], recorded[place]
        )

    def error(self, got: Number, right: Number, size: float) -> float:
        if got == right or (got != got and right != right):
            return 0.0
        difference = abs(got - right)
        if not math.isfinite(difference):
            return math.inf
        return difference / (self.unit * size + self.tiny)


def _sample(array: Array, count: int, draw: np.random.Generator, least: int = 3) -> list[int]:
    """The first, the last and the largest cell of an array, and others drawn: `count` in all,
    but `least` at least."""
    if count >= array.size:
        return list(range(array.size))
    flat = array.reshape(-1)
    finite = np.where(np.isfinite(flat), np.abs(flat.astype(np.float64)), -1.0)
    chosen = dict.fromkeys([int(np.argmax(finite)), 0, array.size - 1])
    drawn = draw.integers(0, array.size, max(count, 0)).tolist()
    chosen.update(dict.fromkeys(drawn[: max(0, count - len(chosen))]))
    return list(chosen)[: max(count, least)]
