"""R2: the ways in which a model computes the same logits."""

from __future__ import annotations

import copy

from hypothesis import strategies as st

from ..subjects.logits import eps_of
from ..subjects.subject import MASK, PATHS, Subject
from .law import Draw, draw_ids, draw_mask, expect, law, tolerance_of


@law(
    "R2",
    "every way to compute gives the same logits: with and without returned weights, fused and "
    "eager, float32 and float64, within what the lower type allows",
    "各种计算方式结果相同: 返回权重与否, 融合与否, float32 与 float64, 误差不超过较低精度所允许",
    PATHS,
)
def ways_agree(subject: Subject, draw: Draw) -> bool:
    ids = draw_ids(subject, draw)
    mask = None
    if MASK in subject.capabilities and draw(st.booleans()):
        mask = draw_mask(subject, draw, *ids.shape)
        mask = None if mask.all() else mask
    asked, plain = 0, subject.logits(ids, mask)
    for name, path in subject.paths.items():
        got = subject.along(path, ids, mask)
        if got is None:
            continue
        asked += 1
        lower = min(plain, got, key=lambda logits: -eps_of(logits))
        by_type, own = copy.copy(subject), subject
        by_type.tolerance = None
        if tolerance_of(by_type, lower) > tolerance_of(subject, lower):
            own = by_type
        example = {"ids": ids, "path": name} | ({} if mask is None else {"mask": mask})
        what = f"{name} gives other logits"
        first, second = (one.astype(lower.dtype).view(type(lower)) for one in (plain, got))
        expect(own, what, first, second, example, real=mask)
    return asked > 0
