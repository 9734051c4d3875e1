"""A whole stage once more by its formula, from arrays that may be another implementation's."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np

from .arithmetic.contraction import Contraction
from .feed_forward.routing import (
    by_expert,
    choose_forward,
    expert_forward,
    keep_groups,
    route_forward,
)
from .ops.activation import activation_forward, sigmoid
from .ops.cap import cap_forward
from .ops.clamp import clamp_forward
from .ops.heads import merge_heads, split_heads
from .ops.norm import norm_forward
from .ops.positions import rotate_forward, rotation
from .ops.sinks import sink_softmax_forward
from .ops.softmax import log_softmax_forward, softmax_forward
from .oracle.oracle import Oracle
from .shapes import Array, parse, shape_of
from .stages.graph import Graph, Stage


def layered(*arrays: Mapping[str, Array]) -> Mapping[str, Array]:
    """Arrays by name, those of the first mapping that has them."""
    return ChainMap(*cast("list[dict[str, Array]]", arrays))


def recompute(graph: Graph, stage: Stage, arrays: Mapping[str, Array]) -> Array:
    """A whole stage once more by its formula, in float64.

    Raises `ValueError` or `IndexError` where the shapes of its inputs do not go together.
    """
    attributes, forward = stage.attributes, FORWARDS.get(stage.operation)
    if stage.operation == "contract":
        inputs = [arrays[name] for name in stage.inputs]
        known = tuple(graph.sizes.items())
        plan = Contraction.of(stage.specification, tuple(x.shape for x in inputs), None, known)
        found = plan.values(inputs, "selective" in attributes)
        return found.reshape(shape_of(parse(stage.specification).result, plan.sizes))
    elsewhere = stage.operation == "append" and attributes.get("along") != "width"
    if forward is None or elsewhere or attributes.get("longer") is not None:
        return Oracle(graph, arrays, float(np.finfo(np.float64).eps)).plain(stage)
    inputs = [np.asarray(arrays[name]) for name in stage.inputs]
    wide = (x if x.dtype.kind in "biu" else x.astype(np.float64, copy=False) for x in inputs)
    return np.asarray(forward(attributes, *wide))


def gain_of(attributes: Mapping[str, Any], gain: Array | None) -> Array | None:
    """What a norm multiplies by, from the parameter."""
    return None if gain is None else gain + attributes.get("offset", 0)


def _norm(
    a: Mapping[str, Any], x: Array, gain: Array | None = None, bias: Array | None = None
) -> Array:
    gain = gain_of(a, gain)
    if a.get("over") == "projection":
        return split_heads(
            norm_forward(merge_heads(x), gain, bias, a["epsilon"], False)[0], x.shape[1]
        )
    return norm_forward(x, gain, bias, a["epsilon"], a["centred"])[0]


def _rotate(a: Mapping[str, Any], x: Array, positions: Array) -> Array:
    turned = rotation(positions, a["width"], a["base"], a["layout"], "float64", a["scaling"])
    return rotate_forward(x if x.ndim == 4 else x[:, None], turned).reshape(x.shape)


def _side_by_side(a: Mapping[str, Any], *parts: Array) -> Array:
    most = max(part.ndim for part in parts)
    headed = [part if part.ndim == most else part[:, None] for part in parts]
    places = np.broadcast_shapes(*(part.shape[:-1] for part in headed))
    return np.concatenate([np.broadcast_to(x, (*places, x.shape[-1])) for x in headed], -1)


def _choose(a: Mapping[str, Any], scores: Array, correction: Array | float = 0.0) -> Array:
    scores = scores + correction
    if a["single"]:  # a sum as the run's own type holds it
        scores = scores.astype(np.float32).astype(np.float64)
    if a["best"]:
        scores = keep_groups(scores, a["groups"], a["kept"], a["best"])
    return choose_forward(scores, a["count"])


def _expert(
    a: Mapping[str, Any], x: Array, w: Array, chosen: Array, b: Array | None = None
) -> Array:
    where = chosen.astype(np.int64).swapaxes(1, 2)
    each = x if x.ndim == 4 else np.broadcast_to(x[:, None], (*where.shape, x.shape[-1]))
    return expert_forward(each, w, b, by_expert(where))


# What the formulas of the oracle do cell by cell, for whole arrays; a test holds the two equal.
FORWARDS: dict[str, Callable[..., Array]] = {
    "softmax": lambda a, x, *sinks: (
        sink_softmax_forward(x, *sinks)[0] if sinks else softmax_forward(x)
    ),
    "log_softmax": lambda a, x: log_softmax_forward(x),
    "norm": _norm,
    "activation": lambda a, x: activation_forward(a["kind"], x),
    "add": lambda a, *x: sum(x[1:], start=x[0]),
    "multiply": lambda a, x, y: x * y,
    "scale": lambda a, x: x * a["factor"],
    "mask": lambda a, x, seen: np.where(seen, x, -np.inf),
    "cap": lambda a, x: cap_forward(x, a["cap"])[0],
    "exp": lambda a, x: np.exp(x),
    "rotate": _rotate,
    "append": _side_by_side,
    "clamp": lambda a, x: clamp_forward(x, a["low"], a["high"], a["shift"]),
    "sigmoid": lambda a, x: sigmoid(x),
    "choose": _choose,
    "route": lambda a, x, chosen: route_forward(
        x, chosen.astype(np.int64), a["how"], a["factor"], a["room"]
    )[0],
    "expert": _expert,
}
