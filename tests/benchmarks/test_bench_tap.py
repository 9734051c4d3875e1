"""The benchmark of the tap notices a tap that was left standing in its copy without taps."""

from __future__ import annotations

import interleave
import pytest
from bench_tap import compare

from numtx.testing.second_copy import second_copy


def test_a_tap_left_standing_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interleave, "QUICK", True)
    with second_copy() as copy, pytest.raises(AssertionError, match="its tap"):
        compare(copy)
