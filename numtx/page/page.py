"""The page of a run: its parts with their stages, and the panel that writes out arithmetic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from ..html.frame import Link, Page, bilingual, both, document, plain_table, preformatted
from ..show.grid import Grid
from ..stages.catalogue import Text

_HOME = Path(__file__).parent.parent
CALCULATOR = (  # of the cells of tables, for a notebook too
    _HOME / "oracle" / "walks.js",
    _HOME / "arithmetic" / "number.js",
    _HOME / "oracle" / "operations.js",
    _HOME / "arithmetic" / "arithmetic.js",
    _HOME / "page" / "cells.js",
)
SCRIPTS = (
    *CALCULATOR,
    _HOME / "arithmetic" / "change.js",
    _HOME / "page" / "product.js",
    _HOME / "page" / "what_if.js",
    _HOME / "page" / "report.js",
    _HOME / "html" / "steps.js",
)


class Tables(NamedTuple):
    """A line above a report with grids beside one another: a title, in Chinese and in English."""

    text: Text
    grids: Sequence[tuple[Text, Grid, Grid]]


class Heading(NamedTuple):
    """What stands above a report: a title, and lines of text under subtitles."""

    title: Text
    notes: Sequence[tuple[Text, Sequence[Text | Tables]]] = ()


class Entry(NamedTuple):
    """One array of the report: `values` and `gradients` are tables, `head` a line of HTML,
    `short` its name in the table of contents (empty: it has none there). `differs`: from the run
    beside it."""

    name: str
    short: str
    head: str
    why: Text | None
    values: str
    gradients: str = ""
    differs: bool = False
    is_open: bool = True


class Lead(NamedTuple):
    """What stands before the stages: HTML under a title."""

    anchor: str
    title: Text
    html: str


class Section(NamedTuple):
    """A part of the model with its stages."""

    name: str
    title: Text
    entries: Sequence[Entry]

    @property
    def anchor(self) -> str:
        """Its own: the encoder's name stands for two sections."""
        return f"from-{self.entries[0].name}"


def page(
    heading: Heading,
    sections: Sequence[Section],
    data: Mapping[str, Any],
    lang: str,
    picture: str = "",
    lead: Lead | None = None,
) -> str:
    """The whole page. `data` is what the script reads: see `report.report_data`; `picture` is HTML
    of the data flow."""
    gradients = any(entry.gradients for section in sections for entry in section.entries)
    shown = {"values": Text("数值", "values"), "gradients": Text("梯度", "gradients")}
    links = [
        Link(
            section.anchor,
            section.title,
            [(e.name, "≠ " * e.differs + e.short) for e in section.entries if e.short],
        )
        for section in sections
    ]  # fmt: skip
    first = ""
    if lead is not None:
        links.insert(0, Link(lead.anchor, lead.title))
        first = (
            f'<details open class="stage lead" id="{lead.anchor}"><summary>'
            f"<h2>{bilingual(lead.title)}</h2></summary>{lead.html}</details>\n"
        )
    return document(
        Page(
            heading.title, _notes(heading) + first + _LEGEND + "".join(map(_section, sections)),
            links, picture, _PANEL, [(Text("显示", "Show"), "show", shown)] if gradients else [],
            data, SCRIPTS,
        ),
        lang,
    )  # fmt: skip


def _notes(heading: Heading) -> str:
    return "".join(
        f'<details open class="notes"><summary class="quiet">{both(subtitle)}</summary><ul>'
        + "".join(f"<li>{_line(line)}</li>" for line in lines)
        + "</ul></details>"
        for subtitle, lines in heading.notes
        if lines
    )


def _line(line: Text | Tables) -> str:
    if isinstance(line, Text):
        if "\n" in line.zh:
            return "".join(preformatted(getattr(line, lang), lang) for lang in ("zh", "en"))
        return both(line)
    figures = [plain_table(title, zh) for title, zh, en in line.grids if zh == en]
    for title, zh, en in line.grids:
        if zh != en:
            figures += [plain_table(title, zh, "zh"), plain_table(title, en, "en")]
    return f'{both(line.text)}<div class="matrices">{"".join(figures)}</div>'


def _key(style: str, sample: str, text: Text) -> str:
    return f'<span><span class="key {style}">{sample}</span> {bilingual(text)}</span>'


_LEGEND = (
    '<div class="legend">'
    + _key("p4", "0.80", Text("正", "positive"))
    + _key("n4", "-0.80", Text("负", "negative"))
    + _key("x", ".", Text("被遮住，恰为 0", "masked, exactly 0"))
    + _key("", "*", Text("固定为该值，不计算", "held at this value, not computed"))
    + '<span class="quiet scripted">'
    + bilingual(
        Text(
            "指向或用方向键走到一个格子：圈出它由哪些格子算出，并写出算式；点击固定，"
            "改成别的数就看到之后的一切怎样变；Esc 取消",
            "point at a cell, or walk with the arrow keys: what made it is outlined and its "
            "arithmetic written out; click to hold it, set it to another number and see all that "
            "follows move; Esc to let go",
        )
    )
    + "</span></div>"
)

_PANEL = (
    '<aside id="panel" hidden aria-live="polite" aria-label="算式 Arithmetic">'
    '<div class="head"><span id="cell"></span>'
    f'<label><input type="checkbox" id="exact"> {bilingual(Text("全部数位", "all digits"))}'
    f'</label><button type="button" id="close">{bilingual(Text("关闭", "close"))}</button></div>'
    '<pre id="arithmetic"></pre><div id="products"></div>'
    f'<div><span class="quiet">{bilingual(Text("记录的值：", "recorded:"))}</span> '
    '<span id="recorded"></span></div>'
    f'<div><span class="quiet">{bilingual(Text("取自：", "from:"))}</span> '
    '<span id="from"></span></div><div id="beside" hidden></div>'
    '<div id="what-if" hidden></div></aside>'
)


def _section(section: Section) -> str:
    return (
        f'<details open id="{section.anchor}"><summary><h2>{bilingual(section.title)}</h2> '
        f'<code class="quiet">{escape(section.name)}</code></summary>\n'
        f'<div class="stages">{"".join(map(_entry, section.entries))}</div></details>\n'
    )


def _entry(entry: Entry) -> str:
    none = bilingual(Text("此处没有梯度", "no gradient here"))
    gradients = (
        f'<div class="gradients">{entry.gradients}</div>'
        if entry.gradients
        else f'<p class="none quiet">{none}</p>'
    )
    return (
        f'<details{" open" * entry.is_open} class="stage{" differing" * entry.differs}"'
        f' id="{escape(entry.name)}"><summary>{entry.head}</summary>'
        + (f'<p class="why">{bilingual(entry.why)}</p>' if entry.why else "")
        + f'<div class="values">{entry.values}</div>{gradients}</details>\n'
    )
