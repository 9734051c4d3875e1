"""The report of a trace: its tables, and the data behind them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from html import escape
from itertools import groupby
from typing import Any

from ..formats.trace_json import strict
from ..formulas.angles import lengthening, score_lengthening, turn_of
from ..html.frame import bilingual
from ..oracle.operations import OPERATIONS
from ..shapes import Array
from ..show.chinese import chinese
from ..show.grid import Grid, clean
from ..show.headings import leaf_name, section_title
from ..show.layers import layer_rows
from ..show.numbers import shape_text
from ..show.paint import PLAIN
from ..show.stage_grid import CORNER, LARGEST, StageGrids, Style
from ..show.walk import GRADIENT_MARKS, Shown, gradient_of, shapes_of, walk
from ..stages.catalogue import Text
from ..stages.graph import Stage
from ..trace.trace import Trace
from .beside import ALONE, Beside, Part
from .flow import flow
from .page import Entry, Heading, Lead, Section, Tables, page
from .report_grid import ReportGrids

EMBEDDED = 16_384  # numbers of an array that is put into the page whole
READS = 500_000  # cells read to make a run once more in the page


def trace_report(
    trace: Trace,
    heading: Heading,
    style: Style | None = None,
    stages: list[str] | None = None,
    beside: Beside | None = None,
    lead: Lead | None = None,
) -> str:
    """The trace as one HTML file for a browser; `stages` as from `Graph.select`, `beside` another
    run of the same model, `lead` what stands above the stages."""
    style = replace(style or Style(), painter=PLAIN)
    sections = list(_Report(trace, style, beside).sections(stages))
    if len(zh := layer_rows(trace.config, "zh")) > 1:
        grids = [
            Grid([row[0] for row in rows[1:]], rows[0][1:], [row[1:] for row in rows[1:]])
            for rows in (zh, layer_rows(trace.config))
        ]
        table = Tables(Text("同样的层为一行", "layers that are alike are one row"),
                       [(Text("", ""), grids[0], grids[1])])  # fmt: skip
        heading = heading._replace(
            notes=(*heading.notes, (Text("各层的不同", "Layers that differ"), [table]))
        )
    picture = flow(sections, trace.graph, shapes_of(trace))
    data = report_data(trace, style, beside)
    return page(heading, sections, data, style.lang, picture, lead)


class _Report:
    def __init__(self, trace: Trace, style: Style, beside: Beside | None = None) -> None:
        self.trace = trace
        self.style = style
        self.beside = beside
        self.grids = ReportGrids(StageGrids(trace.tokens, trace.vocabulary, style))

    def sections(self, stages: list[str] | None) -> Iterator[Section]:
        """The parts of the model in order of computation, then the parameters."""
        stages_shown = list(walk(self.trace, self.style, stages))
        for name, group in groupby(stages_shown, lambda shown: shown.section):
            entries = [self.stage(shown) for shown in group]
            yield Section(name, section_title(name, self.trace.config), entries)
        read = {source for shown in stages_shown for source in shown.stage.inputs}
        parameters = [name for name in self.trace.parameters if f"parameters/{name}" in read]
        if parameters:
            title = Text("参数", "Parameters")
            yield Section("parameters", title, [self.parameter(name) for name in parameters])

    def stage(self, shown: Shown) -> Entry:
        """A stage with its number in computing order."""
        stage, name = shown.stage, shown.stage.name
        head = (
            f"<h3>[{shown.number}] {escape(leaf_name(name))}</h3> {bilingual(stage.leaf.title)} "
            f'<span class="formula"><code>{_formula(stage.formula)}</code> '
            f'<code class="quiet">{_formula(shown.shape)}</code></span>'
        )
        gradients = ""
        if shown.gradient is not None:
            gradient, decimals = shown.gradient
            gradients = self.sides(
                f"grad/{name}", gradient,
                lambda of, array, part: self.grids.stage(
                    stage, of, array, decimals, GRADIENT_MARKS, part
                ),
            )  # fmt: skip
        values = self.sides(
            name, shown.value,
            lambda of, array, part: self.grids.stage(
                stage, of, array, self.style.precision,
                shown.marks._replace(pinned=None) if part.is_other else shown.marks, part,
            ),
        )  # fmt: skip
        return self.entry(Entry(name, leaf_name(name), head, stage.leaf.why, values, gradients))

    def sides(self, name: str, own: Array, draw: Callable[[str, Array, Part], str]) -> str:
        """The tables of an array, and of the other run's where there is one and it differs."""
        if self.beside is None:
            return draw(name, own, ALONE)
        return self.beside.sides(name, own, lambda array, part: draw(name, array, part))

    def entry(self, entry: Entry) -> Entry:
        """An entry, which says how much differs, and is folded where it need not be seen."""
        if self.beside is None:
            return entry
        return entry._replace(
            head=entry.head + self.beside.says(entry.name),
            differs=self.beside.differs(entry.name),
            is_open=entry.name in self.beside.opened,
        )

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
        gradient = gradient_of(trace, full, self.style)
        if gradient is not None:
            values, decimals = gradient
            gradients = self.sides(
                f"grad/{full}", values,
                lambda of, array, part: self.grids.parameter(of, array, rows, decimals, part),
            )  # fmt: skip
        head = f'<h3>{escape(name)}</h3> <code class="quiet">{shape_text(array.shape)}</code>'
        shown = self.sides(
            full, array,
            lambda of, array, part: self.grids.parameter(
                of, array, rows, self.style.precision, part
            ),
        )  # fmt: skip
        return self.entry(Entry(full, "", head, None, shown, gradients))


