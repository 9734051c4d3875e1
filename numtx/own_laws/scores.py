"""V7: what lies between the products and the weights."""

from __future__ import annotations

import numpy as np

from ..laws.law import Draw, expect, expect_true, law, rounding
from ..subjects.own import NumtxSubject
from ..subjects.subject import NUMTX
from .runs import labelled, logits_of

FAR = 1e8  # a cap as good as none: what it takes away is beyond the last digit of float64


@law(
    "V7",
    "capped scores and logits stay within the cap, keep their signs, and shrink; a far cap is none",
    "封顶后的分数与 logits 不超过上限, 符号不变, 绝对值不增; 上限极大时等于没有",
    NUMTX,
)
def caps(subject: NumtxSubject, draw: Draw) -> bool:
    config = subject.config
    names = [n for n in ("score_cap", "logit_cap") if getattr(config, n) is not None]
    if not names:
        return False
    batch, example, mask, _ = labelled(subject, draw)
    trace = subject.record(batch, gradients=False)
    for stage in trace.graph:
        if stage.operation == "cap":
            x, y, cap = trace[stage.inputs[0]], trace[stage.name], stage.attributes["cap"]
            room = rounding(y, 4.0, cap)
            inside = (np.abs(y) <= np.minimum(np.abs(x), cap) + room) & (x * y >= 0.0)
            expect_true(inside.all(), "beyond the cap, or of another sign", example, stage.name)
    far, none = (
        subject.with_(**dict.fromkeys(names, cap)).record(batch, gradients=False)
        for cap in (FAR, None)
    )
    expect(subject, "a far cap is felt", logits_of(none), logits_of(far), example, real=mask)
    return True
