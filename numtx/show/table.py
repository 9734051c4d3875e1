"""A table of words: columns side by side, without lines."""

from __future__ import annotations

from collections.abc import Sequence

from .grid import display_width


def table_text(rows: Sequence[Sequence[str]], align: str) -> str:
    """Rows of cells, the heads first; each column is aligned left (l) or right (r) by display
    width, and two spaces lie between them."""
    widths = [max(map(display_width, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = []
        for cell, width, side in zip(row, widths, align, strict=True):
            gap = " " * (width - display_width(cell))
            cells.append(gap + cell if side == "r" else cell + gap)
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
