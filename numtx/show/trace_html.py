"""A run as plain HTML tables, for a notebook: no scripts, every token escaped."""

from __future__ import annotations

from html import escape

from ..trace.trace import Trace
from .chinese import chinese
from .grid import Grid
from .headings import say
from .numbers import cell, summary
from .stage_grid import StageGrids, Style
from .walk import Shown, walk


def trace_html(trace: Trace, style: Style | None = None) -> str:
    """The trace as HTML that folds."""
    grids = StageGrids(trace.tokens, trace.vocabulary, style or Style())
    return "\n".join(_stage(shown, grids) for shown in walk(trace, grids.style))


def _stage(shown: Shown, grids: StageGrids) -> str:
    """One stage as a section that folds."""
    style, stage, array = grids.style, shown.stage, shown.value
    head = f"[{shown.number}] {stage.name}"
    about = [say(stage.leaf.title, style.lang), chinese(stage.formula, style.lang)]
    if array.ndim:
        about.append(chinese(shown.shape, style.lang))
        body = "" if grids.fits(array) else f"<p><code>{escape(summary(array))}</code></p>"
        for panel in grids.panels(stage, array, style.precision, shown.marks):
            title, grid = panel.grid(style.full, style.lang)
            body += (f"<p>{escape(title)}</p>" if title else "") + _table(grid)
    else:
        body = f"<p><code>{cell(array.item(), max(style.precision, 4))}</code></p>"
    return (
        f"<details><summary><b>{escape(head)}</b> {escape('   '.join(about))}</summary>"
        f"{body}<p><i>{escape(say(stage.leaf.why, style.lang))}</i></p></details>"
    )


def _table(grid: Grid) -> str:
    heads = "".join(f"<th scope='col'>{escape(name)}</th>" for name in grid.columns)
    rows = []
    for i, (label, cells) in enumerate(zip(grid.rows, grid.cells, strict=True)):
        numbers = "".join(f"<td style='text-align:right'>{escape(x)}</td>" for x in cells)
        note = f"<td style='text-align:left'>{escape(grid.notes[i])}</td>" if grid.notes else ""
        rows.append(f"<tr><th scope='row'>{escape(label)}</th>{numbers}{note}</tr>")
    return f"<table><tr><td></td>{heads}</tr>{''.join(rows)}</table>"
