"""A soft cap: numbers near 0 pass, large ones come up to the cap and no further (Bello et al.,
2017, section 5.1, "logit clipping")."""

from __future__ import annotations

import numpy as np

from ..shapes import Array


def cap_forward(x: Array, cap: float) -> tuple[Array, Array]:
    """y = cap * tanh(x / cap), and its slope 1 - (y / cap)^2    [...] -> [...], [...]

    What is not a number has slope 0: nothing comes back where a mask hides it.
    """
    y = np.tanh(x / cap)
    slope = 1.0 - y * y
    np.copyto(slope, 0.0, where=np.isnan(slope))
    y *= cap
    return y, slope


def cap_backward(dy: Array, slope: Array) -> Array:
    """y = cap * tanh(x / cap)    =>    dx = dy * (1 - (y / cap)^2)"""
    return dy * slope
