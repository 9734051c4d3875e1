"""Text broken into lines by display width: at spaces, and between Chinese characters."""

from __future__ import annotations

import re

from .grid import display_width

_OPENING, _CLOSING, _WIDE = "（「『“", "，。；：？！、）」』”", "\u2e80-\u9fff\uf900-\uffef"
_SPACE = " \t\n"  # no other: a no-break space holds its words together
# What may not be parted: a word or one Chinese character, with its marks and the space behind it.
_PIECE = re.compile(
    f"[{_OPENING}]*(?:[{_WIDE}]|[^{_SPACE}{_WIDE}{_OPENING}{_CLOSING}]+)?[{_CLOSING}]*[{_SPACE}]*"
)


def wrap(
    text: str, width: int, most: int | None = None, first: str = "", rest: str = ""
) -> list[str]:
    """Lines of at most `width` columns (a longer word has a line of its own).

    most         how many lines to keep; the last one then ends in ` ...`, never inside a number
    first, rest  what the first line begins with, and the others
    """
    lines, line, begun = [], first, False
    for piece in filter(None, _PIECE.findall(text)):
        if begun and display_width(line + piece.rstrip(_SPACE)) > width:
            lines.append(line.rstrip(_SPACE))
            line, begun = rest, False
        line += piece if begun else piece.lstrip(_SPACE)
        begun = begun or bool(piece.strip(_SPACE))
    lines.append(line.rstrip(_SPACE))
    if most is not None and len(lines) > most:
        last = lines[most - 1]
        while display_width(last) > width - 4:
            last = last.rpartition(" ")[0]
        lines = [*lines[: most - 1], f"{last} ...".lstrip()]
    return lines
