"""Cross-entropy: the negative log-probability of each label, and the mean over those counted."""

from __future__ import annotations

import numpy as np

from ..shapes import Array

IGNORED = -100  # a label at which no loss is taken


def pick_forward(log_probabilities: Array, labels: Array, smoothing: float = 0.0) -> Array:
    """loss[b, t] = -l[b, t, label], and 0 where the label is ignored

    With smoothing e the target is no longer one-hot: the label has 1 - e of it and all V words
    share e (Szegedy et al., 2016): loss = -(1 - e) * l[label] - e / V * sum of l.
    """
    counted = labels != IGNORED
    picked = log_probabilities.reshape(-1).take(_places(labels, log_probabilities.shape[-1]))
    if smoothing:
        share = smoothing / log_probabilities.shape[-1]
        picked = (1.0 - smoothing) * picked + share * np.add.reduce(log_probabilities, -1)
    return np.where(counted, -picked, 0.0)


def pick_backward(
    dloss: Array, labels: Array, log_probabilities: Array, smoothing: float = 0.0
) -> Array:
    """loss = -(1 - e) * l[label] - e / V * sum of l
    =>    dl = -dloss * e / V everywhere, -dloss * (1 - e) more at the label; 0 where ignored"""
    counted = labels != IGNORED
    dloss = np.where(counted, dloss, 0.0)
    dlog = np.zeros(log_probabilities.shape, log_probabilities.dtype)
    if smoothing:
        dlog -= smoothing / log_probabilities.shape[-1] * dloss[..., None]
    dlog.reshape(-1)[_places(labels, log_probabilities.shape[-1])] -= (1.0 - smoothing) * dloss
    return dlog


def _places(labels: Array, words: int) -> Array:
    """Where each label stands in a flat array [B * T * V]; word 0 where the label is ignored"""
    rows = np.arange(0, labels.size * words, words).reshape(labels.shape)
    places: Array = rows + np.maximum(labels, 0)
    return places


def mean_forward(per_token: Array, labels: Array) -> Array:
    """loss = sum of the counted losses / number of counted labels    [B, T] -> []"""
    counted = np.where(labels != IGNORED, per_token, 0.0)  # a pin may stand where none counts
    return np.asarray(np.add.reduce(counted, None) / _count(labels))


def mean_backward(dmean: Array, labels: Array) -> Array:
    """loss = sum / n    =>    d(per token) = dloss / n at every counted label, 0 elsewhere"""
    counted = labels != IGNORED
    return np.where(counted, dmean / _count(labels), 0.0)


def _count(labels: Array) -> int:
    """How many labels count (a Python int: NumPy's own would turn float32 into float64)."""
    return int(np.count_nonzero(labels != IGNORED))
