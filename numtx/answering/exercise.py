"""An exercise: what is to be written, its reference, and the mistakes that are known.

One declaration is a function under `@exercise`, its form: it computes the result as a reader
would, and where a reader may slip it says so,

    scores = at(products / math.sqrt(d), ("没有除", "not divided", lambda: products))

with the right value first and then what comes of each known mistake. One mistake, or two in two
places, is the form with those taken. What is right is said by `reference` alone, made of the
operations of numtx; that the form without a mistake agrees with it is a test.
"""

from __future__ import annotations

import importlib
import inspect
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ..errors import LessonError, nearest
from ..shapes import Array
from ..small_repr import small_repr
from ..stages.leaf import Text

Wrong: TypeAlias = tuple[str, str, Callable[[], Any]]
MOST = 2  # mistakes at once


class At:
    """Where a form may go wrong: `at(right, (zh, en, make), ...)` gives the right value, or what
    `make` makes where that mistake is taken."""

    def __init__(self, taken: Mapping[int, int] | None = None) -> None:
        self.taken = taken or {}
        self.names: list[list[Text]] = []  # of the mistakes at each place, in order of the calls

    def __call__(self, right: Any, *wrong: Wrong) -> Any:
        place = len(self.names)
        self.names.append([Text(zh, en) for zh, en, _ in wrong])
        return wrong[self.taken[place]][2]() if place in self.taken else right


@small_repr()
class Case(NamedTuple):
    """Arguments that an answer is tried on."""

    arguments: tuple[Any, ...]
    rows: Sequence[str] = ()  # what the rows and columns of the result are called, in a lesson
    columns: Sequence[str] = ()


class Mistaken(NamedTuple):
    """Mistakes to be made at once, by their names, and which that is at each place."""

    names: tuple[Text, ...]
    taken: Mapping[int, int]


@small_repr()
@dataclass(frozen=True)
class Exercise:
    """A function that a reader writes. Its first case has the lesson's own numbers."""

    name: str
    lesson: str
    arguments: tuple[str, ...]
    statement: Text
    hints: tuple[Text, ...]
    answer: str  # the body of the function
    reference: Callable[..., Any]
    make_cases: Callable[[], list[Case]]
    form: Callable[..., Any]

    @property
    def signature(self) -> str:
        return f"def {self.name}({', '.join(self.arguments)}):"

    @cached_property
    def cases(self) -> list[Case]:
        return self.make_cases()

    @cached_property
    def expected(self) -> list[Array]:
        return [np.asarray(self.reference(*copied(case.arguments))) for case in self.cases]

    def result(self, case: Case, taken: Mapping[int, int] | None = None) -> Array | None:
        """What comes of the form, with the mistakes taken: None where it raises."""
        try:
            with np.errstate(all="ignore"):
                return np.asarray(self.form(At(taken), *copied(case.arguments)))
        except (ValueError, IndexError):  # shapes that do not go together, as in NumPy
            return None

    def mistaken(self, count: int) -> Iterator[Mistaken]:
        """Every way to make `count` of the known mistakes, in different places."""
        at = At()
        self.form(at, *copied(self.cases[0].arguments))
        for places in itertools.combinations(range(len(at.names)), count):
            for taken in itertools.product(*(range(len(at.names[place])) for place in places)):
                names = [at.names[p][k] for p, k in zip(places, taken, strict=True)]
                yield Mistaken(tuple(names), dict(zip(places, taken, strict=True)))


ROOMS = ("exercises", "exercises_of_training")
EXERCISES: dict[str, Exercise] = {}  # by the name of the function; `exercises` fills it


def exercise(
    lesson: str,
    *,
    zh: str,
    en: str,
    hints: Sequence[tuple[str, str]],
    answer: str,
    reference: Callable[..., Any],
    cases: Callable[[], list[Case]],
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A decorator: what it stands above is the form of an exercise of this lesson."""

    def enter(form: Callable[..., Any]) -> Callable[..., Any]:
        name = form.__name__
        names = tuple(inspect.signature(form).parameters)[1:]
        texts = tuple(Text(*hint) for hint in hints)
        body = inspect.cleandoc(answer)
        EXERCISES[name] = Exercise(
            name, lesson, names, Text(inspect.cleandoc(zh), inspect.cleandoc(en)),
            texts, body, reference, cases, form,
        )  # fmt: skip
        return form

    return enter


def exercises() -> dict[str, Exercise]:
    """Every exercise by the name of its function, in order of the lessons."""
    home = Path(__file__).parents[1]
    for file in sorted(file for room in ROOMS for file in (home / room).glob("[a-z]*.py")):
        importlib.import_module(f"..{file.parent.name}.{file.stem}", __package__)
    return dict(sorted(EXERCISES.items(), key=lambda one: one[1].lesson))


def of_lesson(number: str) -> list[Exercise]:
    """The exercises of a lesson. Raises `LessonError` where it has none."""
    every = exercises().values()
    found = [one for one in every if one.lesson == number]
    if not found:
        numbers = ", ".join(sorted({one.lesson for one in every}))
        raise LessonError(f"lesson {number} has no exercise to write; these have: {numbers}")
    return found


def of_names(names: Sequence[str], path: str) -> list[Exercise]:
    """The exercises whose functions a file defines. Raises `LessonError` where there are none."""
    every = exercises()
    found = [every[name] for name in every if name in names]
    if not found:
        hints = (f" ({name}: {nearest(name, every)})" for name in names)
        told = next((hint for hint in hints if "did you mean" in hint), "")
        raise LessonError(
            f"{path}: no function of an exercise is defined in it{told}; "
            "`numtx learn 3 --exercise FILE` writes a file that has one"
        )
    return found


def copied(arguments: Sequence[Any]) -> list[Any]:
    """Arguments that may be changed."""
    return [x.copy() if isinstance(x, np.ndarray) else x for x in arguments]
