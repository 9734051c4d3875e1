"""V7, V8: what lies between the products and the weights."""

from __future__ import annotations

import numpy as np

from ..laws.law import Draw, expect, expect_true, law, rounding
from ..ops.softmax import softmax_forward
from ..own_laws.runs import attentions, labelled, logits_of, sink_shares
from ..subjects.own import NumtxSubject
from ..subjects.subject import NUMTX

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


@law(
    "V8",
    "a sink takes its share of every weight alike, and one far down is none, bit for bit",
    "汇按同一比例取走每个权重; 极低的汇等于没有, 逐位相同",
    NUMTX,
    exact=True,
)
def sinks(subject: NumtxSubject, draw: Draw) -> bool:
    own = subject.parameters
    low = {name: a * 0 - 1e30 for name, a in own.items() if name.endswith(".sinks")}
    if not low:
        return False
    batch, example, _, _ = labelled(subject, draw)
    trace = subject.record(batch, gradients=False)
    for place in attentions(trace):
        plain = softmax_forward(trace[f"{place}.masked_scores"])
        right = plain * (1.0 - sink_shares(subject, trace, place))[..., None]
        got = trace[f"{place}.weights"]
        worst = float(np.abs(right - got).max())
        expect_true(worst <= rounding(got, 64.0), "not its share", {**example, "of": place}, worst)
    less = {name: array for name, array in own.items() if name not in low}
    far = subject.with_({**own, **low}).record(batch)
    none = subject.with_(less, sinks=False).record(batch)
    expect(subject, "a far sink is felt", none["logits"], far["logits"], example, exact=True)
    for name in own:
        before = none.grad(f"parameters/{name}") if name in less else np.zeros_like(own[name])
        after = far.grad(f"parameters/{name}")
        expect(subject, f"gradient of {name}", before[None], after[None], example, exact=True)
    return True
