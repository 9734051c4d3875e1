"""Whether an answer is right, and which known mistake makes its numbers."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..errors import LessonError
from ..shapes import Array
from ..show.numbers import shape_text
from ..small_repr import in_notebook, small_repr
from ..stages.leaf import Text
from .exercise import MOST, Case, Exercise
from .run import Outcome

# Of the largest number of a result. Mistakes differ by far more on the cases (a test says so).
RIGHT, RIGHT_IN_SINGLE, KIND = 1e-9, 1e-5, 1e-6


class Cell(NamedTuple):
    """The first cell that is wrong: in which case, where, what stands there and what should."""

    case: int
    place: tuple[int, ...]
    got: float
    expected: float
    wrong: int  # cells of this case
    cells: int


@in_notebook
@small_repr("right", "kinds", "cell", "error")
class Verdict(NamedTuple):
    exercise: Exercise
    right: bool
    single: bool = False  # it has the precision of float32
    kinds: tuple[tuple[Text, ...], ...] = ()  # each explains all numbers; one with two is of both
    cell: Cell | None = None
    error: str = ""  # what it raises in other cases


def judge(exercise: Exercise, found: Sequence[Outcome], path: str) -> Verdict:
    """The verdict on what a function returned for the cases of its exercise.

    Raises `LessonError` where it raised, or returned a wrong shape or NaN, and no known mistake
    does the same.
    """
    values, expected = [one.value for one in found], exercise.expected
    single = all(_is_single(x) for x in values)
    right = RIGHT_IN_SINGLE if single else RIGHT
    if all(agree(x, e, right) for x, e in zip(values, expected, strict=True)):
        return Verdict(exercise, True, single)
    kinds = _kinds(exercise, values, max(KIND, right))
    if not kinds:
        for case, one, wanted in zip(exercise.cases, found, expected, strict=True):
            _refuse(exercise, case, one, wanted, path)
    errors = [one.error for one in found if one.error]
    cell = first_wrong(values, expected, right)
    return Verdict(exercise, False, single, kinds, cell, errors[0] if errors else "")


def _kinds(
    exercise: Exercise, values: Sequence[Array | None], limit: float
) -> tuple[tuple[Text, ...], ...]:
    """The mistakes that make all the numbers, as few at once as do."""
    if all(x is None for x in values):
        return ()
    for count in range(1, MOST + 1):
        found = {
            one.names: None
            for one in exercise.mistaken(count)
            if all(
                agree(x, exercise.result(case, one.taken), limit)
                for x, case in zip(values, exercise.cases, strict=True)
            )
        }
        if found:
            return tuple(found)
    return ()


def agree(got: Array | None, wanted: Array | None, limit: float) -> bool:
    """Whether two results are the same: both absent, or of one shape with the same numbers."""
    if got is None or wanted is None:
        return got is None and wanted is None
    return got.shape == wanted.shape and not _differing(got, wanted, limit).any()


def _differing(got: Array, wanted: Array, limit: float) -> Array:
    """The cells that differ by more than `limit` of the largest number."""
    a, b = got.astype(np.float64), wanted.astype(np.float64)
    finite = np.isfinite(b)
    size = np.abs(b[finite]).max(initial=0.0) or 1.0
    with np.errstate(invalid="ignore"):
        near = np.where(
            finite, np.abs(a - b) <= limit * size, (a == b) | (np.isnan(a) & np.isnan(b))
        )
    return np.asarray(~near)


def _is_single(x: Array | None) -> bool:
    """Whether numbers have the precision of float32, whatever their type."""
    if x is None or x.dtype.kind != "f":
        return x is None
    with np.errstate(over="ignore"):
        return x.itemsize < 8 or np.array_equal(x, x.astype(np.float32), equal_nan=True)


def _refuse(exercise: Exercise, case: Case, one: Outcome, wanted: Array, path: str) -> None:
    """Raise where a result is none that could be right."""
    which = f"{path}: {exercise.name}, {inputs_of(exercise, case)}"
    if one.value is None:
        raise LessonError(f"{one.error} (in {exercise.name}, {inputs_of(exercise, case)})")
    shape, right = shape_text(one.value.shape), shape_text(wanted.shape)
    if one.value.shape != wanted.shape:
        turned = one.value.T.shape == wanted.shape
        mend = "transpose it" if turned else "see the shapes in its statement"
        raise LessonError(f"{which}: it returns {shape}, which should be {right}; {mend}")
    if one.value.dtype == np.float16:
        raise LessonError(f"{which}: float16 is too coarse to be judged; use float64")
    nan = np.argwhere(np.isnan(one.value) & ~np.isnan(wanted.astype(np.float64)))
    if nan.size:
        place = ",".join(map(str, nan[0]))
        raise LessonError(
            f"{which}: NaN at [{place}]; look for 0 / 0, inf - inf and 0 * inf on the way to it"
        )


def first_wrong(
    values: Sequence[Array | None], expected: Sequence[Array], limit: float
) -> Cell | None:
    """The first cell that is wrong, in the first case that has one."""
    for number, (got, wanted) in enumerate(zip(values, expected, strict=True)):
        if got is not None and got.shape == wanted.shape:
            differing = _differing(got, wanted, limit)
            for index in itertools.islice(
                zip(*np.nonzero(np.atleast_1d(differing)), strict=True), 1
            ):
                place = tuple(map(int, index)) if wanted.ndim else ()
                count = int(differing.sum())
                return Cell(
                    number, place, float(got[place]), float(wanted[place]), count, wanted.size
                )
    return None


def inputs_of(exercise: Exercise, case: Case) -> str:
    """What a case is given: numbers, and the shapes of arrays."""
    parts = []
    for name, value in zip(exercise.arguments, case.arguments, strict=True):
        shown = shape_text(value.shape) if isinstance(value, np.ndarray) else f"= {value:g}" if (
            isinstance(value, float)) else f"= {value}"  # fmt: skip
        parts.append(f"{name} {shown}")
    return ", ".join(parts)
