"""The frame of every page: one HTML file that asks nobody for anything.

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

_HOME = Path(__file__).parent
STYLE, CONTENTS = _HOME / "style.css", _HOME / "contents.js"


class Link(NamedTuple):
    """A line of the contents: where it leads, and what stands under it as (anchor, name)."""

    anchor: str
    title: Text
    under: Sequence[tuple[str, str]] = ()


class Page(NamedTuple):
    """What a page is made of.

    main     HTML of the text
    aside    HTML that stays below it in view
    links    its contents
    picture  HTML of the data flow; empty: there is none
    choices  switches beside those of language and theme: legend, name, key -> words
    data     what the scripts read; None: no script reads any
    """

    title: Text
    main: str
    links: Sequence[Link]
    picture: str = ""
    aside: str = ""
    choices: Sequence[tuple[Text, str, Mapping[str, Text]]] = ()
    data: Mapping[str, Any] | None = None
    scripts: Sequence[Path] = ()
    styles: Sequence[Path] = ()


def document(page: Page, lang: str) -> str:
    """The whole file."""
    style, script = (
        "".join(file.read_text(encoding="utf-8") for file in files)
        for files in ((STYLE, *page.styles), (CONTENTS, *page.scripts))
    )
    policy = (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    shown = page.title.en if lang == "en" else page.title.zh
    data = "" if page.data is None else (
        f'<script type="application/json" id="data">{script_json(page.data)}</script>\n'
    )  # fmt: skip
    return (
        f'<!doctype html>\n<html lang="{"en" if lang == "en" else "zh"}">\n<head>\n'
        '<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<link rel="icon" href="data:,">\n'
        f"<title>{text_of(shown)} - numtx</title>\n<style>{style}</style>\n</head>\n<body>\n"
        f'<a class="skip" href="#main">{bilingual(Text("到正文", "to the text"))}</a>\n'
        f"<header><h1>{both(page.title)}</h1>{_controls(page.choices, lang)}</header>\n"
        f'<div id="frame">\n{_navigation(page.links, page.picture)}\n'
        f'<div id="column"><main id="main" tabindex="-1">\n{page.main}</main>{page.aside}</div>\n'
        f"</div>\n{_SLIDE}\n{data}<script>{script}</script>\n</body>\n</html>\n"
    )


def script_json(data: Mapping[str, Any]) -> str:
    """JSON that may stand in a script element: no `<` is left to end it."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


# ---- text


def bilingual(text: Text) -> str:
    """A text in both languages, of which the page shows one or both."""
    return f'<span lang="zh">{escape(text.zh)}</span> <span lang="en">{escape(text.en)}</span>'


def text_of(text: str) -> str:
    """Text from outside: control characters and direction marks visible, HTML escaped."""
    return escape(clean(text))


def both(text: Text) -> str:
    """A text from outside in both languages."""
    return bilingual(Text(clean(text.zh), clean(text.en)))


def preformatted(text: str, lang: str = "") -> str:
    """Lines as they are printed; `lang`: shown in that one."""
    shown = f' lang="{lang}"' if lang else ""
    lines = "\n".join(text_of(line) if line else "" for line in text.split("\n"))
    return f'<pre class="printed"{shown} tabindex="0">{lines}</pre>'


def plain_table(title: Text, grid: Grid, lang: str = "") -> str:
    """A table of what is stated, no cell of which is computed; `lang`: shown in that one."""
    heads = "".join(f'<th scope="col">{text_of(name)}</th>' for name in grid.columns)
    body = "".join(
        f'<tr><th scope="row">{text_of(name)}</th>'
        + "".join(f"<td>{text_of(x)}</td>" for x in cells)
        + "</tr>"
        for name, cells in zip(grid.rows, grid.cells, strict=True)
    )
    caption = f"<figcaption>{both(title)}</figcaption>" if title.en else ""
    shown = f' lang="{lang}"' if lang else ""
    return (
        f'<figure class="matrix"{shown}>{caption}<table class="stated"><thead><tr><td></td>{heads}'
        f"</tr></thead><tbody>{body}</tbody></table></figure>"
    )


def button(name: str, text: Text, key: str = "") -> str:
    """A button that a script knows by its name; `key` does the same."""
    shown = f" <kbd>{key}</kbd>" if key else ""
    return f'<button type="button" id="{name}">{bilingual(text)}{shown}</button>'


# ---- switches and contents


