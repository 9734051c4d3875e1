"""Mistakes in a loss that is a sum."""

from __future__ import annotations

import numpy as np

from ..ops.loss import IGNORED
from .at import At, Forms
from .cause import cause


@cause("求和的损失", "summed loss", "@total")
def total(at: At) -> Forms:
    losses, labels = at.inputs
    yield "the mean, not the sum", losses.sum() / np.count_nonzero(labels != IGNORED)
    yield "divided by the number of rows", np.asarray(losses.sum() / len(losses))
    yield "divided by all positions, ignored ones too", np.asarray(losses.mean())
