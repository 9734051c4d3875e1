"""The activations of the feed-forward layer, and their slopes."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ..shapes import Array
from .gelu import gelu, gelu_slope

_SQRT_2_OVER_PI = math.sqrt(2.0 / math.pi)
_CUBIC = 0.044715
_STEEP = 1.702

# Large arrays are worked through in pieces whose intermediate results stay in the cache.
_PIECE = 32768


def activation_forward(kind: str, x: Array) -> Array:
    """y = act(x), element by element; kind is relu, gelu, gelu_tanh, gelu_sigmoid or silu."""
    if x.size <= _PIECE:
        return _FORWARD[kind](x)
    y = np.empty(x.shape, x.dtype)
    flat_x, flat_y = x.reshape(-1), y.reshape(-1)
    for start in range(0, x.size, _PIECE):
        piece = slice(start, start + _PIECE)
        flat_y[piece] = _FORWARD[kind](flat_x[piece])
    return y


def activation_backward(kind: str, dy: Array, x: Array) -> Array:
    """y = act(x)    =>    dx = dy * act'(x)"""
    if x.size <= _PIECE:
        return dy * _SLOPE[kind](x)
    dx = np.empty(x.shape, x.dtype)
    flat_x, flat_dy, flat_dx = x.reshape(-1), dy.reshape(-1), dx.reshape(-1)
    for start in range(0, x.size, _PIECE):
        piece = slice(start, start + _PIECE)
        np.multiply(flat_dy[piece], _SLOPE[kind](flat_x[piece]), out=flat_dx[piece])
    return dx


def _relu(x: Array) -> Array:
    """max(x, 0)"""
    return np.maximum(x, 0.0)


def _relu_slope(x: Array) -> Array:
    """1 where x > 0, else 0 (0 at 0, as everywhere in the field)"""
    return (x > 0.0).astype(x.dtype)


def _gelu_tanh(x: Array) -> Array:
    """x/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3)))"""
    inner = x * x
    inner *= _CUBIC
    inner += 1.0
    inner *= x
    inner *= _SQRT_2_OVER_PI
    np.tanh(inner, out=inner)
    inner += 1.0
    inner *= x
    inner *= 0.5
    return inner


def _gelu_tanh_slope(x: Array) -> Array:
    """(1 + t)/2 + x/2 * (1 - t^2) * u', t = tanh(u), u' = sqrt(2/pi) * (1 + 3*0.044715 x^2)"""
    square = x * x
    tanh = np.tanh(_SQRT_2_OVER_PI * x * (1.0 + _CUBIC * square))
    inner_slope = _SQRT_2_OVER_PI * (1.0 + 3.0 * _CUBIC * square)
    slope: Array = 0.5 * (1.0 + tanh) + 0.5 * x * (1.0 - tanh * tanh) * inner_slope
    return slope


def _gelu_sigmoid(x: Array) -> Array:
    """x * sigmoid(1.702 x) (Hendrycks and Gimpel, 2016, section 2)"""
    return x * sigmoid(_STEEP * x)


def _gelu_sigmoid_slope(x: Array) -> Array:
    """s + 1.702 x * s * (1 - s), s = sigmoid(1.702 x)"""
    share = sigmoid(_STEEP * x)
    slope: Array = share + _STEEP * x * share * (1.0 - share)
    return slope


def _silu(x: Array) -> Array:
    """x * sigmoid(x)"""
    return x * sigmoid(x)


def _silu_slope(x: Array) -> Array:
    """s + x * s * (1 - s), s = sigmoid(x)"""
    share = sigmoid(x)
    slope: Array = share + x * share * (1.0 - share)
    return slope


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), written with exp(-|x|), which does not overflow"""
    small = np.exp(-np.abs(x))
    sigmoid: Array = np.where(x >= 0.0, 1.0, small) / (1.0 + small)
    return sigmoid


_FORWARD: dict[str, Callable[[Array], Array]] = {
    "relu": _relu,
    "gelu": gelu,
    "gelu_tanh": _gelu_tanh,
    "gelu_sigmoid": _gelu_sigmoid,
    "silu": _silu,
}

_SLOPE: dict[str, Callable[[Array], Array]] = {
    "relu": _relu_slope,
    "gelu": gelu_slope,
    "gelu_tanh": _gelu_tanh_slope,
    "gelu_sigmoid": _gelu_sigmoid_slope,
    "silu": _silu_slope,
}
