"""Exercises on norms: the residual and the norm after it, and a norm backwards."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..answering.cases import draw, traced, words
from ..answering.exercise import At, Case, exercise
from ..ops.norm import norm_backward as norm_backward_of
from ..ops.norm import norm_forward
from ..shapes import Array


def row_mean(x: Array) -> Any:
    return x.mean(-1, keepdims=True)


def of_norms() -> list[Case]:
    trace, place = traced("weather"), "encoder.0.self_attention"
    own = (trace["encoder.input"][0], trace[f"{place}.output"][0],
           np.ones(4), np.zeros(4), 1e-5)  # fmt: skip
    cases = [Case(own, words("weather", "encoder"))]
    for seed, (t, d, epsilon) in enumerate(((3, 5, 0.1), (4, 4, 0.5), (6, 3, 0.2), (1, 7, 1e-5))):
        cases.append(Case((*draw(seed, (t, d), (t, d), (d,), (d,)), epsilon)))
    return cases


@exercise(
    "05",
    zh="""
    残差与归一化（在残差之后）。

    x            [T, d]，进子层之前的
    y            [T, d]，子层给出的
    gain, bias   [d]；epsilon 加在方差上
    返回         [T, d]：两者之和，每行减去均值，除以 sqrt(方差 + epsilon)，乘增益，加偏置；
                 方差除以 d
    """,
    en="""
    Residual and norm (after the residual).

    x           [T, d], what went into the sublayer
    y           [T, d], what it gives
    gain, bias  [d]; epsilon is added to the variance
    returns     [T, d]: their sum, each row less its mean, over the root of its
                variance plus epsilon, times gain, plus bias; the variance
                divides by d
    """,
    hints=[
        ("一行是一个词元：均值和方差沿最后一个轴，留着这个轴好相减。",
         "A row is a token: mean and variance go along the last axis, which is kept."),
        ("epsilon 在根号里面；看看方差除的是 d 还是 d - 1。",
         "Epsilon stands under the root; see whether the variance divides by d or d - 1."),
    ],
    answer="""
    z = x + y
    centred = z - z.mean(1, keepdims=True)
    variance = (centred**2).mean(1, keepdims=True)
    return centred / np.sqrt(variance + epsilon) * gain + bias
    """,
    reference=lambda x, y, gain, bias, epsilon: norm_forward(x + y, gain, bias, epsilon, True)[0],
    cases=of_norms,
)  # fmt: skip
def add_and_norm(at: At, x: Array, y: Array, gain: Array, bias: Array, epsilon: float) -> Any:
    total, added = at(
        (x + y, 0.0),
        ("漏了残差：没有加回 x", "residual missing: x is not added", lambda: (y, 0.0)),
        ("没有加上子层给出的 y", "y, what the sublayer gives, is not added", lambda: (x, 0.0)),
        ("减了，没有加", "subtracted, not added", lambda: (x - y, 0.0)),
        ("加了两次 x", "x added twice", lambda: (2 * x + y, 0.0)),
        ("先归一化，再加残差：x + norm(y)", "norm before the residual: x + norm(y)", lambda: (y, x)),
        ("先归一化，再加残差：norm(x) + y", "norm before the residual: norm(x) + y", lambda: (x, y)),
        ("归一化之后又加了一次 x", "x added once more after the norm", lambda: (x + y, x)),
    )  # fmt: skip
    axis = at(
        1,
        ("按列归一化，不是按行", "normalised along columns, not along rows", lambda: 0),
        ("对整个矩阵归一化，不是按行", "the whole matrix normalised, not each row", lambda: None),
    )  # fmt: skip
    mean = total.mean(axis, keepdims=True)
    columns, whole = total - total.mean(0), total - total.mean()
    right = total - mean
    of_columns = ("均值按列取了，不是按行", "mean along columns, not along rows")
    of_all = ("均值取了整个矩阵的", "mean of the whole matrix")
    centred, spread = at(  # what is divided, and what the variance is of
        (right, right),
        ("没有减去均值", "mean not subtracted", lambda: (total, total)),
        ("方差减了均值，被除的没有减", "mean subtracted for the variance, not from what is divided",
         lambda: (total, right)),
        (*of_columns, lambda: (columns, columns)), (*of_columns, lambda: (columns, right)),
        (*of_all, lambda: (whole, whole)), (*of_all, lambda: (whole, right)),
    )  # fmt: skip
    width = total.size if axis is None else total.shape[axis]
    squares = (spread**2).sum(axis, keepdims=True)
    variance = at(
        squares / width,
        ("方差除以了 d - 1，不是 d", "variance over d - 1, not over d", lambda: squares / (width - 1)),
        ("方差没有除以 d", "sum of squares: variance not divided by d", lambda: squares),
        ("方差按列取了，不是按行", "variance along columns, not along rows",
         lambda: ((total - total.mean(0)) ** 2).mean(0)),
        ("方差取了整个矩阵的", "variance of the whole matrix", lambda: total.var()),
        ("用了均方，没有先减均值", "mean square, without subtracting the mean",
         lambda: row_mean(total**2)),
    )  # fmt: skip
    normal = at(
        centred / np.sqrt(variance + epsilon),
        ("epsilon 加在了根号外面", "epsilon outside the root",
         lambda: centred / (np.sqrt(variance) + epsilon)),
        ("没有加 epsilon", "epsilon left out", lambda: centred / np.sqrt(variance)),
        ("没有开方：除以了方差", "root missing: divided by the variance",
         lambda: centred / (variance + epsilon)),
        ("没有除以标准差", "not divided by the deviation", lambda: centred),
        ("乘了标准差，不是除", "multiplied by the deviation, not divided",
         lambda: centred * np.sqrt(variance + epsilon)),
    )  # fmt: skip
    return added + at(
        normal * gain + bias,
        ("漏了偏置", "bias left out", lambda: normal * gain),
        ("漏了增益", "gain left out", lambda: normal + bias),
        ("漏了增益和偏置", "gain and bias left out", lambda: normal),
        ("先加偏置，再乘增益", "bias added before the gain", lambda: (normal + bias) * gain),
    )  # fmt: skip


@exercise(
    "06",
    zh="""
    归一化的反向：由输出的梯度得到输入的梯度。

    dy       [T, d]，损失对输出的梯度
    x        [T, d]，输入；输出是 (x - 均值) / sqrt(方差 + epsilon) * gain + bias
    gain     [d]
    返回     [T, d]，损失对 x 的梯度
    """,
    en="""
    A norm backwards: from the gradient of what it gives to that of its input.

    dy       [T, d], the gradient of the loss for the output
    x        [T, d], the input of
             (x - mean) / sqrt(variance + epsilon) * gain + bias
    gain     [d]
    returns  [T, d], the gradient of the loss for x
    """,
    hints=[
        ("x 有三条路到输出：直接，经过均值，经过方差。每条路一项。",
         "x reaches the output in three ways: straight, by the mean, by the variance."),
        ("结果的每一行加起来是零：把整行加同一个数，输出不变。",
         "Each row of the result sums to zero: one number added to a row of x changes nothing."),
    ],
    answer="""
    centred = x - x.mean(1, keepdims=True)
    s = np.sqrt((centred**2).mean(1, keepdims=True) + epsilon)
    n, dn = centred / s, dy * gain
    mean = lambda z: z.mean(1, keepdims=True)
    return (dn - mean(dn) - n * mean(dn * n)) / s
    """,
    reference=lambda dy, x, gain, epsilon: norm_backward_of(
        dy, norm_forward(x, gain, None, epsilon, True)[1])[0],
    cases=lambda: [
        Case((*draw(seed, (t, d), (t, d), (d,)), epsilon))
        for seed, (t, d, epsilon) in enumerate(((3, 5, 0.1), (4, 4, 1e-5), (2, 7, 0.5), (1, 3, 0.2)))
    ],
)  # fmt: skip
def norm_backward(at: At, dy: Array, x: Array, gain: Array, epsilon: float) -> Any:
    centred = x - row_mean(x)
    variance = row_mean(centred**2)
    root = at(
        np.sqrt(variance + epsilon),
        ("没有加 epsilon", "epsilon left out", lambda: np.sqrt(variance)),
        ("epsilon 加在了根号外面", "epsilon outside the root", lambda: np.sqrt(variance) + epsilon),
        ("方差除以了 d - 1，不是 d", "variance over d - 1, not over d",
         lambda: np.sqrt(variance * x.shape[1] / (x.shape[1] - 1) + epsilon)),
        ("没有开方", "root missing", lambda: variance + epsilon),
        ("方差没有除以 d", "variance not divided by d",
         lambda: np.sqrt(variance * x.shape[1] + epsilon)),
    )  # fmt: skip
    normal = at(
        centred / root,
        ("x 没有先减均值", "the mean of x is not subtracted", lambda: x / root),
    )  # fmt: skip
    d = at(
        dy * gain,
        ("漏了增益", "gain left out", lambda: dy),
        ("除以了增益，不是乘", "divided by the gain, not multiplied", lambda: dy / gain),
    )  # fmt: skip
    mean = at(
        row_mean(d),
        ("漏了经过均值的一项", "the term through the mean left out", lambda: 0 * root),
        ("经过均值的一项按列取了平均", "the term through the mean averaged along columns",
         lambda: d.mean(0)),
        ("经过均值的一项用了和，不是平均", "the term through the mean as a sum, not a mean",
         lambda: d.sum(1, keepdims=True)),
    )  # fmt: skip
    projection = at(
        normal * row_mean(d * normal),
        ("漏了经过方差的一项", "the term through the variance left out", lambda: 0 * normal),
        ("经过方差的一项没有乘归一化的 x", "the term through the variance not times the normalised x",
         lambda: row_mean(d * normal)),
        ("经过方差的一项用了和，不是平均", "the term through the variance as a sum, not a mean",
         lambda: normal * (d * normal).sum(1, keepdims=True)),
        ("经过方差的一项用了 x，不是归一化的 x", "the term through the variance with x, not normalised",
         lambda: x * row_mean(d * x)),
        ("经过方差的一项用了减去均值的 x，没有除", "the term through the variance with x less its mean",
         lambda: centred * row_mean(d * centred)),
        ("经过方差的一项加了，没有减", "the term through the variance added, not subtracted",
         lambda: -normal * row_mean(d * normal)),
        ("经过方差的一项减了一半", "half of the term through the variance",
         lambda: 0.5 * normal * row_mean(d * normal)),
    )  # fmt: skip
    whole = d - mean - projection
    return at(
        whole / root,
        ("没有除以标准差", "not divided by the deviation", lambda: whole),
        ("乘了标准差，不是除", "multiplied by the deviation, not divided", lambda: whole * root),
        ("除以了方差，不是标准差", "divided by the variance, not by its root",
         lambda: whole / (variance + epsilon)),
        ("正负号反了", "the sign reversed", lambda: -whole / root),
    )  # fmt: skip


@exercise(
    "24",
    zh="""
    均方根归一化（RMSNorm）。

    x        [T, d]
    gain     [d]；epsilon 加在均方上
    返回     [T, d]：每行除以 sqrt(均方 + epsilon)，乘增益；不减均值，没有偏置
    """,
    en="""
    The norm by the root mean square (RMSNorm).

    x        [T, d]
    gain     [d]; epsilon is added to the mean square
    returns  [T, d]: each row over the root of its mean square plus epsilon, times
             gain; no mean is subtracted, and there is no bias
    """,
    hints=[
        ("均方是平方的平均：先平方，再平均。", "The mean square: first square, then average."),
        ("增益全是 1、epsilon 很小时，每行的平方加起来是 d。",
         "With gains of 1 and a small epsilon the squares of each row sum to d."),
    ],
    answer="""
    square = (x**2).mean(1, keepdims=True)
    return x / np.sqrt(square + epsilon) * gain
    """,
    reference=lambda x, gain, epsilon: norm_forward(x, gain, None, epsilon, False)[0],
    cases=lambda: [
        Case((*draw(24 + seed, (t, d), (d,)), epsilon))
        for seed, (t, d, epsilon) in enumerate(((5, 6, 0.1), (3, 4, 0.3), (4, 4, 1e-5), (1, 7, 0.5)))
    ],
)  # fmt: skip
def rms_norm(at: At, x: Array, gain: Array, epsilon: float) -> Any:
    width = x.shape[1]
    moved = at(
        x,
        ("减去了均值：这是 LayerNorm", "the mean is subtracted: this is LayerNorm",
         lambda: x - row_mean(x)),
    )  # fmt: skip
    square = at(
        row_mean(moved**2),
        ("没有除以 d：平方和，不是均方", "not divided by d: a sum of squares, not their mean",
         lambda: (moved**2).sum(1, keepdims=True)),
        ("除以了 d - 1", "divided by d - 1, not by d",
         lambda: (moved**2).sum(1, keepdims=True) / (width - 1)),
        ("按列取了，不是按行", "along columns, not along rows", lambda: (moved**2).mean(0)),
        ("取了整个矩阵的", "of the whole matrix, not of each row", lambda: (moved**2).mean()),
        ("用了方差，不是均方", "the variance, not the mean square",
         lambda: moved.var(1, keepdims=True)),
        ("先平均，再平方", "averaged before squaring", lambda: row_mean(moved) ** 2),
        ("用了绝对值的平均，没有平方", "the mean of sizes, squared", lambda: row_mean(np.abs(moved)) ** 2),
    )  # fmt: skip
    normal = at(
        moved / np.sqrt(square + epsilon),
        ("epsilon 加在了根号外面", "epsilon outside the root",
         lambda: moved / (np.sqrt(square) + epsilon)),
        ("没有加 epsilon", "epsilon left out", lambda: moved / np.sqrt(square)),
        ("没有开方", "root missing", lambda: moved / (square + epsilon)),
        ("乘了，没有除", "multiplied, not divided", lambda: moved * np.sqrt(square + epsilon)),
        ("没有归一化", "not normalised", lambda: moved),
    )  # fmt: skip
    return at(
        normal * gain,
        ("漏了增益", "gain left out", lambda: normal),
        ("增益当作了与 1 的差：1 + gain", "gain taken as what it is more than 1: 1 + gain",
         lambda: normal * (1 + gain)),
        ("加了增益，没有乘", "gain added, not multiplied", lambda: normal + gain),
        ("除以了增益", "divided by the gain", lambda: normal / gain),
    )  # fmt: skip
