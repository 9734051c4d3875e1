"""Attention along the wrong axis."""

from __future__ import annotations

import numpy as np

from ..ops.softmax import softmax_forward
from .at import At, Forms
from .cause import cause


@cause(
    "注意力跨批的行，而不是词元",
    "attention over the rows of the batch, not tokens",
    "products scores weights context",
)
def over_the_batch(at: At) -> Forms:
    """As of arrays (token, row, d) for (row, token, d), or the other way round."""
    names = [*at.graph[f"{at.place}.products"].inputs, at.graph[f"{at.place}.context"].inputs[1]]
    q, k, v = (at.value(name).swapaxes(0, 2) for name in names)
    if len(q) != len(k):
        return
    k, v = (np.repeat(x, q.shape[1] // x.shape[1], 1) for x in (k, v))
    found = {"products": q @ k.swapaxes(-1, -2)}
    found["scores"] = found["products"] * at.graph[f"{at.place}.scores"].attributes["factor"]
    rows = found["scores"].shape[-1]
    for detail, seen in (("", True), ("causal there", np.tri(rows, dtype=bool))):
        found["weights"] = softmax_forward(np.where(seen, found["scores"], -np.inf))
        found["context"] = (found["weights"] @ v).swapaxes(0, 2)
        yield detail, found[at.stage.leaf.name]
