"""`numtx figures`: the table, JSON, one row at length, and the exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from numtx.cli import main
from numtx.documents.ledger import rows_of
from numtx.show.grid import display_width
from numtx.verdicts.figures import EXPECTED


def test_json_is_a_list_of_rows(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["figures", "--document", "4", "--json", "-"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["id"] for row in rows] == [row.id for row in rows_of(["4"])]
    assert list(rows[0]) == [
        "id", "document", "section", "stated", "computed", "verdict", "reason",
    ]  # fmt: skip


def test_rows_by_document_and_verdict(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    options = ["--document", "4", "--verdict", "contradicted", "--json", str(file)]
    assert main(["figures", *options]) == 0
    rows = json.loads(file.read_text(encoding="utf-8"))
    assert {(row["document"], row["verdict"]) for row in rows} == {("004", "contradicted")}
    out = capsys.readouterr().out
    assert "004.predicts-yi" in out and "004.table" not in out
    assert out.split()[-2:] == ["written:", str(file)]


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_the_language_is_that_of_every_text(lang: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["figures", "--document", "4", "--lang", lang]) == 0
    out = capsys.readouterr().out
    assert ("文中给的输入" in out, "an input of the document" in out) == (
        lang == "zh",
        lang == "en",
    )


def test_summary_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["figures", "--summary", "--document", "0", "--width", "100"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[-1] == "rows" and lines[-1].split()[-1] == str(len(rows_of(["0"])))
    assert len({display_width(line) for line in lines}) == 1


def test_one_row_at_length_shows_its_stages(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["figures", "--figure", "003.cross-row"]) == 0
    out = capsys.readouterr().out
    assert "attainable" in out and "parameters of the row's witness" in out
    assert "== decoder.0.cross_attention" in out
    row = next(line for line in out.splitlines() if line.startswith("1 今"))
    assert row.split()[2:9] == ["0.15", "0.25", "0.20", "0.10", "0.12", "0.10", "0.08"]


def test_a_changed_verdict_is_exit_code_1(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    expected = json.loads(EXPECTED.read_text(encoding="utf-8"))
    file = tmp_path / "expected.json"
    file.write_text(json.dumps({**expected, "000.steps": "rounding"}), encoding="utf-8")
    assert main(["figures", "--summary", "--document", "0", "--expect", str(file)]) == 1
    error = capsys.readouterr().err
    assert error == "numtx: verdict changed: 000.steps: reproduced, expected rounding\n"
    assert main(["figures", "--figure", "001.causal", "--expect", str(file)]) == 0


@pytest.mark.heavy
def test_a_row_that_is_missing_is_exit_code_1(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    expected = json.loads(EXPECTED.read_text(encoding="utf-8"))
    file = tmp_path / "expected.json"
    file.write_text(json.dumps({**expected, "005.new": "rounding"}), encoding="utf-8")
    assert main(["figures", "--summary", "--expect", str(file)]) == 1
    assert (
        capsys.readouterr().err == "numtx: verdict changed: 005.new: missing, expected rounding\n"
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--document", "7"], "document '007' does not exist; known: 000, 001"),
        (["--verdict", "wrong"], "verdict 'wrong' does not exist"),
        (["--figure", "003.looses"], "did you mean '003.losses'"),
        (["--expect", "none.json"], "none.json: no such file"),
        (["--json", "no/such/place.json"], "does not exist; make it"),
    ],
)
def test_bad_input_is_one_line(
    options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["figures", *options]) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1


@pytest.mark.parametrize("text", ["[]", "{", '{"a": 1}'])
def test_an_expectation_that_is_none(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "expected.json"
    file.write_text(text, encoding="utf-8")
    assert main(["figures", "--expect", str(file)]) == 2
    assert "--expect" in capsys.readouterr().err


@pytest.mark.heavy
def test_the_searches_find_what_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["figures", "--search"]) == 0
    out = capsys.readouterr().out
    assert "004.hidden" in out and "003.story" in out
