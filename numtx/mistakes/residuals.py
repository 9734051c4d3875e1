"""Mistakes in the factor on what a residual connection adds."""

from __future__ import annotations

from .at import At, Forms
from .cause import cause


@cause("残差的因子", "factor of the residual", "residual")
def factors(at: At) -> Forms:
    skip, added = at.inputs
    branch = at.graph[at.stage.inputs[1]]
    if branch.operation != "scale":
        return
    whole, factor = at.value(branch.inputs[0]), branch.attributes["factor"]
    yield "left out", skip + whole
    yield "on the input, not on what is added", factor * skip + whole
    yield "on the sum", factor * (skip + whole)
    yield "divided by it", skip + whole / factor
    yield "taken twice", skip + factor * added
