"""Softmax and its logarithm, along the last axis."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from ..shapes import Array, constant_row, row_dots


def softmax_forward(scores: Array) -> Array:
    """weights = exp(scores - max) / sum of exp(scores - max)

    The largest score of a row is subtracted, so nothing overflows. A row of -inf throughout
    (a query with no key to attend to) gives weights of exactly 0.
    """
    weights = np.empty_like(scores)
    weights /= exponentials(scores, weights)[0]
    return weights


def exponentials(
    scores: Array, out: Array, sinks: Array | None = None
) -> tuple[Array, Array | None]:
    """exp(scores - max) into `out` (which may be `scores`); returns the sum of each row.

    A row of -inf throughout gives zeros, and 1 for a sum, by which it can be divided: the
    largest is at least the least finite number, and any other sum at least exp(0).

    sinks  numbers that are in the maximum and in the sum of each row, and not in `out`; what
           they add to the sum is returned beside it
    """
    (least, one), sunk = _bounds(scores.dtype), None
    largest = np.maximum.reduce(scores, -1, keepdims=True, initial=least)
    if sinks is not None:
        np.maximum(largest, sinks, out=largest)
    np.subtract(scores, largest, out=out)
    np.exp(out, out=out)
    total = row_dots(out, constant_row(out.shape[-1], 1.0, out.dtype))
    if sinks is not None:
        sunk = np.exp(sinks - largest)
        total += sunk
    return np.maximum(total, one, out=total), sunk


@cache
def _bounds(dtype: np.dtype[Any]) -> tuple[Any, Array]:
    """The least finite number, and 1 as an array, which NumPy takes in half of the time"""
    return np.finfo(dtype).min, np.ones((), dtype)


def softmax_backward(dweights: Array, weights: Array) -> Array:
    """weights = softmax(scores)    =>    dscores = weights * (dweights - sum(dweights * weights))

    `weights` are those that the forward returned, before any pin.
    """
    dscores = dweights - row_dots(dweights, weights)
    dscores *= weights
    return dscores


def log_softmax_forward(logits: Array) -> Array:
    """log_probabilities = logits - max - log(sum of exp(logits - max))"""
    shifted = logits - np.maximum.reduce(logits, -1, keepdims=True)
    total = row_dots(np.exp(shifted), constant_row(logits.shape[-1], 1.0, logits.dtype))
    shifted -= np.log(total)
    return shifted


def log_softmax_backward(dlog: Array, log_probabilities: Array) -> Array:
    """l = log_softmax(logits)    =>    dlogits = dl - exp(l) * sum(dl)

    `log_probabilities` are those that the forward returned, before any pin.
    """
    total = row_dots(dlog, constant_row(dlog.shape[-1], 1.0, dlog.dtype))
    dlogits: Array = dlog - np.exp(log_probabilities) * total
    return dlogits
