"""The learning rate of each step. Steps count from 1."""

from __future__ import annotations

import math


def warmup_rate(step: int, warmup: int, peak: float) -> float:
    """rate = peak * min(step / warmup, sqrt(warmup / step))

    It grows in a straight line to its peak at step `warmup`, then falls with the square root of
    the step. With `paper_peak` it is the schedule of Vaswani et al. (2017), section 5.3:
    d^-0.5 * min(step^-0.5, step * warmup^-1.5).
    """
    ratio = step / warmup
    return peak * min(ratio, 1.0 / math.sqrt(ratio))


def paper_peak(width: int, warmup: int) -> float:
    """The highest rate of the original schedule: (width * warmup)^-0.5"""
    return 1.0 / math.sqrt(width * warmup)
