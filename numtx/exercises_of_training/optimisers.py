"""An exercise on optimisers: a step of adamw."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..answering.cases import draw, traced
from ..answering.exercise import At, Case, exercise
from ..shapes import Array
from ..training.optimisers import BETA_1, BETA_2, EPSILON, adamw


def step_of(
    weights: Array, gradient: Array, moments: Array, step: int, rate: float, decay: float
) -> Array:
    adamw(weights, gradient, moments[0], moments[1], step, rate, decay)
    return weights


def of_steps() -> list[Case]:
    trace = traced("weather")
    rows = [Case((trace.parameters["output.w"][0, :3], trace.grad("parameters/output.w")[0, :3],
                  np.zeros((2, 3)), 1, 0.1, 0.1))]  # fmt: skip
    for seed, (size, step, rate, decay, scale) in enumerate(
        (
            (5, 3, 0.5, 0.2, 1.0),
            (3, 7, 0.2, 0.5, 0.1),
            (4, 2, 0.3, 0.1, 1e-7),
            (2, 1, 0.25, 0.4, 1.0),
        )
    ):
        w, g, m, v = draw(seed, *[(size,)] * 4)
        rows.append(
            Case((w, g * scale, np.stack([m * scale, (v * scale) ** 2]), step, rate, decay))
        )
    return rows


def averages(
    at: At, g: Array, first: Array, second: Array, kept: tuple[float, float], step: int
) -> tuple[Any, Any]:
    a, b = kept
    m = at(
        a * first + (1 - a) * g,
        ("m 没有更新", "m is not renewed", lambda: first),
        ("m 没有加上梯度", "m without the gradient", lambda: a * first),
        ("m 只有这一步的梯度，没有旧的", "m of this step's gradient alone, without the old",
         lambda: (1 - a) * g),
        ("没有用动量：只用了这一步的梯度", "no momentum: the gradient of this step alone",
         lambda: (1 - a**step) * g),
        ("系数放反了：(1 - b) 乘了旧的", "coefficients the wrong way round: 1 - b times the old",
         lambda: (1 - a) * first + a * g),
        ("加上了整个梯度，没有乘 1 - b", "the whole gradient added, not times 1 - b",
         lambda: a * first + g),
    )  # fmt: skip
    v = at(
        b * second + (1 - b) * g**2,
        ("v 没有更新", "v is not renewed", lambda: second),
        ("v 只有这一步的平方，没有旧的", "v of this step's square alone, without the old",
         lambda: (1 - b) * g**2),
        ("v 加上了整个平方，没有乘 1 - b", "the whole square added to v, not times 1 - b",
         lambda: b * second + g**2),
        ("v 用了梯度，没有平方", "v with the gradient, not its square",
         lambda: b * second + (1 - b) * g),
        ("v 用了梯度的绝对值，没有平方", "v with the size of the gradient, not its square",
         lambda: b * second + (1 - b) * np.abs(g)),
    )  # fmt: skip
    return m, v


def corrected(at: At, m: Array, v: Array, kept: tuple[float, float], step: int) -> Any:
    a, b = kept
    late = ("校正用了 step - 1：步数从 0 数起", "corrected with step - 1: steps counted from 0")
    return at(
        (m / (1 - a**step), v / (1 - b**step)),
        ("没有校正 m 的偏差", "m not corrected", lambda: (m, v / (1 - b**step))),
        ("没有校正 v 的偏差", "v not corrected", lambda: (m / (1 - a**step), v)),
        ("m 和 v 都没有校正", "neither m nor v corrected", lambda: (m, v)),
        (*late, lambda: (m / (1 - a ** (step - 1)), v / (1 - b ** (step - 1)))),
        ("校正没有取 step 次方", "corrected without the power of step",
         lambda: (m / (1 - a), v / (1 - b))),
        ("校正乘了，没有除", "multiplied by the correction, not divided",
         lambda: (m * (1 - a**step), v * (1 - b**step))),
        ("校正用了 step + 1", "corrected with step + 1",
         lambda: (m / (1 - a ** (step + 1)), v / (1 - b ** (step + 1)))),
    )  # fmt: skip


@exercise(
    "07",
    zh="""
    adamw 的一步。

    weights, gradient  [n]
    moments            [2, n]，这一步之前 m 与 v 的值（梯度与梯度平方的移动平均）
    step               这是第几步，从 1 数起
    rate, decay        学习率与权重衰减
    返回               [n]，新的权重
    移动平均的系数是 0.9 与 0.999，epsilon 是 1e-8；两个平均都要校正开头的偏差；
    衰减与梯度分开，乘学习率。
    """,
    en="""
    A step of adamw.

    weights, gradient  [n]
    moments            [2, n], m and v before this step, the moving averages of
                       the gradient and of its square
    step               the number of this step, from 1
    rate, decay        the learning rate and the decay of weights
    returns            [n], the new weights
    The averages keep 0.9 and 0.999, epsilon is 1e-8; both are corrected for
    their start; the decay stands apart from the gradient, and is multiplied by
    the rate.
    """,
    hints=[
        ("先更新 m 与 v，再校正，再走一步。", "First m and v are renewed, then corrected, then used."),
        ("校正：除以 1 减去系数的 step 次方。衰减乘的是旧的权重。",
         "To correct is to divide by one less the step-th power. What decays are the old weights."),
    ],
    answer="""
    m = 0.9 * moments[0] + 0.1 * gradient
    v = 0.999 * moments[1] + 0.001 * gradient**2
    m, v = m / (1 - 0.9**step), v / (1 - 0.999**step)
    return weights - rate * decay * weights - rate * m / (np.sqrt(v) + 1e-8)
    """,
    reference=step_of,
    cases=of_steps,
)  # fmt: skip
def adamw_step(
    at: At, weights: Array, gradient: Array, moments: Array, step: int, rate: float, decay: float
) -> Any:
    first, second = moments
    a, b = at(
        (BETA_1, BETA_2),
        ("0.9 与 0.999 对调了", "0.9 and 0.999 exchanged", lambda: (BETA_2, BETA_1)),
    )
    joined = gradient + decay * weights
    g, share = at(
        (gradient, 1.0),
        ("衰减加进了梯度（L2），没有分开", "decay added to the gradient (L2), not apart from it",
         lambda: (joined, 0.0)),
        ("衰减算了两次：加进了梯度，又分开算了", "decay taken twice: in the gradient, and apart from it",
         lambda: (joined, 1.0)),
    )  # fmt: skip
    m, v = averages(at, g, first, second, (a, b), step)
    m_hat, v_hat = corrected(at, m, v, (a, b), step)
    move = at(
        m_hat / (np.sqrt(v_hat) + EPSILON),
        ("没有开方", "root missing", lambda: m_hat / (v_hat + EPSILON)),
        ("epsilon 加在了根号里面", "epsilon inside the root", lambda: m_hat / np.sqrt(v_hat + EPSILON)),
        ("没有加 epsilon", "epsilon left out", lambda: m_hat / np.sqrt(v_hat)),
        ("没有除以 sqrt(v)", "not divided by sqrt(v)", lambda: m_hat),
    )  # fmt: skip
    decayed = share * rate * decay * weights
    return at(
        weights - decayed - rate * move,
        ("衰减的正负号反了", "the sign of the decay reversed",
         lambda: weights + decayed - rate * move),
        ("没有衰减", "no decay", lambda: weights - rate * move),
        ("衰减没有乘学习率", "decay not times the rate", lambda: weights - decay * weights - rate * move),
        ("正负号反了：顺着梯度走", "the sign reversed: along the gradient",
         lambda: weights - decayed + rate * move),
        ("走了一步之后才衰减新的权重", "the new weights decay, after the step",
         lambda: (weights - rate * move) * (1 - rate * decay)),
        ("没有乘学习率", "not times the rate", lambda: weights - decayed - move),
        ("只返回了改变量", "the change alone is returned", lambda: -decayed - rate * move),
    )  # fmt: skip
