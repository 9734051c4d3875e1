"""V12: what stands on the last stack."""

from __future__ import annotations

import numpy as np

from ..laws.law import Draw, expect, law
from ..subjects.own import NumtxSubject
from ..subjects.subject import NUMTX
from .runs import labelled


@law(
    "V12",
    "a stack gives the same whatever stands on it, bit for bit; a head's layer has the last word: "
    "without the gain of its norm all tokens get the same logits",
    "栈的输出与其上的部分无关, 逐位相同; 输出层前的一层说了算: 其归一化的增益为 0 时, 各词元的 "
    "logits 相同",
    NUMTX,
    exact=True,
)
def heads(subject: NumtxSubject, draw: Draw) -> bool:
    own = subject.parameters
    if subject.config.head == "linear":
        return False
    batch, example, _, _ = labelled(subject, draw, padded=False)
    trace = subject.record(batch, gradients=False)
    plain = subject.with_(_without(own, "head."), head="linear", head_activation=None)
    before, after = (run["encoder.output"] for run in (plain.record(batch), trace))
    expect(subject, "the head changed the stack", before, after, example, exact=True)
    if "head.norm.gain" in own:
        blind = {**own, "head.norm.gain": 0.0 * own["head.norm.gain"]}
        found = subject.with_(blind).record(batch, gradients=False)["logits"]
        one = np.broadcast_to(found[:1, :1], found.shape)
        expect(subject, "the head was gone round", one, found, example, exact=True)
    return True


def _without(parameters: dict[str, np.ndarray], place: str) -> dict[str, np.ndarray]:
    return {name: array for name, array in parameters.items() if not name.startswith(place)}
