"""Text broken into lines by display width: at spaces, and between Chinese characters."""

from __future__ import annotations

import re

from .grid import display_width

# A piece that may start a line: a word with the space before it, or one wide character.
_PIECE = re.compile(r"\s*[^\s\u2e80-\ufaff\uff00-\uff60]+|\s*[\u2e80-\ufaff\uff00-\uff60]")


def wrap(text: str, width: int, most: int | None = None) -> list[str]:
    """Lines of at most `width` columns (a longer word has a line of its own).

    most  how many lines to keep; the last one then ends in ` ...`, never inside a number
    """
    lines, line = [], ""
    for piece in _PIECE.findall(text):
        if line and display_width(line + piece) > width:
            lines.append(line)
            line = ""
        line += piece if line else piece.lstrip()
    lines.append(line)
    if most is not None and len(lines) > most:
        last = lines[most - 1]
        while display_width(last) > width - 4:
            last = last.rpartition(" ")[0]
        lines = [*lines[: most - 1], f"{last} ...".lstrip()]
    return lines
