"""The complementary error function, which NumPy does not have."""

from __future__ import annotations

import math

import numpy as np

from ..shapes import Array

# Quotients of polynomials, highest power first, of W. J. Cody, Rational Chebyshev approximations
# for the error function, Mathematics of Computation 23 (1969). One for each range of |x|.
_NEAR = (  # erf(x) = x * P(x^2) / Q(x^2), up to 0.46875
    (
        1.85777706184603153e-1, 3.16112374387056560e0, 1.13864154151050156e2,
        3.77485237685302021e2, 3.20937758913846947e3,
    ),
    (
        1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3,
        2.84423683343917062e3,
    ),
)  # fmt: skip
_MIDDLE = (  # erfc(x) = exp(-x^2) * P(x) / Q(x), up to 4
    (
        2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594e0,
        6.61191906371416295e1, 2.98635138197400131e2, 8.81952221241769090e2,
        1.71204761263407058e3, 2.05107837782607147e3, 1.23033935479799725e3,
    ),
    (
        1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2,
        1.62138957456669019e3, 3.29079923573345963e3, 4.36261909014324716e3,
        3.43936767414372164e3, 1.23033935480374942e3,
    ),
)  # fmt: skip
_FAR = (  # erfc(x) = exp(-x^2) / x * (1 / sqrt(pi) - P(1/x^2) / Q(1/x^2) / x^2), beyond
    (
        1.63153871373020978e-2, 3.05326634961232344e-1, 3.60344899949804439e-1,
        1.25781726111229246e-1, 1.60837851487422766e-2, 6.58749161529837803e-4,
    ),
    (
        1.0, 2.56852019228982242e0, 1.87295284992346047e0, 5.27905102951428412e-1,
        6.05183413124413191e-2, 2.33520497626869185e-3,
    ),
)  # fmt: skip
_ROOT = 1.0 / math.sqrt(math.pi)


def erfc(x: Array) -> Array:
    """1 - erf(x) in float64, to a few units in the last place even where it is tiny."""
    size = np.minimum(np.abs(x), 30.0)  # erfc(30) is 0 in float64; a NaN stays one
    y = np.empty_like(size)
    near, far = size <= 0.46875, size > 4.0
    middle = ~(near | far)
    part = size[middle]
    y[middle] = _exp_of_minus_square(part) * _quotient(_MIDDLE, part)
    if far.any():
        part = size[far]
        inverse = 1.0 / (part * part)
        factor = _ROOT - inverse * _quotient(_FAR, inverse)
        y[far] = _exp_of_minus_square(part) * factor / part
    np.subtract(2.0, y, out=y, where=x < 0.0)
    part = x[near]
    y[near] = 1.0 - part * _quotient(_NEAR, part * part)
    return y


def _quotient(coefficients: tuple[tuple[float, ...], tuple[float, ...]], x: Array) -> Array:
    above, below = (_polynomial(part, x) for part in coefficients)
    above /= below
    return above


def _polynomial(coefficients: tuple[float, ...], x: Array) -> Array:
    value = coefficients[0] * x
    for coefficient in coefficients[1:-1]:
        value += coefficient
        value *= x
    value += coefficients[-1]
    return value


def _exp_of_minus_square(x: Array) -> Array:
    """exp(-x^2) as exp(-a^2) * exp(-(x - a)(x + a)), a = x to four binary places: the square of
    a is exact, and the rounding of x^2 is not magnified by the size of the exponent."""
    coarse = np.trunc(x * 16.0) / 16.0
    value: Array = np.exp(-(coarse * coarse))
    value *= np.exp((coarse - x) * (x + coarse))
    return value
