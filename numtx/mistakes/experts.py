"""Mistakes in routers and experts."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ops.activation import sigmoid
from ..ops.softmax import softmax_forward
from ..shapes import Array
from .at import At, Forms
from .cause import cause


@cause("路由得分", "router's scores", "router.scores")
def scores(at: At) -> Forms:
    logits = at.inputs[0]
    over = at.stage.operation == "softmax"
    other = sigmoid(logits) if over else softmax_forward(logits)
    yield "a sigmoid, not a softmax" if over else "a softmax, not a sigmoid", other
    yield "left out", logits
    if over:
        yield "over the tokens", softmax_forward(logits.swapaxes(1, 2)).swapaxes(1, 2)


@cause("专家的选择", "choice of experts", "router.chosen")
def choice(at: At) -> Forms:
    a, count = at.stage.attributes, at.stage.attributes["count"]
    if len(at.inputs) > 1:
        yield "correction left out", at.again({1: None})
        yield "correction taken away, not added", at.again({1: -at.inputs[1]})
    if a["best"]:
        yield "groups left out", at.again(best=0)
        one, two = "their largest score", "the sum of two"
        words = f"{one}, not {two}" if a["best"] == 2 else f"{two}, not {one}"
        yield f"groups by {words}", at.again(best=3 - a["best"])
    scores = at.inputs[0] + (at.inputs[1] if len(at.inputs) > 1 else 0.0)
    if not a["best"]:
        last = scores.shape[-1] - 1
        yield (
            "of equal scores the higher number",
            last - np.argsort(-scores[..., ::-1], -1, kind="stable")[..., :count],
        )
        yield "the smallest scores", np.argsort(scores, -1, kind="stable")[..., :count]
    yield "in order of their numbers", np.sort(at.again(), -1)


@cause("专家权重", "weights of experts", "router.weights")
def weights(at: At) -> Forms:
    a, (given, chosen) = at.stage.attributes, at.inputs
    logits, correction = at.near("logits"), at.near("correction")
    if correction is not None:
        yield "with the correction, which is for the choice", at.again({0: given + correction})
    if a["factor"] != 1.0:
        before = " or put on before they are divided by their sum" * (a["how"] == "divided")
        yield f"factor left out{before}", at.again(factor=1.0)
    forms: tuple[tuple[str, str], ...] = (
        ("softmax", "a softmax of the chosen alone"),
        ("divided", "divided by their sum"), ("kept", "not divided by their sum"),
    )  # fmt: skip
    for how, words in forms:
        source = logits if how == "softmax" else given
        if how != a["how"] and source is not None:
            yield words, at.again({0: source}, how=how)
            yield f"{words}, factor left out", at.again({0: source}, how=how, factor=1.0)
    if a["how"] == "softmax":
        yield "a softmax over all experts", at.again({0: softmax_forward(given)}, how="kept")
    yield "all alike", np.full(chosen.shape, a["factor"] / chosen.shape[-1])
    yield "in reverse order of the choices", at.again()[..., ::-1]


@cause("专家的矩阵", "experts' matrices", "@expert")
def matrices(at: At) -> Forms:
    leaf, chosen = at.stage.leaf.name, at.inputs[2]
    letter = {"hidden": "gate", "gate": "in"}.get(leaf)
    if letter is not None and (w := at.near(f"w_{letter}")) is not None:
        changed: dict[int, Array | None] = {1: w}
        if len(at.inputs) > 3:
            changed[3] = at.near(f"b_{letter}")
        yield "gate and up swapped", at.again(changed)
    if len(at.inputs) > 3:
        yield "without bias", at.again({3: None})
    yield "of the choices in reverse order", at.again({2: chosen[..., ::-1]})
    if at.inputs[1].shape[-1] == at.inputs[1].shape[-2]:
        yield "transposed", at.again({1: at.inputs[1].swapaxes(1, 2)})


@cause("专家之和", "sum of experts", "routed")
def sums(at: At) -> Forms:
    each = at.near("experts.output")
    weights = at.near("router.weights")
    if each is None or weights is None:
        return
    by = weights.swapaxes(1, 2)[..., None]
    if at.stage.operation == "sum":
        yield "weighed on their outputs too", (each * by).sum(1)
        return
    yield "weights left out", each.sum(1)
    yield "the first choice alone", (each * by)[:, 0]
    yield "weights in reverse order", (each * by[:, ::-1]).sum(1)


@cause("共享专家", "shared experts", "output")
def shared(at: At) -> Forms:
    if len(at.inputs) != 2 or not at.stage.inputs[0].endswith(".routed"):
        return
    routed, beside = at.inputs
    factor: Any = at.graph[f"{at.place}.router.weights"].attributes["factor"]
    yield "left out", routed
    if factor != 1.0:
        yield "multiplied by the factor too", routed + factor * beside
    weights = at.near("router.weights")
    if weights is not None:
        yield "with the weight of the first choice", routed + weights[..., :1] * beside
