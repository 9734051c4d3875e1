"""V12: what stands on the last stack."""

from __future__ import annotations

import numpy as np

from ..laws.law import Draw, expect, law
from ..own_laws.runs import labelled
from ..subjects.own import NumtxSubject
from ..subjects.subject import NUMTX


@law(
    "V12",
    "a stack gives the same whatever stands on it, bit for bit; a head's layer has the last word: "
    "without the gain of its norm all tokens get the same logits; a pooler reads the first real "
    "token, wherever padding stands",
    "栈的输出与其上的部分无关, 逐位相同; 输出层前的一层说了算: 其归一化的增益为 0 时, 各词元的 "
    "logits 相同; 池化层读首个真实词元, 无论填充在哪边",
    NUMTX,
    exact=True,
)
def heads(subject: NumtxSubject, draw: Draw) -> bool:
    own = subject.parameters
    plain = {name: a for name, a in own.items() if not name.startswith(("head.", "pooler."))}
    if len(plain) == len(own):
        return False
    batch, example, _, _ = labelled(subject, draw, padded=False)
    trace = subject.record(batch, gradients=False)
    bare = subject.with_(plain, head="linear", head_activation=None, pooler=False)
    before, after = (run["encoder.output"] for run in (bare.record(batch), trace))
    expect(subject, "what stands on it changed the stack", before, after, example, exact=True)
    if "head.norm.gain" in own:
        blind = {**own, "head.norm.gain": 0.0 * own["head.norm.gain"]}
        found = subject.with_(blind).record(batch, gradients=False)["logits"]
        one = np.broadcast_to(found[:1, :1], found.shape)
        expect(subject, "the head was gone round", one, found, example)
    if subject.config.pooler and subject.longest > len(batch.ids[0]):
        ids = [np.pad(batch.ids, ((0, 0), pads)) for pads in ((1, 0), (0, 1))]
        masks = [np.pad(batch.mask, ((0, 0), pads)) for pads in ((1, 0), (0, 1))]
        left, right = (
            subject.record(subject.batch(*one), gradients=False)["pooler.output"]
            for one in zip(ids, masks, strict=True)
        )
        expect(subject, "padding moved the pooled vector", right, left, example)
    return True
