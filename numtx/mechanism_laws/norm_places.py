"""V21: norms within the residual."""

from __future__ import annotations

from hypothesis import strategies as st

from ..laws.law import Draw, draw_ids, expect, law
from ..own_laws.runs import TINY
from ..subjects.own import NumtxSubject
from ..subjects.subject import NUMTX

LAST = ("w_o", "b_o", "w_out", "b_out")  # of the last map of a sublayer


@law(
    "V21",
    "what multiplies the output of a sublayer is lost where a norm stands after it, within the "
    "residual",
    "归一化在子层之后、残差之内时, 子层的输出乘以任何正数, 结果不变",
    NUMTX,
)
def within(subject: NumtxSubject, draw: Draw) -> bool:
    """With no epsilon to speak of; every sublayer by a factor of its own."""
    if subject.config.norm_place not in ("both", "inner"):
        return False
    subject = subject.with_(epsilon=TINY)
    scaled, factors = dict(subject.parameters), dict[str, float]()
    for name, array in subject.parameters.items():
        side, *rest = name.split(".")
        if len(rest) < 3 or rest[-1] not in LAST:
            continue
        if subject.config.layer(side, int(rest[0])).has_norm(f"{side}.{rest[1]}"):
            place = f"{side}.{rest[0]}.{rest[1]}"
            if place not in factors:
                factors[place] = draw(st.sampled_from([0.25, 0.5, 3.0, 8.0]))
            scaled[name] = (array * factors[place]).astype(array.dtype)
    ids = draw_ids(subject, draw)
    before, after = subject.logits(ids), subject.with_(scaled).logits(ids)
    expect(subject, "the factor matters", before, after, {"ids": ids, "factors": factors})
    return bool(factors)
