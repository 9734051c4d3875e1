"""What lessons are written with: paragraphs, checks, results."""

import numpy as np
import pytest

from numtx.errors import LessonError
from numtx.examples.registry import load_example
from numtx.lessons import Lesson


def lesson(lang: str) -> Lesson:
    return Lesson(zh="为何？", en="Why?", before=("无", "nothing"), document="003", lang=lang)


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
