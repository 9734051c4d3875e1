"""The grids of the report: heat-coloured tables whose cells a script can find."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from html import escape

import numpy as np

from ..html.frame import bilingual
from ..shapes import Array
from ..show.numbers import cell, summary
from ..show.stage_grid import NO_MARKS, Marks, Panel, StageGrids
from ..stages.catalogue import Text
from ..stages.graph import Stage
from .beside import ALONE, Part

LEVELS = 5  # of heat, for each sign


class ReportGrids:
    """Makes the tables of the arrays of one run from the panels of `grids`."""

    def __init__(self, grids: StageGrids) -> None:
        self.grids = grids

    def stage(
        self, stage: Stage, of: str, array: Array, decimals: int, marks: Marks = NO_MARKS,
        part: Part = ALONE,
    ) -> str:  # fmt: skip
        """All tables of a stage's value, or of its gradient."""
        if array.ndim == 0:
            one = _numbers(array.reshape(1, 1), [""], [""], max(decimals, 4), line=True)
            return self.html(of, [one], 0.0, part)
        panels = self.grids.panels(stage, array, decimals, marks)
        large = "" if self.grids.fits(array) else _summary(array)
        if of != stage.name:  # sums and the largest entry are said of values
            panels = (panel._replace(note=None) for panel in panels)
        return large + self.html(of, panels, _heat(stage, of, array), part)

    def parameter(
        self, of: str, array: Array, rows: Sequence[str] | None, decimals: int, part: Part = ALONE
    ) -> str:
        """The table of a parameter, or of its gradient; of a stack, one of each of its matrices."""
        if array.ndim == 3:
            return "".join(self._stacked(of, array, decimals, part))
        line = array.ndim == 1
        matrix = array[None] if line else array
        labels = [""] if line else rows or [str(i) for i in range(len(matrix))]
        columns = [str(j) for j in range(matrix.shape[1])]
        large = "" if self.grids.fits(matrix) else _summary(array)
        panel = _numbers(matrix, labels, columns, decimals, line)
        return large + self.html(of, [panel], _largest(array), part)

    def _stacked(self, of: str, array: Array, decimals: int, part: Part) -> Iterator[str]:
        if not self.grids.fits(array):
            yield _summary(array)
        rows, columns = ([str(i) for i in range(n)] for n in array.shape[1:])
        panels = (
            _numbers(matrix, rows, columns, decimals, False)._replace(
                place=(i,), title=Text(f"第 {i} 个", f"number {i}")
            )
            for i, matrix in enumerate(array)
        )
        yield self.html(of, panels, _largest(array), part)

    def html(self, of: str, panels: Iterable[Panel], heat: float, part: Part) -> str:
        """Tables beside one another. `of` says which array they show, `heat` the number that is
        coloured strongest; 0: no colour."""
        tables = (self.table(of, panel, heat, part) for panel in panels)
        return f'<div class="matrices">{"".join(tables)}</div>'

    def table(self, of: str, panel: Panel, heat: float, part: Part) -> str:
        """A table, whole or its corners."""
        where = None
        if part.differing is not None:  # of one mask for all heads the first head's
            where = part.differing[panel.place].reshape(panel.matrix.shape)
        rows, columns = panel.shown(self.grids.style.full)
        heads = "".join(
            "<th>...</th>" if j is None else f'<th scope="col">{escape(panel.columns[j])}</th>'
            for j in columns
        )
        body = "".join(
            f'<tr><th scope="row">{"..." if i is None else escape(panel.rows[i])}</th>'
            f"{''.join(_cell(panel, i, j, heat, where) for j in columns)}{_note(panel, i)}</tr>\n"
            for i in rows
        )
        foot = (
            "".join(_GAP if j is None else f"<td>{escape(panel.foot[j])}</td>" for j in columns)
            if panel.foot
            else ""
        )
        at = ",".join(map(str, panel.place))
        title, label = panel.title, escape(f"{of}[{at}]" if at else of)
        return (
            '<figure class="matrix">'
            + (f"<figcaption>{bilingual(title)}</figcaption>" if title.en else "")
            + f'<table class="grid" role="grid" aria-label="{label}" data-of="{escape(of)}" '
            f'data-at="{at}"{" data-line" if panel.line else ""}'
            f"{' data-other' if part.is_other else ''}>"
            + (f"<thead><tr><td></td>{heads}</tr></thead>" if any(panel.columns) else "")
            + f"<tbody>{body}</tbody>"
            + (f"<tfoot><tr><td></td>{foot}</tr></tfoot>" if foot else "")
            + "</table></figure>\n"
        )


_GAP = "<td>...</td>"


def _numbers(
    matrix: Array, rows: Sequence[str], columns: Sequence[str], decimals: int, line: bool
) -> Panel:
    """A panel of what is no stage."""

    def text(i: int, j: int) -> str:
        return cell(matrix[i, j].item(), decimals)

    return Panel((), Text("", ""), matrix, rows, columns, text, line=line)


def _cell(
    panel: Panel, i: int | None, j: int | None, heat: float, where: Array | None = None
) -> str:
    if i is None or j is None:
        return _GAP
    number = panel.matrix[i, j].item()
    style = ""
    if panel.mask is not None and not panel.mask[i, j]:
        style = "x"
    elif heat and isinstance(number, float) and math.isfinite(number):
        level = min(LEVELS, round(LEVELS * (abs(number) / heat)))
        style = f"{'n' if number < 0 else 'p'}{level}" if level else ""
    text = escape(panel.text(i, j))
    if where is not None and where[i, j]:
        return f'<td class="{style} d">{text}</td>'
    return f"<td class={style}>{text}</td>" if style else f"<td>{text}</td>"


def _note(panel: Panel, i: int | None) -> str:
    if panel.note is None or i is None:
        return ""
    return f'<td class="note">{escape(panel.note(i).removeprefix("| "))}</td>'


def _heat(stage: Stage, of: str, array: Array) -> float:
    """Weights and probabilities are coloured on the scale from 0 to 1."""
    if of == stage.name and stage.leaf.name in ("weights", "probabilities"):
        return 1.0
    return _largest(array)


def _largest(array: Array) -> float:
    """The largest finite absolute value of floats; 0 for other numbers."""
    if array.dtype.kind != "f":
        return 0.0
    finite = np.abs(array[np.isfinite(array)])
    return float(finite.max()) if finite.size else 0.0


def _summary(array: Array) -> str:
    return f'<p class="summary"><code>{escape(summary(array))}</code></p>'
