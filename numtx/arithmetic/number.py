"""A number that remembers what it was made of.

Formulas are written over such numbers (`operations`). From one evaluation follow the value, how
far rounding may have moved it, the cells that were read with their partial derivatives (the chain
rule: nobody writes a derivative but those of `FUNCTIONS`), and the arithmetic as text.

The value is one number, or an array of them: the same formula then serves many rows at once. On
plain arrays the functions below compute plainly, and nothing is remembered.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ..shapes import Array

Value: TypeAlias = Any  # float, int or bool, or an array of them


# What a number was made of: d(number)/d(it), and how far rounding may have moved that; EXACT where
# it is 1, -1 or 0, so that multiplying by it rounds nothing. (Plain tuples, as there are millions.)
EXACT = None
Parent: TypeAlias = "tuple[Number, Value, Value]"


class Source(NamedTuple):
    """The cell of a recorded array that a number was read from; `offset` in the flat array."""

    source: str
    offset: Any


class Number:
    """value, and what it remembers.

    bound    how far rounding may have moved the value, in units of the machine epsilon: what its
             parents' bounds become by the slopes, and one rounding of the value itself
    parents  what it was made of
    form     how it is written: an operator, "sum", "max", "call", "same", "text", "step", "leaf"
    label    the name of the function, of the step, or a text of its own
    leaf     where it was read
    """

    __slots__ = ("bound", "form", "label", "leaf", "parents", "value")
    __array_ufunc__ = None  # an array is no operand of a number

    def __init__(
        self,
        value: Value,
        bound: Value = 0.0,
        parents: tuple[Parent, ...] = (),
        form: str = "leaf",
        label: Any = None,
        leaf: Source | None = None,
    ) -> None:
        self.value = value
        self.bound = bound
        self.parents = parents
        self.form = form
        self.label = label
        self.leaf = leaf

    def __add__(self, other: Operand) -> Number:
        o = lift(other)
        value = self.value + o.value
        return Number(
            value, self.bound + o.bound + abs(value), ((self, 1.0, EXACT), (o, 1.0, EXACT)), "+"
        )

    def __sub__(self, other: Operand) -> Number:
        o = lift(other)
        value = self.value - o.value
        # Where -inf stands (a score that is masked), nothing is off.
        bound = self.bound + o.bound + _size(value)
        return Number(value, bound, ((self, 1.0, EXACT), (o, -1.0, EXACT)), "-")

    def __mul__(self, other: Operand) -> Number:
        o = lift(other)
        value = self.value * o.value
        bound = self.bound * abs(o.value) + o.bound * abs(self.value) + abs(value)
        parents = ((self, o.value, o.bound), (o, self.value, self.bound))
        return Number(value, bound, parents, "*")

    def __truediv__(self, other: Operand) -> Number:
        o = lift(other)
        value, inverse = _over(self.value, o.value), _over(1.0, o.value)
        loose = times(o.bound, inverse * inverse) + abs(inverse)
        bound = self.bound * abs(inverse) + abs(self.value) * loose
        slope = -value * inverse
        parents = (
            (self, inverse, loose),
            (o, slope, bound * abs(inverse) + abs(value) * loose),
        )
        return Number(value, bound, parents, "/")

    def __neg__(self) -> Number:
        return Number(-self.value, self.bound, ((self, -1.0, EXACT),), "neg")


Operand: TypeAlias = "Number | Value"


def lift(x: Operand) -> Number:
    """A number as it is; a constant as a number without error."""
    return x if isinstance(x, Number) else Number(x, form="constant")


def _size(value: Value) -> Value:
    """The absolute value, 0 for an infinity."""
    if isinstance(value, np.ndarray):
        return np.where(np.isinf(value), 0.0, abs(value))
    return 0.0 if math.isinf(value) else abs(value)


def times(a: Value, b: Value) -> Value:
    """a * b, and 0 where either is 0, whatever the other."""
    product = a * b
    if isinstance(product, np.ndarray):
        if np.isfinite(product).all():
            return product
        return np.where((a == 0.0) | (b == 0.0), 0.0, product)
    return 0.0 if a == 0.0 or b == 0.0 else product


def _over(a: Value, b: Value) -> Value:
    """a / b, also where b is 0."""
    if isinstance(b, np.ndarray) or b != 0.0:
        return a / b
    return a * math.inf if a else math.nan


# ---- functions of one number


class Function(NamedTuple):
    """A function of one float, of an array, and its slope from the number and the result: a
    formula too, so that what rounding does to it follows."""

    single: Callable[[float], float]
    many: Callable[[Array], Array]
    slope: Callable[[Number, Number], Operand]


def _exp(x: float) -> float:
    try:
        return math.exp(x)
    except OverflowError:
        return math.inf


_ERFC = np.frompyfunc(math.erfc, 1, 1)

FUNCTIONS = {
    "exp": Function(_exp, np.exp, lambda x, y: y),
    "log": Function(math.log, np.log, lambda x, y: lift(1.0) / x),
    "sqrt": Function(math.sqrt, np.sqrt, lambda x, y: lift(0.5) / y),
    "tanh": Function(math.tanh, np.tanh, lambda x, y: lift(1.0) - y * y),
    "erfc": Function(
        math.erfc,
        lambda x: np.asarray(_ERFC(x), np.float64),
        lambda x, y: exp(-(x * x)) * (-2.0 / math.sqrt(math.pi)),
    ),
    # Of angles, which are constants: their slopes serve for the bounds alone.
    "sin": Function(math.sin, np.sin, lambda x, y: apply("cos", x.value)),
    "cos": Function(math.cos, np.cos, lambda x, y: -apply("sin", x.value)),
}


def apply(name: str, x: Operand) -> Operand:
    """A function of `FUNCTIONS`, of a number or of plain values."""
    function = FUNCTIONS[name]
    if not isinstance(x, Number):
        return function.many(x) if isinstance(x, np.ndarray) else function.single(x)
    value = function.many(x.value) if isinstance(x.value, np.ndarray) else function.single(x.value)
    result = Number(value, abs(value), (), "call", name)
    slope = lift(function.slope(x, result))
    result.bound = result.bound + times(x.bound, abs(slope.value))
    # Once more, for how far the slope is off follows from how far the result is.
    loose = lift(function.slope(x, result)).bound
    result.parents = ((x, slope.value, loose),)
    return result


def exp(x: Operand) -> Operand:
    return apply("exp", x)


def log(x: Operand) -> Operand:
    return apply("log", x)


def sqrt(x: Operand) -> Operand:
    return apply("sqrt", x)


def square(x: Operand) -> Operand:
    """x * x, written as a square."""
    if not isinstance(x, Number):
        return x * x
    slope = 2.0 * x.value
    value = x.value * x.value
    return Number(value, x.bound * abs(slope) + value, ((x, slope, 2.0 * x.bound),), "square")


def total(terms: Iterable[Operand]) -> Operand:
    """The sum of many; of one it is that number."""
    found = list(terms)
    if len(found) == 1:
        return found[0]
    if not isinstance(found[0], Number):
        return _sum([np.asarray(x) for x in found])
    values = [x.value for x in found]
    if any(isinstance(value, np.ndarray) for value in values):
        value: Value = _sum(values)
        size: Value = _sum([abs(x) for x in values])
    else:
        value, size = math.fsum(values), math.fsum(map(abs, values))
    bound = size + sum(x.bound for x in found)
    return Number(value, bound, tuple((x, 1.0, EXACT) for x in found), "sum")


def added(values: Sequence[Value]) -> Value:
    """The plain sum of some numbers; of many, as `_sum`, or the roundings of a long row add up."""
    if len(values) < 8:
        return sum(values[1:], values[0])
    return _sum(values) if any(np.ndim(v) for v in values) else float(_sum(values))


def _sum(values: Sequence[Value]) -> Array:
    """Summed pairwise by NumPy: the terms of one sum stand in a row."""
    stacked = np.stack(np.broadcast_arrays(*values), -1)
    return np.asarray(np.add.reduce(stacked.astype(np.float64, copy=False), -1))


def largest(row: Sequence[Operand]) -> Operand:
    """The largest of a row, as a constant (what it is subtracted from does not depend on it)."""
    if not isinstance(row[0], Number):
        return np.maximum.reduce([np.asarray(x) for x in row])
    values = [x.value for x in row]
    many = any(isinstance(value, np.ndarray) for value in values)
    top = np.maximum.reduce(np.broadcast_arrays(*values)) if many else max(values)
    return Number(top, 0.0, tuple((x, 0.0, EXACT) for x in row), "max")


def choose(condition: Operand, yes: Any, no: Any) -> Operand:
    """`yes` where the condition holds, else `no`; a function is called only where it is needed."""
    flag = condition.value if isinstance(condition, Number) else condition
    if isinstance(flag, np.ndarray):
        yes, no = (x() if callable(x) else x for x in (yes, no))
        return _choose_each(condition, flag.astype(bool), yes, no)
    taken, left = (yes, no) if flag else (no, yes)
    taken = taken() if callable(taken) else taken
    others = [x for x in (condition, left) if isinstance(x, Number)]
    if not others and not isinstance(taken, Number):
        return taken
    number = lift(taken)
    parents = ((number, 1.0, EXACT), *((x, 0.0, EXACT) for x in others))
    written = len(others) == 2 and isinstance(taken, Number)
    label = (lift(yes), " if ", condition, " else ", lift(no)) if written else None
    return Number(number.value, number.bound, parents, "text" if written else "same", label)


def _choose_each(condition: Operand, flag: Array, yes: Operand, no: Operand) -> Operand:
    if not any(isinstance(x, Number) for x in (condition, yes, no)):
        plain: tuple[Any, Any] = (yes, no)
        return np.where(flag, *plain)
    a, b = lift(yes), lift(no)
    share = flag.astype(np.float64)
    parents: list[Parent] = [(a, share, EXACT), (b, 1.0 - share, EXACT)]
    if isinstance(condition, Number):
        parents.append((condition, 0.0, EXACT))
    value, bound = np.where(flag, a.value, b.value), np.where(flag, a.bound, b.bound)
    return Number(value, bound, tuple(parents), "same")


def written(value: Value, reads: Sequence[Operand], parts: Callable[[], Sequence[Any]]) -> Operand:
    """A value that is no arithmetic (a rule), with the numbers that it was read from."""
    numbers = [x for x in reads if isinstance(x, Number)]
    if not numbers:
        return value
    return Number(value, 0.0, tuple((x, 0.0, EXACT) for x in numbers), "text", parts)


def written_as(x: Operand, *parts: Any) -> Operand:
    """A number, written in another way than it was computed."""
    if not isinstance(x, Number):
        return x
    return Number(x.value, x.bound, ((x, 1.0, EXACT),), "text", parts)


def named(label: str, x: Operand) -> Operand:
    """A step of its own: written once, and called by its name in what follows."""
    if not isinstance(x, Number):
        return x
    return Number(x.value, x.bound, ((x, 1.0, EXACT),), "step", label)


def noted(x: Operand, note: Callable[[], str]) -> Operand:
    """A number of which something is to be said besides its arithmetic."""
    if not isinstance(x, Number):
        return x
    return Number(x.value, x.bound, ((x, 1.0, EXACT),), "same", note)


def in_double(x: Operand, eps: float) -> Operand:
    """A number taken in float64 whatever the type of the run, and held constant (an angle)."""
    if not isinstance(x, Number):
        return x
    bound = abs(x.value) * (2.0**-52 / eps)
    return Number(x.value, bound, ((x, 0.0, EXACT),), "same")
