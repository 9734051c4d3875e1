"""Lines break where a reader may pause, and are no wider than asked."""

from __future__ import annotations

import re

import pytest

from numtx.show.grid import display_width
from numtx.show.wrap import wrap


@pytest.mark.parametrize("width", range(6, 40))
def test_paragraphs_keep_their_text_and_width(width):
    text = "模型（见下）写出 <eos>，循环就结束。“今天”写了 12 个：Today is nice。"
    lines = wrap(text, width)
    assert re.sub(r"\s", "", "".join(lines)) == re.sub(r"\s", "", text)
    assert all(display_width(line) <= width + 2 for line in lines)
    assert not any(line[0] in "，。；：？！、）」』”" for line in lines)
    assert not any(line[-1] in "（「『“" for line in lines)
    assert all(word in lines_of for word in ("<eos>", "12") for lines_of in ["\n".join(lines)])


def test_lines_break_at_spaces_and_between_chinese_characters() -> None:
    assert wrap("the row of 今天天气很好 is 0.123456", 12) == [
        "the row of", "今天天气很好", "is 0.123456",
    ]  # fmt: skip
    assert wrap("0.12345678901234567890 1", 8) == ["0.12345678901234567890", "1"]
    assert wrap("1 0.12345678901234567890", 8) == ["1", "0.12345678901234567890"]
    assert wrap("one two three four five", 9, most=2) == ["one two", "three ..."]
    assert wrap("", 10) == [""]


def test_what_lines_begin_with_counts_and_a_no_break_space_holds() -> None:
    text = "a = 1\u00a0+ 2 + 3"
    assert wrap(text, 9, first="x: ", rest="   ") == ["x: a =", "   1\u00a0+ 2", "   + 3"]
    assert wrap("  ", 4, first="x: ") == ["x:"]
