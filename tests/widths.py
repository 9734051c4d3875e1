"""What a printed text should be: no line too wide, no grid out of line."""

from __future__ import annotations

import re
from collections.abc import Iterator

from numtx.show.grid import display_width

WIDTHS = (60, 80, 100, 140)
LANGUAGES = ("zh", "en", "both")
COMBINATIONS = [(width, lang) for width in WIDTHS for lang in LANGUAGES]
CELL = re.compile(r"(?<=  )(?:-?\d+\.\d+|-inf|\.|0)(?=\*?(?:  |$))")


def too_wide(text: str, width: int) -> list[str]:
    """Lines that are wider; one word that is wider itself may stand alone on its line."""
    return [
        line for line in text.split("\n")
        if display_width(line) > width and (" " in line or display_width(line.strip()) <= width)
    ]  # fmt: skip


def out_of_line(text: str) -> Iterator[tuple[str, str]]:
    """Lines of a grid, one below the other, whose numbers do not end in the same columns."""
    before, ends = "", list[int]()
    for line in text.split("\n"):
        cells = line.partition("|")[0].rstrip()
        found = [display_width(cells[: match.end()]) for match in CELL.finditer(cells)]
        if any(0 < abs(a - b) < 3 for a in found for b in ends):
            yield before, line
        before, ends = line, found
