"""Text broken into lines by display width: at spaces, and between Chinese characters."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterable, Sequence
from itertools import zip_longest

from .grid import display_width

_OPENING, _CLOSING, _WIDE = "（「『“", "，。；：？！、）」』”", "\u2e80-\u9fff\uf900-\uffef"
_SPACE = " \t\n"  # no other: a no-break space holds its words together
# What may not be parted: a word or one Chinese character, with its marks and the space behind it.
_PIECE = re.compile(
    rf"[{_OPENING}]*(?:[\[(]*[{_WIDE}][\]),.;:?]*|[^{_SPACE}{_WIDE}{_OPENING}{_CLOSING}]+)?"
    rf"[{_CLOSING}]*[{_SPACE}]*"
)


def columns() -> int:
    """How wide to print: as COLUMNS says, as wide as the terminal, or 80 when piped."""
    said = os.environ.get("COLUMNS", "")
    if said.isdecimal() and int(said) >= NARROWEST:
        return int(said)
    wide = shutil.get_terminal_size((WIDTH, 24)).columns if sys.stdout.isatty() else WIDTH
    return max(wide, NARROWEST)


WIDTH, NARROWEST = 80, 20


def wrap(
    text: str, width: int, most: int | None = None, first: str = "", rest: str = ""
) -> list[str]:
    """Lines of at most `width` columns (a longer word has a line of its own, without indent).
    A line break in the text is kept.

    most         how many lines to keep; the last one then ends in ` ...`, never inside a number
    first, rest  what the first line begins with, and the others
    """
    lines = []
    for number, part in enumerate(text.split("\n")):
        lines += _wrapped(part, width, rest if number else first, rest)
    if most is not None and len(lines) > most:
        last = lines[most - 1]
        while display_width(last) > width - 4:
            last = last.rpartition(" ")[0]
        lines = [*lines[: most - 1], f"{last} ...".lstrip()]
    return lines


def _wrapped(text: str, width: int, first: str, rest: str) -> list[str]:
    lines, line, begun = [], first, False
    for piece in filter(None, _PIECE.findall(text)):
        word = piece.strip(_SPACE)
        if display_width(line + piece.rstrip(_SPACE)) > width:
            if begun or (word and line.strip()):
                lines.append(line.rstrip(_SPACE))
                line, begun = rest, False
            if not line.strip() and display_width(line + word) > width:
                line = " " * max(0, width - display_width(word))
        line += piece if begun else piece.lstrip(_SPACE)
        begun = begun or bool(word)
    lines.append(line.rstrip(_SPACE))
    return lines


def fold(text: str, width: int) -> str:
    """A text whose lines that are too long go on below, indented a little more than they are."""
    return "\n".join(
        part
        for line in text.split("\n")
        for part in (
            [line] if display_width(line) <= width else wrap(
                line.lstrip(), width, None, _indent(line), _indent(line) + "  "
            )
        )
    )  # fmt: skip


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


def flow(parts: Iterable[str], width: int, rest: str = "    ") -> str:
    """Parts of a heading beside one another, three spaces apart, as far as they fit; those that
    do not begin a line of their own."""
    lines: list[str] = []
    for part in filter(None, parts):
        if lines and display_width(lines[-1]) + 3 + display_width(part) <= width:
            lines[-1] += f"   {part}"
        else:
            lines += wrap(part, width, None, rest if lines else _indent(part), rest)
    return "\n".join(lines)


def ruled(mark: str, text: str, width: int) -> str:
    """A heading with a rule behind its first line; more lines stand below it, indented."""
    first, *rest = wrap(text, width - 3)
    line = f"{first} "
    line += mark * max(2, width - display_width(line))
    return "\n".join([line, *(f"   {more}" for more in rest)])


def beside(left: Sequence[str], right: Sequence[str], width: int, least: int = 40) -> list[str]:
    """Two columns of lines, the right one `least` columns in; below one another, with an empty
    line between, where the width does not allow it."""
    wide = max(least, *(display_width(line) + 4 for line in left))
    if wide + max(map(display_width, right)) > width:
        return [line.rstrip() for line in (*left, "", *right)]
    return [
        f"{a}{' ' * (wide - display_width(a))}{b}".rstrip()
        for a, b in zip_longest(left, right, fillvalue="")
    ]


def tell(*texts: str, width: int | None = None) -> None:
    """Print texts, each on lines of its own that are no wider than asked, or than `columns`."""
    for text in texts:
        print(fold(text, width or columns()))
