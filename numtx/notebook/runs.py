"""A trace, or one stage of it, as an output of a notebook: what the page shows, within bounds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from html import escape
from itertools import groupby
from typing import Any

from ..html.frame import bilingual, both
from ..page.report import report_data
from ..page.report_grid import ReportGrids
from ..shapes import Array
from ..show.chinese import chinese
from ..show.headings import leaf_name, section_title
from ..show.numbers import summary
from ..show.stage_grid import CORNER, StageGrids, Style
from ..show.walk import GRADIENT_MARKS, Shown, walk
from ..stages.catalogue import Text
from ..stages.graph import Stage
from ..trace.trace import RecordedStage, Trace

MOST_CELLS = 6_000  # of the tables of one output
MOST_NUMBERS = 20_000  # behind them
MOST_STAGES = 300  # headings
LARGE = 2_048  # cells of an array whose first row and heads alone are shown
_GRADIENT = Text("梯度", "gradient")
_MORE = Text("更多：trace.stage(NAME)", "more: trace.stage(NAME)")


def of_trace(trace: Trace, lang: str) -> tuple[str, dict[str, Any]]:
    """The parts of the model, folded, with their stages; and what the script reads."""
    tables = _Tables(trace, lang)
    stages = list(walk(trace, tables.style))
    body = f"<div>{escape(repr(trace).strip('<>'))}</div>"
    for name, part in groupby(stages[:MOST_STAGES], lambda shown: shown.section):
        title = f"{both(section_title(name, trace.config))} <code>{escape(name)}</code>"
        inside = "".join(tables.stage(shown, False) for shown in part)
        body += f"<details><summary>{title}</summary>{inside}</details>"
    if len(stages) > MOST_STAGES:
        body += f"<div>+ {len(stages) - MOST_STAGES}: {bilingual(_MORE)}</div>"
    return body, _data(trace, tables.shown, tables.style)


def of_stage(stage: RecordedStage, lang: str) -> tuple[str, dict[str, Any]]:
    """Its value and its gradient, open."""
    trace, name = stage
    tables = _Tables(trace, lang)
    (shown,) = walk(trace, tables.style, [name])
    body = tables.stage(shown, True)
    return body, _data(trace, [name], tables.style, gradients=True)


class _Tables:
    """Makes the tables of stages until there are `MOST_CELLS` cells; then one line for each."""

    def __init__(self, trace: Trace, lang: str) -> None:
        self.trace, self.style = trace, Style(lang=lang)
        self.left = MOST_CELLS
        self.shown: list[str] = []  # stages with tables

    def stage(self, shown: Shown, alone: bool) -> str:
        """A heading that opens; with its gradient where the stage stands alone."""
        stage, name = shown.stage, shown.stage.name
        head = f"<b>[{shown.number}] {escape(name if alone else leaf_name(name))}</b>"
        parts = [head, bilingual(stage.leaf.title)]
        parts += [f"<code>{_formula(x)}</code>" for x in (stage.formula, shown.shape) if x]
        body = self.array(shown, name, shown.value, self.style.precision)
        if alone and shown.gradient is not None:
            body += f"<div>{bilingual(_GRADIENT)}</div>"
            body += self.array(shown, f"grad/{name}", *shown.gradient)
        why = f'<div class="why">{bilingual(stage.leaf.why)}</div>'
        is_open = " open" if alone else ""
        return f"<details{is_open}><summary>{' '.join(parts)}</summary>{body}{why}</details>"

    def array(self, shown: Shown, of: str, array: Array, decimals: int) -> str:
        """Its tables: of a large one those of the first row and of the first heads."""
        style, most = self.style, array.size
        if array.size > LARGE and array.ndim > 2:
            style = replace(style, row=0, heads={"h": (0, 1), "g": (0, 1), "e": (0, 1)})
            most = 2 * min(array[0].size, CORNER**2 if max(array.shape[-2:]) > 32 else LARGE)
        elif array.ndim and max(array.shape[-2:]) > 32:
            most = min(most, CORNER * array.shape[-1 if array.ndim < 3 else -2])
        line = f"<div><code>{escape(summary(array))}</code></div>"
        if most > self.left:
            return line
        self.left -= most
        self.shown.append(shown.stage.name)
        marks = shown.marks if of == shown.stage.name else GRADIENT_MARKS
        grids = StageGrids(self.trace.tokens, self.trace.vocabulary, style)
        part = style is not self.style and grids.fits(array)  # of one that does not fit it is said
        return line * part + ReportGrids(grids).stage(shown.stage, of, array, decimals, marks)


def _formula(text: str) -> str:
    zh = chinese(text)
    return escape(text) if zh == text else bilingual(Text(zh, text))


def _data(
    trace: Trace, names: Sequence[str], style: Style, gradients: bool = False
) -> dict[str, Any]:
    """What the script reads of the stages that are shown; of what there is no room for the
    shape."""
    data = report_data(_part(trace, names, gradients), style)
    for name in names:
        data["arrays"].setdefault(name, {"shape": trace[name].shape})
    return data


def _part(trace: Trace, names: Sequence[str], gradients: bool) -> Trace:
    """The stages that are shown, what they read, and with gradients what reads them: as many as
    `MOST_NUMBERS` numbers have room for."""
    kept = dict(trace.inputs)  # counts, a number a token; masks read them
    room = MOST_NUMBERS
    for name in dict.fromkeys((*names, *_behind(trace, names, gradients))):
        size = _numbers(trace, name, gradients) if name in trace.arrays else room + 1
        if name not in kept and size <= room:
            kept[name] = trace.arrays[name]
            room -= size
    bare = {n.removeprefix("parameters/"): a for n, a in kept.items() if n not in trace.values}
    part = replace(
        trace,
        values={name: array for name, array in kept.items() if name in trace.values},
        parameters={name: array for name, array in bare.items() if name in trace.parameters},
        gradients={n: a for n, a in trace.gradients.items() if gradients and n in kept},
        pins={name: where for name, where in trace.pins.items() if name in kept},
    )
    part.__dict__["graph"] = trace.graph  # that of the whole run
    return part


def _behind(trace: Trace, names: Sequence[str], gradients: bool) -> Iterator[str]:
    graph = trace.graph
    for name in names:
        yield from _read(graph[name])
    for name in names if gradients else ():
        for reader in graph.consumers.get(name, ()):
            yield from (reader.name, *_read(reader))


def _read(stage: Stage) -> Iterator[str]:
    """What a stage reads, and names that its attributes hold."""
    yield from stage.inputs
    yield from (value for value in stage.attributes.values() if isinstance(value, str))


def _numbers(trace: Trace, name: str, gradients: bool) -> int:
    return trace.arrays[name].size * (1 + (gradients and name in trace.gradients))
