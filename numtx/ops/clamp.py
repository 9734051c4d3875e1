"""Numbers held between two limits, and shifted."""

from __future__ import annotations

import numpy as np

from ..shapes import Array


def clamp_forward(x: Array, low: float | None, high: float | None, shift: float = 0.0) -> Array:
    """y = min(max(x, low), high) + shift, element by element; None: no limit on that side"""
    y = np.clip(x, low, high) if (low, high) != (None, None) else x
    return y + shift if shift else y


def clamp_backward(dy: Array, x: Array, low: float | None, high: float | None) -> Array:
    """y = min(max(x, low), high) + shift    =>    dx = dy within the limits, 0 beyond them"""
    if low is not None:
        dy = np.where(x < low, dy.dtype.type(0), dy)
    if high is not None:
        dy = np.where(x > high, dy.dtype.type(0), dy)
    return dy
