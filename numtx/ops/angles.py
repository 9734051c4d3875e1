"""The angles by which pairs of components turn from one position to the next.

Plain: w_i = base^(-2i / r) for pair i of r components (Su et al., 2021). A scaling changes them
for texts that are longer than those of the training, and gives the factor on cosine and sine.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from ..config.rotary import BandScaling, LinearScaling, LongropeScaling, Scaling, YarnScaling
from ..shapes import Array


@lru_cache(maxsize=32)
def frequencies(width: int, base: float, scaling: Scaling | None = None) -> Array:
    """w_i for the pairs i = 0 .. width/2 - 1    [width / 2], in float64"""
    plain: Array = base ** (-np.arange(0, width, 2) / width)
    return plain if scaling is None else _scaled(plain, width, base, scaling)


def _scaled(plain: Array, width: int, base: float, scaling: Scaling) -> Array:
    match scaling:
        case LinearScaling():
            return np.divide(plain, scaling.factor)
        case LongropeScaling():
            return np.divide(plain, scaling.chosen)
        case BandScaling():
            return _by_bands(plain, scaling)
        case YarnScaling():
            return _over_a_ramp(plain, width, base, scaling)


def _by_bands(plain: Array, by: BandScaling) -> Array:
    """w where a pair turns `high` times within the original length, w / factor where `low`"""
    turns = by.original * plain / (2.0 * math.pi)
    kept = np.clip((turns - by.low) / (by.high - by.low), 0.0, 1.0)
    mixed: Array = (1.0 - kept) * plain / by.factor + kept * plain
    return mixed


def _over_a_ramp(plain: Array, width: int, base: float, by: YarnScaling) -> Array:
    """w before the pair that turns beta_fast times within the original length, w / factor after
    the one that turns beta_slow times; between them in proportion to the pair's number"""

    def pair(turns: float) -> float:
        return width * math.log(by.original / (2.0 * math.pi * turns)) / (2.0 * math.log(base))

    first, last = pair(by.beta_fast), pair(by.beta_slow)
    if by.truncate:
        first, last = float(math.floor(first)), float(math.ceil(last))
    first, last = max(first, 0.0), min(last, width - 1.0)
    if first == last:
        last += 0.001
    ramp = np.clip((np.arange(width // 2) - first) / (last - first), 0.0, 1.0)
    mixed: Array = (1.0 - ramp) * plain + ramp * plain / by.factor
    return mixed


def attention_factor(scaling: Scaling | None) -> float:
    """a, on cosine and sine: 1 but where a scaling has another."""
    return scaling.attention if isinstance(scaling, YarnScaling | LongropeScaling) else 1.0
