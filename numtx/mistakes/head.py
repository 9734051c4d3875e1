"""Mistakes in what stands on the last stack."""

from __future__ import annotations

from .at import At, Forms
from .cause import cause


@cause("输出层前的一层", "layer of the head", "logits scaled_output")
def layer(at: At) -> Forms:
    if at.config.head != "masked-language-model":
        return
    yield "left out", at.again({0: at.value(at.graph["head.hidden"].inputs[0])})
    yield "its norm left out", at.again({0: at.value("head.activation")})
    yield "its activation and norm left out", at.again({0: at.value("head.hidden")})


@cause("池化", "pooler", "first")
def pooled(at: At) -> Forms:
    x, seen = at.inputs
    counted = seen.sum(1)[:, None, None]
    yield "the mean of the real tokens", (x * seen[..., None]).sum(1, keepdims=True) / counted
    yield "the mean of all tokens, padding too", x.mean(1, keepdims=True)
    yield "the last column", x[:, -1:]
    yield "the first column, padding or not", x[:, :1]
