"""Exercises on the loss: softmax and cross-entropy backwards, and cross-entropy."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..answering.cases import draw, softmax, softmax_slips, traced, words
from ..answering.exercise import At, Case, exercise
from ..ops.loss import IGNORED, mean_backward, mean_forward, pick_backward, pick_forward
from ..ops.softmax import log_softmax_backward, log_softmax_forward
from ..ops.softmax import softmax_backward as softmax_backward_of
from ..shapes import Array


def of_softmax_backward() -> list[Case]:
    trace, names = traced("weather"), words("weather", "encoder")
    place = "encoder.0.self_attention.weights"
    cases = [Case((trace.grad(place)[0, 0], trace[place][0, 0]), names, names)]
    for seed, shape in enumerate(((3, 5), (4, 4), (5, 2), (1, 6))):
        dweights, scores = draw(seed, shape, shape)
        cases.append(Case((dweights, softmax(scores))))
    return cases


@exercise(
    "06",
    zh="""
    softmax 的反向：由权重的梯度得到分数的梯度。

    dweights  [T, S]，损失对权重的梯度
    weights   [T, S]，每行是 softmax 的结果
    返回      [T, S]，损失对分数的梯度
    """,
    en="""
    Softmax backwards: from the gradient of the weights to that of the scores.

    dweights  [T, S], the gradient of the loss for the weights
    weights   [T, S], what softmax gave, row by row
    returns   [T, S], the gradient of the loss for the scores
    """,
    hints=[
        ("一行里每个分数都影响这一行的所有权重，所以少不了一个对整行的和。",
         "Each score of a row moves all weights of the row: there is a sum over the row."),
        ("结果的每一行加起来是零：把所有分数加同一个数，权重不变。",
         "Each row of the result sums to zero: one number added to all scores changes nothing."),
    ],
    answer="""
    dot = (dweights * weights).sum(1, keepdims=True)
    return weights * (dweights - dot)
    """,
    reference=lambda dweights, weights: softmax_backward_of(dweights, weights),
    cases=of_softmax_backward,
)  # fmt: skip
def softmax_backward(at: At, dweights: Array, weights: Array) -> Any:
    products = dweights * weights
    dot = at(
        products.sum(1, keepdims=True),
        ("漏了这一行的内积", "the row's product left out", lambda: np.zeros((len(weights), 1))),
        ("按列求了和，不是按行", "sum along columns, not along rows", lambda: products.sum(0)),
        ("对整个矩阵求了和", "sum of the whole matrix, not of each row", lambda: products.sum()),
        ("取了平均，不是和", "mean in place of the sum", lambda: products.mean(1, keepdims=True)),
        ("只加了梯度，没有乘权重", "sum of the gradients, not times the weights",
         lambda: dweights.sum(1, keepdims=True)),
        ("减去了梯度的平均", "the mean gradient subtracted, not the row's product",
         lambda: dweights.mean(1, keepdims=True)),
        ("求和时少了 keepdims", "keepdims missing in the sum", lambda: products.sum(1)),
    )  # fmt: skip
    return at(
        weights * (dweights - dot),
        ("没有乘权重", "not times the weights", lambda: dweights - dot),
        ("只有整行的一项，漏了自己的一项", "the row's term alone, without the weight's own",
         lambda: -weights * dot),
        ("内积没有乘权重", "the product not times the weights", lambda: products - dot),
        ("只有对角线：w (1 - w) dw", "the diagonal alone: w (1 - w) dw",
         lambda: products * (1 - weights)),
        ("加了内积，没有减", "the row's product added, not subtracted",
         lambda: weights * (dweights + dot)),
        ("正负号反了", "the sign reversed", lambda: -weights * (dweights - dot)),
        ("乘了权重的平方", "times the square of the weights",
         lambda: weights**2 * (dweights - dot)),
    )  # fmt: skip


def of_logits() -> list[Case]:
    trace = traced("weather")
    cases = [Case((trace["logits"][0], trace["labels"][0]), words("weather", "decoder"))]
    for seed, (labels, width) in enumerate(
        (((2, IGNORED, 0), 5), ((1, 1), 3), ((3, 0, 2, IGNORED, 1, IGNORED), 4))
    ):
        cases.append(Case((draw(seed, (len(labels), width))[0], np.array(labels))))
    return cases


def logits_gradient_of(logits: Array, labels: Array) -> Array:
    log = log_softmax_forward(logits)
    dlog = pick_backward(mean_backward(np.array(1.0), labels), labels, log)
    return log_softmax_backward(dlog, log)


@exercise(
    "06",
    zh="""
    交叉熵的反向：logits 的梯度。

    logits   [T, V]
    labels   [T]，正确词元的编号；-100 处不计分
    返回     [T, V]，平均损失（只对计分的位置平均）对 logits 的梯度
    """,
    en="""
    Cross-entropy backwards: the gradient of the logits.

    logits   [T, V]
    labels   [T], the id of the right token; -100 where no loss is counted
    returns  [T, V], the gradient of the mean loss (over the places that count)
    """,
    hints=[
        ("概率减去答案；每行加起来是零。", "Probabilities less the answer; each row sums to zero."),
        ("除以几？不计分的行是多少？", "Divided by how many? And what has a row that does not count?"),
    ],
    answer="""
    counted = labels != -100
    e = np.exp(logits - logits.max(1, keepdims=True))
    d = e / e.sum(1, keepdims=True)
    d[np.flatnonzero(counted), labels[counted]] -= 1
    return d * counted[:, None] / counted.sum()
    """,
    reference=logits_gradient_of,
    cases=of_logits,
)  # fmt: skip
def logits_gradient(at: At, logits: Array, labels: Array) -> Any:
    length, width = logits.shape
    counted = labels != IGNORED
    p = at(
        softmax(logits),
        ("没有 softmax：用了 logits 本身", "softmax left out: the logits themselves", lambda: logits),
        *softmax_slips(logits)[:1], *softmax_slips(logits)[3:8],
        ("用了对数概率，不是概率", "log-probabilities, not probabilities",
         lambda: log_softmax_forward(logits)),
    )  # fmt: skip
    answer = np.eye(width)[np.where(counted, labels, 0)] * counted[:, None]
    error = at(
        p - answer,
        ("编号 0 的标签没有减", "labels of id 0 are not subtracted",
         lambda: p - answer * (labels > 0)[:, None]),
        ("没有减去答案", "the answer is not subtracted", lambda: p),
        ("正负号反了：答案减概率", "the sign reversed: answer less probabilities", lambda: answer - p),
        ("加了答案，没有减", "the answer added, not subtracted", lambda: p + answer),
        ("只有答案处，没有别的词元", "at the answer alone, nothing at other tokens",
         lambda: (p - 1) * answer),
    )  # fmt: skip
    kept = at(
        error * counted[:, None],
        ("不计分的位置也有梯度", "places that do not count have a gradient", lambda: error),
        ("把不计分的位置当作编号 0", "a label of -100 taken as token 0",
         lambda: error - np.eye(width)[0] * ~counted[:, None]),
    )  # fmt: skip
    return at(
        kept / counted.sum(),
        ("没有除以计分的位置数", "not divided by the number of places that count", lambda: kept),
        ("除以了所有位置数，也数了不计分的", "divided by all places, those that do not count, too",
         lambda: kept / length),
        ("除以了词表大小", "divided by the size of the vocabulary", lambda: kept / width),
        ("除以了全部格数", "divided by the number of cells", lambda: kept / logits.size),
    )  # fmt: skip


def of_losses() -> list[Case]:
    trace = traced("weather")
    cases = [Case((trace["logits"], trace["labels"]))]
    tables = (
        [[2, 0, IGNORED], [1, IGNORED, IGNORED]],
        [[0, 1, 2, 3]],
        [[1, 1], [0, 2], [IGNORED, 2]],
    )
    for seed, table in enumerate(tables):
        labels = np.array(table)
        cases.append(Case((2 * draw(seed, (*labels.shape, 4 + seed))[0], labels)))
    return cases


@exercise(
    "16",
    zh="""
    交叉熵：一批的损失。

    logits   [B, T, V]
    labels   [B, T]，正确词元的编号，与 logits 的位置对齐；-100 处不计分
    返回     一个数：计分的位置上，正确词元概率的对数取负（自然对数），再平均
    """,
    en="""
    Cross-entropy: the loss of a batch.

    logits   [B, T, V]
    labels   [B, T], the id of the right token of each place of the logits; -100
             where no loss is counted
    returns  one number: minus the natural logarithm of the right token's
             probability, averaged over the places that count
    """,
    hints=[
        ("先得到 [B, T] 的每个位置的损失，再平均。平均除以几？",
         "First the loss of each place, [B, T], then the mean. Over how many?"),
        ("-100 不是编号：拿它去取，会取到倒数的词元，或者出错。",
         "-100 is no id: as an index it takes a token from the end, or fails."),
    ],
    answer="""
    top = logits.max(-1, keepdims=True)
    log_p = logits - top - np.log(np.exp(logits - top).sum(-1, keepdims=True))
    counted = labels != -100
    log_p, labels = log_p[counted], labels[counted]
    return -log_p[np.arange(len(labels)), labels].mean()
    """,
    reference=lambda logits, labels: mean_forward(
        pick_forward(log_softmax_forward(logits), labels), labels),
    cases=of_losses,
)  # fmt: skip
def cross_entropy(at: At, logits: Array, labels: Array) -> Any:
    p = at(
        softmax(logits),
        ("softmax 按位置做了，不是按词元", "softmax along the places, not along the vocabulary",
         lambda: softmax(logits, 1)),
        ("减去的最大值没有补回来", "the largest logit, once subtracted, is not made up for",
         lambda: softmax(logits) * np.exp(logits.max(-1, keepdims=True))),
        ("漏了指数之和的对数", "the logarithm of the sum of exponentials left out",
         lambda: np.exp(logits - logits.max(-1, keepdims=True))),
        ("softmax 做了两次", "softmax taken twice", lambda: softmax(softmax(logits))),
        ("没有 softmax：用了 logits 本身", "softmax left out: the logits themselves",
         lambda: np.exp(logits)),
    )  # fmt: skip
    right = at(
        labels,
        ("标签又移了一格", "labels shifted once more",
         lambda: np.concatenate([labels[:, 1:], np.full((len(labels), 1), IGNORED)], 1)),
        ("标签往右移了一格", "labels shifted to the right",
         lambda: np.concatenate([np.full((len(labels), 1), IGNORED), labels[:, :-1]], 1)),
    )  # fmt: skip
    real = right != IGNORED
    counted = at(
        real,
        ("编号 0 的标签没有算", "labels of id 0 are not counted", lambda: right > 0),
        ("不计分的位置也算了，当作编号 0", "padding is counted, as token 0",
         lambda: np.ones(labels.shape, bool)),
    )  # fmt: skip
    chance = np.take_along_axis(p, np.where(real, right, 0)[..., None], -1)[..., 0]
    loss = at(
        -np.log(chance) * counted,
        ("以 2 为底的对数", "logarithm of base 2", lambda: -np.log2(chance) * counted),
        ("以 10 为底的对数", "logarithm of base 10", lambda: -np.log10(chance) * counted),
        ("少了负号", "the sign missing", lambda: np.log(chance) * counted),
        ("没有取对数：概率取负", "no logarithm: minus the probability", lambda: -chance * counted),
        ("没有取对数：1 减概率", "no logarithm: one less the probability",
         lambda: (1 - chance) * counted),
    )  # fmt: skip
    return at(
        loss.sum() / counted.sum(),
        ("求了和，没有平均", "sum, not the mean", lambda: loss.sum()),
        ("除以了所有位置数，也数了不计分的", "divided by all places, those that do not count, too",
         lambda: loss.mean()),
        ("除以了全部格数，也数了词表", "divided by all cells, those of the vocabulary, too",
         lambda: loss.sum() / logits.size),
        ("每句先平均，再对句子平均", "the mean of the rows' means",
         lambda: (loss.sum(1) / counted.sum(1)).mean()),
        ("每句求和，再对句子平均", "the sum of each row, averaged over rows",
         lambda: loss.sum(1).mean()),
        ("给出的是困惑度，不是损失", "the perplexity, not the loss",
         lambda: np.exp(loss.sum() / counted.sum())),
    )  # fmt: skip
