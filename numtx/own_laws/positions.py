"""P1, P4 to P6: what positions may change."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from .. import model
from ..errors import NumtxError
from ..laws.law import Draw, LawBroken, draw_ids, expect, expect_true, law, seeds, tolerance_of
from ..laws.strategies import padding_masks
from ..ops.positions import rotate_backward, rotate_forward, rotation
from ..subjects.own import NumtxSubject
from ..subjects.subject import NUMTX
from .runs import labelled


@law(
    "P1",
    "rotary, alibi: shifting all positions changes no logit, by 4096 and more either (P2)",
    "旋转位置与线性偏置: 整体平移不改变结果, 平移 4096 以上亦然",
    NUMTX,
)
def shifted(subject: NumtxSubject, draw: Draw) -> bool:
    if subject.config.positions not in ("rotary", "alibi"):
        return False
    ids = draw_ids(subject, draw, 2)
    shift = draw(st.sampled_from([1, 7, 4096, 100_000]))
    mask = draw(padding_masks(*ids.shape))
    counted = np.maximum(np.cumsum(mask, 1) - 1, 0)
    found = [
        model.forward(
            subject.config, subject.parameters, subject.batch(ids, mask, positions=counted + add)
        )[0].logits[mask]
        for add in (0, shift)
    ]
    example = {"ids": ids, "mask": mask, "shift": shift}
    worst, size = float(np.abs(found[0] - found[1]).max()), float(np.abs(found[0]).max())
    # Angles are float64 whatever the type, and off by roundings of the position.
    limit = tolerance_of(subject, found[0]) * max(1.0, size) + 1e-12 * shift
    expect_true(worst <= limit, "the shift is noticed", example, worst)
    return True


@law(
    "P6",
    "alibi: what is added to a score falls by one slope a token of distance, and the slopes of the "
    "heads are powers of one number",
    "线性偏置: 距离每加一, 分数减去该头的斜率; 各头斜率是同一个数的幂",
    NUMTX,
)
def slopes(subject: NumtxSubject, draw: Draw) -> bool:
    """Of the first 2^k heads; those beyond stand between them: their squares are slopes too."""
    if subject.config.positions != "alibi":
        return False
    batch, example, mask, _ = labelled(subject, draw)
    trace = subject.record(batch)
    where = np.cumsum(mask, 1)
    away = np.abs(where[:, None, :, None] - where[:, None, None, :])
    pairs = mask[:, None, :, None] & mask[:, None, None, :]
    heads = subject.config.heads
    n = 1 << (heads.bit_length() - 1)
    power = [2.0 * h for h in range(1, n + 1)] + [2.0 * h + 1 for h in range(heads - n)]
    slope = 2.0 ** (-4.0 / n * np.array(power))[:, None, None]
    for name in trace.graph.stages:
        if name.startswith(subject.side) and name.endswith("self_attention.biased_scores"):
            scores = trace[name.replace("biased_scores", "scores")]
            right = np.where(pairs, scores - slope * away, 0.0)
            expect(subject, name, right, np.where(pairs, trace[name], 0.0), example)
    return bool(away[np.broadcast_to(pairs, away.shape)].any())


@law(
    "P4",
    "a rotation keeps lengths, and products at equal positions; position 0 is no rotation; its "
    "backward is the rotation back",
    "旋转保持长度与同位置内积, 位置 0 不旋转, 反向为逆旋转",
    NUMTX,
)
def rotations(subject: NumtxSubject, draw: Draw) -> bool:
    layout = draw(st.sampled_from(["half", "interleaved"]))
    width = draw(st.sampled_from([2, 4, 6]))
    generator = np.random.default_rng(draw(seeds))
    places = generator.integers(1, 5000, (2, 5))
    turn = rotation(places, width, 10000.0, layout, "float64")
    q, k = generator.standard_normal((2, 2, 3, 5, 6))
    new_q, new_k = rotate_forward(q, turn), rotate_forward(k, turn)
    example = {"positions": places, "layout": layout, "rotated width": width}
    for what, old, new in (
        ("lengths", np.vecdot(q, q), np.vecdot(new_q, new_q)),
        ("products", np.vecdot(q, k), np.vecdot(new_q, new_k)),
        ("what is not rotated", q[..., width:], new_q[..., width:]),
        ("there and back", q, rotate_backward(new_q, turn)),
        (
            "position 0",
            q,
            rotate_forward(q, rotation(0 * places, width, 1e4, layout, "float64")),
        ),
    ):
        expect(subject, f"{what} changed", old, new, example)
    first = layout == "half"
    partner = width // 2 if first else 1
    angle = places[0, 0]  # the first pair turns by the position itself
    a, b = q[0, 0, 0, 0], q[0, 0, 0, partner]
    expected = np.array([a * np.cos(angle) - b * np.sin(angle)])
    expect(subject, "the first pair's angle", expected, new_q[0, 0, 0, :1], example)
    return True


@law(
    "P5",
    "a position past a learned table raises",
    "超出可学习位置表时报错",
    NUMTX,
)
def past_the_table(subject: NumtxSubject, draw: Draw) -> bool:
    limit = subject.config.position_limit
    if limit is None:
        return False
    ids = np.random.default_rng(draw(seeds)).integers(0, 11, (1, limit + 1))
    subject.logits(ids[:, :limit])
    try:
        subject.logits(ids)
    except NumtxError:
        return True
    raise LawBroken("there was no error", {"tokens": limit + 1, "rows of the table": limit})
