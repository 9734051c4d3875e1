"""Mistakes of the backward pass of a softmax."""

from __future__ import annotations

import numpy as np

from ..ops.loss import IGNORED
from ..shapes import Array
from .slip import Back, Slips, slip


@slip("softmax 的反向", "backward of the softmax", "softmax")
def softmax(b: Back) -> Slips:
    weights, dy = b.y, b.dy
    dots = (weights * dy).sum(-1, keepdims=True)
    if b.operand:
        yield "符号反了", "the sign lost", -b.right()
        yield "没有乘以汇所占的份额", "not times the share of the sink", -dots.sum((0, 2, 3))
        return
    yield "缺少与权重的点积", "without the dot product with the weights", weights * dy
    yield "没有乘以权重", "not multiplied by the weights", dy - dots
    yield "点积没有乘以权重", "the dot product not times the weights", weights * dy - dots
    yield "点积的符号反了", "the dot product added", weights * (dy + dots)
    yield "点积减了两次", "the dot product taken away twice", weights * (dy - 2.0 * dots)
    yield "只有雅可比矩阵的对角线", "the diagonal alone", weights * (1.0 - weights) * dy
    for zh, en, away in (
        ("减去的是均值", "the mean", dy.mean(-1, keepdims=True)),
        ("减去的是总和", "the sum", dy.sum(-1, keepdims=True)),
    ):
        yield f"{zh}，不是点积", f"{en} taken away, not the dot product", weights * (dy - away)
    yield (
        "点积沿查询求和",
        "the dot product over the queries",
        weights * (dy - (weights * dy).sum(-2, keepdims=True)),
    )
    yield "整个漏了", "left out", dy
    if len(b.stage.inputs) > 1:
        alone = weights / np.maximum(weights.sum(-1, keepdims=True), 1e-300)
        dots = (alone * dy).sum(-1, keepdims=True)
        yield "忘了汇", "the sink left out", alone * (dy - dots)


@slip("log softmax 的反向", "backward of the log softmax", "log_softmax")
def log_softmax(b: Back) -> Slips:
    shares, dy = np.exp(b.y), b.dy
    whole = dy.sum(-1, keepdims=True)
    right = dy - shares * whole
    yield "没有减去概率", "the probabilities not taken away", dy
    yield "只有概率", "the probabilities alone", -shares * whole
    yield "概率的符号反了", "the probabilities added", dy + shares * whole
    yield "只有雅可比矩阵的对角线", "the diagonal alone", dy * (1.0 - shares)
    yield (
        "按 softmax 求导",
        "the derivative of the softmax",
        shares * (dy - (shares * dy).sum(-1, keepdims=True)),
    )
    yield (
        "再乘了一次 softmax 的导数",
        "times the derivative of the softmax once more",
        shares * (right - (shares * right).sum(-1, keepdims=True)),
    )
    yield from _ignored(b, shares, right)


def _ignored(b: Back, shares: Array, right: Array) -> Slips:
    """The probabilities of positions without a label, with the weight of those that have one."""
    labels = b.arrays.get("labels")
    if labels is None or (counted := labels != IGNORED).all() or not counted.any():
        return
    weight = -b.dy[counted].sum(-1).max()
    nothing, first = np.zeros(shares.shape[-1]), np.eye(1, shares.shape[-1])[0]
    for zh, en, target in (
        ("没有标签的位置也有", "positions without a label too", nothing),
        ("没有标签的位置也有，标签当作 0", "positions without a label too, as 0", first),
    ):
        yield zh, en, np.where(counted[..., None], right, weight * (shares - target))
