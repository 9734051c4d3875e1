"""A trace as Markdown: of each stage heading, formula, shapes, tables and why."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from ..shapes import Array
from ..show.chinese import chinese
from ..show.grid import Grid
from ..show.headings import leaf_name, on_one_line, pick, section_title
from ..show.numbers import cell, summary
from ..show.paint import PLAIN
from ..show.stage_grid import Marks, StageGrids, Style
from ..show.walk import GRADIENT_MARKS, Shown, walk
from ..stages.graph import Stage
from ..trace.trace import Trace

# What Markdown may read as more than a letter within a line; a backslash makes it one.
_SIGNS = re.compile(r"([\\`*_\[\]<>|~$&])")


def trace_markdown(
    trace: Trace,
    style: Style | None = None,
    stages: list[str] | None = None,
    gradients: bool = False,
) -> Iterator[str]:
    """The blocks of a trace, a blank line to stand between them; `stages` as from `Graph.select`.

    Tables are those of GitHub's Markdown (`| a | b |`); tokens are escaped.
    """
    style = replace(style or Style(), painter=PLAIN)
    grids = StageGrids(trace.tokens, trace.vocabulary, style)
    section = None
    for shown in walk(trace, style, stages):
        if shown.section != section:
            section = shown.section
            title = on_one_line(section_title(section, trace.config), style.lang)
            yield f"## {escaped(title)}" + (f" `{section}`" if section else "")
        yield from _stage(shown, grids)
        if gradients and shown.gradient is not None:
            gradient, decimals = shown.gradient
            head = pick(style.lang, "梯度", "Gradient")
            yield f"{head} `d loss / d {shown.stage.name}`"
            yield from _array(shown.stage, gradient, decimals, GRADIENT_MARKS, grids)


def escaped(text: str) -> str:
    """A text as it is, whatever signs of Markdown it holds."""
    return _SIGNS.sub(r"\\\1", text)


def _stage(shown: Shown, grids: StageGrids) -> Iterator[str]:
    stage, style = shown.stage, grids.style
    title = escaped(on_one_line(stage.leaf.title, style.lang))
    yield f"### {shown.number}. `{leaf_name(stage.name)}` {title}"
    how = [chinese(text, style.lang) for text in (stage.formula, shown.shape) if text]
    if how:
        yield "  \n".join(f"`{text}`" for text in how)
    yield from _array(stage, shown.value, style.precision, shown.marks, grids)
    yield f"*{escaped(on_one_line(stage.leaf.why, style.lang))}*"


def _array(
    stage: Stage, array: Array, decimals: int, marks: Marks, grids: StageGrids
) -> Iterator[str]:
    if array.ndim == 0:
        yield f"`{stage.name} = {cell(array.item(), max(decimals, 4))}`"
        return
    if array.ndim > 2 and not grids.fits(array):
        yield f"`{summary(array)}`"
    for panel in grids.panels(stage, array, decimals, marks):
        title, grid = panel.grid(grids.style.full, grids.style.lang)
        if title:
            yield escaped(title)
        yield table(grid)


def table(grid: Grid) -> str:
    """A grid as a table; numbers stand to the right."""
    notes = [[note.removeprefix("| ")] for note in grid.notes] or [[] for _ in grid.rows]
    noted = bool(grid.notes)
    lines = [["", *grid.columns, *[""] * noted]]
    lines += [[a, *b, *c] for a, b, c in zip(grid.rows, grid.cells, notes, strict=True)]
    head, *rows = (" | ".join(map(escaped, line)) for line in lines)
    sides = " | ".join([":--", *["--:"] * len(grid.columns), *[":--"] * noted])
    return "\n".join(f"| {line} |" for line in (head, sides, *rows))