def _controls(choices: Sequence[tuple[Text, str, Mapping[str, Text]]], lang: str) -> str:
    languages = {
        "zh": Text("中文", "中文"), "en": Text("English", "English"), "both": Text("双语", "both"),
    }  # fmt: skip
    themes = {
        "auto": Text("自动", "auto"), "light": Text("浅色", "light"), "dark": Text("深色", "dark"),
    }  # fmt: skip
    parts = [_choice(*choice, chosen=next(iter(choice[2]))) for choice in choices]
    parts.append(_choice(Text("语言", "Language"), "lang", languages, chosen=lang))
    parts.append(_choice(Text("外观", "Theme"), "theme", themes, chosen="auto"))
    buttons = " ".join((
        button("open-all", Text("全部展开", "open all")),
        button("close-all", Text("全部折叠", "close all")),
        button("speak", Text("放映", "speaker mode"), "s"),
    ))  # fmt: skip
    return f'<div class="controls">{"".join(parts)}<span class="scripted">{buttons}</span></div>'


def _choice(legend: Text, name: str, choices: Mapping[str, Text], chosen: str) -> str:
    radios = "".join(
        f'<label><input type="radio" name="{name}" id="{name}-{key}"'
        f"{' checked' if key == chosen else ''}> "
        + (escape(text.zh) if text.zh == text.en else bilingual(text))
        + "</label>"
        for key, text in choices.items()
    )
    return f"<fieldset><legend>{bilingual(legend)}</legend>{radios}</fieldset>"


def _navigation(links: Sequence[Link], picture: str) -> str:
    items = []
    for link in links:
        under = " · ".join(
            f'<a href="#{escape(anchor)}">{escape(name)}</a>' for anchor, name in link.under
        )
        head = f'<a href="#{escape(link.anchor)}">{both(link.title)}</a>'
        items.append(f"<li>{head}{f': {under}' if under else ''}</li>")
    search = (
        '<div class="bar scripted"><input type="search" id="search" autocomplete="off" '
        'aria-label="搜索 Search" placeholder="/ 搜索 search" aria-controls="found">'
        f"{button('back', Text('返回', 'back'), 'b')}</div>"
        '<p id="where" class="scripted quiet"></p>'
        '<div id="results" hidden><p role="status" id="count" class="quiet"></p>'
        '<ul id="found"></ul></div>'
    )
    title = bilingual(Text("目录", "Contents"))
    return (
        f'<nav aria-label="目录 Contents">{search}<div id="map">{picture}'
        f'<details open id="contents"><summary><h2>{title}</h2></summary>'
        f"<ol>{''.join(items)}</ol></details>{_KEYS}</div></nav>"
    )


def _keys() -> str:
    keys = {
        "/": Text("搜索阶段、标题与词元", "search stages, headings and tokens"),
        "j k": Text("下一个、上一个阶段（标题上也可用 ↓ ↑）",
                    "next, previous stage (on a heading ↓ ↑ too)"),
        "Enter": Text("展开或折叠；固定一个格子", "open or fold; hold a cell"),
        "Tab": Text("进入阶段的表格", "into a stage's tables"),
        "↑ ↓ ← →": Text("在表格里移动", "move within a table"),
        "e": Text("把固定的格子改成别的数", "set the held cell to another number"),
        "Esc": Text("松开格子、离开搜索或放映", "let go of a cell, leave search or speaker mode"),
        "d": Text("下一个不同的阶段（两次运行并排时）", "next stage that differs (of two runs)"),
        "b": Text("回到跟随链接之前", "back to before a link was followed"),
        "s": Text("放映：一屏一个阶段，← → 换页", "speaker mode: one stage a screen, ← → turn"),
    }  # fmt: skip
    lines = "".join(
        f"<dt><kbd>{key}</kbd></dt><dd>{bilingual(text)}</dd>" for key, text in keys.items()
    )
    title = bilingual(Text("按键", "Keys"))
    return (
        f'<details id="keys" class="scripted"><summary><h2>{title}</h2> <kbd>?</kbd></summary>'
        f"<dl>{lines}</dl></details>"
    )


_KEYS = _keys()
_SLIDE = (
    '<div id="slide" role="group" aria-label="放映 Speaker mode" hidden>'
    f"{button('previous', Text('上一个', 'previous'), '←')}"
    f'<span id="number" role="status"></span>{button("next", Text("下一个", "next"), "→")}'
    f"{button('leave', Text('离开', 'leave'), 'Esc')}</div>"
)
