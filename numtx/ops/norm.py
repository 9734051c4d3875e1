"""Layer normalisation (Ba, Kiros and Hinton, 2016) and its form without mean, RMSNorm
(Zhang and Sennrich, 2019), along the last axis."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from ..shapes import Array, constant_row, row_dots, sum_rows
from ..small_repr import small_repr


@small_repr()
class NormContext(NamedTuple):
    normal: Array  # the normalised input, before gain and bias
    inverse: Array  # 1 / sqrt(variance + epsilon)
    gain: Array | None
    centred: bool
    biased: bool


def norm_forward(
    x: Array, gain: Array | None, bias: Array | None, epsilon: float, centred: bool
) -> tuple[Array, NormContext]:
    """y = (x - mean) / sqrt(variance + epsilon) * gain + bias    [..., d] -> [..., d]

    The variance divides by d, not by d - 1. Without centring (`rms`) the mean is taken to
    be 0, and the variance is the mean square. Gain and bias may be None: there is none.
    """
    if x.size == x.shape[-1]:
        return _norm_of_one_row(x, gain, bias, epsilon, centred)
    mean, added, root = _constants(x.shape[-1], epsilon, x.dtype)
    if centred:
        x = x - row_dots(x, mean)
    # 1 / sqrt(squares / d + epsilon) = sqrt(d) / sqrt(squares + d * epsilon)
    inverse = row_dots(x, x)
    inverse += added
    np.sqrt(inverse, out=inverse)
    np.divide(root, inverse, out=inverse)
    normal = x * inverse
    y = normal if gain is None else normal * gain
    if bias is not None:
        y += bias
    return y, NormContext(normal, inverse, gain, centred, bias is not None)


def _norm_of_one_row(
    x: Array, gain: Array | None, bias: Array | None, epsilon: float, centred: bool
) -> tuple[Array, NormContext]:
    """The same for a single row, which takes half of the time as a vector with plain numbers."""
    width, row = x.shape[-1], x.reshape(-1)
    if centred:
        row = row - row.dot(constant_row(width, 1.0 / width, x.dtype))
    inverse = x.dtype.type(math.sqrt(width / (row.dot(row) + width * epsilon)))
    normal = y = row * inverse
    if gain is not None:
        y = normal * gain
    if bias is not None:
        y += bias
    context = NormContext(normal.reshape(x.shape), inverse, gain, centred, bias is not None)
    return y.reshape(x.shape), context


@lru_cache(maxsize=64)
def _constants(width: int, epsilon: float, dtype: np.dtype[Any]) -> tuple[Array, Array, Array]:
    """A row of 1 / d, whose product with a row is its mean; d * epsilon; sqrt(d)

    Arrays, for NumPy takes twice as long with a number of Python's.
    """
    numbers = np.array([width * epsilon, math.sqrt(width)], dtype)
    numbers.setflags(write=False)
    return constant_row(width, 1.0 / width, dtype), numbers[0, ...], numbers[1, ...]


def norm_backward(dy: Array, context: NormContext) -> tuple[Array, Array | None, Array | None]:
    """y = n * gain + bias, n = (x - mean) / sqrt(variance + epsilon)    =>
    dn = dy * gain    dx = (dn - mean(dn) - n * mean(dn * n)) / sqrt(variance + epsilon)

    The two means are the projections: through the mean (absent for rms) and the variance.
    """
    normal, inverse, gain, centred, biased = context
    width = normal.shape[-1]
    rows = dy.reshape(-1, width)
    dbias = sum_rows(rows) if biased else None
    dnormal, dgain = dy, None
    if gain is not None:
        dgain = sum_rows(rows * normal.reshape(-1, width))
        dnormal = dy * gain
    through_variance = row_dots(dnormal, normal)
    through_variance /= width
    dx = dnormal - normal * through_variance
    if centred:
        dx -= row_dots(dnormal, constant_row(width, 1.0 / width, dy.dtype))
    dx *= inverse
    return dx, dgain, dbias
