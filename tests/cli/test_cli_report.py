"""`numtx trace --html`."""

from __future__ import annotations

from pathlib import Path

import pytest

from numtx.cli import main


def test_html(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    assert main(["trace", "--quiet", "--color", "always", "--lang", "en", "--html", str(path)]) == 0
    assert f"written: {path}" in " ".join(capsys.readouterr().out.split())
    text = path.read_text(encoding="utf-8")
    assert text.startswith('<!doctype html>\n<html lang="en">')
    assert (
        "<title>weather: 今天天气很好: an encoder-decoder restates a sentence - numtx</title>"
        in text
    )
    assert "d_model = 4; 2 encoder and 2 decoder layers" in text  # what the document gives
    assert "\x1b" not in text
    assert len(list(tmp_path.iterdir())) == 1


def test_html_beside_json_on_standard_output(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "report.html"
    assert main(["trace", "cat", "--stage", "loss", "--json", "-", "--html", str(path)]) == 0
    assert capsys.readouterr().out.startswith("{")
    assert path.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--row", "1"], "--row 1: the batch has 1 rows"),
        (["--html", "{folder}/none/x.html"], "none' does not exist"),
    ],
)
def test_mistakes(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: list[str], message: str
) -> None:
    path = tmp_path / "report.html"
    given = [argument.format(folder=tmp_path) for argument in arguments]
    assert main(["trace", "--quiet", "--html", str(path), *given]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_large_page_is_announced(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("numtx.reports.runs.LARGE", 1000)
    main(["trace", "--quiet", "--full", "--html", str(tmp_path / "report.html")])
    assert "MB" in capsys.readouterr().err
