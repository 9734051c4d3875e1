"""L1 to L5: the loss and the labels that it ignores."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import strategies as st

from ..errors import NumtxError
from ..head import tied_name
from ..laws.law import Draw, LawBroken, draw_ids, expect, expect_true, law, rounding
from ..ops.loss import IGNORED
from ..shapes import Array
from ..subjects.own import NumtxSubject
from ..subjects.subject import NUMTX
from .runs import divisor, labelled, logits_of, rows_of

ROUNDINGS = 512.0  # that two runs of a whole model on other shapes may lie apart


@law(
    "L1",
    "the loss of each token is that of a plain loop, their mean is over the labels that count, and "
    "logits that are all equal cost log V, however much the loss is smoothed",
    "每个词元的损失等于逐个循环, 均值只对有效标签; 无论平滑多少, 全等的 logits 损失为 log V",
    NUMTX,
)
def loss_of_a_loop(subject: NumtxSubject, draw: Draw) -> bool:
    smoothing = draw(st.sampled_from([subject.config.label_smoothing, 0.0, 0.1, 0.3]))
    if smoothing != subject.config.label_smoothing:
        subject = subject.with_(label_smoothing=smoothing)
    batch, example, _, labels = labelled(subject, draw)
    trace = subject.record(batch, gradients=False)
    example, logits = {**example, "smoothing": smoothing}, logits_of(trace)
    losses, size = [], float(np.abs(logits).max())
    for (b, t), label in np.ndenumerate(labels):
        expected = 0.0 if label == IGNORED else _of_a_loop(logits[b, t], int(label), smoothing)
        got, limit = float(trace["loss.per_token"][b, t]), rounding(logits, 64.0, size + expected)
        if not abs(expected - got) <= limit * (label != IGNORED):
            raise LawBroken("the loss of a token differs", example, [(b, t)], expected, got)
        losses += [] if label == IGNORED else [expected]
    expected, got = math.fsum(losses) / divisor(trace, len(losses)), float(trace["loss"])
    if not abs(expected - got) <= rounding(logits, 64.0 + len(losses), size + expected):
        raise LawBroken("the loss differs", example, None, expected, got)
    flat = dict(subject.parameters)
    matrix = tied_name(subject.config) if subject.config.tied_output else "output.w"
    flat[matrix] = 0.0 * flat[matrix]
    if "output.b" in flat:
        flat["output.b"] = 0.0 * flat["output.b"] + 3.0
    got = float(subject.with_(flat).record(batch, gradients=False)["loss"])
    expected = math.log(subject.vocabulary_size) * len(losses) / divisor(trace, len(losses))
    if not abs(expected - got) <= rounding(logits, 32.0, expected):
        raise LawBroken("equal logits do not cost log V", example, None, expected, got)
    return True


def _of_a_loop(logits: Array, label: int, smoothing: float) -> float:
    row: list[float] = logits.tolist()
    total = max(row) + math.log(math.fsum(math.exp(x - max(row)) for x in row))
    spread = math.fsum(total - x for x in row) / len(row)
    return (1.0 - smoothing) * (total - row[label]) + smoothing * spread


@law(
    "L2",
    "parts weighted by their tokens, or summed as they are, make the whole batch, padded ones too",
    "按词元数加权 (或直接相加) 的部分之和等于整批, 有填充时亦然",
    NUMTX,
)
def parts(subject: NumtxSubject, draw: Draw) -> bool:
    batch, example, _, labels = labelled(subject, draw)
    whole, counts = subject.record(batch), (labels != IGNORED).sum(1)
    loss, sums = 0.0, {name: np.zeros_like(a) for name, a in subject.parameters.items()}
    for row in np.flatnonzero(counts):
        share = float(divisor(whole, counts[row]) / divisor(whole, counts.sum()))
        part = subject.record(rows_of(batch, [row]), cotangent=share)
        loss += share * float(part["loss"])
        for name in sums:
            sums[name] += part.grad(f"parameters/{name}")
    limit = rounding(whole["logits"], ROUNDINGS, max(loss, float(np.abs(whole["logits"]).max())))
    if not abs(loss - float(whole["loss"])) <= limit:
        raise LawBroken("the loss differs", example, None, loss, float(whole["loss"]))
    for name, expected in sums.items():
        got = whole.grad(f"parameters/{name}")
        expect(subject, f"gradient of {name}", expected[None], got[None], example)
    return len(set(counts.tolist())) > 1  # or the mean of the means would be right too


@law(
    "L3",
    "ignored positions have loss and gradient exactly 0, all others have a share: the mean, or the "
    "sum, is over these",
    "被忽略的位置损失与梯度恰为 0, 其余位置皆有份额: 均值或总和只对其余位置",
    NUMTX,
)
def ignored(subject: NumtxSubject, draw: Draw) -> bool:
    batch, example, _, labels = labelled(subject, draw)
    trace = subject.record(batch)
    out, losses = labels == IGNORED, trace["loss.per_token"]
    expect_true((losses[out] == 0.0).all(), "an ignored label has a loss", example)
    expected = losses.sum(dtype=np.float64) / divisor(trace, int((~out).sum()))
    error = abs(float(trace["loss"]) - float(expected))
    expect_true(error <= rounding(losses, 8.0, expected), "not the mean", example, trace["loss"])
    for name in ("logits", "log_probabilities", "loss.per_token"):
        share = (trace.grad(name).reshape(*out.shape, -1) != 0.0).any(-1)
        expect_true(not share[out].any(), f"{name}: an ignored label has a gradient", example)
        expect_true(share[~out].all(), f"{name}: a label has no gradient", example)
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


@law(
    "L5",
    "each row of the logits' gradient sums to 0, to the last digits",
    "logits 梯度每行和为 0, 精确到末几位",
    NUMTX,
)
def logit_gradients(subject: NumtxSubject, draw: Draw) -> bool:
    batch, example, _, _ = labelled(subject, draw)
    gradient = logits_of(subject.record(batch, cotangent=-1.7), gradient=True)
    worst = np.abs(gradient.sum(-1, dtype=np.float64)).max()
    limit = gradient.shape[-1] * np.finfo(gradient.dtype).eps * np.abs(gradient).max()
    expect_true(worst <= limit, "a row does not sum to 0", example, worst)
    return bool((gradient != 0.0).any())
