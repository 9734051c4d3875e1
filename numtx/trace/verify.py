"""The check of a trace by the oracle: every stage and every gradient from recorded inputs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..shapes import Array
from ..stages.cells import Cell, Number
from ..stages.resolve import Stage
from .trace import Trace


class Finding(NamedTuple):
    """What the check of one array found. `worst` is the largest error in units of tolerance:
    above 1 the array is wrong; the cell, what the oracle expects there and what was recorded."""

    name: str
    kind: str  # value or gradient
    cells: int
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


class Report(NamedTuple):
    """All findings of a check, in order of computation."""

    findings: list[Finding]

    @property
    def ok(self) -> bool:
        return all(finding.ok for finding in self.findings)

    @property
    def wrong(self) -> list[Finding]:
        """The arrays that do not follow from their inputs, the first computed first."""
        return [finding for finding in self.findings if not finding.ok]


def verify(trace: Trace) -> Report:
    """Recompute every recorded stage from its recorded inputs, and every recorded gradient
    from the recorded gradients of its consumers.

    An array is right where it differs by at most 8 * eps * the sum of the absolute terms.
    """
    return _Check(trace).report()


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

    def report(self) -> Report:
        trace = self.trace
        findings = [
            self.values(stage)
            for stage in trace.graph
            if stage.name in trace and self.oracle.has(stage)
        ]
        for name, sums in self.sums.items():
            if name in trace.gradients:
                findings.append(
                    self.worst(name, "gradient", trace.grad(name), sums.total, sums.size)
                )
        return Report(findings)

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
        return self.worst(name, "value", array, expected, sizes)

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
        self, name: str, kind: str, array: Array, expected: Sequence[Number], sizes: list[float]
    ) -> Finding:
        """The cell of an array with the largest error in units of its tolerance."""
        worst, place = 0.0, 0
        recorded = array.ravel().tolist()
        for offset, (got, right, size) in enumerate(zip(recorded, expected, sizes, strict=True)):
            error = self.error(got, right, size)
            if error > worst:
                worst, place = error, offset
        index = tuple(int(i) for i in np.unravel_index(place, array.shape))
        return Finding(name, kind, len(recorded), worst, index, expected[place], recorded[place])

    def error(self, got: Number, right: Number, size: float) -> float:
        if got == right or (got != got and right != right):
            return 0.0
        difference = abs(got - right)
        if not math.isfinite(difference):
            return math.inf
        return difference / (self.unit * size + self.tiny)
