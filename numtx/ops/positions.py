"""Where a token stands: the sinusoidal table (Vaswani et al., 2017) and the rotation of
queries and keys (Su et al., 2021)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..config.rotary import Scaling
from ..shapes import Array
from ..small_repr import small_repr
from .angles import attention_factor, frequencies


def sinusoidal(
    positions: Array, width: int, base: float, dtype: str, layout: str = "interleaved"
) -> Array:
    """PE[p, 2i] = sin(p / base^(2i/d)), PE[p, 2i+1] = cos(p / base^(2i/d))    [B, T] -> [B, T, d]

    layout  half: the sine in PE[p, i] and the cosine in PE[p, d/2 + i] instead

    Angles are taken in float64 whatever the type, for they grow with the position.
    """
    angles = positions[..., None] * frequencies(width, base)
    table = np.empty((*positions.shape, width), dtype)
    if layout == "half":
        sines, cosines = slice(width // 2), slice(width // 2, None)
    else:
        sines, cosines = slice(0, None, 2), slice(1, None, 2)
    table[..., sines], table[..., cosines] = np.sin(angles), np.cos(angles)
    return table


@small_repr()
class Rotation(NamedTuple):
    """Cosine of every angle, [B, 1, T, r/2], and minus and plus its sine, [B, 1, T, 2, r/2], times
    the attention factor; and which components make a pair."""

    cosine: Array
    sines: Array
    layout: str

    def pairs(self, x: Array) -> tuple[Array, Array]:
        """The first and second components of each pair, as views into x."""
        rotated = 2 * self.cosine.shape[-1]
        if self.layout == "half":
            return x[..., : rotated // 2], x[..., rotated // 2 : rotated]
        return x[..., 0:rotated:2], x[..., 1:rotated:2]


def rotation(
    positions: Array, width: int, base: float, layout: str, dtype: str,
    scaling: Scaling | None = None, *, lengthened: bool = True,
) -> Rotation:  # fmt: skip
    """The rotation of r = width components at each position, by p * w_i for pair i.

    w_i = base^(-2i/r), or what a scaling makes of it; cosine and sine times its factor a.

    lengthened  False: without the factor, for what has it already
    """
    angles = positions[:, None, :, None] * frequencies(width, base, scaling)
    cosine, sine, factor = np.cos(angles), np.sin(angles), attention_factor(scaling)
    if lengthened and factor != 1.0:
        cosine, sine = cosine * factor, sine * factor
    sines = np.empty((*sine.shape[:-1], 2, sine.shape[-1]), dtype)
    sines[..., 0, :], sines[..., 1, :] = -sine, sine
    return Rotation(cosine.astype(dtype), sines, layout)


def rotate_forward(x: Array, by: Rotation) -> Array:
    """(a, b) -> (a cos - b sin, a sin + b cos) for each pair; what is not paired passes."""
    if by.layout == "half" and 2 * by.cosine.shape[-1] == x.shape[-1]:
        return _rotate_halves(x, by)
    y = x.copy()
    first, second = by.pairs(x)
    new_first, new_second = by.pairs(y)
    new_first[...] = first * by.cosine + second * by.sines[..., 0, :]
    new_second[...] = first * by.sines[..., 1, :] + second * by.cosine
    return y


def _rotate_halves(x: Array, by: Rotation) -> Array:
    """The same, both halves at once, in a third of the operations"""
    y = np.empty(x.shape, x.dtype)
    halves, turned = (a.reshape(*x.shape[:-1], 2, -1) for a in (x, y))
    np.multiply(halves, by.cosine[..., None, :], out=turned)
    turned += halves[..., ::-1, :] * by.sines
    return y


def query_growth(positions: Array, length: int, rate: float, dtype: str) -> Array:
    """1 + rate * ln(1 + floor((p + 1) / length))    [B, T] -> [B, 1, T, 1]

    What queries are multiplied by, so that weights stay sharp over many keys (the scale of
    Nakanishi, 2025, in steps of `length` tokens).
    """
    factors = 1.0 + rate * np.log(1.0 + (positions + 1) // length)
    found: Array = factors.astype(dtype)[:, None, :, None]
    return found


def rotate_backward(dy: Array, by: Rotation) -> Array:
    """y = R x    =>    dx = R^T dy, the rotation back (a R^T where a factor lengthens)"""
    return rotate_forward(dy, by._replace(sines=-by.sines))
