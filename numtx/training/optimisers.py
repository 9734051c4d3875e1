"""The optimisers: updates of one flat vector of weights, in place. Steps count from 1."""

from __future__ import annotations

import math

import numpy as np

from ..shapes import Array

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8


def sgd(weights: Array, gradient: Array, rate: float) -> None:
    """w = w - rate * g"""
    weights -= rate * gradient


def adamw(
    weights: Array,
    gradient: Array,
    first: Array,
    second: Array,
    step: int,
    rate: float,
    decay: float,
) -> None:
    """Adam with the decay of weights apart from the gradient (Loshchilov and Hutter, 2019).

        m = b1 * m + (1 - b1) * g             v = b2 * v + (1 - b2) * g^2
        m' = m / (1 - b1^step)                v' = v / (1 - b2^step)
        w = (1 - rate * decay) * w - rate * m' / (sqrt(v') + epsilon)

    first and second are m and v, 0 before the first step; b1 = 0.9, b2 = 0.999, epsilon = 1e-8.
    All weights decay, gains and biases too. The paper's schedule multiplies the decay as well;
    here, as in the common libraries, the decay is multiplied by the rate.
    """
    first *= BETA_1
    first += (1.0 - BETA_1) * gradient
    second *= BETA_2
    second += (1.0 - BETA_2) * gradient * gradient
    denominator = np.sqrt(second)
    denominator *= 1.0 / math.sqrt(1.0 - BETA_2**step)
    denominator += EPSILON
    weights *= 1.0 - rate * decay
    weights -= (rate / (1.0 - BETA_1**step)) * (first / denominator)


def norm(gradient: Array) -> float:
    """The length of the whole gradient: sqrt of the sum of the squares of all parameters'."""
    return math.sqrt(float(np.dot(gradient, gradient)))


def clip(gradient: Array, length: float, limit: float) -> None:
    """Shorten a gradient that is longer than `limit` to that length; its direction stays.

    length is its `norm`. One factor for all parameters (Pascanu et al., 2013).
    """
    if length > limit:
        gradient *= limit / length
