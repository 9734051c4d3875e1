"""The benchmark of the tap notices a tap that was left standing in its copy without taps."""

from __future__ import annotations

import bench_tap
import interleave
import pytest
from zoo.planting import PlantingError, planted


def left_standing() -> None:
    interleave.QUICK = True
    bench_tap.compare(bench_tap.package(lambda module, source: source), bench_tap.package())


def test_a_tap_left_standing_is_noticed() -> None:
    with pytest.raises(PlantingError, match=r"AssertionError: the copy without taps .* its tap"):
        planted((), "test_bench_tap:left_standing")
