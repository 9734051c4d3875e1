"""Numbers as text."""

import numpy as np
import pytest

from numtx.show.numbers import cell, decimals_for, fixed, summary


@pytest.mark.parametrize(
    ("x", "decimals", "text"),
    [
        (-0.001, 2, "0.00"),
        (-0.0, 2, "0.00"),
        (-0.005001, 2, "-0.01"),
        (0.125, 2, "0.12"),
        (-np.inf, 2, "-inf"),
        (np.nan, 2, "nan"),
        (-3.7, 0, "-4"),
        (-0.3, 0, "0"),
        (1234.5, 1, "1234.5"),
    ],
)
def test_fixed(x: float, decimals: int, text: str) -> None:
    assert fixed(x, decimals) == text


def test_truth_values_and_whole_numbers_have_no_decimals() -> None:
    assert [cell(x, 2) for x in (True, False, 7, 0.5)] == ["1", "0", "7", "0.50"]


def test_small_arrays_get_more_decimals() -> None:
    assert decimals_for(np.array([0.5, -3.0]), 2) == 2
    assert decimals_for(np.array([0.00432, -np.inf]), 2) == 5
    assert decimals_for(np.zeros(3), 2) == 2


def test_summary_counts_what_is_not_finite() -> None:
    array = np.array([[1.0, 3.0], [-np.inf, np.nan]])
    assert summary(array) == "float64[2,2]  mean 2 sd 1 [1, 3]  -inf: 1  nan: 1"
    assert summary(np.array([True, False, True])) == "bool[3] true 2 of 3"
