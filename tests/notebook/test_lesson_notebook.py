"""Lessons as notebooks: whole, valid, and run by Jupyter as they are."""

from __future__ import annotations

import ast
import contextlib
import io
import json
import re
from pathlib import Path

import pytest
from children import environment

from numtx import all_lessons, lesson_notebook
from numtx.cli import main
from numtx.learning import learn
from numtx.notebook.lesson import cells_of

LESSONS = {entry.path.stem: entry for entry in all_lessons()}
LESSON = """
\"\"\"Told nowhere.\"\"\"
from numtx.lessons import Lesson
import json
lesson = Lesson(zh="为何_？", en="Why_?", before=("无", "nothing"), document="003")
# %%
lesson.head(zh="一", en="One")
n = 2
lesson.say(zh=f"1. 有 {n} 个 <b>", en=f"1. There are {n} <b>.")
# kept
print(n)
[n].count(n)
for k in range(n):
    lesson.say(zh=f"第 {k}", en=f"number {k}")
lesson.exercise(zh="几个？", en="How many?")
lesson.check(n == HOLDS, zh="对", en="So it is.")
m = 3
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for number, holds in enumerate("23", start=1):
        text = LESSON.replace("HOLDS", holds)
        (tmp_path / f"0{number}_made_up.py").write_text(text, encoding="utf-8")
    monkeypatch.setattr(learn, "FOLDERS", (tmp_path,))
    return tmp_path


def test_prose_becomes_markdown_and_outputs_stand_beneath_their_code(folder: Path) -> None:
    found = [(cell.text, cell.output) for cell in cells_of(folder / "01_made_up.py", "both")]
    assert found == [
        ("# 为何\\_？ / Why\\_?\n\n先要知道：无\n\nTo know before: nothing\n\n"
         "文档：003\n\nDocument: 003", None),
        ('from numtx.lessons import Lesson\nimport json\nlesson = Lesson.in_notebook("en")', ""),
        ("## 一 / One", None),
        ("n = 2", ""),
        ("1\\. 有 2 个 \\<b\\>\n\n1\\. There are 2 \\<b\\>.", None),
        ("# kept\nprint(n)", "2\n"),
        ('[n].count(n);\nfor k in range(n):\n    lesson.say(zh=f"第 {k}", en=f"number {k}")',
         "number 0\n\nnumber 1\n"),
        ("练习：几个？\n\nExercise: How many?", None),
        ('lesson.check(n == 2, zh="对", en="So it is.")', "[ok] So it is.\n"),
        ("m = 3", ""),
    ]  # fmt: skip
    only = [cell.text for cell in cells_of(folder / "01_made_up.py", "zh")]
    assert only[0].startswith("# 为何\\_？\n\n先要知道：无") and "Why" not in only[0]


def test_the_command(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = folder / "one.ipynb"
    assert main(["learn", "1", "--notebook", str(file), "--lang", "zh"]) == 0
    assert capsys.readouterr().out == f"已写入: {file}\n"
    assert file.read_text(encoding="utf-8") == lesson_notebook("1", "zh")
    assert main(["learn", "1", "--notebook", "-", "--lang", "en"]) == 0
    assert json.loads(capsys.readouterr().out)["nbformat_minor"] == 5
    assert main(["learn", "2", "--notebook", str(file)]) == 1
    assert capsys.readouterr().err.startswith("numtx: 02_made_up.py: the claim does not hold")


@pytest.mark.parametrize(
    "options, says",
    [
        (["--notebook", "x.ipynb"], "say which"),
        (["9", "--notebook", "x.ipynb"], "no lesson '9'"),
        (["1", "--notebook", "x.ipynb", "--exercise", "x.py"], "give one"),
        (["1", "--notebook", "none/x.ipynb"], "none"),
    ],
)
def test_bad_input_is_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], options: list[str], says: str
) -> None:
    assert main(["learn", *options]) == 2
    told = capsys.readouterr()
    assert told.out == "" and says in told.err and told.err.count("\n") == 1


CHEAP = "03_self_attention"
one_by_default = pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=() if n == CHEAP else pytest.mark.heavy, id=n) for n in LESSONS],
)


def timeless(text: str) -> str:
    """Without the times that a lesson measured, and the widths of their columns."""
    return re.sub(r"\s+", " ", re.sub(r"\d+ ms", "ms", text))


@one_by_default
def test_a_lesson_runs_as_the_cells_of_its_notebook(name: str) -> None:
    """Cell by cell in one space, as a kernel does: each prints what stands beneath it."""
    entry = LESSONS[name]
    book = json.loads(lesson_notebook(entry, "zh"))
    space: dict[str, object] = {"__name__": "__main__"}
    for cell in book["cells"]:
        text = "".join(cell["source"])
        assert text.strip() and cell["id"].startswith(f"{entry.number}-")
        if cell["cell_type"] == "code":
            ast.parse(text)
            with contextlib.redirect_stdout(io.StringIO()) as out:
                exec(text, space)
            told = "".join("".join(one["text"]) for one in cell["outputs"])
            assert timeless(out.getvalue().lstrip("\n")) == timeless(told)


@one_by_default
def test_a_lesson_runs_under_jupyter(name: str, tmp_path: Path) -> None:
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    book = nbformat.reads(lesson_notebook(LESSONS[name], "both"), as_version=4)
    nbformat.validate(book)
    done = nbclient.NotebookClient(book, timeout=300, resources={"metadata": {"path": tmp_path}})
    ran = done.execute(env=environment())
    outputs = [one for cell in ran.cells if cell.cell_type == "code" for one in cell.outputs]
    assert outputs and all(one.output_type == "stream" for one in outputs)
