"""How far rounding may have moved a number: never further than its bound says, and not so little
that the bound says nothing."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from numtx.arithmetic.number import Number, choose, exp, largest, log, sqrt, square, times, total

EPS = float(np.finfo(np.float32).eps)

# Of a and b > 0; the same formula on numbers that remember, and on plain arrays in float32.
FORMULAS: dict[str, Callable[[Any, Any], Any]] = {
    "a + b": lambda a, b: a + b,
    "a - b": lambda a, b: a - b,
    "a * b": lambda a, b: a * b,
    "a / b": lambda a, b: a / b,
    "a^2": lambda a, b: square(a),
    "exp a": lambda a, b: exp(a),
    "log b": lambda a, b: log(b),
    "sqrt b": lambda a, b: sqrt(b),
    "cancelled": lambda a, b: (a + b) - b,
    "scaled": lambda a, b: (a * b) * a,
    "shares": lambda a, b: exp(a) / (exp(a) + exp(b)),
    "spread": lambda a, b: (a - b) / sqrt(square(a - b) + b),
    "likelihood": lambda a, b: log(exp(a) + exp(b)) - a,
}


@pytest.mark.parametrize("name", FORMULAS)
def test_roundings_stay_within_the_bound_and_come_near_it(name: str) -> None:
    draw = np.random.default_rng(0)
    a, b = draw.standard_normal(4000), draw.uniform(0.1, 3.0, 4000)
    a, b = a.astype(np.float32), b.astype(np.float32)
    number = FORMULAS[name](*(Number(x.astype(np.float64)) for x in (a, b)))
    plain = FORMULAS[name](a, b)
    assert plain.dtype == np.float32
    off = np.abs(plain.astype(np.float64) - number.value) / (EPS * number.bound)
    # Arithmetic is rounded by half a unit; a function of the library may be off by more.
    assert off.max() <= (3.0 if "exp" in name or "log" in name or name == "shares" else 1.0)
    assert off.max() > 0.08  # half a rounding a step, of which few meet


@pytest.mark.parametrize("name", FORMULAS)
def test_one_number_and_an_array_of_them_have_one_bound(name: str) -> None:
    a, b = np.array([-0.7, 0.3, 1.9]), np.array([0.2, 1.1, 2.5])
    off_a, off_b = np.array([0.0, 2.0, 3.0]), np.array([1.0, 0.0, 4.0])
    many = FORMULAS[name](Number(a, off_a), Number(b, off_b))
    for k, (x, y) in enumerate(((0.0, 1.0), (2.0, 0.0), (3.0, 4.0))):
        one = FORMULAS[name](Number(float(a[k]), x), Number(float(b[k]), y))
        assert one.value == pytest.approx(many.value[k], rel=1e-14)
        assert one.bound == pytest.approx(many.bound[k], rel=1e-13)


def test_bounds_by_hand() -> None:
    """x = -2 off by 3 roundings, y = 0.5 off by 5."""
    x, y = Number(-2.0, 3.0), Number(0.5, 5.0)
    assert (x + y).bound == 3 + 5 + 1.5
    assert (x - y).bound == 3 + 5 + 2.5
    assert (x * y).bound == 3 * 0.5 + 5 * 2 + 1.0
    assert (x / y).bound == 3 * 2 + 2 * (5 * 4 + 2)
    assert (-x).bound == 3 and lift_of_a_constant() == 0.0
    assert square(x).bound == 3 * 4 + 4
    assert exp(y).bound == pytest.approx((1 + 5) * math.exp(0.5))
    assert log(y).bound == pytest.approx(math.log(2) + 5 / 0.5)
    assert sqrt(y).bound == pytest.approx(math.sqrt(0.5) + 5 / (2 * math.sqrt(0.5)))
    assert total([x, y, y]).bound == (2 + 0.5 + 0.5) + (3 + 5 + 5)
    assert total([x]) is x
    assert choose(True, x, y).bound == 3 and choose(False, x, y).bound == 5
    assert largest([x, y]).bound == 0.0  # a constant: what it is taken from does not depend on it
    assert (Number(-math.inf) - y).bound == 5.0


def lift_of_a_constant() -> float:
    return float((Number(0.0) * 3.0).bound)


def test_what_a_number_is_made_of_sums_to_its_slope() -> None:
    x, y = Number(-2.0), Number(0.5)
    for number, dx, dy in ((x + y, 1, 1), (x - y, 1, -1), (x * y, 0.5, -2), (x / y, 2, 8)):
        slopes = {parent: slope for parent, slope, _ in number.parents}
        assert (slopes[x], slopes[y]) == (dx, dy)
    assert square(x).parents[0][1] == -4.0 and exp(y).parents[0][1] == pytest.approx(math.e**0.5)
    assert log(y).parents[0][1] == 2.0 and sqrt(y).parents[0][1] == pytest.approx(0.5 / 0.5**0.5)


def test_nothing_times_anything_is_nothing() -> None:
    for value in (math.inf, -math.inf, math.nan):
        assert times(0.0, value) == times(value, 0.0) == 0.0
    with np.errstate(invalid="ignore"):
        found = times(np.array([0.0, 2.0]), np.array([math.inf, 3.0]))
    assert isinstance(found, np.ndarray) and found.tolist() == [0.0, 6.0]
