"""The arithmetic of a cell as data: steps of expressions whose numbers can be printed with any
precision, or evaluated.

A step's expressions are Python once its numbers are written out; a later step may use the
names of earlier ones (`mean`, `total`). Whatever is read from a table is a number of the
expression; constants of the formula (`sqrt(4)`, an epsilon) are text and are never rounded.
Which cell a number was read from stays known (`Source`), so that it can be named too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypeAlias

from ..arithmetic.cells import Single
from ..small_repr import small_repr

NO_BREAK = "\u00a0"


@small_repr()
class Many(NamedTuple):
    """Terms with the same sign or comma between them; a printer may leave out the middle."""

    terms: tuple[Expression, ...]
    joiner: str = " + "


class CellRead(NamedTuple):
    """A number that was read, with its place."""

    value: Single
    source: str
    offset: int


Part: TypeAlias = str | float | int | bool | Many | CellRead
Expression: TypeAlias = tuple[Part, ...]


@small_repr()
class Equation(NamedTuple):
    """`left = form = form = value`; each form evaluates to the value. The last step of an
    explanation is the cell itself, and its left side is empty."""

    left: str
    symbols: str
    forms: tuple[Expression, ...]
    value: Single


@small_repr()
class Explanation(NamedTuple):
    """How one cell came about.

    kind      value or gradient
    value     what was recorded
    steps     the arithmetic; none where the cell was given, or where an input is missing
    notes     what is to be said besides
    pinned    held at its value, not computed: the steps say what would have been computed
    sources   the explanations of cells that it was made from
    inline    on the way to its only reader: printed with it, as a line of its own
    """

    name: str
    cell: tuple[int, ...]
    kind: str
    value: Single
    formula: str
    steps: tuple[Equation, ...]
    notes: tuple[str, ...] = ()
    pinned: bool = False
    sources: tuple[Explanation, ...] = ()
    inline: bool = False


def written(
    expression: Expression, number: Callable[[Single], str], most: int | None = None
) -> str:
    """An expression as text: Python, or with `most` for a reader.

    most  how many terms of a sum to write before its middle is left out; the spaces within a
          term are then no-break spaces, so that lines are broken between terms
    """
    return "".join(
        part
        if isinstance(part, str)
        else _many(part, number, most)
        if isinstance(part, Many)
        else number(part.value if isinstance(part, CellRead) else part)
        for part in expression
    )


def _many(many: Many, number: Callable[[Single], str], most: int | None) -> str:
    terms = many.terms
    if most is not None and len(terms) > most:
        start = most - most // 3
        left_out = len(terms) - most
        terms = (*terms[:start], (f"[{left_out} more]",), *terms[start + left_out :])
    text, gap = "", " " if most is None else NO_BREAK  # a sign stays with what follows it
    for k, term in enumerate(terms):
        piece = written(term, number, most)
        if most is not None:
            piece = piece.replace(" ", NO_BREAK)
        if k == 0:
            text = piece
        elif many.joiner == " + " and piece.startswith("-"):
            text += f" -{gap}{piece[1:]}"
        elif many.joiner == " + ":
            text += f" +{gap}{piece}"
        else:
            text += many.joiner + piece
    return text


def exact(number: Single) -> str:
    """A number with all its digits."""
    return repr(number)


def evaluate(
    steps: Iterable[Equation], number: Callable[[Single], str] = exact
) -> list[tuple[Single, ...]]:
    """The value of every form of every step, from the numbers as `number` writes them."""
    names: dict[str, Any] = {"__builtins__": {}, **_FUNCTIONS}
    found = []
    for step in steps:
        values = tuple(_value(form, number, names) for form in step.forms)
        names[step.left or "_"] = values[0]
        found.append(values)
    return found


def _value(expression: Expression, number: Callable[[Single], str], names: dict[str, Any]) -> Any:
    """Sums are taken term by term, for Python refuses expressions of thousands of terms."""
    text = ""
    for part in expression:
        if isinstance(part, str):
            text += part
        elif isinstance(part, Many):
            values = [_value(term, number, names) for term in part.terms]
            text += repr(math.fsum(values) if part.joiner == " + " else max(values))
        else:
            text += number(part.value if isinstance(part, CellRead) else part)
    return eval(text, names)  # made above of numbers and formulas only


def _exp(x: float) -> float:
    return math.exp(x) if x < 709.0 else math.inf


_FUNCTIONS: dict[str, Any] = {
    "abs": abs, "cos": math.cos, "erfc": math.erfc, "exp": _exp, "inf": math.inf, "log": math.log,
    "max": lambda *numbers: max(numbers), "min": lambda *numbers: min(numbers),
    "nan": math.nan, "pi": math.pi, "sin": math.sin, "sorted": sorted, "sqrt": math.sqrt,
    "tanh": math.tanh,
}  # fmt: skip


def shown_index(shape: Sequence[int], index: Sequence[int | str]) -> str:
    """`[4,1]`: the index without leading axes of size one; empty for a single number."""
    first = 0
    while first < len(shape) - 1 and shape[first] == 1:
        first += 1
    return "[" + ",".join(str(i) for i in index[first:]) + "]" if shape else ""
