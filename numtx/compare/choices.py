"""Another choice of experts: a mistake, or as good a one for all that rounding leaves of scores?"""

from __future__ import annotations

import numpy as np

from ..check.weigh import root_mean_square
from ..shapes import Array
from ..stages.graph import Stage
from ..trace.trace import Trace


def as_good(trace: Trace, stage: Stage, chosen: Array, tolerance: float) -> bool:
    """Whether each expert that was chosen has the score of the one that should have been, within a
    tolerance relative to the scores.

    stage   that of the choice in the trace; chosen [B, T, k], as somebody else chose
    """
    scores = trace.arrays[stage.inputs[0]].astype(np.float64)  # [B, T, E]
    if len(stage.inputs) > 1:
        scores = scores + trace.arrays[stage.inputs[1]]
    if chosen.min(initial=0) < 0 or chosen.max(initial=0) >= scores.shape[-1]:
        return False
    right, got = (
        np.take_along_axis(scores, which.astype(np.int64), -1)
        for which in (trace[stage.name], chosen)
    )
    room = tolerance * np.maximum(np.abs(right), root_mean_square(scores.reshape(-1)))
    return bool((np.abs(right - got) <= room).all())
