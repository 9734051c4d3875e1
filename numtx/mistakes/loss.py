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
    ids = at.graph.config.sides[-1] + ".tokens"
    tokens = np.where(labels == IGNORED, labels, at.value(ids))
    yield "labels not shifted: each token its own", at.again({1: tokens})
    yield "sign lost", -at.again()
    yield "logarithm to base 2", at.again() / np.log(2.0)
    yield from smoothed(at)
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


def smoothed(at: At) -> Forms:
    """Other shares of a smoothed target: of the label, and of each other word."""
    (logs, labels), words = at.inputs, at.inputs[0].shape[-1]
    given, right = at.stage.attributes["smoothing"], at.again(smoothing=0.0)
    others = np.where(labels == IGNORED, 0.0, -logs.sum(-1) - right)
    for e in (given,) if given else (0.05, 0.1, 0.2):
        word = "smoothed" if given else f"smoothed by {e:g}, though it should not be"
        yield word, (1.0 - e + e / words) * right + e / words * others
        yield f"{word}, the others by 1 / (V - 1)", (1.0 - e) * right + e / (words - 1) * others
        yield f"{word}, nothing taken from the label", right + e / words * (right + others)
        yield f"{word}, not divided by V", (1.0 - e) * right + e * (right + others)
        yield f"{word}, the label without its share", (1.0 - e) * right + e / words * others
        every = -logs.sum(-1)
        yield f"{word} at ignored labels too", (1.0 - e) * right + e / words * every
    yield "label smoothing left out", right


@cause("标签移了两次", "labels shifted twice", "loss.per_token loss")
def shifted_twice(at: At) -> Forms:
    """Rows apart, padded with nothing, or one after the other."""
    whole = at.stage.leaf.name == "loss"
    pick = at._replace(stage=at.graph["loss.per_token"])
    labels = pick.inputs[1]
    following = np.roll(labels[:, :1], -1, 0)  # of the next row
    following[-1] = IGNORED
    for last in (np.full_like(following, IGNORED), following):
        moved = np.concatenate((labels[:, 1:], last), 1)
        losses = pick.again({1: moved})
        mean = at._replace(stage=at.graph["loss"])
        yield "the next one", mean.again({0: losses, 1: moved}) if whole else losses
    if not whole:
        yield "the next one", pick.again({1: moved})[:, :-1]


@cause("损失", "loss", "loss")
def mean(at: At) -> Forms:
    losses, labels = at.inputs
    counted = labels != IGNORED
    pick = at._replace(stage=at.graph["loss.per_token"])
    every = pick.again({1: np.where(counted, labels, 0)})
    yield "ignored labels counted as 0", np.asarray(every.mean())
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
