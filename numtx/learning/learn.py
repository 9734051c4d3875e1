"""`numtx learn`: the lessons, and one of them run."""

from __future__ import annotations

import argparse
import ast
import contextlib
import io
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..arguments.options import add_lang
from ..errors import FileError, LessonError, UsageError
from ..show.table import table_text
from ..show.wrap import tell
from ..small_repr import small_repr
from .learn_exercise import invite, write_exercise
from .learn_paths import paths_text

PACKAGE = Path(__file__).resolve().parents[1]
# In an installed copy, where the wheel puts them, and beside the package in a checkout. The
# former comes first: beside an installed package stand the packages of others.
FOLDERS = (PACKAGE / "walkthroughs", PACKAGE.parent / "walkthroughs")


@small_repr()
class LessonFile(NamedTuple):
    """A lesson in the list."""

    number: str
    name: str
    question: dict[str, str]
    path: Path


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "learn",
        help="list the lessons and run one",
        description="List the lessons, or run one: numtx learn 03, or numtx learn masks.",
    )
    parser.set_defaults(run=run)
    parser.add_argument("lesson", nargs="?", help="a number or a part of a name (default: list)")
    parser.add_argument(
        "--exercise", nargs="?", const="", metavar="FILE.py",
        help="write the lesson's exercise, a function with a hole, to a file (default: "
        "exercise_NN.py); `numtx check FILE.py` says whether it is filled in rightly",
    )  # fmt: skip
    parser.add_argument(
        "--model", metavar="DIR", help="a saved model's folder, for a lesson that reads one"
    )
    parser.add_argument(
        "--html",
        metavar="FILE",
        help="write the lesson as a page, in place of it (-: standard output)",
    )
    parser.add_argument(
        "--notebook", metavar="FILE.ipynb", help="write the lesson as a notebook for Jupyter"
    )
    add_lang(parser, "en")


def run(args: argparse.Namespace) -> int:
    found = all_lessons()
    languages = ("zh", "en") if args.lang == "both" else (args.lang,)
    if args.lesson is None:
        for option in ("exercise", "html", "notebook", "model"):
            if getattr(args, option) is not None:
                what = "DIR" if option == "model" else "FILE"
                raise UsageError(
                    f"--{option} is of one lesson; say which: numtx learn 3 --{option} {what}"
                )
        rows = [
            [e.number, e.name, "\n".join(e.question[lang] for lang in languages)] for e in found
        ]
        print(table_text(rows, "lll"))
        for lang in languages:
            for line in paths_text([entry.number for entry in found], lang):
                tell(line)
        return 0
    chosen = choose(found, args.lesson)
    files = [name for name in ("exercise", "html", "notebook") if getattr(args, name) is not None]
    if len(files) > 1:
        raise UsageError(f"--{files[0]} and --{files[1]} write a file each; give one")
    if args.model is not None and files not in ([], ["html"]):
        raise UsageError(f"--model with --{files[0]}, which reads none; drop it")
    if args.model is not None and "lesson.model" not in chosen.path.read_text(encoding="utf-8"):
        raise UsageError(f"lesson {chosen.number} reads no model; leave out --model")
    if args.model is not None:
        from ..checkpoints.folder import Folder

        Folder(args.model)  # what cannot be read is said before the lesson begins
    if args.exercise is not None:
        return write_exercise(chosen.number, args.exercise, args.lang)
    if args.notebook is not None:
        return _write_notebook(chosen, args.notebook, args.lang)
    model = [] if args.model is None else ["--model", args.model]
    if args.html is not None:
        return _write_page(chosen.path, args.html, args.lang, model)
    code = max(_run(chosen.path, lang, model) for lang in languages)
    if code == 0:
        invite(chosen.number, args.lang)
    return code


def _write_page(path: Path, to: str, lang: str, model: list[str]) -> int:
    """The lesson, run in both languages, as a page that shows one or both."""
    from ..arguments.options import check_outputs, put_text
    from ..html.plain import printed_page
    from ..show.headings import pick

    check_outputs((to,))  # what cannot be written is said before the work
    told = []
    for one in ("zh", "en"):
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            code = _run(path, one, model)
        if code:
            return code
        told.append(printed.getvalue())
    put_text(to, printed_page(told[0], told[1], lang))
    tell(f"{pick(lang, '已写入', 'written')}: {to}")
    return 0


def _write_notebook(lesson: LessonFile, to: str, lang: str) -> int:
    """The lesson as a notebook in a file; it is run on the way."""
    from ..arguments.options import check_outputs, put_text
    from ..notebook.lesson import lesson_notebook
    from ..show.headings import below

    check_outputs((to,))
    try:
        text = lesson_notebook(lesson, lang)
    except LessonError as error:
        print(f"numtx: {lesson.path.name}: {error}", file=sys.stderr)
        return 1
    put_text(to, text)
    tell(below(lang, f"已写入: {to}", f"written: {to}"))
    return 0


def _run(path: Path, lang: str, model: list[str]) -> int:
    try:
        _told(path, lang, model)
    except LessonError as error:
        print(f"numtx: {path.name}: {error}", file=sys.stderr)
        return 1
    return 0


def _told(path: Path, lang: str, options: Sequence[str] = ()) -> dict[str, Any]:
    """Run a lesson; its names."""
    before = sys.argv
    sys.argv = [str(path), "--lang", lang, *options]
    try:
        return runpy.run_path(str(path), run_name="__main__")
    finally:
        sys.argv = before


def run_lesson(lesson: str, lang: str = "en") -> dict[str, Any]:
    """Run a lesson, by its number or a part of its name, in 'zh' or 'en': it prints what it shows.
    Returns its key values. Raises `LessonError` where one of its claims does not hold."""
    results: dict[str, Any] = _told(choose(all_lessons(), lesson).path, lang)["lesson"].results
    return results


def all_lessons() -> list[LessonFile]:
    """The lessons of numtx in order. Raises `FileError` where there are none."""
    found = next(filter(None, map(lessons, FOLDERS)), None)
    if found is None:
        raise FileError(
            f"there are no lessons in {FOLDERS[0]} or {FOLDERS[1]}; install numtx again, or run "
            "it in a checkout of its repository"
        )
    return found


def lessons(folder: Path) -> list[LessonFile]:
    """The lessons of a folder in order; their questions are read without running them."""
    found = []
    for path in sorted(folder.glob("[0-9][0-9]_*.py")):
        number, name = path.stem.split("_", 1)
        found.append(LessonFile(number, name, _question(path), path))
    return found


def choose(found: list[LessonFile], text: str) -> LessonFile:
    """The lesson with this number or name, or the only one whose name has this part."""
    wanted = text.replace("-", "_").lower()
    exact = [e for e in found if wanted in (e.number, e.number.lstrip("0"), e.name, e.path.stem)]
    matches = exact or [e for e in found if wanted in e.name]
    if len(matches) == 1:
        return matches[0]
    if matches:
        names = ", ".join(f"{e.number} {e.name}" for e in matches)
        raise UsageError(f"{text!r} fits several lessons: {names}")
    raise UsageError(f"no lesson {text!r}; `numtx learn` lists them")


def _question(path: Path) -> dict[str, str]:
    """Both texts of the question that the file gives to Lesson."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Lesson":
            return {
                word.arg: word.value.value
                for word in node.keywords
                if word.arg in ("zh", "en")
                and isinstance(word.value, ast.Constant)
                and isinstance(word.value.value, str)
            }
    raise LessonError(f"{path.name}: gives no question to Lesson")
