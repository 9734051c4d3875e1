"""Mistakes between the products and the weights: caps, sinks."""

from __future__ import annotations

import numpy as np

from .at import At, Forms
from .cause import cause


@cause("软上限", "cap", "@cap")
def caps(at: At) -> Forms:
    x, y, cap = at.inputs[0], at.again(), at.stage.attributes["cap"]
    yield "left out", x
    yield "tanh(x / cap), not multiplied by the cap", y / cap
    yield "cap * tanh(x), x not divided by the cap", cap * np.tanh(x)
    yield "cut off at the cap, not bent towards it", np.clip(x, -cap, cap)
    yield "taken twice", at.again({0: y})
    products = at.near("products")
    if products is not None:
        factor = at.graph[at.stage.inputs[0]].attributes["factor"]
        yield "before the scale, not after it", factor * at.again({0: products})


@cause("软上限", "cap", "scores")
def before_the_scale(at: At) -> Forms:
    capped = f"{at.place}.capped_scores"
    if capped in at.graph:
        cap = at._replace(stage=at.graph[capped])
        yield "before the scale, not after it", at.again({0: cap.again({0: at.inputs[0]})})


@cause("漏了软上限", "cap left out", "biased_scores masked_scores weights log_probabilities")
def uncapped(at: At) -> Forms:
    """What comes after a cap, without it, or on its wrong side."""
    of = at.graph[at.stage.inputs[0]]
    if at.stage.leaf.name == "weights":
        of = at.graph[of.inputs[0]]
    if of.operation != "cap":
        return
    x, cap = at.value(of.inputs[0]), of.attributes["cap"]
    leaf, mask = at.stage.leaf.name, at.near("mask")
    if leaf == "weights":
        yield "", None if mask is None else at.again({0: np.where(mask, x, -np.inf)})
        return
    yield "", at.again({0: x})
    if leaf == "masked_scores":
        back = np.where(at.inputs[1], at.inputs[0], -cap)
        yield "or put on after the mask, so that hidden keys come back", back
    if leaf == "biased_scores":
        yield "or put on after the bias", cap * np.tanh((x + at.inputs[1]) / cap)


@cause("汇点", "sink", "weights")
def sinks(at: At) -> Forms:
    if len(at.inputs) < 2:
        return
    sink, c = at.inputs[1], at.config
    yield "left out, or its share divided among the keys", at.again({1: None})
    yield "counted twice", at.again({1: sink + np.log(2.0)})
    factor = at.graph[f"{at.place}.scores"].attributes["factor"]
    yield "multiplied by the scale", at.again({1: sink * factor})
    yield "0, not what was learned", at.again({1: 0.0 * sink})
    yield "in reverse order of the heads", at.again({1: sink[::-1]})
    few = sink[: c.kv_heads].repeat(c.heads // c.kv_heads)
    yield "one a key/value head, not one a query head", at.again({1: few})
