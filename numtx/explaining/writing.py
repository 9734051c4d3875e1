"""The arithmetic of a cell as text: the formula's own numbers, written out step by step."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from ..arithmetic.number import Number
from ..oracle.oracle import Oracle
from ..stages.graph import Stage
from .explanation import CellRead, Equation, Expression, Many, Part, shown_index

_TIGHT = {"+": 1, "-": 1, "sum": 1, "*": 2, "/": 2, "neg": 2}  # how firmly a form holds together


class Arithmetic(NamedTuple):
    """The steps to a cell's value, and what is to be said besides."""

    steps: tuple[Equation, ...]
    notes: tuple[str, ...] = ()


def near(source: str, name: str) -> str:
    """A source's name as short as it is clear beside the stage `name`."""
    source = source.removeprefix("parameters/").removeprefix("inputs/")
    place = name.rpartition(".")[0]
    return source.removeprefix(place + ".") if place else source


def arithmetic(oracle: Oracle, stage: Stage, index: tuple[int, ...]) -> Arithmetic:
    """The arithmetic of one cell of a stage, from the recorded cells that it read."""
    if stage.operation == "given":
        return Arithmetic((), ("given to the run, not computed",))
    number = oracle.number(stage.name, index)
    names = _Names(oracle, stage)
    steps = []
    for step in _walk(number):
        if step.form == "step":
            form = expression(step.parents[0][0])
            steps.append(Equation(step.label, names.text(form), (form,), step.value))
    form = expression(number)
    last = Equation("", names.text(form), (form, *_products(number)), number.value)
    return Arithmetic((*steps, last), tuple(_notes(number)))


def cells_of(steps: Sequence[Equation]) -> list[tuple[str, int]]:
    """The cells that stand in the arithmetic: source and place, each once."""

    def entries(form: Expression) -> Iterator[CellRead]:
        for part in form:
            if isinstance(part, CellRead):
                yield part
            elif isinstance(part, Many):
                for term in part.terms:
                    yield from entries(term)

    found = (entry for step in steps for entry in entries(step.forms[0]))
    return list(dict.fromkeys((entry.source, entry.offset) for entry in found))


def _operands(number: Number) -> list[Number]:
    """The numbers that stand in the text of a number."""
    if number.form in ("leaf", "constant"):
        return []
    if number.form == "same":
        return [number.parents[0][0]]
    if number.form == "text":
        return [part for part in _parts(number) if isinstance(part, Number)]
    return [parent for parent, _, _ in number.parents]


def _walk(number: Number) -> Iterator[Number]:
    """What a number's text is made of, and that, in the order of reading."""
    seen: set[int] = set()

    def visit(x: Number) -> Iterator[Number]:
        if id(x) not in seen:
            seen.add(id(x))
            for operand in _operands(x):
                yield from visit(operand)
            yield x

    yield from visit(number)


def _notes(number: Number) -> Iterator[str]:
    """What was noted of the cell itself."""
    while number.form in ("same", "text") and number.parents:
        if number.form == "same" and number.label is not None:
            yield number.label()
        number = number.parents[0][0]


def _parts(number: Number) -> Sequence[Any]:
    parts: Sequence[Any] = number.label() if callable(number.label) else number.label
    return parts


def expression(number: Number) -> Expression:
    """A number as its formula writes it."""
    form, operands = number.form, [parent for parent, _, _ in number.parents]
    if form == "leaf":
        assert number.leaf is not None
        value = int(number.value) if isinstance(number.value, bool) else number.value
        return (CellRead(value, *number.leaf),)
    if form == "constant":
        text = number.label() if callable(number.label) else number.label
        return (text or plain(number.value),)
    if form == "step":
        return (number.label,)
    if form == "same":
        return expression(operands[0])
    if form == "text":
        parts = (p if isinstance(p, str) else expression(p) for p in _parts(number))
        return tuple(q for p in parts for q in ((p,) if isinstance(p, str) else p))
    if form == "sum":
        return (Many(_seen(operands)),)
    if form == "max":
        return ("max(", Many(_seen(operands), ", "), ")")
    if form == "call":
        return (f"{number.label}(", *expression(operands[0]), ")")
    if form == "square":
        return ("(", *expression(operands[0]), ")**2")
    if form == "neg":
        return ("-(", *expression(operands[0]), ")")
    return _binary(form, *operands)


