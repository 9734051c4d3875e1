"""Rows of the ledger as text: what is stated and computed, matrices as grids side by side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from ..show.grid import Grid, display_width, grid_text
from ..show.headings import pick
from ..show.numbers import fixed
from ..show.stage_grid import Style
from ..show.trace_text import trace_text
from ..show.wrap import wrap
from ..stages.catalogue import Text
from .judges import VERDICTS, Equal, Illustration, Printed
from .ledger import ROWS
from .row import Result, summary
from .runs import trace as trace_of

STATED, COMPUTED = Text("文中", "stated"), Text("算出", "computed")
WHY, LINES = Text("理由", "why"), Text("行", "lines")


def ledger_text(results: Iterable[Result], style: Style) -> Iterator[str]:
    """Every row with its texts whole, below the headings of the sections."""
    section = None
    for result in results:
        row = result.row
        if (row.document, row.section) != section:
            section = row.document, row.section
            line = f"== {row.document}   {row.section} "
            yield ""
            yield style.painter.bold(line + "=" * max(2, style.width - display_width(line)))
        yield f"{row.id}   {verdict_name(result.verdict, style.lang)}"
        yield from row_text(result, style)


def row_text(result: Result, style: Style) -> Iterator[str]:
    """What is stated, what is computed and why the verdict follows."""
    row, outcome = result.row, result.outcome
    grids = grids_of(result)
    parts = [
        (STATED, row.text if grids else row.stated),
        (COMPUTED, Text("", "") if grids else outcome.computed),
        (WHY, result.reason),
    ]
    for k, (head, text) in enumerate(parts):
        yield from _wrapped(head, text, style)
        if k == 0 and grids:
            yield from pair_text(grids, style)


def _wrapped(head: Text, text: Text, style: Style) -> Iterator[str]:
    """A part of a row in the languages of the style, once where both are alike."""
    said = [text.en] if style.lang == "en" else [text.zh]
    if style.lang == "both" and text.en != text.zh:
        said.append(text.en)
    name = head.zh if style.lang == "zh" else head.en
    for one in said:
        if one and one != "-":
            first = "  " + name + " " * (10 - display_width(name))
            yield from wrap(one, style.width, None, first, " " * 12)
        name = ""


def verdict_name(verdict: str, lang: str) -> str:
    """The name of a verdict; Chinese beside or in place of the English."""
    if lang == "both":
        return f"{verdict} {VERDICTS[verdict]}"
    return VERDICTS[verdict] if lang == "zh" else verdict


def grids_of(result: Result) -> list[tuple[Text, Grid]]:
    """The stated matrix and the computed one with their labels; empty where none is stated. A
    list of numbers is a matrix of one row."""
    judge, labels = result.row.judge, result.row.labels
    if labels is None or (result.outcome.value is None and result.verdict == "open"):
        return []
    decimals = 1
    if isinstance(judge, Printed | Illustration):
        decimals = judge.decimals
    elif isinstance(judge, Equal):  # whole numbers
        decimals = 0
    rows, columns = (list(names) for names in labels)
    found = [
        (name, np.atleast_2d(np.asarray(value, float)))
        for name, value in ((STATED, judge.stated), (COMPUTED, result.outcome.value))
        if value is not None
    ]
    if any(value.shape != (len(rows), len(columns)) for _, value in found):
        return []
    return [
        (name, Grid(rows, columns, [[fixed(float(x), decimals) for x in line] for line in value]))
        for name, value in found
    ]


def pair_text(grids: Sequence[tuple[Text, Grid]], style: Style) -> Iterator[str]:
    """The grids beside one another where they fit, else one below the other; those of one row
    as the rows of one grid."""
    titles = [name.zh if style.lang == "zh" else name.en for name, _ in grids]
    rows, columns, *_ = grids[0][1]
    if len(rows) == 1:
        one = Grid(titles, columns, [grid.cells[0] for _, grid in grids])
        yield from grid_text(one, style.width).split("\n")
        return
    blocks = [_block(columns, grid.cells) for _, grid in grids]
    label = max(map(display_width, rows))
    names = [" " * label, *(name + " " * (label - display_width(name)) for name in rows)]
    wide = label + sum(display_width(block[0]) for block in blocks) + 2 * (len(blocks) - 1)
    if wide <= style.width:
        sizes = [display_width(block[0]) for block in blocks]
        yield " " * label + "  ".join(
            " " * (size - display_width(title)) + title
            for size, title in zip(sizes, titles, strict=True)
        )
        for k, name in enumerate(names):
            yield (name + "  ".join(block[k] for block in blocks)).rstrip()
        return
    for title, (_, grid) in zip(titles, grids, strict=True):
        yield title
        yield from grid_text(grid, style.width).split("\n")


def _block(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> list[str]:
    """Lines of one width: the heads, then the rows; a space before each column."""
    table = [list(columns), *(list(line) for line in cells)]
    sizes = [max(display_width(line[j]) for line in table) for j in range(len(columns))]
    return [
        "".join(
            " " * (1 + size - display_width(x)) + x for x, size in zip(line, sizes, strict=True)
        )
        for line in table
    ]


def at_length(result: Result, style: Style) -> Iterator[str]:
    """One row with everything, and the stages behind it."""
    row = result.row
    yield style.painter.bold(f"{row.id}   {row.document}, {row.section}")
    yield verdict_name(result.verdict, style.lang)
    yield from row_text(result, style)
    yield from _wrapped(LINES, Text(row.at, row.at), style)
    if row.stages and result.verdict != "open":
        name, *stages = row.stages
        trace = row.witness() if row.witness is not None else trace_of(name)
        found = pick(style.lang, "例子", "example")
        if row.witness is not None:
            found = pick(style.lang, "这一行的见证参数", "parameters of the row's witness")
        yield ""
        yield f"{pick(style.lang, '背后', 'behind it')}: {name} ({found}), {', '.join(stages)}"
        for block in trace_text(trace, style, stages):
            yield ""
            yield block


def summary_text(results: Iterable[Result], style: Style) -> str:
    """Counts by document and verdict."""
    (_, *heads), table = summary(results)
    if style.lang == "zh":
        heads = [VERDICTS.get(name, "条") for name in heads]
    rows = [pick(style.lang, "合计", name) if name == "all" else name for name, *_ in table]
    return grid_text(Grid(rows, heads, [line[1:] for line in table]), style.width)


def systems_table(lang: str) -> tuple[list[str], list[list[str]]]:
    """Document 003's six systems of special tokens: what it lists, and what of it models have."""
    rows = [
        [
            row.id.rpartition("-")[2].upper(), " ".join(row.judge.stated),
            " ".join(row.run().outcome.value), verdict_name(row.run().verdict, lang),
        ]
        for row in ROWS
        if row.id.startswith("003.tokens-") and row.id != "003.tokens-own"
    ]  # fmt: skip
    heads = ["", "listed", "of these it has", "verdict"]
    return ["", "文档列出", "其中模型真有", "结论"] if lang == "zh" else heads, rows
