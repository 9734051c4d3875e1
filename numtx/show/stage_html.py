"""A run as plain HTML tables, for a notebook: no scripts, every token escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from ..shapes import Array
from ..stages.graph import Stage
from .grid import Grid
from .headings import say, shape_arithmetic
from .numbers import cell, summary
from .stage_grid import Marks, StageGrids


def stage_html(
    number: int,
    stage: Stage,
    array: Array,
    marks: Marks,
    shapes: Mapping[str, Sequence[int]],
    grids: StageGrids,
) -> str:
    """One stage as a section that folds."""
    style = grids.style
    head = f"[{number}] {stage.name}"
    about = [say(stage.leaf.title, style.lang), stage.formula]
    if array.ndim:
        about.append(shape_arithmetic(stage, shapes))
        body = "" if grids.fits(array) else f"<p><code>{escape(summary(array))}</code></p>"
        for title, grid in grids.grids(stage, array, style.precision, marks):
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
