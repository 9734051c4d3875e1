"""V23: gains that are kept less 1."""

from __future__ import annotations

from ..laws.law import Draw, expect, law
from ..own_laws.runs import labelled
from ..subjects.own import NumtxSubject
from ..subjects.subject import NUMTX


@law(
    "V23",
    "a gain kept as w and used as 1 + w is a gain of 1 + w, forward and backward, bit for bit",
    "增益存为 w 而用作 1 + w, 等于增益就是 1 + w, 正向与反向皆逐位相同",
    NUMTX,
    exact=True,
)
def offset(subject: NumtxSubject, draw: Draw) -> bool:
    by, own = subject.config.gain_offset, subject.parameters
    if not by or not any(name.endswith(".gain") for name in own):
        return False
    whole = {name: a + by if name.endswith(".gain") else a for name, a in own.items()}
    batch, example, _, _ = labelled(subject, draw)
    first = subject.record(batch)
    second = subject.with_(whole, gain_offset=0).record(batch)
    expect(subject, "logits differ", second["logits"], first["logits"], example, exact=True)
    for name in own:
        before, after = (trace.grad(f"parameters/{name}")[None] for trace in (second, first))
        expect(subject, f"gradient of {name}", before, after, example, exact=True)
    return True
