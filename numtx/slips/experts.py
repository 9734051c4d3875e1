"""Mistakes of the backward pass of experts."""

from __future__ import annotations

import numpy as np

from .slip import Back, Slips, slip


@slip("专家权重的反向", "backward of the experts' weights", "route")
def route(b: Back) -> Slips:
    if b.operand:
        return
    how, factor = b.stage.attributes["how"], b.stage.attributes["factor"]
    yield "权重当作常数", "the weights taken as constants", np.zeros_like(b.x)
    if factor != 1.0:
        yield "忘了系数", "the factor forgotten", b.right() / factor
    if how == "kept":
        return
    chosen = b.value(b.stage.inputs[1]).astype(int)
    picked = np.take_along_axis(b.x, chosen, -1)
    if how == "divided":
        sums = picked.sum(-1, keepdims=True) + b.stage.attributes["room"]
        yield "分母当作常数", "the sum taken as constant", b.share(b.dy / sums, how="kept")
        yield "漏了归一", "the division left out", b.share(how="kept")
    else:
        shares = b.y / factor
        yield (
            "缺少与权重的点积",
            "without the dot product with the weights",
            b.share(b.dy * shares, how="kept"),
        )
        yield "整个漏了", "left out", b.share(how="kept")


@slip("专家的反向", "backward of the experts", "expert")
def choices(b: Back) -> Slips:
    """Every chosen expert has a share in the input."""
    if b.operand or b.x.ndim != 3 or b.dy.shape[1] < 2:
        return
    count = b.dy.shape[1]
    for which, zh, en in ((0, "第一个", "first"), (count - 1, "最后一个", "last")):
        some = b.dy * (np.arange(count) == which)[:, None, None]
        yield f"只有{zh}选中的专家", f"of the {en} chosen expert only", b.share(some)
    yield "各专家取了均值", "the mean over the chosen experts", b.right() / count
