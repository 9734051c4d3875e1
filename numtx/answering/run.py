"""A reader's file: read, and its functions run on the cases of their exercises."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import FileError, LessonError
from ..shapes import Array
from ..show.grid import display_width
from ..show.wrap import wrap
from .exercise import Exercise, of_names

SECONDS = 20.0  # for all cases; they take some milliseconds


class Outcome(NamedTuple):
    """What a function returned for a case, or why it did not."""

    value: Array | None
    error: str = ""


class Solution(NamedTuple):
    """A file, and the exercises that it holds; of those with a hole, the names."""

    path: str
    exercises: list[Exercise]
    holes: set[str]


def read(path: str) -> Solution:
    """The functions of a file, without running it."""
    file = Path(path)
    if not file.exists():
        raise FileError(f"{path} does not exist; `numtx learn 3 --exercise {path}` writes one")
    if not file.is_file():
        raise FileError(f"{path} is no file; give the Python file with your function")
    try:
        tree = ast.parse(file.read_bytes(), str(file.absolute()))
    except (SyntaxError, ValueError) as error:
        where = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        why = " ".join(str(error.msg if isinstance(error, SyntaxError) else error).split())
        raise FileError(f"{path}{where}: this is no Python: {why}") from None
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror or error}") from None
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    found = of_names([*functions, *_assigned(tree)], path)
    holes = {one.name for one in found if one.name in functions and _empty(functions[one.name])}
    return Solution(path, found, holes)


def _assigned(tree: ast.Module) -> list[str]:
    """Names that are given a value or imported: a function may come so, too."""
    names: list[str] = []
    for node in tree.body:
        if isinstance(node, ast.Assign):
            names += [target.id for target in node.targets if isinstance(target, ast.Name)]
        elif isinstance(node, ast.ImportFrom):
            names += [alias.asname or alias.name for alias in node.names]
    return names


def _empty(function: ast.FunctionDef) -> bool:
    """Whether a function does nothing but say so: its hole has not been filled in."""
    return all(
        isinstance(node, ast.Pass)
        or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        or (isinstance(node, ast.Raise) and "NotImplemented" in ast.unparse(node))
        for node in function.body
    )


def outcomes(solution: Solution, seconds: float | None = None) -> dict[str, list[Outcome]]:
    """What each function that is filled in returns for each case of its exercise.

    Raises `LessonError` where the file cannot be imported, or does not come to an end.
    """
    asked = {
        one.name: [[_told(x) for x in case.arguments] for case in one.cases]
        for one in solution.exercises
        if one.name not in solution.holes
    }
    if not asked:
        return {}
    file, limit = Path(solution.path).absolute(), SECONDS if seconds is None else seconds
    work = json.dumps({"path": str(file), "functions": asked})
    command = [sys.executable, str(Path(__file__).with_name("child.py"))]
    paths = os.pathsep.join(str(Path(place).absolute()) for place in sys.path)  # as found here
    try:
        run = subprocess.run(
            command, input=work, capture_output=True, encoding="utf-8", timeout=limit, check=False,
            env={**os.environ, "PYTHONPATH": paths},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise LessonError(
            f"{solution.path}: it ran for {limit:g} s and was stopped; is there a loop without end?"
        ) from None
    try:
        found = json.loads(run.stdout)
    except ValueError:
        raise LessonError(
            f"{solution.path}: its process ended (exit code {run.returncode}) before the function "
            "returned"
        ) from None
    if "error" in found:
        raise LessonError(f"{_place(solution.path, found)}: {found['error']}")
    return {
        name: [outcome(solution.path, one) for one in every]
        for name, every in found["results"].items()
    }


def _told(value: Any) -> Any:
    """An argument as JSON."""
    if isinstance(value, np.ndarray):
        return {"array": value.tolist(), "dtype": value.dtype.name, "shape": value.shape}
    return value


def outcome(path: str, found: dict[str, Any]) -> Outcome:
    if "error" in found:
        return Outcome(None, f"{_place(path, found)}: {found['error']}")
    return Outcome(np.array(found["array"], found["dtype"]).reshape(found["shape"]))


def _place(path: str, found: dict[str, Any]) -> str:
    return path if found["line"] is None else f"{path}, line {found['line']}"


def template(exercises: Sequence[Exercise], lesson: str, lang: str) -> str:
    """A file with a hole for each exercise of a lesson."""
    parts = [f'"""numtx learn {lesson}', "", *_usage(lang), '"""', "", "import numpy as np"]
    for one in exercises:
        texts = [t for k, t in zip(("zh", "en"), one.statement, strict=True) if lang in (k, "both")]
        body = [line for text in texts for line in (*text.splitlines(), "")][:-1]
        parts += ["", "", one.signature, f'    """{body[0]}']
        parts += [new for line in body[1:] for new in _fitted(line)]
        parts += ['    """', "    ..."]
    return "\n".join(parts) + "\n"


def _fitted(line: str) -> list[str]:
    """A line of a statement in lines of 80 columns; they hang below what it says of a name."""
    hang = re.match(r"\s*(?:\S.*?  +)?", line)
    rest = " " * (4 + display_width(hang[0] if hang else ""))
    return [
        new.rstrip() for new in wrap(line.lstrip(), 80, first=rest[: 4 + _lead(line)], rest=rest)
    ]


def _lead(line: str) -> int:
    return len(line) - len(line.lstrip())


def _usage(lang: str) -> list[str]:
    zh = ["把 ... 换成自己的代码，然后运行", "    numtx check 本文件", "加 --hint 得一条提示。"]
    en = ["Put your code in place of ... and run", "    numtx check THIS_FILE",
          "With --hint it gives a hint."]  # fmt: skip
    return zh if lang == "zh" else en if lang == "en" else [*zh, "", *en]
