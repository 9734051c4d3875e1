"""The grids of the report: heat-coloured tables whose cells a script can find."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from html import escape
from typing import NamedTuple

import numpy as np

from ..shapes import Array
from ..show.grid import corners, matrices
from ..show.numbers import MASKED, cell, summary
from ..show.stage_grid import CORNER, LARGEST, NO_MARKS, Marks, StageGrids
from ..stages.catalogue import Text
from ..stages.graph import Stage

LEVELS = 5  # of heat, for each sign
_PLACES = {
    "b": Text("第 {} 行", "row {}"),
    "h": Text("头 {}", "head {}"),
    "g": Text("键值头 {}", "key/value head {}"),
}


def bilingual(text: Text) -> str:
    """A text in both languages, of which the page shows one or both."""
    return f'<span lang="zh">{escape(text.zh)}</span> <span lang="en">{escape(text.en)}</span>'


Writer = Callable[[int, int], str]  # the text of a cell


class Table(NamedTuple):
    """One table: a matrix with its labels, the text of its cells, and how it is found.

    of, at  which array, and which matrix of it: leading indices, `0,1`
    heat    the number that is coloured strongest; 0: no colour
    line    a single row, which has no index of its own
    """

    of: str
    at: str
    matrix: Array
    rows: Sequence[str]
    columns: Sequence[str]
    text: Writer
    heat: float = 0.0
    line: bool = False
    title: Text = Text("", "")
    notes: Sequence[str] = ()
    foot: Sequence[str] = ()
    mask: Array | None = None


class ReportGrids:
    """Makes the tables of the arrays of one run. `grids` labels them and writes their cells."""

    def __init__(self, grids: StageGrids) -> None:
        self.grids = grids

    def stage(
        self, stage: Stage, of: str, array: Array, decimals: int, marks: Marks = NO_MARKS
    ) -> str:
        """All tables of a stage's value, or of its gradient."""
        if array.ndim == 0:
            one, decimals = array.reshape(1, 1), max(decimals, 4)
            return self.html([Table(of, "", one, [""], [""], _numbers(one, decimals), line=True)])
        make = self.per_token if len(stage.axes) == 2 else self.matrices
        large = "" if self.grids.fits(array) else _summary(array)
        return large + self.html(make(stage, of, array, decimals, marks))

    def parameter(self, of: str, array: Array, rows: Sequence[str] | None, decimals: int) -> str:
        """The table of a parameter, or of its gradient."""
        line = array.ndim == 1
        matrix = array[None] if line else array
        labels = [""] if line else rows or [str(i) for i in range(len(matrix))]
        columns = [str(j) for j in range(matrix.shape[1])]
        table = Table(
            of, "", matrix, labels, columns, _numbers(matrix, decimals), _largest(array), line
        )  # fmt: skip
        large = "" if self.grids.fits(matrix) else _summary(array)
        return large + self.html([table])

    def per_token(
        self, stage: Stage, of: str, array: Array, decimals: int, marks: Marks
    ) -> Iterator[Table]:
        """One number a token: a table for each row of the batch; ignored labels are hatched."""
        for row in range(array.shape[0]):
            if self.grids.style.row not in (None, row):
                continue
            alone = replace(self.grids.style, row=row)
            grids = StageGrids(self.grids.tokens, self.grids.vocabulary, alone)
            ((_, grid),) = grids.per_token(stage, array, decimals, marks)
            texts = grid.cells[0]
            yield Table(
                of, str(row), array[row][None], [""], grid.columns,
                _texts([texts]), _heat(stage, of, array), line=True,
                title=_title(stage, array.shape, (row,)),
                foot=grid.cells[1] if len(grid.cells) > 1 else (),
                mask=np.array([[text != MASKED for text in texts]]),
            )  # fmt: skip

    def matrices(
        self, stage: Stage, of: str, array: Array, decimals: int, marks: Marks
    ) -> Iterator[Table]:
        """A table for each row of the batch and each head."""
        grids = self.grids
        heat = _heat(stage, of, array)
        if stage.operation == "allowed":  # the same for every head
            array = array[:, :1]
            marks = Marks(array, None if marks.pinned is None else marks.pinned[:, :1])
        masks = None if marks.mask is None else matrices(marks.mask)
        pins = None if marks.pinned is None else matrices(marks.pinned)
        for k, (place, matrix) in enumerate(matrices(array)):
            row = place[0] if place else 0
            if grids.style.row not in (None, row):
                continue
            mask = None if masks is None else masks[k][1]
            # The mask itself is hatched where it hides, but its cells are written as 0.
            shown = None if stage.operation == "allowed" else mask
            here = Marks(shown, None if pins is None else pins[k][1], marks.zero)
            columns = grids.axis_labels(stage, stage.axes[-1], row, matrix.shape[1])
            yield Table(
                of, ",".join(map(str, place)), matrix,
                grids.axis_labels(stage, stage.axes[-2], row, matrix.shape[0]), columns,
                self.writer(stage, matrix, decimals, here), heat,
                title=_title(stage, array.shape, place), mask=mask,
                notes=grids.notes(stage, matrix, range(len(matrix)), columns, decimals)
                if of == stage.name else (),
            )  # fmt: skip

    def writer(self, stage: Stage, matrix: Array, decimals: int, marks: Marks) -> Writer:
        """Writes the cells of a stage's matrix."""
        return lambda i, j: self.grids.cell(stage, matrix, i, j, decimals, marks)

    def html(self, tables: Iterator[Table] | list[Table]) -> str:
        """Tables beside one another."""
        return f'<div class="matrices">{"".join(map(self.table, tables))}</div>'

    def table(self, table: Table) -> str:
        """A table, whole or its corners."""
        shape = table.matrix.shape
        most = max(shape) if self.grids.style.full or max(shape) <= LARGEST else CORNER
        rows, row_gap = corners(shape[0], most)
        columns, column_gap = corners(shape[1], most)

        def line(cells: list[str], gap: str) -> str:
            if column_gap is not None:
                cells.insert(column_gap + 1, gap)
            return "".join(cells)

        heads = line(
            [f'<th scope="col">{escape(table.columns[j])}</th>' for j in columns], "<th>...</th>"
        )
        body = [
            f'<tr><th scope="row">{escape(table.rows[i])}</th>'
            f"{line([_cell(table, i, j) for j in columns], _GAP)}{_note(table, i)}</tr>\n"
            for i in rows
        ]
        if row_gap is not None:
            gaps = _GAP * (len(columns) + (column_gap is not None))
            body.insert(row_gap + 1, f'<tr><th scope="row">...</th>{gaps}</tr>\n')
        foot = (
            line([f"<td>{escape(table.foot[j])}</td>" for j in columns], _GAP) if table.foot else ""
        )
        label = escape(f"{table.of}[{table.at}]" if table.at else table.of)
        return (
            '<figure class="matrix">'
            + (f"<figcaption>{bilingual(table.title)}</figcaption>" if table.title.en else "")
            + f'<table class="grid" role="grid" aria-label="{label}" data-of="{escape(table.of)}" '
            f'data-at="{table.at}"{" data-line" if table.line else ""}>'
            + (f"<thead><tr><td></td>{heads}</tr></thead>" if any(table.columns) else "")
            + f"<tbody>{''.join(body)}</tbody>"
            + (f"<tfoot><tr><td></td>{foot}</tr></tfoot>" if foot else "")
            + "</table></figure>\n"
        )


