"""A text that is printed, as a readable page: its headings, its paragraphs, its tables as they are
printed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import NamedTuple

from ..show.grid import clean
from ..stages.catalogue import Text
from .frame import Link, Page, both, document, preformatted, text_of

_HEAD = re.compile(r"== (.+) ==")  # of a chapter; that of a stage has more at its end


class Chapter(NamedTuple):
    """A part of a page: HTML under a title. `parts` are (anchor, HTML) of what can be gone to."""

    anchor: str
    title: Text
    html: str = ""
    parts: Sequence[tuple[str, str]] = ()


def plain_page(title: Text, chapters: Sequence[Chapter], lang: str) -> str:
    """The whole page."""
    links = [Link(c.anchor, c.title, [(name, name) for name, _ in c.parts]) for c in chapters]
    return document(Page(title, "".join(map(_chapter, chapters)), links), lang)


def _chapter(chapter: Chapter) -> str:
    parts = "".join(
        f'<section class="stage" id="{text_of(anchor)}">{html}</section>\n'
        for anchor, html in chapter.parts
    )
    kind = "" if parts else ' class="stage lead"'
    return (
        f'<details open{kind} id="{chapter.anchor}"><summary><h2>{both(chapter.title)}</h2>'
        f'</summary>{chapter.html}<div class="stages">{parts}</div></details>\n'
    )


def printed_page(zh: str, en: str, lang: str) -> str:
    """The page of what was printed in Chinese and in English: the first line is its title."""
    chinese, english = list(_chapters(zh)), list(_chapters(en))
    for found in (chinese, english):
        found[0] = (found[0][0], _unbroken(found[0][1]))
    first = Text(chinese[0][1].split("\n")[0], english[0][1].split("\n")[0])
    chapters = [
        Chapter(
            f"chapter-{k}",
            Text(a[0], b[0]) if a[0] else Text("开头", "Beginning"),
            f'<div lang="zh">{_text(a[1], k == 0)}</div><div lang="en">{_text(b[1], k == 0)}</div>',
        )
        for k, (a, b) in enumerate(zip_longest(chinese, english, fillvalue=("", "")))
    ]
    title = (clean(line.partition(": ")[2] or line) for line in first)
    return plain_page(Text(*title), chapters, lang)


def _chapters(text: str) -> Iterator[tuple[str, str]]:
    """The title and the text of each chapter; that before the first heading has none."""
    title, lines = "", list[str]()
    for line in text.strip().split("\n"):
        if head := _HEAD.fullmatch(line):
            yield title, "\n".join(lines).strip("\n")
            title, lines = head[1], []
        else:
            lines.append(line)
    yield title, "\n".join(lines).strip("\n")


def _text(text: str, by_line: bool = False) -> str:
    """Blocks between empty lines. Prose has no two spaces together; what has is a table."""
    found = []
    for block in re.split(r"\n\n+", text):
        if "  " in block or block.startswith("=="):
            found.append(preformatted(block))
        elif by_line:
            found.append(f"<p>{'<br>'.join(map(text_of, block.splitlines()))}</p>")
        elif block:
            found.append(f"<p>{text_of(_joined(block))}</p>")
    return "".join(found)


def _unbroken(text: str) -> str:
    """Lines that were broken, whole: what is left of one stands further in, on the next."""
    return re.sub(r"\n +", "", re.sub(r"(?<=[!-~])\n +(?=[!-~])", " ", text))


def _joined(block: str) -> str:
    """A paragraph that was broken into lines, whole: a space where words of letters meet."""
    return re.sub(r"(?<=[!-~])\n(?=[!-~])", " ", block).replace("\n", "")
