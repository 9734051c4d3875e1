"""V22: sublayers side by side."""

from __future__ import annotations

import numpy as np

from ..laws.law import Draw, expect, law
from ..own_laws.runs import labelled
from ..subjects.own import NumtxSubject
from ..subjects.subject import NUMTX


@law(
    "V22",
    "side by side, what self-attention makes changes nothing in the feed-forward of its block, bit "
    "for bit; and one norm for both is two that are alike, whose gradients it sums",
    "并列时, 自注意力的输出不影响同一块的前馈层, 逐位不变; 共用一个归一化等于用两个相同的, "
    "梯度为二者之和",
    NUMTX,
    exact=True,
)
def side_by_side(subject: NumtxSubject, draw: Draw) -> bool:
    config, own = subject.config, subject.parameters
    if config.parallel is None:
        return False
    batch, example, _, _ = labelled(subject, draw)
    first = subject.record(batch)
    for side in config.sides:
        last = config.layers(side) - 1
        name, place = f"{side}.{last}.self_attention.w_v", f"{side}.{last}.feed_forward"
        if name in own:
            other = subject.with_({**own, name: 2.0 * own[name]}).record(batch)
            pair = first[f"{place}.output"], other[f"{place}.output"]
            told = f"{place} sees it"
            expect(subject, told, *pair, {**example, "changed": name}, exact=True)
    if config.parallel == "two":
        return True
    twice, shared = dict(own), []
    for name, array in own.items():
        if ".self_attention.norm." in name:
            beside = name.replace("self_attention", "feed_forward")
            twice[beside] = array
            shared.append((name, beside))
    second = subject.with_(twice, parallel="two").record(batch)
    expect(subject, "two norms differ", first["logits"], second["logits"], example, exact=True)
    for name, beside in shared:
        both = second.grad(f"parameters/{name}") + second.grad(f"parameters/{beside}")
        got = first.grad(f"parameters/{name}")
        expect(subject, f"gradient of {name}", np.asarray(both)[None], got[None], example)
    return True
