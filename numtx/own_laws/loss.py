"""L1 to L5: the loss and the labels that it ignores."""

from __future__ import annotations

import math

import numpy as np

from ..errors import NumtxError
from ..laws.law import Draw, LawBroken, draw_ids, expect, expect_true, law, rounding
from ..subjects.own import NumtxSubject
from ..subjects.subject import NUMTX
from .runs import IGNORED, labelled

ROUNDINGS = 4096.0  # that two runs of a whole model on other shapes may lie apart


@law(
    "L1",
    "the loss is that of a plain loop over the labels that count",
    "损失等于对有效标签的逐个循环",
    NUMTX,
)
def loss_of_a_loop(subject: NumtxSubject, draw: Draw) -> bool:
    batch, example, _, labels = labelled(subject, draw)
    trace = subject.record(batch, gradients=False)
    smoothing = subject.config.label_smoothing
    losses, size = [], float(np.abs(trace["logits"]).max())
    for b, t in zip(*np.nonzero(labels != IGNORED), strict=True):
        row = trace["logits"][b, t].tolist()
        total = max(row) + math.log(math.fsum(math.exp(x - max(row)) for x in row))
        spread = math.fsum(total - x for x in row) / len(row)
        losses.append((1.0 - smoothing) * (total - row[labels[b, t]]) + smoothing * spread)
    expected, got = math.fsum(losses) / len(losses), float(trace["loss"])
    terms = len(losses) + subject.vocabulary_size
    if not abs(expected - got) <= rounding(trace["logits"], 8.0 * terms, max(size, expected)):
        raise LawBroken("the loss differs", example, None, expected, got)
    return True


@law(
    "L2",
    "parts weighted by their tokens make the whole batch",
    "按词元数加权的部分之和等于整批",
    NUMTX,
)
def parts(subject: NumtxSubject, draw: Draw) -> bool:
    ids = draw_ids(subject, draw, 2, 2)
    labels = (ids + 1) % subject.vocabulary_size
    labels[0, 1:] = IGNORED
    whole = subject.record(subject.batch(ids, labels=labels))
    counts = (labels != IGNORED).sum(1)
    example = {"ids": ids, "labels": labels}
    loss, sums = 0.0, {name: np.zeros_like(a) for name, a in subject.parameters.items()}
    for row in range(2):
        share = float(counts[row] / counts.sum())
        batch = subject.batch(ids[[row]], labels=labels[[row]])
        part = subject.record(batch, cotangent=share)
        loss += share * float(part["loss"])
        for name in sums:
            sums[name] += part.grad(f"parameters/{name}")
    limit = rounding(whole["logits"], ROUNDINGS, max(loss, float(np.abs(whole["logits"]).max())))
    if not abs(loss - float(whole["loss"])) <= limit:
        raise LawBroken("the loss differs", example, None, loss, float(whole["loss"]))
    for name, expected in sums.items():
        got = whole.grad(f"parameters/{name}")
        expect(subject, f"gradient of {name}", expected[None], got[None], example)
    return bool(counts[0] != counts[1])


@law(
    "L3",
    "ignored positions have loss and gradient exactly 0",
    "被忽略的位置损失与梯度恰为 0",
    NUMTX,
)
def ignored(subject: NumtxSubject, draw: Draw) -> bool:
    batch, example, _, labels = labelled(subject, draw)
    trace = subject.record(batch)
    out = labels == IGNORED
    expect_true((trace["loss.per_token"][out] == 0.0).all(), "an ignored label has a loss", example)
    for name in ("logits", "log_probabilities", "loss.per_token"):
        zero = (trace.grad(name)[out] == 0.0).all()
        expect_true(zero, f"{name} has a gradient where the label is ignored", example)
    return bool(out.any())


@law(
    "L4",
    "labels that are all ignored are a clear error, never NaN",
    "标签全被忽略时报错, 绝无 NaN",
    NUMTX,
)
def nothing_to_learn(subject: NumtxSubject, draw: Draw) -> bool:
    ids = draw_ids(subject, draw)
    try:
        trace = subject.record(subject.batch(ids, labels=np.full_like(ids, IGNORED)))
    except NumtxError:
        return True
    raise LawBroken("there was no error", {"ids": ids}, None, "an error", float(trace["loss"]))


@law("L5", "each row of the logits' gradient sums to 0", "logits 梯度每行和为 0", NUMTX)
def logit_gradients(subject: NumtxSubject, draw: Draw) -> bool:
    batch, example, _, _ = labelled(subject, draw)
    gradient = subject.record(batch, cotangent=-1.7).grad("logits")
    worst = float(np.abs(gradient.sum(-1)).max())
    limit = rounding(gradient, 64.0 * gradient.shape[-1])
    expect_true(worst <= limit, "a row does not sum to 0", example, worst)
    return bool((gradient != 0.0).any())
