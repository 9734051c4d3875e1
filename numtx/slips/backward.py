"""Mistakes of backward passes, operation by operation."""

from __future__ import annotations

import numpy as np

from ..config.output import ACTIVATIONS
from ..ops.loss import IGNORED
from ..shapes import Array
from .slip import Back, Slips, slip


@slip("softmax 的反向", "backward of the softmax", "softmax")
def softmax(b: Back) -> Slips:
    if b.operand:
        return
    weights, dy = b.y, b.dy
    dots = (weights * dy).sum(-1, keepdims=True)
    yield "缺少与权重的点积", "without the dot product with the weights", weights * dy
    yield "没有乘以权重", "not multiplied by the weights", dy - dots
    yield (
        "减去的是均值，不是点积",
        "the mean taken away, not the dot product",
        weights * (dy - dy.mean(-1, keepdims=True)),
    )
    yield (
        "点积沿查询求和",
        "the dot product over the queries",
        weights * (dy - (weights * dy).sum(-2, keepdims=True)),
    )
    yield "整个漏了", "left out", dy


@slip("log softmax 的反向", "backward of the log softmax", "log_softmax")
def log_softmax(b: Back) -> Slips:
    shares = np.exp(b.y)
    yield "没有减去概率", "the probabilities not taken away", b.dy
    yield "只有概率", "the probabilities alone", -shares * b.dy.sum(-1, keepdims=True)
    yield (
        "概率的符号反了",
        "the probabilities added",
        b.dy + shares * b.dy.sum(-1, keepdims=True),
    )


@slip("归一化的反向", "backward of the norm", "norm")
def norm(b: Back) -> Slips:
    x, gain, a = b.value(b.stage.inputs[0]), b.input(1), b.stage.attributes
    whole = a.get("over") == "projection"
    axes = (1, 3) if whole else (-1,)

    def mean(z: Array) -> Array:
        return np.asarray(z.mean(axes, keepdims=True))

    away = x - mean(x) if a["centred"] else x
    deviation = np.sqrt(mean(away * away) + a["epsilon"])
    normal = away / deviation
    if b.operand == 1:
        yield (
            "乘的是输入，没有归一化",
            "times the input, not the normalised input",
            _sum_to(b, b.dy * x),
        )
        yield "没有乘以归一化的输入", "not times the normalised input", _sum_to(b, b.dy)
        return
    if b.operand:
        return
    g = b.dy
    if gain is not None:
        kept = gain.reshape(x.shape[1], 1, -1) if whole else gain
        g = g * (kept + float(a.get("offset", 0)))
    along = normal * mean(g * normal)
    least = mean(g) if a["centred"] else np.zeros_like(along)
    count = x.shape[-1] * (x.shape[1] if whole else 1)
    plain = b.dy - (mean(b.dy) if a["centred"] else 0.0) - normal * mean(b.dy * normal)
    if a["centred"]:
        yield (
            "缺少梯度均值一项",
            "without the term of the gradient's mean",
            (g - along) / deviation,
        )
    else:
        yield (
            "减去了梯度的均值（layer 代替 rms）",
            "the gradient's mean taken away (layer for rms)",
            (g - mean(g) - along) / deviation,
        )
    yield (
        "缺少方差一项",
        "without the term of the variance",
        (g - least) / deviation,
    )
    yield "只除以标准差", "divided by the deviation alone", g / deviation
    yield "没有乘以增益", "without the gain", plain / deviation
    yield "没有除以标准差", "not divided by the deviation", g - least - along
    yield "除以方差", "divided by the variance", (g - least - along) / deviation**2
    yield (
        "用求和代替均值",
        "sums, not means",
        (g - count * (least + along)) / deviation,
    )
    yield "整个漏了", "left out", b.dy


def _sum_to(b: Back, terms: Array) -> Array | None:
    """Terms summed over all axes but those of the input."""
    shape = b.x.shape
    if terms.ndim == 4 and terms.shape[1] * terms.shape[3] == shape[0] != terms.shape[3]:
        return np.asarray(terms.sum((0, 2)).reshape(shape))
    if terms.shape[-1:] != shape:
        return None
    return np.asarray(terms.sum(tuple(range(terms.ndim - 1))))


