"""Sinks: a learned number a query head stands in the softmax like one more score, whose key
nobody has and whose value is 0 (OpenAI, 2025; Miller, 2023, with 0 for the number).

A query may so give its attention to nothing, and a row of weights sums to less than 1.
"""

from __future__ import annotations

import numpy as np

from ..shapes import Array, row_dots
from .softmax import exponentials


def sink_softmax_forward(
    scores: Array, sinks: Array, out: Array | None = None
) -> tuple[Array, Array]:
    """weights = exp(scores) / (exp(sink) + sum of exp(scores)); and the sink's share

    scores [B, H, T, S], sinks [H] -> [B, H, T, S] (into `out`, which may be `scores`),
    [B, H, T, 1]. The largest of scores and sink is subtracted, so nothing overflows. In a row of
    -inf throughout (a query with no key to attend to) the sink has it all.
    """
    weights = np.empty_like(scores) if out is None else out
    total, share = exponentials(scores, weights, sinks[:, None, None])
    assert share is not None
    weights /= total
    share /= total
    return weights, share


def sinks_backward(dweights: Array, weights: Array, share: Array) -> Array:
    """weights = exp(scores) / (exp(sink) + sum of exp(scores))
    =>    dsink = -sum over rows of share * sum(dweights * weights)    -> [H]

    That of the scores is as without a sink (`softmax_backward`): its value is 0.
    """
    dsinks: Array = -np.add.reduce(share * row_dots(dweights, weights), (0, 2, 3))
    return dsinks
