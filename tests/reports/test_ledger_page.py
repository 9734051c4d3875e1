"""The ledger as a page: every figure once, with its verdict and its tables."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

import pytest

from numtx.cli import main
from numtx.documents import ledger
from numtx.documents.judges import VERDICTS


def test_every_figure_is_there_with_its_verdict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.html"
    assert main(["figures", "--document", "000", "--lang", "en", "--html", str(page)]) == 0
    assert capsys.readouterr().out.split()[-2:] == ["written:", str(page)]
    text = page.read_text(encoding="utf-8")
    rows = ledger.rows_of(["000"])
    found = re.findall(r'<section class="stage" id="([^"]+)">', text)
    assert found == [row.id for row in rows]
    assert set(re.findall(r'href="#(000\.[^"]+)"', text)) == set(found)
    for row, part in zip(rows, text.split('<section class="stage"')[1:], strict=True):
        verdict = row.run().verdict
        chip = f'<span lang="zh">{VERDICTS[verdict]}</span> <span lang="en">{verdict}</span>'
        assert chip in part and unescape(part).count(row.text.en) >= 1
    assert text.count("<h2>") >= len({row.section for row in rows})
    assert "Counts" in text and "合计" in text


def test_one_figure_with_the_stages_behind_it(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert main(["figures", "--figure", "003.scores", "--html", str(page)]) == 0
    text = page.read_text(encoding="utf-8")
    assert text.count('<table class="stated">') == 2 and "<td>0.82</td>" in text
    assert "behind it: weather" in text and "背后: weather" in text
