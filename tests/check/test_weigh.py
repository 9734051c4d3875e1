"""Differences beside what is tolerated: half of it is none, one and a half of it is one."""

from __future__ import annotations

import numpy as np
import pytest

from numtx.check.weigh import AT_ONCE, weigh


def none(places):
    return 0.0


@pytest.mark.parametrize("tolerance", [1e-10, 2e-5])
@pytest.mark.parametrize("place", [0, AT_ONCE - 1, AT_ONCE, 2 * AT_ONCE + 6])
@pytest.mark.parametrize("large", [True, False])
def test_the_size_of_a_cell_or_the_root_mean_square(tolerance, place, large):
    """In whichever part of a long array: the larger of the two counts."""
    expected = np.where(np.arange(2 * AT_ONCE + 7) % 2, 2.0, -2.0)
    expected[place] = 500.0 if large else 1e-3
    typical = float(np.sqrt((expected * expected).mean()))
    room = tolerance * max(abs(expected[place]), typical)
    for share, beyond in ((0.5, 0), (1.5, 1)):
        got = expected.copy()
        got[place] += share * room
        found = weigh(expected, got, tolerance, none)
        assert (found.beyond, found.worst) == (beyond, [place] * beyond)
        assert found.relative == pytest.approx(share, rel=1e-3)
        assert found.largest == pytest.approx(share * room, rel=1e-3)


def test_what_the_bounds_say_counts_where_it_is_more():
    """And they are asked of the cells that would differ, and of no other."""
    expected, asked = np.array([1.0, -1.0, 1.0]), []

    def bounds(places):
        asked.extend(places.tolist())
        return np.array([100.0 if place == 1 else 0.0 for place in places])

    got = expected + 1e-3 * np.array([0.5, 60.0, 1.5])
    found = weigh(expected, got, 1e-3, bounds)
    assert (found.beyond, found.worst, asked) == (1, [2], [1, 2])
    assert weigh(expected, expected + 0.15 * (expected < 0.0), 1e-3, bounds).worst == [1]


@pytest.mark.parametrize("dtype", [np.int64, bool])
def test_whole_numbers_are_equal_or_not(dtype):
    expected = np.array([1, 0, 1], dtype)
    assert weigh(expected, expected.astype(float), 10.0, none).beyond == 0
    found = weigh(expected, np.array([1.0, 0.0, 1.0 - 1e-9]), 10.0, none)
    assert (found.beyond, found.worst, found.relative) == (1, [2], np.inf)


def test_infinities_and_nan():
    expected = np.array([np.inf, -np.inf, np.nan, 1.0])
    assert weigh(expected, expected.astype(np.float32), 1e-3, none).beyond == 0
    for place, wrong in ((0, -np.inf), (1, -1e300), (2, 0.0), (3, np.nan), (3, np.inf)):
        got = expected.copy()
        got[place] = wrong
        found = weigh(expected, got, 1e-3, none)
        assert (found.beyond, found.worst) == (1, [place])


def test_where_nothing_is_tolerated_and_the_worst_first():
    zeros = np.zeros(9)
    assert weigh(zeros, -zeros, 0.0, none).beyond == 0
    got = zeros.copy()
    got[[2, 5, 7]] = 1e-290, 3.0, -2.0
    assert weigh(zeros, got, 1e-3, none).worst == [5, 7, 2]
    assert weigh(zeros, np.arange(9.0), 1e-3, none).worst == [8, 7, 6, 5, 4]
