"""Checks and inspections that the command line makes, by their arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..answering.exercise import of_lesson
from ..answering.judge import Verdict, judge
from ..answering.run import outcomes, read, template
from ..backwards.check import OwnReport, check
from ..backwards.own import own
from ..checkpoints.folder import Folder
from ..documents.ledger import row_of, rows_of
from ..documents.row import Result, run
from ..errors import LessonError
from ..learning.learn import all_lessons, choose

if TYPE_CHECKING:
    from ..testing.report import Report


def check_backward(
    found: Any,
    inputs: Sequence[Any] | Mapping[str, Any] | None = None,
    backward: Any = None,
    *,
    samples: int | None = None,
    seed: int = 0,
) -> OwnReport:
    """Hold a backward pass of your own against finite differences, and name its mistakes.

    found     a `BackwardPass`, a function without arguments that returns (forward, backward,
              inputs), what has forward and backward, or a forward pass where `backward` is given
    samples   cells tried of each input; None: all

    Raises `UsageError` for what is none of these.
    """
    name = getattr(found, "__name__", type(found).__name__)
    return check(own(found, name, inputs, backward), samples, seed)


def inspect(folder: str | Path, dtype: str | None = None) -> Folder:
    """What a saved model is (config, tensors, sizes) before its numbers are read; `to_text` prints
    it. Raises `CheckpointError` for what cannot be read."""
    return Folder(folder, dtype)


def figures(*documents: str, figure: str | None = None) -> list[Result]:
    """The figures and claims of the documents ('000' to '004'; none: all), or one of them by its
    id, recomputed: each with its `verdict`."""
    return run([row_of(figure)] if figure is not None else rows_of(documents))


def check_laws(model: Any, laws: Sequence[str] | None = None, **options: Any) -> Report:
    """Ask the laws of a model, an attention operator or functions that choose tokens, as
    `numtx.testing.check` does, which says what they are and which options there are. It needs
    Hypothesis."""
    from ..testing.trial import check as check_all

    return check_all(model, laws, **options)


def lesson_exercise(lesson: str, lang: str = "en") -> str:
    """The exercise of a lesson, by its number or a part of its name: the text of a Python file
    whose functions are to be filled in, for `check_exercise`.

    Raises `UsageError` for a lesson that is none, `LessonError` for one without an exercise.
    """
    number = choose(all_lessons(), lesson).number
    return template(of_lesson(number), number, lang)


def check_exercise(path: str | Path) -> list[Verdict]:
    """Whether the functions of an exercise, as they stand in a file, are right, and which known
    mistake makes their numbers where they are not.

    Raises `LessonError` where one is not filled in, raises, or gives what cannot be judged.
    """
    solution = read(str(path))
    if solution.holes:
        raise LessonError(f"{path}: {', '.join(sorted(solution.holes))}: not filled in")
    found = outcomes(solution)
    return [judge(one, found[one.name], str(path)) for one in solution.exercises]
