"""Mistakes of the backward pass of norms.

With n the normalised input and g = dy * gain:

    dx = (g - mean(g) - n * mean(g * n)) / deviation     rms: without mean(g)
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..shapes import Array
from .slip import Back, Slips, slip


class _Norm(NamedTuple):
    """A norm of the run: what lies between its input and its output."""

    axes: tuple[int, ...]
    size: int
    centred: bool
    away: Array  # x - mean(x)
    variance: Array
    deviation: Array
    normal: Array

    def mean(self, z: Array) -> Array:
        return np.asarray(z.mean(self.axes, keepdims=True))

    def level(self, g: Array) -> Array:
        """The term of the mean."""
        return self.mean(g) if self.centred else np.zeros_like(self.deviation)

    def spread(self, g: Array) -> Array:
        """The term of the variance."""
        return self.normal * self.mean(g * self.normal)


def _norm_of(b: Back) -> _Norm:
    x, a = b.value(b.stage.inputs[0]), b.stage.attributes
    whole = a.get("over") == "projection"
    axes = (1, 3) if whole else (-1,)
    away = x - x.mean(axes, keepdims=True) if a["centred"] else x
    variance = (away * away).mean(axes, keepdims=True)
    deviation = np.sqrt(variance + a["epsilon"])
    count = x.shape[-1] * (x.shape[1] if whole else 1)
    return _Norm(axes, count, a["centred"], away, variance, deviation, away / deviation)


@slip("归一化的反向", "backward of the norm", "norm")
def norm(b: Back) -> Slips:
    if b.operand:
        return
    n, gain, dy, a = _norm_of(b), b.input(1), b.dy, b.stage.attributes
    g = kept = dy
    if gain is not None:
        wide = a.get("over") == "projection"
        kept = dy * (gain.reshape(dy.shape[1], 1, -1) if wide else gain)
        g = kept + dy * float(a.get("offset", 0))
    level, spread, deviation = n.level(g), n.spread(g), n.deviation

    def but(level: Array = level, spread: Array = spread, g: Array = g) -> Array:
        return (g - level - spread) / deviation

    nothing = np.zeros_like(level)
    if n.centred:
        yield "缺少梯度均值一项", "without the term of the gradient's mean", but(nothing)
        yield "均值减了两次", "the mean taken away twice", but(2.0 * level)
        yield "加上了均值", "the mean added", but(-level)
    else:
        yield (
            "减去了梯度的均值（layer 代替 rms）",
            "the gradient's mean taken away (layer for rms)",
            but(n.mean(g)),
        )
    yield "缺少方差一项", "without the term of the variance", but(spread=nothing)
    yield "方差一项减了两次", "the term of the variance twice", but(spread=2.0 * spread)
    yield "加上了方差一项", "the term of the variance added", but(spread=-spread)
    for zh, en, term in (
        ("没有乘以归一化的输入", "not times the normalised input", n.mean(g * n.normal)),
        ("用了没有归一化的输入", "of an input that is not normalised", spread * deviation**2),
        ("少除了一次标准差", "divided by the deviation once too seldom", spread * deviation),
    ):
        yield f"方差一项{zh}", f"the term of the variance {en}", but(spread=term)
    if n.centred:
        yield "只除以标准差", "divided by the deviation alone", but(nothing, nothing)
    yield "没有乘以增益", "without the gain", but(n.level(dy), n.spread(dy), dy)
    yield "均值里没有增益", "without the gain in the means", but(n.level(dy), n.spread(dy))
    if a.get("offset"):
        plain = but(n.level(kept), n.spread(kept), kept)
        yield "增益是 w，不是 1 + w", "the gain w, not 1 + w", plain
    yield "没有除以标准差", "not divided by the deviation", but() * deviation
    yield "除以方差", "divided by the variance", but() / deviation
    less = np.sqrt(n.variance * n.size / max(1, n.size - 1) + a["epsilon"])
    yield "标准差按 n - 1", "the deviation by n - 1", but() * deviation / less
    yield "用求和代替均值", "sums, not means", but(n.size * level, n.size * spread)
    yield "整个漏了", "left out", dy


@slip("增益的梯度", "gradient of the gain of a norm", "norm")
def gain(b: Back) -> Slips:
    if b.operand != 1:
        return
    n, dy = _norm_of(b), b.dy
    yield (
        "乘的是输入，没有归一化",
        "times the input, not the normalised input",
        _sum_to(b, dy * b.value(b.stage.inputs[0])),
    )
    yield "没有除以标准差", "not divided by the deviation", _sum_to(b, dy * n.away)
    yield "没有乘以归一化的输入", "not times the normalised input", _sum_to(b, dy)
    yield "乘的是输出", "times the output", _sum_to(b, dy * b.y)


def _sum_to(b: Back, terms: Array) -> Array | None:
    """Terms summed over all axes but those of the input."""
    shape = b.x.shape
    if terms.ndim == 4 and terms.shape[1] * terms.shape[3] == shape[0] != terms.shape[3]:
        return np.asarray(terms.sum((0, 2)).reshape(shape))
    if terms.shape[-1:] != shape:
        return None
    return np.asarray(terms.sum(tuple(range(terms.ndim - 1))))