@slip("查表的反向", "backward of the look-up", "lookup")
def lookup(b: Back) -> Slips:
    if not b.is_parameter:
        return
    rows = (b.value(b.stage.inputs[0]) + b.stage.attributes.get("offset", 0)).reshape(-1)
    last, first = np.zeros_like(b.x), np.zeros_like(b.x)
    flat = b.dy.reshape(rows.size, -1)
    last[rows] = flat
    first[rows[::-1]] = flat[::-1]
    counts = np.maximum(1, np.bincount(rows, minlength=len(last)))[:, None]
    summed = np.zeros_like(last)
    np.add.at(summed, rows, flat)
    yield (
        "重复的编号没有相加：只算最后一个",
        "repeated ids not summed: the last one counts",
        last,
    )
    yield (
        "重复的编号没有相加：只算第一个",
        "repeated ids not summed: the first one counts",
        first,
    )
    yield "重复的编号取了均值", "the mean over repeated ids", summed / counts


@slip("投影的反向", "backward of a product", "contract")
def contract(b: Back) -> Slips:
    right = b.right()
    if b.is_parameter and right.ndim == 2:
        if _square(right):
            yield "转置了", "transposed", right.T
        yield (
            "按 (输出, 输入) 的顺序存放",
            "kept in the order (out, in)",
            right.T.reshape(right.shape),
        )
    other = b.input(1 - b.operand) if b.operand < 2 else None
    if not b.is_parameter and other is not None and _square(other):
        flipped = {b.stage.inputs[1 - b.operand]: other.T}
        yield (
            "乘以 W，而不是它的转置",
            "times W, not its transpose",
            b.share(arrays=flipped),
        )
    heads = right.shape[1] if right.ndim == 4 else 0
    if heads and b.dy.ndim == 4 and b.dy.shape[1] > heads:
        group = b.dy.shape[1] // heads
        place = np.arange(b.dy.shape[1]) % group
        for which, zh, en in ((0, "第一个", "first"), (group - 1, "最后一个", "last")):
            some = b.dy * (place == which)[:, None, None]
            yield f"每组只取{zh}头", f"of the {en} head of each group only", b.share(some)
        yield "每组的头取了均值", "the mean over the heads of a group", right / group
    if heads > 1:
        yield "头的次序反了", "heads in reverse order", right[:, ::-1]


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


@slip("缩放的反向", "backward of the scale", "scale")
def scale(b: Back) -> Slips:
    factor = b.stage.attributes["factor"]
    yield "忘了系数", "the factor forgotten", b.dy
    yield "系数乘了两次", "the factor twice", b.dy * factor**2
    yield "除以系数", "divided by the factor", b.dy / factor


@slip("掩码的反向", "backward of the mask", "mask")
def mask(b: Back) -> Slips:
    if b.operand == 0:
        yield "忘了掩码", "the mask forgotten", b.dy


@slip("激活函数的反向", "backward of the activation", "activation")
def activation(b: Back) -> Slips:
    kind = b.stage.attributes["kind"]
    yield "漏了导数", "the derivative left out", b.dy
    yield (
        "导数取在输出处，不是输入处",
        "the derivative at the output, not at the input",
        b.share(arrays={b.stage.inputs[0]: b.y}),
    )
    yield "用值代替导数", "the value for the derivative", b.dy * b.y
    for other in ACTIVATIONS:
        if other != kind:
            yield f"用了 {other} 的导数", f"the derivative of {other}", b.share(kind=other)


@slip("旋转的反向", "backward of the rotation", "rotate")
def rotate(b: Back) -> Slips:
    if b.operand == 0:
        yield "没有转回去，而是再转一次", "turned on, not back", b.again(b.dy)
        yield "整个漏了", "left out", b.dy


@slip("乘积的反向", "backward of the product of two", "multiply")
def multiply(b: Back) -> Slips:
    yield "乘以自己，而不是另一个", "times itself, not the other", b.dy * b.x
    yield "没有乘以另一个", "not times the other", b.dy


@slip("软上限的反向", "backward of the cap", "cap")
def cap(b: Back) -> Slips:
    yield "漏了斜率", "the slope left out", b.dy


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
    yield (
        "忽略的位置也有",
        "ignored positions have one too",
        np.full(labels.shape, whole / counted.sum()),
    )
    rows = np.maximum(1, counted.sum(1, keepdims=True)) * len(labels)
    yield "各行均值的均值", "the mean of the rows' means", whole * counted / rows


@slip("每个位置损失的反向", "backward of the loss per token", "pick")
def pick(b: Back) -> Slips:
    if b.operand:
        return
    if b.stage.attributes["smoothing"]:
        yield "漏了标签平滑", "label smoothing left out", b.share(smoothing=0.0)
    yield "符号反了", "the sign lost", -b.right()
    labels = b.value(b.stage.inputs[1])
    for by, zh, en in ((-1, "下一个", "the next one"), (1, "上一个", "the one before")):
        moved = {b.stage.inputs[1]: np.roll(labels, by, 1)}
        yield f"标签错位：{zh}", f"labels shifted: {en}", b.share(arrays=moved)
