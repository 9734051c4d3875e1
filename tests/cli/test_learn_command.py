"""`numtx learn`: the list, the choice, and a run."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from children import python
from small_folders import written

from numtx.cli import main
from numtx.learning import learn
from numtx.learning.learn_paths import EVENINGS, NEEDS, TERM, paths_text
from numtx.show.grid import display_width

LESSON = """
from numtx.lessons import Lesson
lesson = Lesson(zh="为什么？", en="Why?", before=("", ""), document="003")
lesson.check({holds}, zh="对", en="So it is.")
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for number, name in enumerate(("masks", "masks_again", "broken"), start=1):
        text = LESSON.format(holds=name != "broken")
        (tmp_path / f"{number:02}_{name}.py").write_text(text, encoding="utf-8")
    monkeypatch.setattr(learn, "FOLDERS", (tmp_path / "none", tmp_path))
    return tmp_path


def test_list_in_both_languages(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["learn"]) == 0
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["01", "masks", "Why?"], ["02", "masks_again", "Why?"], ["03", "broken", "Why?"],
    ]  # fmt: skip
    assert main(["learn", "--lang", "zh"]) == 0
    assert "为什么？" in capsys.readouterr().out


@pytest.mark.parametrize(
    "word", ["2", "02", "masks_again", "masks-again", "again", "02_masks_again"]
)
def test_choice(folder: Path, word: str) -> None:
    assert learn.choose(learn.lessons(folder), word).number == "02"


def test_run_of_one(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = list(sys.argv)
    assert main(["learn", "masks", "--lang", "zh"]) == 0
    assert capsys.readouterr().out.startswith("问题: 为什么？")
    assert sys.argv == arguments


def test_a_claim_that_fails_is_exit_1(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["learn", "3"]) == 1
    assert "03_broken.py: the claim does not hold: So it is." in capsys.readouterr().err


@pytest.mark.parametrize("word, says", [("mask", "fits several"), ("9", "no lesson '9'")])
def test_a_wrong_word(
    folder: Path, capsys: pytest.CaptureFixture[str], word: str, says: str
) -> None:
    assert main(["learn", word]) == 2
    captured = capsys.readouterr()
    assert says in captured.err and captured.err.count("\n") == 1


def test_no_lessons_is_an_error_of_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(learn, "FOLDERS", (tmp_path / "none", tmp_path))
    for arguments in (["learn"], ["learn", "03", "--lang", "zh"]):
        assert main(arguments) == 2
        captured = capsys.readouterr()
        assert captured.out == "" and captured.err.count("\n") == 1
        assert f"no lessons in {tmp_path / 'none'} or {tmp_path};" in captured.err


def test_the_list_runs_nothing() -> None:
    code = (
        "import sys; from numtx.cli import main; main(['learn']); "
        "assert 'numpy' not in sys.modules and 'numtx.lessons' not in sys.modules"
    )
    done = python("-c", code)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) >= 1


def test_paths_take_every_lesson_after_what_it_needs() -> None:
    numbers = [path.name[:2] for path in sorted(learn.FOLDERS[1].glob("*.py"))]
    assert [*NEEDS] == numbers == sorted(" ".join(TERM).split())
    for path in (EVENINGS, TERM):
        order = " ".join(path).split()
        for place, number in enumerate(order):
            assert set(NEEDS[number].split()) <= set(order[:place]), number
    assert len(EVENINGS) == 3


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_the_list_ends_in_the_paths(lang: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["learn", "--lang", lang]) == 0
    printed = capsys.readouterr().out
    for line in paths_text(NEEDS, lang):
        assert line in printed and display_width(line) <= 80
    assert "17 (07 10 12);" in printed and "11 12; 13 14" in printed


def test_a_lesson_reads_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(written(tmp_path / "m", "gpt2"))
    assert main(["learn", "real_model", "--model", folder]) == 0
    assert "No folder was given" not in capsys.readouterr().out
    assert main(["learn", "3", "--model", folder]) == 2
    assert "lesson 03 reads no model; leave out --model" in capsys.readouterr().err
    assert main(["learn", "--model", folder]) == 2
    assert "--model is of one lesson" in capsys.readouterr().err
    assert main(["learn", "28", "--model", str(tmp_path / "none")]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
