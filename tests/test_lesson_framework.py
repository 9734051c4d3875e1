"""What lessons are written with: paragraphs, checks, results."""

import re

import numpy as np
import pytest

from numtx.errors import LessonError
from numtx.examples.registry import load_example
from numtx.lessons import Lesson, wrapped
from numtx.show.grid import display_width


def lesson(lang: str) -> Lesson:
    return Lesson(zh="为何？", en="Why?", before=("无", "nothing"), document="003", lang=lang)


@pytest.mark.parametrize("width", range(6, 40))
def test_paragraphs_keep_their_text_and_width(width):
    text = "模型（见下）写出 <eos>，循环就结束。“今天”写了 12 个：Today is nice。"
    lines = wrapped(text, width).splitlines()
    assert re.sub(r"\s", "", "".join(lines)) == re.sub(r"\s", "", text)
    assert all(display_width(line) <= width + 2 for line in lines)
    assert not any(line[0] in "，。；：？！、）」』”" for line in lines)
    assert not any(line[-1] in "（「『“" for line in lines)
    assert all(word in lines_of for word in ("<eos>", "12") for lines_of in ["\n".join(lines)])


def test_a_claim_that_fails_stops_the_lesson(capsys):
    one = lesson("zh")
    one.check(np.bool_(True), zh="对", en="right")
    with pytest.raises(LessonError, match="does not hold: wrong"):
        one.check(False, zh="错", en="wrong")
    assert one.claims == 1
    out = capsys.readouterr().out
    assert "[ok] 对" in out and "错" not in out and out.startswith("问题: 为何？\n先要知道: 无\n")


def test_stages_cells_and_tables_in_the_language(capsys):
    trace = load_example("weather").trace()
    for lang, title, other in (("zh", "查询", "Queries"), ("en", "Queries", "查询")):
        one = lesson(lang)
        one.show(trace, "encoder.0.self_attention.queries", gradients=True)
        one.explain(trace, "encoder.0.self_attention.scores[4,1]")
        one.explain(trace, "logits[0,3]", gradient=True)
        one.grid(np.array([[1.0, 2.5]]), ["a"], ["x", "y"], decimals=1)
        one.table(["", "n"], [["row", 3]])
        out = capsys.readouterr().out
        assert title in out and other not in out
        assert "scores[4,1]" in out and "d loss / d logits[0,3]" in out and "a  1.0  2.5" in out
