"""The report of a trace: its tables, and the data behind them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from html import escape
from itertools import groupby
from typing import Any

from ..oracle.operations import OPERATIONS
from ..shapes import Array
from ..show.grid import clean
from ..show.headings import leaf_name, section_of, section_title, shape_arithmetic
from ..show.json_text import strict
from ..show.numbers import decimals_for, shape_text
from ..show.paint import PLAIN
from ..show.stage_grid import CORNER, LARGEST, Marks, StageGrids, Style
from ..show.trace_text import check_row, marks_of, numbered
from ..stages.catalogue import Text
from ..stages.graph import Stage
from ..trace.trace import Trace
from .page import Entry, Heading, Section, page
from .report_grid import ReportGrids, bilingual

EMBEDDED = 16_384  # numbers of an array that is put into the page whole


def trace_report(
    trace: Trace, heading: Heading, style: Style | None = None, stages: list[str] | None = None
) -> str:
    """The trace as one HTML file for a browser; `stages` as from `show.trace_text.select`."""
    style = replace(style or Style(), painter=PLAIN)
    check_row(trace, style)
    sections = list(_Report(trace, style).sections(stages))
    return page(heading, sections, report_data(trace, style), style.lang)


class _Report:
    def __init__(self, trace: Trace, style: Style) -> None:
        self.trace = trace
        self.style = style
        self.grids = ReportGrids(StageGrids(trace.tokens, trace.vocabulary, style))
        self.shapes = {name: array.shape for name, array in trace.arrays.items()}

    def sections(self, stages: list[str] | None) -> Iterator[Section]:
        """The parts of the model in order of computation, then the parameters."""
        shown = list(numbered(self.trace, stages))
        for name, group in groupby(shown, lambda pair: section_of(pair[1])):
            entries = [self.stage(number, stage) for number, stage in group]
            yield Section(name, section_title(name, self.trace.config), entries)
        read = {source for _, name in shown for source in self.trace.graph[name].inputs}
        parameters = [name for name in self.trace.parameters if f"parameters/{name}" in read]
        if parameters:
            title = Text("参数", "Parameters")
            yield Section("parameters", title, [self.parameter(name) for name in parameters])

    def stage(self, number: int, name: str) -> Entry:
        """A stage with its number in computing order."""
        trace, stage = self.trace, self.trace.graph[name]
        array = trace[name]
        shape = shape_arithmetic(stage, self.shapes) if array.ndim else ""
        head = (
            f"<h3>[{number}] {escape(leaf_name(name))}</h3> {bilingual(stage.leaf.title)} "
            f'<span class="formula"><code>{escape(stage.formula)}</code> '
            f'<code class="quiet">{escape(shape)}</code></span>'
        )
        gradients = ""
        if name in trace.gradients:
            gradient = trace.grad(name)
            decimals = decimals_for(gradient, self.style.precision)
            gradients = self.grids.stage(stage, f"grad/{name}", gradient, decimals, Marks(zero="0"))
        values = self.grids.stage(stage, name, array, self.style.precision, marks_of(trace, name))
        return Entry(name, leaf_name(name), head, stage.leaf.why, values, gradients)

    def parameter(self, name: str) -> Entry:
        """A parameter; the rows of the output's embedding are named by their tokens."""
        trace, full = self.trace, f"parameters/{name}"
        array = trace.parameters[name]
        rows = None
        own = (
            "embedding" if trace.config.shared_embedding else f"{trace.config.sides[-1]}.embedding"
        )
        if name == own and trace.vocabulary is not None:
            rows = [f"{i} {clean(token)}" for i, token in enumerate(trace.vocabulary)]
        gradients = ""
        if full in trace.gradients:
            gradient = trace.grad(full)
            decimals = decimals_for(gradient, self.style.precision)
            gradients = self.grids.parameter(f"grad/{full}", gradient, rows, decimals)
        head = f'<h3>{escape(name)}</h3> <code class="quiet">{shape_text(array.shape)}</code>'
        values = self.grids.parameter(full, array, rows, self.style.precision)
        return Entry(full, "", head, None, values, gradients)


def report_data(trace: Trace, style: Style) -> dict[str, Any]:
    """What the page's script reads: the specifications of the stages and the arrays at full
    precision. Arrays above `EMBEDDED` numbers are left out unless `style.full`."""
    graph = trace.graph
    pinned = {name: where.ravel().nonzero()[0].tolist() for name, where in trace.pins.items()}

    def array(name: str, values: Array) -> dict[str, Any]:
        found: dict[str, Any] = {"shape": values.shape}
        whole = style.full or values.size <= EMBEDDED
        if whole:
            found["values"] = strict(values.ravel().tolist())
        if name in trace.gradients:  # null: there is one, and it is not in the page
            found["gradient"] = strict(trace.grad(name).ravel().tolist()) if whole else None
        if name in pinned:
            found["pinned"] = pinned[name]
        return found

    return {
        "sizes": graph.sizes,
        "largest": LARGEST,
        "corner": CORNER,
        "full": style.full,
        "tokens": {side: [_clean(row) for row in rows] for side, rows in trace.tokens.items()},
        "vocabulary": None if trace.vocabulary is None else _clean(trace.vocabulary),
        "stages": {name: _specification(graph[name]) for name in trace.values},
        "arrays": {name: array(name, values) for name, values in trace.arrays.items()},
    }


def _clean(tokens: Sequence[str]) -> list[str]:
    return [clean(token) for token in tokens]


def _specification(stage: Stage) -> dict[str, Any]:
    return {
        "leaf": stage.leaf.name,
        "operation": stage.operation,
        "byRow": OPERATIONS[stage.operation].by_row,
        "inputs": stage.inputs,
        "specification": stage.specification,
        "axes": stage.axes,
        "sides": stage.sides,
        "attributes": stage.attributes,
    }
