"""The loss of a run as the sum of its tokens' losses."""

from __future__ import annotations

import numpy as np

from ..shapes import Array
from .loss import IGNORED


def total_forward(per_token: Array, labels: Array) -> Array:
    """loss = sum of the counted losses    [B, T] -> []"""
    counted = np.where(labels != IGNORED, per_token, 0.0)  # a pin may stand where none counts
    return np.asarray(np.add.reduce(counted, None))


def total_backward(dtotal: Array, labels: Array) -> Array:
    """loss = sum    =>    d(per token) = dloss at every counted label, 0 elsewhere"""
    return np.where(labels != IGNORED, dtotal, 0.0)
