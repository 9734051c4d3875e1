"""Mistakes of the backward pass of products, and of what is summed over tokens and rows."""

from __future__ import annotations

import numpy as np

from ..shapes import Array
from .slip import Back, Slips, slip


@slip("投影的反向", "backward of a product", "contract")
def contract(b: Back) -> Slips:
    right = b.right()
    if b.is_parameter and right.ndim == 2:
        how = ("转置了", "transposed")
        if not _square(right):
            how = ("按 (输出, 输入) 的顺序存放", "kept in the order (out, in)")
        yield *how, right.T.reshape(right.shape)
    other = b.input(1 - b.operand) if b.operand < 2 else None
    if other is None:
        return
    name = b.stage.inputs[1 - b.operand]
    if not b.is_parameter:
        if _square(other):
            yield (
                "乘以 W，而不是它的转置",
                "times W, not its transpose",
                b.share(None, {name: other.T}),
            )
        if other.shape == b.x.shape != b.dy.shape:
            yield (
                "乘以自己，而不是另一个",
                "times itself, not the other",
                b.share(None, {name: b.x}),
            )
    if not name.startswith("parameters/") and "router.weights" in b.stage.inputs[0]:
        yield "没有乘以另一个", "not times the other", b.share(None, {name: np.ones_like(other)})


@slip("注意力乘积的反向", "backward of a product of attention", "contract")
def attend(b: Back) -> Slips:
    """Of heads: queries and keys, weights and values, and the projections from and to heads."""
    dy = b.dy
    heads = b.x.shape[1] if b.x.ndim == 4 else 0
    if dy.ndim == 4 and not b.is_parameter:
        if _square(dy[0, 0]):
            yield "没有转置", "the other side's transpose", b.share(np.swapaxes(dy, 2, 3))
        weights = b.input(1 - b.operand)
        if weights is not None and weights.ndim == 4 and _square(weights[0, 0]):
            flipped = {b.stage.inputs[1 - b.operand]: np.swapaxes(weights, 2, 3)}
            yield "权重没有转置", "times the weights, not their transpose", b.share(None, flipped)
    if dy.ndim == 4 and b.operand == 1 and (seen := _without_mask(b)) is not None:
        yield "忘了掩码", "the mask forgotten", b.share(None, {b.stage.inputs[0]: seen})
    if heads and dy.ndim == 4 and dy.shape[1] > heads:
        group = dy.shape[1] // heads
        place = np.arange(dy.shape[1])
        for which, zh, en in ((0, "第一个", "first"), (group - 1, "最后一个", "last")):
            some = dy * (place % group == which)[:, None, None]
            yield f"每组只取{zh}头", f"of the {en} head of each group only", b.share(some)
        yield "每组的头取了均值", "the mean over the heads of a group", b.right() / group
        taken = dy[:, (place % heads) * group + place // heads]
        yield "头分错了组", "heads summed in another order", b.share(taken)
    if heads > 1:
        right = b.right()
        yield "头的次序反了", "heads in reverse order", right[:, ::-1]
        if dy.ndim == 3:
            yield "拆头没有转置", "heads parted without transposing", _unturned(right)
    if b.is_parameter and dy.ndim == 4 and dy.shape[1] > 1:
        yield "并头没有转置", "heads merged without transposing", b.share(_unturned(dy, True))


def _without_mask(b: Back) -> Array | None:
    """Weights made once more from their scores and the sum of their row, without the mask."""
    name = b.stage.inputs[0]
    softmax = b.graph.stages.get(name)
    if softmax is None or softmax.operation != "softmax":
        return None
    masked = b.graph[softmax.inputs[0]]
    if masked.operation != "mask":
        return None
    scores, weights = b.value(masked.inputs[0]), b.value(name)
    with np.errstate(divide="ignore", invalid="ignore"):
        totals = (scores - np.log(weights)).max(
            -1, keepdims=True, initial=-np.inf, where=weights > 0.0
        )
        return np.where(np.isfinite(totals), np.exp(scores - totals), 0.0)


def _unturned(x: Array, merged: bool = False) -> Array:
    """(B, H, T, k) taken for (B, T, H, k), or where they are merged the other way round."""
    batch, heads, tokens, width = x.shape
    if merged:
        return x.reshape(batch, tokens, heads, width).swapaxes(1, 2)
    return x.swapaxes(1, 2).reshape(x.shape)


def _square(x: Array) -> bool:
    return x.ndim == 2 and x.shape[0] == x.shape[1]


@slip("参数的梯度", "gradient of a parameter")
def parameter(b: Back) -> Slips:
    """Every token of every row has a share in it."""
    if not b.is_parameter or b.dy.ndim < 2:
        return
    right, rows = b.right(), len(b.dy)
    tokens = b.dy.shape[-2]
    if rows > 1:
        for which, zh, en in ((0, "第一", "first"), (rows - 1, "最后一", "last")):
            some = np.zeros_like(b.dy)
            some[which] = b.dy[which]
            yield f"只有批的{zh}行", f"of the {en} row of the batch only", b.share(some)
        yield "各行取了均值", "the mean over the rows", right / rows
    yield "各词元取了均值", "the mean over the tokens", right / (rows * tokens)
    for which, zh, en in ((0, "第一个", "first"), (tokens - 1, "最后一个", "last")):
        some = np.zeros_like(b.dy)
        some[..., which, :] = b.dy[..., which, :]
        yield f"只有{zh}词元", f"of the {en} token only", b.share(some)


@slip("乘积的反向", "backward of the product of two", "multiply")
def multiply(b: Back) -> Slips:
    yield "乘以自己，而不是另一个", "times itself, not the other", b.dy * b.x
    yield "没有乘以另一个", "not times the other", b.dy


@slip("共用部分的反向", "backward of what all heads share", "append")
def shared_by_heads(b: Back) -> Slips:
    if b.x.ndim != 3 or b.dy.ndim != 4:
        return
    heads = b.dy.shape[1]
    place = np.arange(heads)
    for which, zh, en in ((0, "第一个", "first"), (heads - 1, "最后一个", "last")):
        some = b.dy * (place == which)[:, None, None]
        yield f"只有{zh}头", f"of the {en} head only", b.share(some)
    yield "各头取了均值", "the mean over the heads", b.right() / heads
