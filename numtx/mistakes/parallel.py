"""Mistakes in sublayers that stand side by side."""

from __future__ import annotations

from .at import At, Forms
from .cause import cause


@cause("并列的子层", "sublayers side by side", "hidden gate norm")
def side_by_side(at: At) -> Forms:
    sublayer = at.place.rpartition(".")[2]
    kind, beside = at.config.parallel, at.place.replace("feed_forward", "self_attention")
    if kind is None or sublayer != "feed_forward":
        return
    after = at.value(f"{beside}.residual")
    if kind == "two":
        yield "one after the other", at.again({0: after})
        yield "on one norm, not on two", at.value(f"{beside}.norm")
    else:
        norm = at._replace(stage=at.graph[f"{beside}.norm"])
        yield "one after the other", at.again({0: norm.again({0: after})})
        yield "on the sum as it is, one after the other", at.again({0: after})
        yield "on the input as it is", at.again({0: at.value(norm.stage.inputs[0])})
