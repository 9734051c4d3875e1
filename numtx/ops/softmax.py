"""Softmax and its logarithm, along the last axis."""

from __future__ import annotations

import numpy as np

from ..shapes import Array


def softmax_forward(scores: Array) -> Array:
    """weights = exp(scores - max) / sum of exp(scores - max)

    The largest score of a row is subtracted, so nothing overflows. A row of -inf throughout
    (a query with no key to attend to) gives weights of exactly 0.
    """
    largest = np.maximum.reduce(scores, -1, keepdims=True)
    blind = largest == -np.inf
    if blind.any():
        largest = np.where(blind, 0.0, largest)
    weights = np.subtract(scores, largest)
    np.exp(weights, out=weights)
    total = np.add.reduce(weights, -1, keepdims=True)
    if blind.any():
        total = np.where(blind, 1.0, total)
    weights /= total
    return weights


def softmax_backward(dweights: Array, weights: Array) -> Array:
    """weights = softmax(scores)    =>    dscores = weights * (dweights - sum(dweights * weights))

    `weights` are those that the forward returned, before any pin.
    """
    inner = np.add.reduce(dweights * weights, -1, keepdims=True)
    dscores: Array = weights * (dweights - inner)
    return dscores


def log_softmax_forward(logits: Array) -> Array:
    """log_probabilities = logits - max - log(sum of exp(logits - max))"""
    shifted = logits - np.maximum.reduce(logits, -1, keepdims=True)
    total = np.add.reduce(np.exp(shifted), -1, keepdims=True)
    log_probabilities: Array = shifted - np.log(total)
    return log_probabilities


def log_softmax_backward(dlog: Array, log_probabilities: Array) -> Array:
    """l = log_softmax(logits)    =>    dlogits = dl - exp(l) * sum(dl)

    `log_probabilities` are those that the forward returned, before any pin.
    """
    total = np.add.reduce(dlog, -1, keepdims=True)
    dlogits: Array = dlog - np.exp(log_probabilities) * total
    return dlogits