def report_data(trace: Trace, style: Style, beside: Beside | None = None) -> dict[str, Any]:
    """What the page's script reads: the specifications of the stages and the arrays at full
    precision. Arrays above `EMBEDDED` numbers are left out unless `style.full`."""
    graph = trace.graph
    pinned = {name: where.ravel().nonzero()[0].tolist() for name, where in trace.pins.items()}

    def array(name: str, values: Array) -> dict[str, Any]:
        found: dict[str, Any] = {"shape": values.shape}
        if values.dtype.kind != "f":
            found["whole"] = True
        whole = style.full or values.size <= EMBEDDED
        if whole:
            found["values"] = strict(values.ravel().tolist())
        if name in trace.gradients:  # null: there is one, and it is not in the page
            found["gradient"] = strict(trace.grad(name).ravel().tolist()) if whole else None
        if name in pinned:
            found["pinned"] = pinned[name]
        return found if beside is None else found | beside.data(name, whole)

    return {
        "sizes": graph.sizes,
        "fixed": _fixed(trace, style, beside),
        "sides": None if beside is None else {"own": beside.own, "other": beside.other},
        "largest": LARGEST,
        "corner": CORNER,
        "full": style.full,
        "tokens": {side: [_clean(row) for row in rows] for side, rows in trace.tokens.items()},
        "vocabulary": None if trace.vocabulary is None else _clean(trace.vocabulary),
        "stages": {name: _specification(graph[name]) for name in trace.values},
        "arrays": {name: array(name, values) for name, values in trace.arrays.items()},
    }


def _fixed(trace: Trace, style: Style, beside: Beside | None) -> Text | None:
    """Why no cell can be set in the page; None: cells can."""
    if beside is not None:
        return Text("两次运行并排时不能改格子", "of two runs side by side no cell is set")
    if trace.phases:
        return Text(
            "生成要重新选词：请用命令再运行一次", "a generation chooses its words: run it again"
        )
    if trace.config.dtype != "float64":
        return Text(
            "本页以 float64 计算，这次运行不是", "the page computes in float64, this run did not"
        )
    if len(trace.values) < len(trace.graph) or trace.outside:
        return Text(
            "没有记录每个阶段，不能重新计算", "not every stage was recorded, so none is computed"
        )
    oracle, arrays = trace.oracle(), trace.arrays.values()
    work = sum(oracle.reads(stage) * trace[stage.name].size for stage in trace.graph)
    if work > READS or any(a.size > EMBEDDED and not style.full for a in arrays):
        return Text(
            "模型太大，本页不能重新计算：请用 --set",
            "too large to be computed in the page: use --set",
        )
    return None


def _formula(text: str) -> str:
    """In one or both languages, where the languages differ."""
    zh = chinese(text)
    return escape(text) if zh == text else bilingual(Text(zh, text))


def _clean(tokens: Sequence[str]) -> list[str]:
    return [clean(token) for token in tokens]


def _attributes(stage: Stage) -> dict[str, Any]:
    """What the page's operations read; of a scaling the angles that it makes."""
    found = dict(stage.attributes)
    scaling = found.pop("scaling", None)
    if scaling is not None:
        pairs = range(found["width"] // 2)
        found["turns"] = [turn_of(i, found["width"], found["base"], scaling) for i in pairs]
        found["lengthening"] = lengthening(scaling)
    if found.get("longer") is not None:
        found["longer"] = score_lengthening(found["longer"])
    return found


def _specification(stage: Stage) -> dict[str, Any]:
    return {
        "leaf": stage.leaf.name,
        "operation": stage.operation,
        "byRow": OPERATIONS[stage.operation].by_row,
        "inputs": stage.inputs,
        "specification": stage.specification,
        "axes": stage.axes,
        "sides": stage.sides,
        "attributes": _attributes(stage),
    }
