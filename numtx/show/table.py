"""Tables of words: as wide as they come where there is room, else in lines that go on below."""

from __future__ import annotations

from collections.abc import Sequence

from .grid import aligned, display_width
from .wrap import columns, wrap

GAP = 2  # columns between two cells
LEAST = 20  # a column of words is made no narrower than this, unless it is
FURTHER = "    "  # what the further lines of a row begin with


def table_text(
    rows: Sequence[Sequence[str]], align: str, indent: str = "", width: int | None = None
) -> str:
    """Rows of cells, the heads first; each column is aligned left (l) or right (r).

    A table that is wider than `width` (None: `columns`) has its cells of words wrapped, and
    columns for which there is still no room stand below those before them, row by row.
    """
    room = (width or columns()) - len(indent)
    wide = [max(_width(row[j]) for row in rows) for j in range(len(align))]
    blocks = _blocks([_least(rows, j, wide[j]) for j in range(len(align))], room)
    parts = []
    for k, block in enumerate(blocks):
        own = room - len(FURTHER) * (k > 0)
        widths = _shared([wide[j] for j in block], [_least(rows, j, wide[j]) for j in block], own)
        cells = [[_fitted(row[j], w) for j, w in zip(block, widths, strict=True)] for row in rows]
        parts.append(_lines(cells, "".join(align[j] for j in block)))
    found = []
    for of_row in zip(*parts, strict=True):
        for k, lines in enumerate(of_row):
            begin = indent + FURTHER * (k > 0)
            found += [begin + line for line in lines if k == 0 or line]
    return "\n".join(line.rstrip() for line in found)


def _width(cell: str) -> int:
    return max(map(display_width, cell.split("\n")))


def _least(rows: Sequence[Sequence[str]], j: int, wide: int) -> int:
    """The narrowest that a column may be: its longest word, and no strip of text but for heads."""
    words = max(display_width(word) for row in rows for word in wrap(row[j], 1))
    return max(words, min(wide, LEAST, max(_width(row[j]) for row in rows[1:] or rows)))


def _blocks(least: Sequence[int], room: int) -> list[range]:
    """Which columns stand beside one another."""
    blocks: list[range] = []
    start, used = 0, -GAP
    for j, wide in enumerate(least):
        own = room - len(FURTHER) * bool(blocks)
        if j > start and used + GAP + wide > own:
            blocks.append(range(start, j))
            start, used = j, -GAP
        used += GAP + wide
    return [*blocks, range(start, len(least))]


def _shared(wide: list[int], least: list[int], room: int) -> list[int]:
    """The widths of columns that share the room: the widest give way first."""
    widths = list(wide)
    while sum(widths) + GAP * (len(widths) - 1) > room:
        spare = [w - m for w, m in zip(widths, least, strict=True)]
        if not any(spare):
            break
        most = max((w, j) for j, w in enumerate(widths) if spare[j])[1]
        widths[most] -= 1
    return widths


def _fitted(cell: str, width: int) -> str:
    return cell if _width(cell) <= width else "\n".join(wrap(cell, width))


def _lines(cells: list[list[str]], align: str) -> list[list[str]]:
    """The lines of each row, aligned."""
    heights = [max(cell.count("\n") + 1 for cell in row) for row in cells]
    flat = [
        [(cell.split("\n") + [""] * height)[i] for cell in row]
        for row, height in zip(cells, heights, strict=True)
        for i in range(height)
    ]
    lines = iter([line.rstrip() for line in aligned(flat, align)])
    return [[next(lines) for _ in range(height)] for height in heights]
