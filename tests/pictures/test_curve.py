"""The loss curve: every column one mark, falling where the values fall, within the width."""

import math

import pytest

from numtx.pictures.curve import curve_text


def marks(text):
    """Column -> row of its mark."""
    rows = [line.partition("|")[2] for line in text.splitlines() if "|" in line]
    return {j: i for i, row in enumerate(rows) for j, c in enumerate(row) if c == "*"}


def test_a_falling_exponential_is_a_straight_line():
    text = curve_text([math.exp(-i / 10) for i in range(60)], width=71, height=10)
    found = marks(text)
    assert sorted(found) == list(range(60))
    assert text.count("*") == 60
    for j, row in found.items():
        assert abs(row - 9 * j / 59) <= 0.5
    lines = text.splitlines()
    assert lines[-1].split() == ["1", "60"]
    assert max(map(len, lines)) <= 71
    assert lines[0].split()[0] == "1"
    assert float(lines[9].split()[0]) == pytest.approx(math.exp(-5.9), rel=1e-3)


def test_many_values_share_a_column_as_their_mean():
    values = [1.0] * 50 + [3.0, 5.0] * 25
    text = curve_text(values, width=13, height=5)
    assert marks(text) == {0: 4, 1: 0}
    assert text.splitlines()[0].split()[0] == "4"


def test_zero_and_below_take_a_linear_scale():
    assert marks(curve_text([2.0, 1.0, 0.0], height=3)) == {0: 0, 1: 1, 2: 2}
    assert marks(curve_text([-1.0, 1.0], height=3)) == {0: 2, 1: 0}


def test_one_value_and_none():
    assert marks(curve_text([0.5])) == {0: 0}
    assert marks(curve_text([2.0, 2.0])) == {0: 0, 1: 0}
    assert curve_text([]) == "(no steps)"


def test_ascii_only():
    assert curve_text([3.0, 0.1, 7.0]).isascii()
