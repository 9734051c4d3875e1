"""V24: a factor on what residual connections add."""

from __future__ import annotations

from ..laws.law import Draw, draw_ids, expect, law
from ..subjects.own import NumtxSubject
from ..subjects.subject import NUMTX

LAST = ("w_o", "b_o", "w_out", "b_out")  # of the last map of a sublayer


@law(
    "V24",
    "a factor on what a residual connection adds is one on the last map before it, or on the norm",
    "残差所加之项的因子, 等于乘在其前最后一个线性映射 (或归一化) 上的因子",
    NUMTX,
)
def factor(subject: NumtxSubject, draw: Draw) -> bool:
    config, own = subject.config, dict(subject.parameters)
    if config.residual_scale == 1.0:
        return False
    within = {"both": "norm_after", "inner": "norm"}.get(config.norm_place)
    for name, array in subject.parameters.items():
        side, *rest = name.split(".")
        if len(rest) < 3:
            continue
        sublayer, layer = f"{side}.{rest[1]}", config.layer(side, int(rest[0]))
        if not layer.has_residual(sublayer):
            continue
        if rest[1] != "feed_forward" and not layer.has_output_projection(sublayer):
            return False  # there is no map to take it
        normed = within is not None and layer.has_norm(sublayer)
        offset = config.gain_offset if rest[-1] == "gain" else 0
        if rest[2] == within if normed else rest[-1] in LAST:
            array = (array + offset) * config.residual_scale - offset
            own[name] = array.astype(subject.parameters[name].dtype)
    ids = draw_ids(subject, draw)
    plain = subject.with_(own, residual_scale=1.0).logits(ids)
    expect(subject, "logits differ", plain, subject.logits(ids), {"ids": ids})
    return True
