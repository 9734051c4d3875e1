"""One token of each row."""

from __future__ import annotations

import numpy as np

from ..shapes import Array


def first_forward(x: Array, valid: Array) -> tuple[Array, Array]:
    """y[b, 0] = x[b, t], t the first real token of the row    [B, T, d] -> [B, 1, d], and t"""
    places = np.argmax(valid, 1)
    y: Array = x[np.arange(len(x)), places][:, None]
    return y, places


def first_backward(dy: Array, places: Array, length: int) -> Array:
    """y[b, 0] = x[b, t]    =>    dx[b, t] = dy[b, 0], 0 elsewhere"""
    dx = np.zeros((len(dy), length, dy.shape[2]), dy.dtype)
    dx[np.arange(len(dy)), places] = dy[:, 0]
    return dx
