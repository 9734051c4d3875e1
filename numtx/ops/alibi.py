"""Attention with linear biases: a key counts the less the farther away it is, by a slope of each
head (Press, Smith and Lewis, 2022)."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ..shapes import Array


@lru_cache(maxsize=16)
def slopes(heads: int) -> Array:
    """m_h = 2^(-8h/n) for h = 1 .. n, where n is the largest power of two up to H; the heads
    beyond take the odd ones of 2n slopes, 2^(-8h/2n) for h = 1, 3, 5, ...    -> [H], read-only
    """
    n = 1 << (heads.bit_length() - 1)
    powers = [-8 * h / n for h in range(1, n + 1)]
    powers += [-4 * h / n for h in range(1, 2 * (heads - n), 2)]
    found: Array = 2.0 ** np.array(powers)
    found.setflags(write=False)
    return found


def distance_bias(queries: Array, keys: Array, heads: int, dtype: str) -> Array:
    """bias = -m_h * |p_query - p_key|    positions [B, T], [B, S] -> [B, H, T, S]

    Positions count the tokens of a row, so padding on the left moves nothing.
    """
    distance = np.abs(queries[:, None, :, None] - keys[:, None, None, :])
    bias: Array = (slopes(heads)[:, None, None] * -distance).astype(dtype)
    return bias
