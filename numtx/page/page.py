"""The frame of the report: one HTML file that asks nobody for anything.

Its style sheet and its scripts stand inline, and a content security policy admits these texts
and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from ..show.grid import Grid, clean
from ..stages.catalogue import Text
from .report_grid import bilingual

_ASSETS = Path(__file__).parent / "assets"
_ARITHMETIC = Path(__file__).parent.parent / "arithmetic"
_SCRIPTS = (
    _ASSETS / "walks.js",
    _ARITHMETIC / "number.js",
    _ASSETS / "operations.js",
    _ARITHMETIC / "arithmetic.js",
    _ASSETS / "report.js",
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
    `short` its name in the table of contents (empty: it has none there)."""

    name: str
    short: str
    head: str
    why: Text | None
    values: str
    gradients: str = ""


class Section(NamedTuple):
    """A part of the model with its stages."""

    name: str
    title: Text
    entries: Sequence[Entry]


def page(heading: Heading, sections: Sequence[Section], data: Mapping[str, Any], lang: str) -> str:
    """The whole page. `data` is what the script reads: see `report.report_data`."""
    style = (_ASSETS / "report.css").read_text(encoding="utf-8")
    script = "".join(file.read_text(encoding="utf-8") for file in _SCRIPTS)
    policy = (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    shown = heading.title.en if lang == "en" else heading.title.zh
    gradients = any(entry.gradients for section in sections for entry in section.entries)
    return (
        f'<!doctype html>\n<html lang="{"en" if lang == "en" else "zh"}">\n<head>\n'
        '<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<link rel="icon" href="data:,">\n'
        f"<title>{_text(shown)} - numtx</title>\n<style>{style}</style>\n</head>\n<body>\n"
        f"<header>{_heading(heading)}{_controls(lang, gradients)}{_LEGEND}</header>\n"
        f"{_contents(sections)}\n<main>\n{''.join(map(_section, sections))}</main>\n{_PANEL}\n"
        f'<script type="application/json" id="data">{script_json(data)}</script>\n'
        f"<script>{script}</script>\n</body>\n</html>\n"
    )


def script_json(data: Mapping[str, Any]) -> str:
    """JSON that may stand in a script element: no `<` is left to end it."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _text(text: str) -> str:
    """Text from outside: control characters and direction marks visible, HTML escaped."""
    return escape(clean(text))


def _both(text: Text) -> str:
    return bilingual(Text(clean(text.zh), clean(text.en)))


def _heading(heading: Heading) -> str:
    notes = "".join(
        f'<details open><summary class="quiet">{_both(subtitle)}</summary><ul>'
        + "".join(f"<li>{_line(line)}</li>" for line in lines)
        + "</ul></details>"
        for subtitle, lines in heading.notes
        if lines
    )
    return f"<h1>{_both(heading.title)}</h1>{notes}"


def _line(line: Text | Tables) -> str:
    if isinstance(line, Text):
        return _both(line)
    figures = [_table(title, zh, "") for title, zh, en in line.grids if zh == en]
    for title, zh, en in line.grids:
        if zh != en:
            figures += [_table(title, zh, ' lang="zh"'), _table(title, en, ' lang="en"')]
    return f'{_both(line.text)}<div class="matrices">{"".join(figures)}</div>'


def _table(title: Text, grid: Grid, lang: str) -> str:
    heads = "".join(f'<th scope="col">{_text(name)}</th>' for name in grid.columns)
    body = "".join(
        f'<tr><th scope="row">{_text(name)}</th>'
        + "".join(f"<td>{_text(x)}</td>" for x in cells)
        + "</tr>"
        for name, cells in zip(grid.rows, grid.cells, strict=True)
    )
    caption = f"<figcaption>{_both(title)}</figcaption>" if title.en else ""
    return (
        f'<figure class="matrix"{lang}>{caption}<table class="stated"><thead><tr><td></td>{heads}'
        f"</tr></thead><tbody>{body}</tbody></table></figure>"
    )


def _controls(lang: str, gradients: bool) -> str:
    parts = [
        _choice(
            Text("语言", "Language"), "lang", lang,
            {"zh": Text("中文", "中文"), "en": Text("English", "English"),
             "both": Text("双语", "both")},
        ),
        _choice(
            Text("外观", "Theme"), "theme", "auto",
            {"auto": Text("自动", "auto"), "light": Text("浅色", "light"),
             "dark": Text("深色", "dark")},
        ),
    ]  # fmt: skip
    if gradients:
        choices = {"values": Text("数值", "values"), "gradients": Text("梯度", "gradients")}
        parts.insert(0, _choice(Text("显示", "Show"), "show", "values", choices))
    buttons = (
        f'<span class="scripted"><button type="button" id="open-all">'
        f"{bilingual(Text('全部展开', 'open all'))}</button> "
        f'<button type="button" id="close-all">{bilingual(Text("全部折叠", "close all"))}'
        "</button></span>"
    )
    return f'<div class="controls">{"".join(parts)}{buttons}</div>'


def _choice(legend: Text, name: str, chosen: str, choices: Mapping[str, Text]) -> str:
    radios = "".join(
        f'<label><input type="radio" name="{name}" id="{name}-{key}"'
        f"{' checked' if key == chosen else ''}> "
        + (escape(text.zh) if text.zh == text.en else bilingual(text))
        + "</label>"
        for key, text in choices.items()
    )
    return f"<fieldset><legend>{bilingual(legend)}</legend>{radios}</fieldset>"


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
            "指向或用方向键走到一个格子：圈出它由哪些格子算出，并写出算式；点击固定，Esc 取消",
            "point at a cell, or walk with the arrow keys: what made it is outlined and its "
            "arithmetic written out; click to hold, Esc to let go",
        )
    )
    + "</span></div>"
)

_PANEL = (
    '<aside id="panel" hidden aria-live="polite"><header><span id="cell"></span>'
    f'<label><input type="checkbox" id="exact"> {bilingual(Text("全部数位", "all digits"))}'
    f'</label><button type="button" id="close">{bilingual(Text("关闭", "close"))}</button></header>'
    '<pre id="arithmetic"></pre>'
    f'<div><span class="quiet">{bilingual(Text("记录的值：", "recorded:"))}</span> '
    '<span id="recorded"></span></div>'
    f'<div><span class="quiet">{bilingual(Text("取自：", "from:"))}</span> '
    '<span id="from"></span></div></aside>'
)


def _anchor(section: Section) -> str:
    return f"from-{section.entries[0].name}"  # the encoder's name stands for two sections


def _contents(sections: Sequence[Section]) -> str:
    items = []
    for section in sections:
        links = " · ".join(
            f'<a href="#{escape(entry.name)}">{escape(entry.short)}</a>'
            for entry in section.entries
            if entry.short
        )
        link = f'<a href="#{_anchor(section)}">{bilingual(section.title)}</a>'
        items.append(f"<li>{link}{f': {links}' if links else ''}</li>")
    title = bilingual(Text("目录", "Contents"))
    head = f"<nav><details open><summary><h2>{title}</h2></summary>"
    return f"{head}<ol>{''.join(items)}</ol></details></nav>"


def _section(section: Section) -> str:
    return (
        f'<details open id="{_anchor(section)}"><summary><h2>{bilingual(section.title)}</h2> '
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
        f'<details open class="stage{"" if entry.gradients else " no-gradient"}" '
        f'id="{escape(entry.name)}"><summary>{entry.head}</summary>'
        + (f'<p class="why">{bilingual(entry.why)}</p>' if entry.why else "")
        + f'<div class="values">{entry.values}</div>{gradients}</details>\n'
    )
