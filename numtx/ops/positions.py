"""Where a token stands: the sinusoidal table (Vaswani et al., 2017) and the rotation of
queries and keys (Su et al., 2021)."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ..shapes import Array
from ..small_repr import small_repr


@lru_cache(maxsize=32)
def _frequencies(width: int, base: float) -> Array:
    """base^(-2i / width) for the pairs i = 0 .. width/2 - 1"""
    frequencies: Array = base ** (-np.arange(0, width, 2) / width)
    return frequencies


def sinusoidal(positions: Array, width: int, base: float, dtype: str) -> Array:
    """PE[p, 2i] = sin(p / base^(2i/d)), PE[p, 2i+1] = cos(p / base^(2i/d))    [B, T] -> [B, T, d]

    Angles are taken in float64 whatever the type, for they grow with the position.
    """
    angles = positions[..., None] * _frequencies(width, base)
    table = np.empty((*positions.shape, width), dtype)
    table[..., 0::2] = np.sin(angles)
    table[..., 1::2] = np.cos(angles)
    return table


@small_repr()
class Rotation(NamedTuple):
    """Cosine and sine of every angle, [B, 1, T, r/2], and which components make a pair."""

    cosine: Array
    sine: Array
    layout: str

    def pairs(self, x: Array) -> tuple[Array, Array]:
        """The first and second components of each pair, as views into x."""
        rotated = 2 * self.cosine.shape[-1]
        if self.layout == "half":
            return x[..., : rotated // 2], x[..., rotated // 2 : rotated]
        return x[..., 0:rotated:2], x[..., 1:rotated:2]


def rotation(positions: Array, width: int, base: float, layout: str, dtype: str) -> Rotation:
    """The rotation of r = width components at each position, by p / base^(2i/r) for pair i."""
    angles = positions[:, None, :, None] * _frequencies(width, base)
    return Rotation(np.cos(angles).astype(dtype), np.sin(angles).astype(dtype), layout)


def rotate_forward(x: Array, by: Rotation) -> Array:
    """(a, b) -> (a cos - b sin, a sin + b cos) for each pair; what is not paired passes."""
    y = x.copy()
    first, second = by.pairs(x)
    new_first, new_second = by.pairs(y)
    new_first[...] = first * by.cosine - second * by.sine
    new_second[...] = first * by.sine + second * by.cosine
    return y


def rotate_backward(dy: Array, by: Rotation) -> Array:
    """y = R x    =>    dx = R^T dy, the rotation back"""
    return rotate_forward(dy, by._replace(sine=-by.sine))
