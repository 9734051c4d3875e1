"""The numbers that stand in the documents' texts, line by line, and which rows cover them.

The documents are not part of this repository. Where they are at hand (NUMTX_DOCUMENTS, or
../shared/documents beside the checkout) the tests compare; run as a script it lists what no
row covers.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path

from numtx.documents.ledger import ROWS

BESIDE = Path(__file__).parents[3] / "shared" / "documents"
# Arabic numbers, and Chinese numerals as they stand.
NUMBER = re.compile(r"\d+(?:\.\d+)?|[零〇一二三四五六七八九十百千万亿两]+")

# Words with a numeral that are no number: one general reason each.
WORDS = {
    "an article or an adverb": (
        "一个", "一种", "一些", "一旦", "一直", "一样", "一起", "一边", "一下", "一定", "一口",
        "一本", "一篇", "一场", "一串", "一条", "一点", "一能", "一的", "一层", "一跃", "一遍",
        "每一", "下一", "上一", "某一", "这一", "逐一", "唯一", "同一", "另一", "一步", "任一",
    ),
    "part of another word": ("统一", "一致", "归一", "一次性", "万一", "两者", "进一步", "一部"),
    "once, or both": ("一次", "两种", "两个阶段", "两个主要", "两个核心"),
    "an ordinal in a heading or a list": (
        "第一幕", "第二幕", "第三幕", "第四幕", "第五幕", "阶段一", "阶段二",
        "一、", "二、", "三、",
        "四、", "五、", "第一重", "第二重", "第三重", "三重",
    ),
    "a triangle": ("三角",),
}  # fmt: skip
EXCUSED = {word: reason for reason, words in WORDS.items() for word in words}

# What no row covers, and why: what a pattern matches holds no figure.
REMAINDER = {
    "the number of a heading": re.compile(
        r"^#+ [*\W]*(?:Part )?\(?\d+(?:\.\d+)*\)?|^#+ 场景\d：|Layer 1（"
    ),
    "the number of a list item": re.compile(r"^\s*\d+\.\s"),
    "a colour or a width of a drawing": re.compile(r"<span style=[^>]*>|^\s*style \w+ fill:.*"),
    "a link or the name of a picture": re.compile(r"https?://[^)\]]*|!\[img\]\(.*\)"),
    "a date": re.compile(r"^date: .*"),
    "when the page was posted, and its readers": re.compile(r"^posted on .*"),
    "the name of a kind of model": re.compile(r"Seq2Seq"),
}


def documents() -> Path | None:
    """Where the documents are, if they are."""
    place = Path(os.environ.get("NUMTX_DOCUMENTS", BESIDE))
    return place if place.is_dir() else None


def lines_of(document: str) -> list[str]:
    """The lines of a document by its number; line 1 is the first."""
    place = documents()
    assert place is not None
    (file,) = place.glob(f"{document}_*.txt")
    return file.read_text(encoding="utf-8").split("\n")


def numbers_in(line: str) -> Counter[str]:
    """Every number of a line, without the words that are none."""
    for pattern in REMAINDER.values():
        line = pattern.sub("", line)
    found: Counter[str] = Counter()
    for match in NUMBER.finditer(line):
        around = line[max(0, match.start() - 2) : match.end() + 3]
        inside = match.start() - max(0, match.start() - 2)
        if not any(
            word in around and around.find(word) <= inside < around.find(word) + len(word)
            for word in EXCUSED
        ):
            found[match[0]] += 1
    return found


def spans(at: str) -> list[tuple[int, Counter[str] | None]]:
    """What a row covers: lines, with the numbers (None: all of the line)."""
    found: list[tuple[int, Counter[str] | None]] = []
    for part in filter(None, (piece.strip() for piece in at.split(";"))):
        line, colon, numbers = part.partition(":")
        found.append((int(line), Counter(numbers.split()) if colon else None))
    return found


def uncovered(document: str) -> dict[int, Counter[str]]:
    """Numbers by line that no row covers."""
    left = {i: numbers_in(line) for i, line in enumerate(lines_of(document), 1)}
    for row in ROWS:
        if row.document == document:
            for line, numbers in spans(row.at):
                left[line] = Counter() if numbers is None else left[line] - numbers
    return {line: +numbers for line, numbers in left.items() if +numbers}


if __name__ == "__main__":
    for name in ("000", "001", "002", "003", "004"):
        for line, numbers in uncovered(name).items():
            print(name, line, " ".join(numbers.elements()), "|", lines_of(name)[line - 1][:150])
