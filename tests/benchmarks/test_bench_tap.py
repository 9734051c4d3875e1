"""The benchmark of the tap runs, and its copy without taps gives the same numbers."""

from __future__ import annotations

import pytest
from bench_tap import compare, without_taps

from numtx.testing.second_copy import second_copy


def test_without_taps_the_numbers_are_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    with second_copy(transform=without_taps) as copy:
        compare(copy, 1, 1)
    assert capsys.readouterr().out.count("no taps") == 2


def test_a_tap_left_standing_is_noticed() -> None:
    with second_copy() as copy, pytest.raises(AssertionError, match="uses its tap"):
        compare(copy, 1, 1)
