"""P1, P3 to P6: what positions may change."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from ..batch import count_positions
from ..errors import NumtxError
from ..laws.law import Draw, LawBroken, expect, expect_true, law, moved, rounding, seeds
from ..ops.positions import rotate_backward, rotate_forward, rotation
from ..subjects.own import NumtxSubject
from ..subjects.subject import NUMTX
from .runs import labelled, prefixes


@law(
    "P1",
    "rotary, alibi, buckets: shifting all positions (with chunks, by whole ones) changes no score "
    "and no logit, by 4096 and more either (P2), to the last digits of a position; where positions "
    "are added, a shift is noticed",
    "旋转位置, 线性偏置与分桶偏置: 整体平移 (有分块时平移整数块) 不改变分数与结果, "
    "平移 4096 以上亦然, 精确到位置的末几位; 位置为相加时, 平移改变结果",
    NUMTX,
)
def shifted(subject: NumtxSubject, draw: Draw) -> bool:
    """Of every stack. Queries that grow with their position are asked nothing here."""
    kinds = {*subject.config.values_of("positions")} - {None}
    if not kinds or "learned" in kinds or any(subject.config.values_of("query_growth")):
        return False
    if subject.config.query_key_norm_place == "after" and subject.config.query_key_gain:
        return False  # a gain on what is rotated: scores go by the places, not by the distance
    batch, example, _, _ = labelled(subject, draw)
    chunks = [size for size in subject.config.values_of("chunk") if size is not None]
    shift = draw(st.sampled_from([1, 7, 4096, 100_000])) * math.lcm(*chunks)  # to other blocks
    counted = {
        prefix: count_positions(getattr(batch, f"{prefix}mask")) for prefix in prefixes(subject)
    }
    further = {f"{prefix}positions": places + shift for prefix, places in counted.items()}
    first, second = (
        subject.record(one, gradients=False) for one in (batch, replace(batch, **further))
    )
    example = {**example, "shift": shift}
    if "sinusoidal" in kinds:
        noticed = moved(first["logits"], second["logits"]).any()
        expect_true(noticed, "the shift is not noticed", example)
        return True
    # An angle of p radians is off by eps * p, in float64, and so is what is turned by it.
    furthest = shift + max(int(places.max()) for places in counted.values())
    for name in (name for name in first if name.endswith((".scores", "logits"))):
        size = max(1.0, float(np.abs(first[name]).max()))
        limit = rounding(first[name], 1024.0, size) + 512.0 * np.finfo(float).eps * furthest * size
        worst = float(np.abs(first[name] - second[name]).max())
        expect_true(worst <= limit, f"{name} notices the shift", example, worst)
    turned = [name for name in first if ".rotated_" in name]
    alike = any(np.array_equal(first[name], second[name]) for name in turned)
    expect_true(not alike, "what is rotated did not turn", example)
    return True


@law(
    "P3-none",
    "one layer without positions does not notice the order of the tokens before the last",
    "无位置信息的单层不察觉之前词元的次序",
    NUMTX,
)
def unordered(subject: NumtxSubject, draw: Draw) -> bool:
    if subject.config.positions is not None:
        return False
    more = tuple(f"{subject.side}.{n}." for n in range(1, subject.config.layers(subject.side)))
    own = {name: array for name, array in subject.parameters.items() if not name.startswith(more)}
    subject = subject.with_(own, window=None, **{f"{subject.side}_layers": 1})
    batch, example, mask, _ = labelled(subject, draw, padded=False)
    order = np.array([*draw(st.permutations(range(mask.shape[1] - 1))), mask.shape[1] - 1])
    last = list(prefixes(subject))[-1]
    names = [f"{last}ids", f"{last}segments"]
    other = {name: getattr(batch, name) for name in names if getattr(batch, name) is not None}
    other = {name: array[:, order] for name, array in other.items()}
    first, second = (
        subject.record(one, gradients=False)["logits"][:, -1:]
        for one in (batch, replace(batch, **other))
    )
    expect(subject, "the order is noticed", first, second, {**example, "order": order})
    return bool((other[names[0]] != getattr(batch, names[0])).any())


@law(
    "P6",
    "alibi: what is added to a score falls by one slope a token of distance, and the slopes of the "
    "heads are powers of one number",
    "线性偏置: 距离每加一, 分数减去该头的斜率; 各头斜率是同一个数的幂",
    NUMTX,
)
def slopes(subject: NumtxSubject, draw: Draw) -> bool:
    """Of the first 2^k heads; those beyond stand between them: their squares are slopes too."""
    if "alibi" not in subject.config.values_of("positions"):
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
            scores = trace[trace.graph[name].inputs[0]]
            right = np.where(pairs, scores - slope * away, 0.0)
            expect(subject, name, right, np.where(pairs, trace[name], 0.0), example)
    return bool(away[np.broadcast_to(pairs, away.shape)].any())


@law(
    "P4",
    "a rotation keeps lengths, and products at equal positions; position 0 is no rotation; its "
    "backward is the rotation back",
    "旋转保持长度与同位置内积, 位置 0 不旋转, 反向为逆旋转",
    NUMTX,
    once=True,
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
        ("there and back", q, rotate_backward(new_q, turn)),
    ):
        expect(subject, f"{what} changed", old, new, example)
    still = rotate_forward(q, rotation(0 * places, width, 1e4, layout, "float64"))
    for what, old, new in (
        ("position 0", q, still),
        ("what is not rotated", q[..., width:], new_q[..., width:]),
    ):
        expect(subject, f"{what} changed", old, new, example, exact=True)
    expect_true((new_q[..., :width] != q[..., :width]).all(), "nothing turned", example)
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
