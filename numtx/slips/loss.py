"""Mistakes of the backward pass of the loss."""

from __future__ import annotations

import numpy as np

from ..ops.loss import IGNORED
from .slip import Back, Slips, slip


@slip("损失平均的反向", "backward of the mean of the loss", "mean")
def mean(b: Back) -> Slips:
    if b.operand:
        return
    labels = b.value(b.stage.inputs[1])
    counted = labels != IGNORED
    whole = float(b.dy.reshape(()))
    yield "总和的，不是均值的", "of the sum, not of the mean", whole * counted.astype(float)
    yield (
        "除以所有位置，忽略的也算",
        "divided by all positions, ignored ones too",
        whole * counted / labels.size,
    )
    yield "除以行数", "divided by the number of rows", whole * counted / len(labels)
    yield "除以每行的词元数", "divided by the tokens of a row", whole * counted / labels.shape[1]
    yield (
        "忽略的位置也有",
        "ignored positions have one too",
        np.full(labels.shape, whole / counted.sum()),
    )
    rows = np.maximum(1, counted.sum(1, keepdims=True)) * len(labels)
    yield "各行均值的均值", "the mean of the rows' means", whole * counted / rows


@slip("损失总和的反向", "backward of the sum of the loss", "total")
def total(b: Back) -> Slips:
    if b.operand:
        return
    counted = b.value(b.stage.inputs[1]) != IGNORED
    whole = float(b.dy.reshape(()))
    yield "均值的，不是总和的", "of the mean, not of the sum", whole * counted / counted.sum()
    yield (
        "所有位置均值的，不是总和的",
        "of the mean over all positions, not of the sum",
        whole * counted / counted.size,
    )
    yield "除以行数", "divided by the number of rows", whole * counted / len(counted)


@slip("每个位置损失的反向", "backward of the loss per token", "pick")
def pick(b: Back) -> Slips:
    if b.operand:
        return
    smoothing = b.stage.attributes["smoothing"]
    if smoothing:
        plain = b.share(smoothing=0.0)
        yield "漏了标签平滑", "label smoothing left out", plain
        yield "漏了其他词的份额", "without the share of the other words", plain * (1.0 - smoothing)
        yield "标签的份额没有减少", "the label's share not made less", b.right() + plain * smoothing
    yield "符号反了", "the sign lost", -b.right()
    labels = b.value(b.stage.inputs[1])
    for by, zh, en in ((-1, "下一个", "the next one"), (1, "上一个", "the one before")):
        moved = {b.stage.inputs[1]: np.roll(labels, by, 1)}
        yield f"标签错位：{zh}", f"labels shifted: {en}", b.share(None, moved)