_GAP = "<td>...</td>"


def _numbers(matrix: Array, decimals: int) -> Writer:
    return lambda i, j: cell(matrix[i, j].item(), decimals)


def _texts(texts: Sequence[Sequence[str]]) -> Writer:
    return lambda i, j: texts[i][j]


def _cell(table: Table, i: int, j: int) -> str:
    number = table.matrix[i, j].item()
    style = ""
    if table.mask is not None and not table.mask[i, j]:
        style = "x"
    elif table.heat and isinstance(number, float) and math.isfinite(number):
        level = min(LEVELS, round(LEVELS * (abs(number) / table.heat)))
        style = f"{'n' if number < 0 else 'p'}{level}" if level else ""
    text = escape(table.text(i, j))
    return f"<td class={style}>{text}</td>" if style else f"<td>{text}</td>"


def _note(table: Table, i: int) -> str:
    if not table.notes:
        return ""
    return f'<td class="note">{escape(table.notes[i].removeprefix("| "))}</td>'


def _title(stage: Stage, shape: Sequence[int], place: Sequence[int]) -> Text:
    """Which row and head a table shows, where there are several."""
    parts = [
        (_PLACES[axis].zh.format(i), _PLACES[axis].en.format(i))
        for axis, size, i in zip(stage.axes, shape, place, strict=False)
        if size > 1
    ]
    return Text("，".join(zh for zh, _ in parts), ", ".join(en for _, en in parts))


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
