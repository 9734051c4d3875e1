"""The exact GELU and its slope against decimals of sixty digits, to the end of both types."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext

import numpy as np
import pytest

from numtx.ops.gelu import gelu, gelu_slope
from numtx.shapes import Array

TYPES = pytest.mark.parametrize("dtype, end", [("float64", 38.5), ("float32", 14.2)])
ROOT = Decimal(2 * Decimal("3.14159265358979323846264338327950288419716939937510582097494459"))


def bell_and_tail(y: float) -> tuple[Decimal, Decimal]:
    """phi(y) and Phi(-y) of y >= 0: 1/2 less a series, or a continued fraction far out."""
    with localcontext(prec=60):
        x = Decimal(y)
        bell = (-x * x / 2).exp() / ROOT.sqrt()
        if y >= 6.0:
            below = x
            for n in range(150, 0, -1):
                below = x + n / below
            return bell, bell / below
        term = total = x
        for n in range(3, 301, 2):
            term *= x * x / n
            total += term
        return bell, Decimal("0.5") - bell * total


def points(end: float) -> list[float]:
    """Dense near 0, everywhere, and up to where nothing but denormal numbers is left."""
    draw = np.random.default_rng(0)
    found = [
        draw.uniform(0.0, 1.0, 60), draw.uniform(0.0, end, 150), 2.0 ** draw.uniform(-40, 0, 30),
        np.linspace(0.9 * end, end, 40), [0.0],
    ]  # fmt: skip
    return np.concatenate(found).tolist()


def spacing(values: list[Decimal], dtype: str) -> Array:
    return np.spacing(np.array([float(abs(v)) for v in values], dtype)).astype(float)


@TYPES
def test_the_gelu_to_a_few_units_in_the_last_place(dtype: str, end: float) -> None:
    x = np.array(points(end), dtype)
    for sign, most in ((-1, 6.0), (1, 4.0)):
        got = gelu(sign * x)
        assert got.dtype == dtype
        exact = []
        for y in x.tolist():
            tail = bell_and_tail(y)[1]
            exact.append(Decimal(y) * (1 - tail if sign > 0 else -tail))
        off = np.array([float(Decimal(a) - b) for a, b in zip(got.tolist(), exact, strict=True)])
        assert (np.abs(off) <= most * spacing(exact, dtype)).all()


@TYPES
def test_the_slope_to_a_few_units_in_the_last_place_of_its_terms(dtype: str, end: float) -> None:
    x = np.array(points(end), dtype)
    for sign in (-1, 1):
        got = gelu_slope(sign * x)
        assert got.dtype == dtype
        exact, terms = [], []
        for y in x.tolist():
            bell, tail = bell_and_tail(y)
            terms.append((1 - tail if sign > 0 else tail, sign * Decimal(y) * bell))
            exact.append(sum(terms[-1]))
        off = np.array([float(Decimal(a) - b) for a, b in zip(got.tolist(), exact, strict=True)])
        largest = [max(map(abs, pair)) for pair in terms]
        denormal = x * float(np.finfo(dtype).smallest_subnormal)
        assert (np.abs(off) <= 6.0 * spacing(largest, dtype) + denormal).all()


@TYPES
def test_the_plain_form_gives_the_same(dtype: str, end: float) -> None:
    """x * erfc(-x / sqrt(2)) / 2, whose argument is rounded: exp magnifies that far out."""
    x = np.linspace(-end, end, 5001).astype(dtype)
    plain = np.array([v * math.erfc(-v * math.sqrt(0.5)) / 2.0 for v in x.tolist()])
    relative = np.maximum(8.0, x.astype(float) ** 2) * np.finfo(dtype).eps
    near = 10.0 * float(np.finfo(dtype).smallest_subnormal) * np.abs(x)
    assert (np.abs(gelu(x) - plain) <= relative * np.abs(plain) + near).all()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_at_the_ends(dtype: str) -> None:
    x = np.array([-np.inf, -1e30, -0.0, 0.0, 1e30, np.inf, np.nan], dtype)
    assert gelu(x)[:-1].tolist() == [0.0, 0.0, 0.0, 0.0, *x[4:6].tolist()]
    assert gelu_slope(x)[:-1].tolist() == [0.0, 0.0, 0.5, 0.5, 1.0, 1.0]
    assert np.isnan(gelu(x)[-1]) and np.isnan(gelu_slope(x)[-1])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_number_s_place_does_not_matter(dtype: str) -> None:
    x = (4.0 * np.random.default_rng(1).standard_normal(77)).astype(dtype)
    for f in (gelu, gelu_slope):
        whole = f(x)
        assert f(x[::-1]).tolist() == whole[::-1].tolist()
        assert f(x.reshape(7, 11).T).T.ravel().tolist() == whole.tolist()
        assert [f(x[i : i + 1]).item() for i in range(77)] == whole.tolist()
        for start in range(1, 20):
            assert f(x[start:]).tolist() == whole[start:].tolist()
