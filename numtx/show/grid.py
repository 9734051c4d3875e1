"""Tables aligned by display width, and grids of cells: wide ones split into panels, never cut."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

_COLOUR = re.compile("\x1b\\[[0-9;]*m")  # takes no room on a terminal


class Grid(NamedTuple):
    """Cells ready to print: one label a row and a column; `notes` stand right of each row."""

    rows: Sequence[str]
    columns: Sequence[str]
    cells: Sequence[Sequence[str]]
    notes: Sequence[str] = ()


def display_width(text: str) -> int:
    """Columns that a text takes on a terminal: a Chinese character takes two."""
    import wcwidth  # comes with tabulate[widechars]; loaded late, as it takes a while

    text = _COLOUR.sub("", text)
    width = wcwidth.wcswidth(text)
    return width if width >= 0 else len(text)


def clean(token: str) -> str:
    """A token as it may stand in a grid: control characters and direction marks made visible."""
    shown = "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in token
    )
    return shown or "''"


def grid_text(grid: Grid, width: int) -> str:
    """The grid as text, at most `width` columns wide where single cells allow it."""
    panels = _panels(grid, width)
    return "\n\n".join(
        _table(grid, columns, last=k == len(panels) - 1) for k, columns in enumerate(panels)
    )


def _panels(grid: Grid, width: int) -> list[range]:
    """The columns of each panel."""
    label = max((display_width(row) for row in grid.rows), default=0)
    widths = [
        2 + max(display_width(head), *(display_width(row[j]) for row in grid.cells))
        for j, head in enumerate(grid.columns)
    ]
    notes = 2 + max((display_width(note) for note in grid.notes), default=-2)
    panels, start, used = [], 0, label
    for j, wide in enumerate(widths):
        room = width - (notes if j == len(widths) - 1 else 0)
        if j > start and used + wide > room:
            panels.append(range(start, j))
            start, used = j, label
        used += wide
    panels.append(range(start, len(widths)))
    if notes and used + notes > width:  # beside no column
        panels.append(range(len(widths), len(widths)))
    return panels


def _table(grid: Grid, columns: range, last: bool) -> str:
    noted = last and bool(grid.notes)
    table = [["", *(grid.columns[j] for j in columns), *([""] if noted else [])]]
    table += [
        [label, *(cells[j] for j in columns), *([grid.notes[i]] if noted else [])]
        for i, (label, cells) in enumerate(zip(grid.rows, grid.cells, strict=True))
    ]
    lines = aligned(table, "l" + "r" * len(columns) + "l" * noted)
    wide = max(display_width(line) for line in lines)
    return "\n".join(line + " " * (wide - display_width(line)) for line in lines)


def aligned(rows: Sequence[Sequence[str]], align: str) -> list[str]:
    from tabulate import tabulate  # loaded late, as it takes a while

    # The heads are the first row of the body: as headers, tabulate would widen the columns.
    text: str = tabulate(
        rows, tablefmt="plain", disable_numparse=True, preserve_whitespace=True,
        colalign=[{"l": "left", "r": "right"}[side] for side in align],
    )  # fmt: skip
    return text.split("\n")


def corners(length: int, most: int) -> list[int | None]:
    """Which of `length` rows to show when at most `most` fit; None is the gap between them."""
    if length <= most:
        return list(range(length))
    half = most // 2
    return [*range(half), None, *range(length - half, length)]
