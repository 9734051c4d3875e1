"""`numtx check`: an exercise of a lesson, as a reader has written it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from ..arguments.json_output import add_json
from ..arguments.options import add_lang, whole
from ..errors import LessonError
from ..show.wrap import columns, tell

if TYPE_CHECKING:
    from ..answering.exercise import Exercise
    from ..answering.judge import Verdict


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "check",
        help="check an exercise that `numtx learn N --exercise` has written",
        description="Run the functions of an exercise on the lesson's own numbers and on others, "
        "and say whether they are right, or which known mistake makes their numbers and in which "
        "cell it shows. Exit code 1 where one is wrong; 2 where one cannot be judged: a hole that "
        "is not filled in, an exception, a wrong shape, NaN.",
    )
    parser.add_argument("file", metavar="FILE.py", help="the file, filled in")
    parser.add_argument(
        "--hint", nargs="?", type=whole(1), const=1, default=0, metavar="N",
        help="the first hint, or the first N; the last is what the wrong cell should have",
    )  # fmt: skip
    parser.add_argument("--answer", action="store_true", help="show the solution")
    add_json(parser, run)
    add_lang(parser, "en")


def run(args: argparse.Namespace) -> int:
    from ..answering.judge import judge
    from ..answering.run import outcomes, read
    from ..answering.text import as_json

    solution, verdicts = read(args.file), []
    problem: LessonError | None = None
    try:
        found = outcomes(solution)
    except LessonError as error:
        found, problem = {}, error
    for one in solution.exercises:
        verdict = None
        try:
            if one.name in found:
                verdict = judge(one, found[one.name], args.file)
                verdicts.append(verdict)
        except LessonError as error:
            problem = problem or error
        _say(args, one, verdict)
    args.result = as_json(verdicts)
    if solution.holes and problem is None:
        names = ", ".join(one.name for one in solution.exercises if one.name in solution.holes)
        problem = LessonError(
            f"{args.file}: {names}: not filled in; put your code in place of `...` (--hint helps)"
        )
    if problem is not None:
        raise problem
    return 0 if all(verdict.right for verdict in verdicts) else 1


def _say(args: argparse.Namespace, one: Exercise, verdict: Verdict | None) -> None:
    """The verdict, and of what is not right the hints that were asked for."""
    from ..answering.text import answer_text, hints_text, verdict_text

    width = columns()
    if verdict is not None:
        tell(verdict_text(verdict, args.lang, width))
    if args.hint and not (verdict and verdict.right):
        if verdict is None:
            tell(f"{one.name}:")
        tell(hints_text(one, args.hint, verdict and verdict.cell, args.lang, width))
    if args.answer:
        print(answer_text(one))
