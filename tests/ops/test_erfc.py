from __future__ import annotations

import math

import numpy as np
import pytest

from numtx.ops.erfc import erfc


@pytest.mark.parametrize(
    "low, high", [(-30.0, -4.0), (-4.0, -0.5), (-0.5, 0.5), (0.5, 4.0), (4.0, 26.0)]
)
def test_erfc_is_that_of_the_c_library_to_a_few_units_in_the_last_place(
    low: float, high: float
) -> None:
    x = np.random.default_rng(0).uniform(low, high, 3000)
    expected = np.array([math.erfc(number) for number in x])
    assert (np.abs(erfc(x) - expected) <= 8 * np.spacing(expected)).all()


def test_erfc_at_the_seams_and_at_the_ends() -> None:
    seams = [
        s * np.nextafter(edge, away) for s in (-1, 1) for edge in (0.46875, 4.0) for away in (0, 9)
    ]
    x = np.array([0.0, -0.0, 0.46875, -0.46875, 4.0, -4.0, *seams])
    expected = np.array([math.erfc(number) for number in x])
    assert (np.abs(erfc(x) - expected) <= 8 * np.spacing(expected)).all()
    assert erfc(np.array([40.0, np.inf, -40.0, -np.inf])).tolist() == [0.0, 0.0, 2.0, 2.0]
    assert np.isnan(erfc(np.array([np.nan, 1.0]))).tolist() == [True, False]
