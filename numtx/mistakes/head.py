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
