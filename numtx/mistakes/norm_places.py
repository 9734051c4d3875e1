"""Mistakes in where a norm within the residual stands."""

from __future__ import annotations

from .at import At, Forms
from .cause import cause


@cause("归一化的位置", "place of the norm", "residual")
def norm_places(at: At) -> Forms:
    skip, added = at.stage.inputs
    stage, output, x = at.graph[added], at.near("output"), at.value(skip)
    if stage.operation != "norm" or output is None:
        return
    norm = at._replace(stage=stage)
    yield "left out within the residual", x + output
    yield "of the sum, not within it", norm.again({0: x + output})
    if stage.leaf.name == "norm_after":
        yield "the gain of the norm before", x + norm.again({1: at.near("norm.gain")})
        normed = at.near("norm")
        if normed is not None:
            yield "added to the normalised input, not to the input", normed + at.value(added)
