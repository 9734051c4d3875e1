"""Mistakes from the logits to the loss."""

from __future__ import annotations

import numpy as np

from ..ops.loss import IGNORED
from ..ops.softmax import softmax_forward
from .at import At, Forms
from .cause import cause


@cause("每个位置的损失", "loss per token", "loss.per_token")
def pick(at: At) -> Forms:
    logs, labels = at.inputs
    yield "labels shifted: the next one", at.again({1: np.roll(labels, -1, 1)})
    yield "labels shifted: the one before", at.again({1: np.roll(labels, 1, 1)})
    yield "sign lost", -at.again()
    yield "logarithm to base 2", at.again() / np.log(2.0)
    yield "label smoothing left out", at.again(smoothing=0.0)
    yield "minus the probability, not its logarithm", at.again({0: np.exp(logs)})
    yield "of the logits, not of their log softmax", at.again({0: at.value("logits")})
    if (labels == IGNORED).any():
        yield "ignored labels counted as 0", at.again({1: np.where(labels == IGNORED, 0, labels)})
        yield (
            "ignored labels taken from the end",
            at.again(
                {1: np.where(labels == IGNORED, logs.shape[-1] + IGNORED, labels) % logs.shape[-1]}
            ),
        )


@cause("损失", "loss", "loss")
def mean(at: At) -> Forms:
    losses, labels = at.inputs
    counted = labels != IGNORED
    yield "the sum, not the mean", np.asarray(losses.sum())
    yield "divided by all positions, ignored ones too", np.asarray(losses.mean())
    rows = losses.sum(1) / np.maximum(1, counted.sum(1))
    yield "the mean of the rows' means", np.asarray(rows.mean())
    yield "divided by the number of rows", np.asarray(losses.sum() / len(losses))


@cause("log softmax", "log softmax", "log_probabilities")
def probabilities(at: At) -> Forms:
    logits = at.inputs[0]
    if at.stage.operation == "log_softmax":
        yield "the probabilities, not their logarithms", softmax_forward(logits)
        yield "logits as they are", logits
        yield "over the tokens", np.log(softmax_forward(logits.swapaxes(1, 2)).swapaxes(1, 2))
