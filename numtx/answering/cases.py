"""What the cases of exercises are made of: numbers of the lessons, and drawn ones."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from ..examples.registry import load_example
from ..ops.activation import sigmoid
from ..ops.softmax import log_softmax_forward, softmax_forward
from ..shapes import Array
from ..trace.trace import Trace


def draw(seed: int, *shapes: tuple[int, ...]) -> list[Array]:
    """Normal numbers of these shapes."""
    generator = np.random.default_rng(seed)
    return [generator.standard_normal(shape) for shape in shapes]


@cache
def traced(name: str, **options: Any) -> Trace:
    """The run of an example, as the lessons have it."""
    return load_example(name, **options).trace()


def words(name: str, stack: str, **options: Any) -> list[str]:
    """The tokens of an example's first row."""
    return load_example(name, **options).tokens[stack][0]


def softmax(x: Array, axis: int = -1) -> Array:
    """Softmax along any axis."""
    return softmax_forward(x.swapaxes(axis, -1)).swapaxes(axis, -1)


def _parts(scores: Array, largest: int, total: int) -> Any:
    e = np.exp(scores - scores.max(largest, keepdims=True))
    return e / e.sum(total, keepdims=True)


def softmax_slips(scores: Array) -> list[tuple[str, str, Callable[[], Array]]]:
    """The mistakes that are made in a softmax along rows."""
    top = scores.max(-1)

    def over(e: Array) -> Any:
        return e / e.sum(-1)

    slips = [
        ("softmax 按列做了，不是按行", "softmax along the columns, not along the rows",
         lambda: softmax(scores, -2)),
        ("softmax 对整个矩阵做了，不是按行", "softmax over the whole matrix, not along the rows",
         lambda: softmax(scores.reshape(*scores.shape[:-2], -1)).reshape(scores.shape)),
        ("没有 softmax", "softmax left out", lambda: scores),
        ("取了指数，没有除以这一行的和", "exponentials that are not divided by the sum of the row",
         lambda: np.exp(scores)),
        ("取了指数，没有除以这一行的和", "exponentials that are not divided by the sum of the row",
         lambda: np.exp(scores - top[..., None])),
        ("取了指数，没有除以这一行的和", "exponentials that are not divided by the sum of the row",
         lambda: np.exp(scores - scores.max())),
        ("除以了这一行的平均，不是和", "divided by the mean of the row, not by its sum",
         lambda: softmax(scores) * scores.shape[-1]),
        ("按行减了最大值，却按列求和",
         "the largest of the row subtracted, but the sum is of columns",
         lambda: _parts(scores, -1, -2)),
        ("按列减了最大值，却按行求和",
         "the largest of the column subtracted, but the sum is of rows",
         lambda: _parts(scores, -2, -1)),
        ("没有取指数，只除以了这一行的和", "no exponential: divided by the sum of the row alone",
         lambda: scores / scores.sum(-1, keepdims=True)),
        ("以 2 为底，不是 e", "powers of 2, not of e", lambda: softmax(scores * np.log(2.0))),
        ("指数取了负号", "exponentials of minus the scores", lambda: softmax(-scores)),
        ("用了 sigmoid，不是 softmax", "sigmoid, not softmax", lambda: sigmoid(scores)),
        ("给出的是权重的对数", "the logarithms of the weights",
         lambda: log_softmax_forward(scores)),
        ("只取了最大的一个：1 与 0", "1 at the largest of the row, 0 elsewhere",
         lambda: (scores == top[..., None]).astype(float)),
    ]  # fmt: skip
    lost = ("求和时少了 keepdims：第 j 列除以了第 j 行的和",
            "keepdims missing: column j is divided by the sum of row j")  # fmt: skip
    if scores.ndim > 2:  # heads before the rows: it raises
        return slips
    return [
        *slips,
        (*lost, lambda: over(np.exp(scores))),
        (*lost, lambda: over(np.exp(scores - top[..., None]))),
        (*lost, lambda: over(np.exp(scores - top))),
        (
            "取最大值时少了 keepdims：第 j 列减去了第 j 行的最大值",
            "keepdims missing: the largest of row j is taken from column j",
            lambda: softmax(scores - top),
        ),
    ]


def scale_slips(
    products: Array, width: int, keys: int
) -> list[tuple[str, str, Callable[[], Array]]]:
    """The mistakes that are made in dividing by the root of a width."""
    return [
        ("没有除以 sqrt(d_k)", "not divided by sqrt(d_k)", lambda: products),
        ("除以了 d_k，不是它的平方根", "divided by d_k, not by its root", lambda: products / width),
        ("乘以了 sqrt(d_k)，不是除", "multiplied by sqrt(d_k), not divided",
         lambda: products * np.sqrt(width)),
        ("除以了 d_k 的平方", "divided by the square of d_k", lambda: products / width**2),
        ("除以了键的个数的平方根，不是 d_k 的",
         "divided by the root of the number of keys, not of d_k",
         lambda: products / np.sqrt(keys)),
    ]  # fmt: skip
