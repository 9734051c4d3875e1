"""The frame of an output of a notebook: its style, its tables, and the script behind them.

Without scripts, and without style, as of a notebook that is not trusted, it can be read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from ..html.frame import script_json, text_of
from ..page.page import CALCULATOR

_HOME = Path(__file__).parent
LEVELS = 5  # of heat
UNUSUAL = re.compile(r"[^\n -~]")


def output(body: str, lang: str, data: Mapping[str, Any] | None = None) -> str:
    """An output; `data` is what the script reads, as `page.report.report_data` makes it.

    Every output that has cells brings the script, for any other may be deleted or run again; the
    first that a page shows defines `window.numtx`, and the others find it.
    """
    attributes = f'data-lang="{lang}"'
    if data is None:
        return f'{_style()}<div class="numtx" {attributes}>{body}</div>'
    return (
        f'{_style()}<div class="numtx scripted" {attributes}>{body}'
        '<div class="panel" hidden aria-live="polite"></div>'
        f'<script type="application/json">{script_json(data)}</script></div>'
        f"<script>{_script()}</script>"
    )


@cache
def _style() -> str:
    return f"<style>{(_HOME / 'style.css').read_text(encoding='utf-8')}</style>"


@cache
def _script() -> str:
    """The calculator of the page and what listens to a notebook's outputs, without comments."""
    files = (*CALCULATOR, _HOME / "notebook.js")
    lines = "\n".join(file.read_text(encoding="utf-8") for file in files).splitlines()
    code = "\n".join(
        line.strip() for line in lines if line.strip() and not line.strip().startswith("//")
    )
    return f"window.numtx ||= (() => {{\n{code}\nreturn {{ wake }};\n}})();\nwindow.numtx.wake();"


def table(
    heads: Sequence[str], rows: Iterable[Sequence[str]], heat: Sequence[Sequence[float]] = ()
) -> str:
    """A table; the first column labels its rows. `heat` colours the others, from 0 to 1 (-1: the
    other colour); a row of it may be short."""
    named = [text_of(head) if head else "" for head in heads]
    top = "".join(f'<th scope="col">{head}</th>' for head in named[1:])
    lines = []
    for i, (label, *cells) in enumerate(rows):
        warm = heat[i] if i < len(heat) else ()
        shown = "".join(
            f"<td{_warm(warm[j] if j < len(warm) else 0.0)}>{text_of(x)}</td>" if x else "<td></td>"
            for j, x in enumerate(cells)
        )
        lines.append(f'<tr><th scope="row">{text_of(label)}</th>{shown}</tr>')
    return (
        f"<figure><table><thead><tr><th>{named[0]}</th>{top}</tr>"
        f"</thead><tbody>{''.join(lines)}</tbody></table></figure>"
    )


def _warm(share: float) -> str:
    level = min(LEVELS, round(LEVELS * abs(share)))
    return f' class="{"n" if share < 0 else "p"}{level}"' if level else ""


def line(text: str) -> str:
    """A line of text; in two languages two lines."""
    return f"<div>{'<br>'.join(text_of(part) for part in text.split(chr(10)))}</div>"


def plain(text: str) -> str:
    """Text that is laid out."""
    return f"<pre>{escape(UNUSUAL.sub(_visible, text))}</pre>"


def _visible(found: re.Match[str]) -> str:
    return found[0] if found[0].isprintable() else found[0].encode("unicode_escape").decode()


def folded(title: str, body: str) -> str:
    """What opens below its title."""
    return f"<details><summary>{escape(title)}</summary>{body}</details>"
