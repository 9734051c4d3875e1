"""The precision of numbers, whatever the type of the array that holds them."""

from __future__ import annotations

import numpy as np
import pytest

from numtx.fitting.precision import BFLOAT16, FLOAT16, FLOAT32, FLOAT64, PRECISIONS, content


@pytest.mark.parametrize(
    ("number", "formats"),
    [
        (1.0 + 2.0**-7, "float64 float32 float16 bfloat16"),  # eight bits
        (1.0 + 2.0**-8, "float64 float32 float16"),
        (1.0 + 2.0**-10, "float64 float32 float16"),  # eleven
        (1.0 + 2.0**-11, "float64 float32"),
        (1.0 + 2.0**-23, "float64 float32"),
        (1.0 + 2.0**-24, "float64"),
        (2.0**-24, "float64 float32 float16 bfloat16"),  # the smallest of float16
        (2.0**-25, "float64 float32 bfloat16"),
        (2.0**-133, "float64 float32 bfloat16"),
        (2.0**-134, "float64 float32"),
        (-0.0, "float64 float32 float16 bfloat16"),
    ],
)
def test_what_a_format_can_hold(number, formats):
    held = {name for name, one in PRECISIONS.items() if one.has(np.array([number])).all()}
    assert held == set(formats.split())


def test_a_format_holds_what_numpy_rounds_to():
    numbers = np.random.default_rng(0).standard_normal(1000) * 10.0 ** np.arange(-4, 4).repeat(125)
    for one in (FLOAT32, FLOAT16):
        rounded = numbers.astype(one.name).astype(np.float64)
        assert one.has(rounded).all() and not one.has(numbers).any()
        assert np.abs(rounded - numbers).max() > 0.0
        assert (np.abs(rounded - numbers) <= one.steps(numbers) / 2).all()


def test_the_content_of_an_array():
    right = np.random.default_rng(0).standard_normal(50)
    for one in (FLOAT32, FLOAT16, BFLOAT16):
        rounded = np.rint(right / one.steps(right)) * one.steps(right)
        assert content(rounded, right) == one
        assert content(rounded.astype(np.float32), right) == one
        # Of numbers that should be so, and of round ones that a mistake leaves, nothing is told.
        assert content(rounded, rounded) == FLOAT64
        mixed = np.where(np.arange(50) == 7, right + 1e-9, rounded)
        assert content(mixed, right) == FLOAT64
    for left in (np.zeros(50), np.ones(50), np.sign(right) / 4, np.full(50, np.inf)):
        assert content(left, right) == FLOAT64
    assert content(right.astype(np.float16), right) == FLOAT16
    assert content(right > 0, right > 0) == FLOAT64
