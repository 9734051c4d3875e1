"""Cross-entropy: the negative log-probability of each label, and the mean over those counted."""

from __future__ import annotations

import numpy as np

from ..shapes import Array

IGNORED = -100  # a label at which no loss is taken


def pick_forward(log_probabilities: Array, labels: Array) -> Array:
    """loss[b, t] = -log_probabilities[b, t, labels[b, t]], and 0 where the label is ignored"""
    counted = labels != IGNORED
    safe = np.where(counted, labels, 0)
    picked = np.take_along_axis(log_probabilities, safe[..., None], -1)[..., 0]
    return np.where(counted, -picked, 0.0)


def pick_backward(dloss: Array, labels: Array, log_probabilities: Array) -> Array:
    """loss = -l[label]    =>    dl[label] = -dloss, 0 elsewhere and at ignored positions"""
    counted = labels != IGNORED
    dlog = np.zeros_like(log_probabilities)
    safe = np.where(counted, labels, 0)
    np.put_along_axis(dlog, safe[..., None], np.where(counted, -dloss, 0.0)[..., None], -1)
    return dlog


def mean_forward(per_token: Array, labels: Array) -> Array:
    """loss = sum of the losses / number of counted labels    [B, T] -> []"""
    return np.asarray(np.add.reduce(per_token, None) / _count(labels))


def mean_backward(dmean: Array, labels: Array) -> Array:
    """loss = sum / n    =>    d(per token) = dloss / n at every counted label, 0 elsewhere"""
    counted = labels != IGNORED
    return np.where(counted, dmean / _count(labels), 0.0)


def _count(labels: Array) -> int:
    """How many labels count (a Python int: NumPy's own would turn float32 into float64)."""
    return int(np.count_nonzero(labels != IGNORED))
