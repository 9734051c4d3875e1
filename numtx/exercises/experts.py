"""An exercise on experts: who is chosen, and with what weight."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..answering.cases import draw, softmax
from ..answering.exercise import At, Case, exercise
from ..feed_forward.routing import choose_forward, route_forward
from ..ops.activation import sigmoid
from ..shapes import Array


def routed(scores: Array, count: int) -> Array:
    chosen = choose_forward(scores, count)
    weights = np.zeros(scores.shape)
    np.put_along_axis(weights, chosen, route_forward(scores, chosen, "softmax", 1.0)[0], -1)
    return weights


@exercise(
    "25",
    zh="""
    路由：每个词元经过哪几个专家，各占多少。

    scores   [T, E]，路由给每个专家的分数
    count    每个词元选几个专家
    返回     [T, E]：选中的（分数最高的 count 个）的权重，每行和为一，是这几个分数的 softmax；其余是 0
    """,
    en="""
    A router: through which experts a token goes, and with what weights.

    scores   [T, E], of every expert
    count    how many experts a token has
    returns  [T, E]: the weights of those chosen, which have the `count` largest
             scores: the softmax of these scores alone; 0 for the others
    """,
    hints=[
        ("每行恰好有 count 个不是 0，加起来是一。",
         "In each row exactly `count` are not 0, and they sum to one."),
        ("没有选中的专家不该出现在分母里。", "Those that are not chosen have no part in what is divided by."),
    ],
    answer="""
    chosen = np.argsort(-scores, axis=1)[:, :count]
    picked = np.take_along_axis(scores, chosen, 1)
    e = np.exp(picked - picked.max(1, keepdims=True))
    weights = np.zeros(scores.shape)
    np.put_along_axis(weights, chosen, e / e.sum(1, keepdims=True), 1)
    return weights
    """,
    reference=routed,
    cases=lambda: [
        Case((*draw(seed, (t, e)), count))
        for seed, (t, e, count) in enumerate(((5, 6, 2), (3, 4, 1), (4, 5, 3), (2, 8, 4)))
    ],
)  # fmt: skip
def route(at: At, scores: Array, count: int) -> Any:
    ranks = (-scores).argsort(1).argsort(1)
    few = at(
        ranks < count,
        ("选了分数最低的", "those with the smallest scores are chosen",
         lambda: ranks >= scores.shape[1] - count),
        ("多选了一个", "one too many is chosen", lambda: ranks <= count),
        ("少选了一个", "one too few is chosen", lambda: ranks < count - 1),
        ("没有选：所有专家都有权重", "nobody is chosen: all experts have weights", lambda: ranks >= 0),
        ("按专家选了词元，不是按词元选专家", "tokens chosen for an expert, not experts for a token",
         lambda: (-scores).argsort(0).argsort(0) < count),
        ("选了最前面的几个专家，没有看分数", "the first experts are chosen, whatever their scores",
         lambda: np.arange(scores.shape[1]) + 0 * ranks < count),
        ("按分数的大小选，不看正负", "chosen by the size of a score, whatever its sign",
         lambda: (-np.abs(scores)).argsort(1).argsort(1) < count),
    )  # fmt: skip
    kept = np.where(few, scores, -np.inf)
    exponentials = np.exp(scores) * few
    return at(
        softmax(kept),
        ("softmax 在所有专家上做了，选中的没有重新归一", "softmax over all experts, those chosen not renormalised",
         lambda: softmax(scores) * few),
        ("没有选中的换成了 0，不是 -inf，再做 softmax", "0 in place of -inf at those not chosen, before softmax",
         lambda: softmax(np.where(few, scores, 0.0))),
        ("没有选中的换成了 0，不是 -inf，只留选中的", "0 in place of -inf before softmax, those not chosen cut after it",
         lambda: softmax(np.where(few, scores, 0.0)) * few),
        ("没有取指数：分数除以它们的和", "no exponential: scores over their sum",
         lambda: scores * few / (scores * few).sum(1, keepdims=True)),
        ("没有归一：分数本身", "not normalised: the scores themselves", lambda: scores * few),
        ("没有归一：指数本身", "not normalised: the exponentials themselves", lambda: exponentials),
        ("没有归一：指数本身", "not normalised: the exponentials themselves",
         lambda: np.exp(scores - scores.max(1, keepdims=True)) * few),
        ("权重都一样", "equal weights", lambda: few / few.sum(1, keepdims=True)),
        ("用了 sigmoid，没有归一", "sigmoid, not normalised", lambda: sigmoid(scores) * few),
        ("用了 sigmoid，再归一", "sigmoid, over its sum, not softmax",
         lambda: sigmoid(scores) * few / (sigmoid(scores) * few).sum(1, keepdims=True)),
        ("softmax 按列做了，不是按行", "softmax along the columns, not along the rows",
         lambda: softmax(kept, 0)),
        ("只标出了选中的：1 与 0", "1 at those chosen, 0 elsewhere", lambda: few.astype(float)),
    )  # fmt: skip