def _seen(operands: Sequence[Number]) -> tuple[Expression, ...]:
    """Terms without those of hidden scores, unless all are."""
    terms = [expression(x) for x in operands]
    seen = [
        term
        for term in terms
        if not any(isinstance(p, CellRead) and p.value == -math.inf for p in term)
    ]
    return tuple(seen or terms)


def _binary(form: str, a: Number, b: Number) -> Expression:
    own = _TIGHT[form]
    left = _held(a, own)
    right = _held(b, own + (form in "-/"))
    if form == "-" and _negative(right):
        right = ("(", *right, ")")
    close = form == "*" and all(_root(x).form in ("leaf", "call", "constant") for x in (a, b))
    return (*left, "*" if close else f" {form} ", *right)


def _held(number: Number, needed: int) -> Expression:
    """A number as an operand, in brackets where it would fall apart."""
    found = expression(number)
    return found if _TIGHT.get(_root(number).form, 9) >= needed else ("(", *found, ")")


def _root(number: Number) -> Number:
    while number.form == "same":
        number = number.parents[0][0]
    return number


def _negative(parts: Expression) -> bool:
    first: Part = parts[0]
    return isinstance(first, CellRead) and first.value < 0


def _products(number: Number) -> Iterator[Expression]:
    """A sum of products once more, each product worked out."""
    root = _root(number)
    if root.form != "sum":
        return
    terms = [parent for parent, _, _ in root.parents]
    forms = [_root(term).form for term in terms]
    if forms.count("*") > 1 and set(forms) <= {"*", "leaf"}:
        yield (Many(tuple((term.value,) for term in terms)),)


def plain(number: float) -> str:
    """A constant of the formula with all its digits."""
    if isinstance(number, float) and f"{number:g}" != "" and float(f"{number:g}") == number:
        return f"{number:g}"
    return repr(number)


class _Names:
    """An expression with the names of the cells in place of their numbers."""

    def __init__(self, oracle: Oracle, stage: Stage) -> None:
        self.oracle = oracle
        self.stage = stage

    def text(self, parts: Expression) -> str:
        return "".join(
            part
            if isinstance(part, str)
            else self.many(part)
            if isinstance(part, Many)
            else self.cells([part])
            if isinstance(part, CellRead)
            else plain(part)
            for part in parts
        )

    def cells(self, entries: Sequence[CellRead]) -> str:
        """`queries[4,:]`: cells of one source; an axis along which they differ is open, or names
        the part of it that they are (`[4,0:5]`)."""
        cells = self.oracle.cells(entries[0].source)
        places = [cells.index(entry.offset) for entry in entries]
        shown: list[int | str] = []
        for axis, first in enumerate(places[0]):
            along = {place[axis] for place in places}
            if len(along) == 1:
                shown.append(first)
                continue
            low, high = min(along), max(along)
            whole = len(along) == cells.shape[axis] or len(along) <= high - low
            shown.append(":" if whole else f"{low}:{high + 1}")
        return near(entries[0].source, self.stage.name) + shown_index(cells.shape, shown)

    def many(self, many: Many) -> str:
        """Terms that are alike, written once."""
        groups: list[list[Expression]] = []
        for term in many.terms:
            if groups and _skeleton(groups[-1][0]) == _skeleton(term):
                groups[-1].append(term)
            else:
                groups.append([term])
        return many.joiner.join(self.alike(group, many.joiner == " + ") for group in groups)

    def alike(self, terms: Sequence[Expression], added: bool) -> str:
        if len(terms) == 1:
            return self.text(terms[0])
        text = ""
        for k, part in enumerate(terms[0]):
            if isinstance(part, CellRead):
                text += self.cells([term[k] for term in terms])  # type: ignore[misc]
            elif isinstance(part, str):
                text += "·" if part == "*" else part
        is_dot = len(terms[0]) == 3 and terms[0][1] == "*"
        return text if is_dot or not added else f"sum of {text}"


def _skeleton(term: Expression) -> tuple[object, ...]:
    return tuple(part.source if isinstance(part, CellRead) else part for part in term)
