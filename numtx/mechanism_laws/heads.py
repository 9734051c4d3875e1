"""V15: what stands on the last stack."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ..config import Config
from ..head import tied_name
from ..laws.law import Draw, expect, law
from ..own_laws.runs import labelled
from ..subjects.own import NumtxSubject
from ..subjects.subject import NUMTX
from ..trace.trace import record

NO_HEAD: dict[str, Any] = {
    "head": None, "head_activation": None, "pooler": False, "tied_output": False,
    "output_scale": 1.0, "logit_cap": None,
}  # fmt: skip


@law(
    "V15",
    "a stack gives the same whatever stands on it, or nothing, bit for bit, and so are its "
    "gradients for the same gradient of its output; a head's layer has the last word: "
    "without the gain of its norm all tokens get the same logits; a pooler reads the first real "
    "token, wherever padding stands",
    "栈的输出与其上的部分 (或没有) 无关, 逐位相同, 输出的梯度相同时各参数的梯度亦然; 输出层前的"
    "一层说了算: 其归一化的增益为 0 时, 各词元的 logits 相同; 池化层读首个真实词元, 无论填充在哪边",
    NUMTX,
    exact=True,
)
def heads(subject: NumtxSubject, draw: Draw) -> bool:
    own, config = subject.parameters, subject.config
    if config.model != "encoder-only":
        return False
    batch, example, _, _ = labelled(subject, draw, padded=False)
    trace = subject.record(batch)
    bare = {**config.to_dict(), **NO_HEAD}
    known = {n: a for n, a in own.items() if not n.startswith(("head.", "pooler.", "output."))}
    top = trace.grad("encoder.output")
    alone = record(Config(**bare), known, replace(batch, labels=None), cotangent=top)
    what = "what stands on it changed the stack"
    before, after = alone["encoder.output"], trace["encoder.output"]
    expect(subject, what, before, after, example, exact=True)
    for name in known:
        if not config.tied_output or name != tied_name(config):  # which the head has a share of
            before, after = (run.grad(f"parameters/{name}")[None] for run in (alone, trace))
            expect(subject, f"{what}: gradient of {name}", before, after, example, exact=True)
    if "head.norm.gain" in own:
        blind = {**own, "head.norm.gain": 0.0 * own["head.norm.gain"]}
        found = subject.with_(blind).record(batch, gradients=False)["logits"]
        one = np.broadcast_to(found[:1, :1], found.shape)
        expect(subject, "the head was gone round", one, found, example)
    if config.pooler and subject.longest > len(batch.ids[0]):
        ids = [np.pad(batch.ids, ((0, 0), pads)) for pads in ((1, 0), (0, 1))]
        masks = [np.pad(batch.mask, ((0, 0), pads)) for pads in ((1, 0), (0, 1))]
        left, right = (
            subject.record(subject.batch(*one), gradients=False)["pooler.output"]
            for one in zip(ids, masks, strict=True)
        )
        expect(subject, "padding moved the pooled vector", right, left, example)
    return True
