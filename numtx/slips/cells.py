"""Mistakes of the backward pass of what is done cell by cell, or pair by pair."""

from __future__ import annotations

import numpy as np

from ..config.output import ACTIVATIONS
from ..config.positions import ROTARY_LAYOUTS
from ..formulas.angles import lengthening
from .slip import Back, Slips, slip


@slip("缩放的反向", "backward of the scale", "scale")
def scale(b: Back) -> Slips:
    factor = b.stage.attributes["factor"]
    yield "忘了系数", "the factor forgotten", b.dy
    yield "系数乘了两次", "the factor twice", b.dy * factor**2
    yield "除以系数", "divided by the factor", b.dy / factor


@slip("激活函数的反向", "backward of the activation", "activation")
def activation(b: Back) -> Slips:
    kind, x, y = b.stage.attributes["kind"], b.x, b.y
    yield "漏了导数", "the derivative left out", b.dy
    at_output = {b.stage.inputs[0]: y}
    yield (
        "导数取在输出处，不是输入处",
        "the derivative at the output, not at the input",
        b.share(None, at_output),
    )
    yield "用值代替导数", "the value for the derivative", b.dy * y
    for other in ACTIVATIONS:
        if other != kind:
            yield f"用了 {other} 的导数", f"the derivative of {other}", b.share(kind=other)
    if kind == "relu":
        return
    # The function is x g(x), and its derivative g(x) + x g'(x).
    slope, part = b.share(np.ones_like(b.dy)), np.where(x == 0.0, 0.5, y / np.where(x, x, 1.0))
    rest = slope - part
    yield "漏了导数的第二项", "without the second term of the derivative", b.dy * part
    yield "只有导数的第二项", "the second term of the derivative alone", b.dy * rest
    without = np.where(x == 0.0, 0.0, rest / np.where(x, x, 1.0))
    yield "导数的第二项没有乘以 x", "the second term not times x", b.dy * (part + without)
    yield "导数的第二项符号反了", "the second term taken away", b.dy * (part - rest)
    yield "用了门函数的导数", "the derivative of the gate alone", b.dy * without
    if kind == "gelu_tanh":
        inner = np.sqrt(2.0 / np.pi) * (x + 0.044715 * x * x * x)
        flat = part + 0.5 * x * (1.0 - np.tanh(inner) ** 2) * np.sqrt(2.0 / np.pi)
        yield "内层导数没有立方项", "the cube left out of the inner derivative", b.dy * flat


@slip("sigmoid 的反向", "backward of the sigmoid", "sigmoid")
def sigmoid(b: Back) -> Slips:
    yield "漏了导数", "the derivative left out", b.dy
    yield "漏了 1 - s", "without 1 - s", b.dy * b.y
    yield "漏了 s", "without s", b.dy * (1.0 - b.y)
    at_output = {b.stage.inputs[0]: b.y}
    yield (
        "导数取在输出处，不是输入处",
        "the derivative at the output, not at the input",
        b.share(None, at_output),
    )


@slip("限幅的反向", "backward of the clamp", "clamp")
def clamp(b: Back) -> Slips:
    yield "忘了界限", "the limits forgotten", b.dy


@slip("旋转的反向", "backward of the rotation", "rotate")
def rotate(b: Back) -> Slips:
    if b.operand:
        return
    yield "没有转回去，而是再转一次", "turned on, not back", b.again(b.dy)
    yield "整个漏了", "left out", b.dy
    for layout in ROTARY_LAYOUTS:
        if layout != b.stage.attributes["layout"]:
            yield f"按 {layout} 配对", f"pairs as in {layout}", b.share(layout=layout)
    scaling = b.stage.attributes.get("scaling")
    longer = 1.0 if scaling is None else lengthening(scaling)
    positions = b.stage.inputs[1]
    for by, zh, en in ((1, "下一个", "the next"), (-1, "上一个", "the one before")):
        moved = {positions: b.arrays[positions] + by}
        yield f"位置错了一格：{zh}", f"the positions off by one: {en}", b.share(None, moved)
    if longer != 1.0:
        width = b.stage.attributes["width"]
        shorter = b.right()
        shorter[..., :width] /= longer
        yield "忘了加长", "the lengthening forgotten", shorter


@slip("随位置增大的反向", "backward of what grows with positions", "grow")
def grow(b: Back) -> Slips:
    if b.operand == 0:
        yield "忘了系数", "the factor forgotten", b.dy
        yield "系数乘了两次", "the factor twice", b.share(b.right())


@slip("软上限的反向", "backward of the cap", "cap")
def cap(b: Back) -> Slips:
    size = b.stage.attributes["cap"]
    yield "漏了斜率", "the slope left out", b.dy
    yield "斜率的 tanh 没有平方", "the slope without the square", b.dy * (1.0 - b.y / size)
    yield "斜率里没有除以上限", "the slope of what is not divided", b.dy * (1.0 - b.y * b.y)
    yield "斜率乘了上限", "the slope times the cap", b.right() * size
    yield "斜率除以上限", "the slope divided by the cap", b.right() / size
    at_output = {b.stage.inputs[0]: b.y}
    yield "斜率取在输出处", "the slope at the output", b.share(None, at_output)
