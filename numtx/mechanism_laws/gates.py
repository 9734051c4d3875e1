"""V11: gates with limits."""

from __future__ import annotations

import numpy as np

from ..laws.law import Draw, expect, expect_true, law
from ..own_laws.runs import labelled, logits_of
from ..subjects.own import NumtxSubject
from ..subjects.subject import NUMTX

FAR = 1e30  # beyond every number of a run


@law(
    "V11",
    "a gate's limit holds, gives no gradient beyond it, and far away is none, bit for bit",
    "门的上限有效, 超过处没有梯度; 上限极大时等于没有, 逐位相同",
    NUMTX,
    exact=True,
)
def gate_limits(subject: NumtxSubject, draw: Draw) -> bool:
    limit = subject.config.gate_limit
    if limit is None:
        return False
    batch, example, _, _ = labelled(subject, draw)
    trace = subject.record(batch)
    for stage in trace.graph:
        if stage.operation == "clamp":
            x, y = trace[stage.inputs[0]], trace[stage.name] - stage.attributes["shift"]
            beyond = x > limit
            if stage.attributes["low"] is not None:
                beyond |= x < -limit
            room = 4.0 * float(np.finfo(y.dtype).eps) * (limit + abs(stage.attributes["shift"]))
            held = np.where(beyond, np.abs(np.abs(y) - limit), np.abs(y - x))
            told = {**example, "of": stage.name}
            expect_true(bool((held <= room).all()), "not held at its limit", told)
            lost = trace.grad(stage.inputs[0])[beyond]
            expect_true(not lost.any(), "a gradient beyond the limit", told)
    far, none = (
        logits_of(subject.with_(gate_limit=one).record(batch, gradients=False))
        for one in (FAR, None)
    )
    expect(subject, "a far limit is felt", none, far, example, exact=True)
    return True
