"""The exact GELU, x * Phi(x), and its slope; Phi is the normal distribution function.

NumPy has no Phi and no erf. With y = |x| the tail is Phi(-y) = exp(-y^2/2) * R(y), where R, the
ratio of Mills over the root of 2 pi, falls from 1/2 like 0.4 / y. No range of y has a formula of
its own, so that no part of an array is taken out and put back. Far out to the left Phi is exact to
some units in the last place, and so is the GELU.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..shapes import Array, constant_row

_DENSITY_AT_0 = 1.0 / math.sqrt(2.0 * math.pi)

# Beyond which |x| Phi(x) is 0 or 1; and R up to there, at whose Chebyshev points (of t) it is
# right: coefficients, highest power first.
_END = {"float32": 14.5, "float64": 39.0}
_QUOTIENT = (  # R = P(y) / Q(y), relative error 7e-9
    (0.3989469720629681, 3.9509682222581053, 17.8513802083115, 42.763682039538, 48.86231467075391),
    (
        1.0, 9.904243743189758, 45.73200366083871, 117.29448250988632, 163.5003678652086,
        97.7246289467786,
    ),
)  # fmt: skip
_POLYNOMIAL = (  # R = t * P(t - 1/2), t = 4 / (4 + y), relative error 4e-17
    -0.0010122350213441524, -3.811335460107945e-05, 0.003650099345752512,
    -0.0019108453871827628, -0.005005693454575502, 0.005054896713489146, 0.004320173846758625,
    -0.008354241346056333, -0.0025605410981800673, 0.012121892314651108,
    0.0007321657302237285, -0.01799382075277362, -0.0004884138321053076, 0.029580136744880154,
    0.008534032257219144, -0.05218619014049151, -0.05567507779588053, 0.060321511724744474,
    0.24158629956279787, 0.37304371591938834, 0.38713740074221886, 0.3039483209859459,
    0.18882128260393788,
)  # fmt: skip
_HIGH_BITS = np.uint64(0xFFFFFFFFF8000000)  # of a float64: half of its digits


def gelu(x: Array) -> Array:
    """x * Phi(x) = max(x, 0) - y * Phi(-y), y = |x|"""
    y, ratio = _ratio(x)
    ratio *= y
    tail = _times_bell(ratio, y, x.dtype)
    return np.subtract(np.maximum(x, constant_row(x.shape[-1], 0.0, x.dtype)), tail, out=tail)


def gelu_slope(x: Array) -> Array:
    """Phi(x) + x * phi(x), phi the density: s = Phi(-y) - y * phi(y), or 1 - s where x > 0"""
    y, ratio = _ratio(x)
    ratio -= y * _DENSITY_AT_0
    slope = _times_bell(ratio, y, x.dtype)
    rest = slope * -2.0
    rest += 1.0
    rest *= x > 0.0
    slope += rest
    return slope


def _ratio(x: Array) -> tuple[Array, Array]:
    """y = |x|, bounded, and R(y), both in float64    [..., n] -> [..., n], [..., n]"""
    size = np.abs(x)
    np.minimum(size, constant_row(x.shape[-1], _END[x.dtype.name], x.dtype), out=size)
    y = size.astype(np.float64, copy=False)
    if x.dtype != np.float64:
        ratio = _polynomial(_QUOTIENT[0], y)
        ratio /= _polynomial(_QUOTIENT[1], y)
        return y, ratio
    t = y + 4.0
    np.divide(4.0, t, out=t)
    ratio = _polynomial(_POLYNOMIAL, t - 0.5)
    ratio *= t
    return y, ratio


def _polynomial(coefficients: tuple[float, ...], x: Array) -> Array:
    value = coefficients[0] * x
    for coefficient in coefficients[1:-1]:
        value += coefficient
        value *= x
    value += coefficients[-1]
    return value


def _times_bell(factor: Array, y: Array, dtype: np.dtype[Any]) -> Array:
    """factor * exp(-y^2/2), in the type that is asked for

    The exponent is rounded to that type. What is lost, exp magnifies by the size of the exponent,
    so it is put back: exp(a + e) = exp(a) * (1 + e).
    """
    if dtype == np.float64:
        exponent = y * y
        high = (y.view(np.uint64) & _HIGH_BITS).view(np.float64)
        lost = high * high  # exact, and y^2 is that + (y - high) * (y + high)
        lost -= exponent
        low = y - high
        low *= np.add(high, y, out=high)
        lost += low
        lost *= -0.5
        exponent *= -0.5
    else:
        lost = y * -0.5
        lost *= y
        exponent = lost.astype(dtype)
        lost -= exponent
    lost *= factor
    lost += factor
    np.exp(exponent, out=exponent)
    exponent *= lost.astype(dtype, copy=False)
    return exponent
