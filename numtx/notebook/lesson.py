"""A lesson as a notebook: its prose in cells of Markdown, its code in cells that run.

A lesson's numbers stand in its prose, so it is run while it is written down; what it prints stands
beneath the cells already.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import UsageError
from ..formats.markdown import escaped
from ..learning.learn import LessonFile, all_lessons, choose
from ..lessons import Lesson

LANGUAGES = {"zh": ("zh",), "en": ("en",), "both": ("zh", "en")}
LINE = re.compile(r"# ?%%\s*")  # between the parts of a lesson


class Cell(NamedTuple):
    """A cell of a notebook: its text, and what its code prints; None: it is prose."""

    text: str
    output: str | None = None


def lesson_notebook(lesson: str | LessonFile, lang: str = "en") -> str:
    """A lesson, by its number or a part of its name, as the text of an .ipynb file.

    lang  'zh', 'en', or 'both': prose in both, and English where code prints words

    Raises `UsageError` for a lesson or a language that is none, and `LessonError` where a claim of
    the lesson does not hold.
    """
    if lang not in LANGUAGES:
        raise UsageError(f"lang is {lang!r}; it should be zh, en or both")
    entry = choose(all_lessons(), lesson) if isinstance(lesson, str) else lesson
    cells = [_as_json(entry.number, k, cell) for k, cell in enumerate(cells_of(entry.path, lang))]
    python = {"display_name": "Python 3", "language": "python", "name": "python3"}
    book = {
        "cells": cells,
        "metadata": {"kernelspec": python, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(book, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def _as_json(number: str, k: int, cell: Cell) -> dict[str, Any]:
    text = cell.text.splitlines(keepends=True)
    found: dict[str, Any] = {"cell_type": "markdown", "id": f"{number}-{k}", "metadata": {}}
    if cell.output is None:
        return {**found, "source": text}
    lines = cell.output.splitlines(keepends=True)
    stream = {"name": "stdout", "output_type": "stream", "text": lines}
    code = {"cell_type": "code", "execution_count": None, "outputs": [stream] if lines else []}
    return {**found, **code, "source": text}


def cells_of(path: Path, lang: str) -> Iterator[Cell]:
    """The cells in order: prose that stands together in one, and code up to what it prints."""
    told: list[str] = []
    prose: list[str] = []
    code: list[str] = []
    space: dict[str, Any] = {"__name__": "__main__"}
    kind = _telling(LANGUAGES[lang], told)
    for statement, text in _statements(path.read_text(encoding="utf-8")):
        is_prose, opens = _is_prose(statement), _opens(statement)
        kind.telling = is_prose
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(compile(ast.Module([statement], []), str(path), "exec"), space)
        if space.get("Lesson") is Lesson:
            space["Lesson"] = kind
        if is_prose and code and not opens:
            yield Cell("\n".join(code), "")
            code = []
        prose += told
        told.clear()
        if is_prose and not opens:
            continue
        if prose:
            yield Cell("\n\n".join(prose))
            prose = []
        if opens:
            text = f'lesson = Lesson.in_notebook("{space["lesson"].lang}")'
        code.append(text + ";" * _would_show(statement))
        if out.getvalue():
            yield Cell("\n".join(code), out.getvalue().lstrip("\n"))
            code = []
    if prose:
        yield Cell("\n\n".join(prose))
    if code:
        yield Cell("\n".join(code), "")


def _statements(source: str) -> Iterator[tuple[ast.stmt, str]]:
    """Each statement with its text and the comments above it, without the docstring."""
    lines, end = source.splitlines(), 0
    for statement in ast.parse(source).body:
        start, end = end, statement.end_lineno or 0
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            continue
        kept = [line for line in lines[start:end] if not LINE.fullmatch(line)]
        yield statement, "\n".join(kept).strip("\n")


def _opens(statement: ast.stmt) -> bool:
    """Whether it makes the lesson."""
    return isinstance(statement, ast.Assign) and ast.unparse(statement.value).startswith("Lesson(")


def _is_prose(statement: ast.stmt) -> bool:
    """Whether it says words, and does nothing else."""
    if not isinstance(statement, ast.Expr) or not isinstance(statement.value, ast.Call):
        return _opens(statement)
    return ast.unparse(statement.value.func) in ("lesson.say", "lesson.head", "lesson.exercise")


class _Told(Lesson):
    """A lesson that keeps its prose where that stands alone (`telling`), and prints it else."""

    telling = True


def _would_show(statement: ast.stmt) -> bool:
    """Whether a notebook could show the value of what a script runs for its effect alone."""
    if not isinstance(statement, ast.Expr):
        return False
    return not ast.unparse(statement).startswith(("lesson.", "print("))


def _telling(languages: Sequence[str], told: list[str]) -> type[_Told]:
    """One that keeps it as Markdown in a list."""

    class Telling(_Told):
        def __init__(
            self, *, zh: str, en: str, before: tuple[str, str], document: str,
            lang: str | None = None,
        ) -> None:  # fmt: skip
            self.start(languages[-1] if lang is None else lang)
            self.tell(zh, en, "# ")
            self.tell(f"先要知道：{before[0]}", f"To know before: {before[1]}")
            self.tell(f"文档：{document}", f"Document: {document}")

        def say(self, *, zh: str, en: str) -> None:
            self.tell(zh, en) if self.telling else super().say(zh=zh, en=en)

        def head(self, *, zh: str, en: str) -> None:
            self.tell(zh, en, "## ") if self.telling else super().head(zh=zh, en=en)

        def exercise(self, *, zh: str, en: str) -> None:
            if self.telling:
                self.tell(f"练习：{zh}", f"Exercise: {en}")
            else:
                super().exercise(zh=zh, en=en)

        def tell(self, zh: str, en: str, mark: str = "") -> None:
            texts = [_line({"zh": zh, "en": en}[one]) for one in languages]
            told.extend([mark + " / ".join(texts)] if mark else texts)

    return Telling


def _line(text: str) -> str:
    """A text as one line of Markdown that says just that."""
    line = escaped(" ".join(text.split()))
    return re.sub(r"^(?=[-+=#])", r"\\", re.sub(r"^(\d+)(?=[.)])", r"\1\\", line))
