"""Mistakes in gates with limits."""

from __future__ import annotations

import numpy as np

from .at import At, Forms
from .cause import cause


@cause("门的上限与平移", "limits of a gate", "@clamp")
def limits(at: At) -> Forms:
    x, a = at.inputs[0], at.stage.attributes
    low, high, shift = a["low"], a["high"], a["shift"]
    if high is not None:
        yield "left out", x + shift
        other = "clamped below too" if low is None else "not clamped below"
        yield other, at.again(low=-high if low is None else None)
        yield "bent towards the limit, not cut off at it", high * np.tanh(x / high) + shift
    if shift:
        yield "not shifted", at.again(shift=0.0)
        yield "left out, and not shifted", x
        if high is not None:
            yield "shifted before it was clamped", np.clip(x + shift, low, high)
