"""A printed text as a page: chapters, paragraphs, tables, in two languages."""

from __future__ import annotations

import re
from html import escape
from pathlib import Path

import pytest

from numtx.cli import main
from numtx.html.plain import printed_page

ZH = """问题: 怎样?
先要知道: 没有

== 一 ==

很长的一段
接着 seven words
of it.

a  1
b  2

== encoder   编码器 =====
== 二 <b> ==

完。
"""
EN = """Question: how?
To know before: nothing

== One ==

A long
paragraph.

a  1

b  2

== Two ==

The end.
"""


def test_chapters_paragraphs_and_tables() -> None:
    text = printed_page(ZH, EN, "both")
    assert "<title>怎样? - numtx</title>" in text
    assert "<p>Question: how?<br>To know before: nothing</p>" in text
    assert "<p>很长的一段接着 seven words of it.</p>" in text and "<p>A long paragraph.</p>" in text
    assert re.search(r'<pre class="printed" tabindex="0">a  1\nb  2</pre>', text)
    assert '<pre class="printed" tabindex="0">== encoder   编码器 =====</pre>' in text
    titles = re.findall(r'<h2><span lang="zh">(.*?)</span> <span lang="en">(.*?)</span></h2>', text)
    assert titles[-3:] == [("开头", "Beginning"), ("一", "One"), ("二 &lt;b&gt;", "Two")]
    anchors = re.findall(r'<details open class="stage lead" id="([^"]+)"', text)
    assert anchors == re.findall(r'<li><a href="#([^"]+)"', text) and len(anchors) == 3
    assert not re.search(r"https?:|url\(|@import", text)


def test_a_title_that_was_broken_into_lines_is_whole() -> None:
    zh, en = ZH.replace("怎样?", "怎样呢，\n  好吗?"), EN.replace("how?", "how, and\n  why?")
    text = printed_page(zh, en, "both")
    assert "<title>怎样呢，好吗? - numtx</title>" in text and ">how, and why?</" in text
    assert "<p>Question: how, and why?<br>To know before: nothing</p>" in text


def test_a_lesson_is_a_page_in_both_languages(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.html"
    assert main(["learn", "1", "--html", str(page)]) == 0
    assert capsys.readouterr().out.split() == ["written:", str(page)]
    text = page.read_text(encoding="utf-8")
    assert "Question: " in text and "问题: " in text and "[ok] " in text
    for lang in ("zh", "en"):
        main(["learn", "1", "--lang", lang])
        heads = re.findall(r"^== (.+) ==$", capsys.readouterr().out, re.MULTILINE)
        shown = [f'<span lang="{lang}">{escape(head)}</span>' for head in heads]
        assert heads and [head for head in shown if head not in text] == []
    assert main(["learn", "--html", str(page)]) == 2
    assert "numtx learn 3 --html" in capsys.readouterr().err
    assert main(["learn", "1", "--html", "no/page.html"]) == 2


def test_a_lesson_whose_claim_fails_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "01_wrong.py").write_text(
        "from numtx.lessons import Lesson\n"
        'lesson = Lesson(zh="a", en="b", before=("c", "d"), document="e")\n'
        'lesson.check(False, zh="f", en="g")\n'
    )
    monkeypatch.setattr("numtx.learning.learn.FOLDERS", (tmp_path,))
    page = tmp_path / "page.html"
    assert main(["learn", "1", "--html", str(page)]) == 1
    assert "the claim does not hold" in capsys.readouterr().err and not page.exists()
