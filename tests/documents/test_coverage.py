"""Every number of the documents stands in the ledger, and the ledger's stand in the documents."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import numpy as np
import pytest
from document_numbers import EXCUSED, NUMBER, documents, lines_of, numbers_in, spans, uncovered

from numtx.documents.judges import Illustration, Printed
from numtx.documents.ledger import ROWS

here = pytest.mark.skipif(documents() is None, reason="the documents are not at hand")


@here
@pytest.mark.parametrize("document", ["000", "001", "002", "003", "004"])
def test_every_number_is_covered(document: str) -> None:
    assert uncovered(document) == {}


@here
@pytest.mark.parametrize("row", [row for row in ROWS if row.at], ids=lambda row: row.id)
def test_a_row_covers_numbers_that_are_there(row: Any) -> None:
    lines = lines_of(row.document)
    for number, wanted in spans(row.at):
        there = Counter(NUMBER.findall(lines[number - 1]))
        assert there, f"line {number} has no number"
        if wanted is not None:
            assert not wanted - there, f"line {number} has no {wanted - there}"


@here
@pytest.mark.parametrize(
    "row",
    [r for r in ROWS if r.at and isinstance(r.judge, Printed | Illustration)],
    ids=lambda row: row.id,
)
def test_what_is_stated_is_what_the_document_says(row: Any) -> None:
    lines = lines_of(row.document)
    there: set[float] = set()
    for number, _ in spans(row.at):
        there |= {float(x) for x in re.findall(r"\d+(?:\.\d+)?", lines[number - 1])}
    stated = {float(abs(x)) for x in np.ravel(row.judge.stated)}
    percent = {round(100 * x, 9) for x in stated}
    missing = {x for x in stated if x not in there and round(100 * x, 9) not in there}
    assert not missing or percent <= there, missing


def test_numbers_are_found_and_words_left_out() -> None:
    line = "第六步，一个一行七列的矩阵，概率 0.55，100 个词，统一的 [2, 512]"
    assert numbers_in(line) == Counter(["六", "一", "七", "0.55", "100", "2", "512"])
    assert numbers_in("### 3. 总结") == Counter()
    assert numbers_in("1.  **Encoder:** 4 个词") == Counter(["4"])
    assert spans("159; 571: 0.12 七") == [(159, None), (571, Counter(["0.12", "七"]))]
    assert EXCUSED["归一"] == "part of another word"


@here
def test_a_number_that_no_row_covers_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("document_numbers.ROWS", [r for r in ROWS if r.id != "003.cache-4800"])
    assert uncovered("003")[692]["4800"] == 1
