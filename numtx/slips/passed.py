"""What a stage passes back to its inputs, rightly."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

from ..ops.activation import activation_backward
from ..ops.heads import merge_heads, split_heads
from ..ops.norm import norm_backward, norm_forward
from ..ops.positions import rotate_backward, rotation
from ..ops.sinks import sink_softmax_forward, sinks_backward
from ..ops.softmax import (
    log_softmax_backward,
    log_softmax_forward,
    softmax_backward,
    softmax_forward,
)
from ..oracle.gradients import Sums, pass_on, through_contraction_unbounded
from ..oracle.oracle import Oracle
from ..recompute import gain_of
from ..shapes import Array
from ..stages.graph import Stage

Shares: TypeAlias = tuple[Array | None, ...]


def passed(oracle: Oracle, stage: Stage, dy: Array, had: Mapping[str, Array]) -> dict[str, Array]:
    """The shares of a stage's inputs in its gradient, by name; what is read twice has both.

    had  the arrays of the oracle
    """
    arrays = [had[name] for name in stage.inputs]
    dy = dy.astype(np.float64)
    if stage.operation in BACKWARDS:
        inputs = (x.astype(np.float64) for x in arrays)
        shares = BACKWARDS[stage.operation](stage.attributes, dy, *inputs)
        found = {name: np.zeros(x.shape) for name, x in zip(stage.inputs, arrays, strict=True)}
        for name, share in zip(stage.inputs, shares, strict=False):
            found[name] = found[name] if share is None else found[name] + share
        return found
    shapes = {name: array.shape for name, array in zip(stage.inputs, arrays, strict=True)}
    sizes = {name: oracle.cells(name).flat.size for name in shapes}
    if stage.operation == "contract":
        totals = {name: np.zeros(size) for name, size in sizes.items()}
        through_contraction_unbounded(oracle, stage, dy.reshape(-1), totals)
    else:
        sums = {name: Sums(size) for name, size in sizes.items()}
        pass_on(oracle, stage, dy.reshape(-1), sums)
        totals = {name: of.total for name, of in sums.items()}
    return {name: totals[name].reshape(shape) for name, shape in shapes.items()}


def _softmax(a: Mapping[str, Any], dy: Array, x: Array, *sinks: Array) -> Shares:
    if not sinks:
        return (softmax_backward(dy, softmax_forward(x)),)
    weights, share = sink_softmax_forward(x, *sinks)
    return softmax_backward(dy, weights), sinks_backward(dy, weights, share)


def _norm(a: Mapping[str, Any], dy: Array, x: Array, *parameters: Array) -> Shares:
    gain, bias = (*parameters, None, None)[:2]
    gain, heads = gain_of(a, gain), x.shape[1]
    if a.get("over") != "projection":
        return norm_backward(dy, norm_forward(x, gain, bias, a["epsilon"], a["centred"])[1])
    kept = norm_forward(merge_heads(x), gain, bias, a["epsilon"], False)[1]
    dx, *rest = norm_backward(merge_heads(dy), kept)
    return split_heads(dx, heads), *rest


def _rotate(a: Mapping[str, Any], dy: Array, x: Array, positions: Array) -> Shares:
    by = rotation(positions, a["width"], a["base"], a["layout"], "float64", a["scaling"])
    return (rotate_backward(dy.reshape(len(x), -1, *x.shape[-2:]), by).reshape(x.shape),)


# Operations whose formula takes its time, and the function that does the same; a test holds the two
# equal.
BACKWARDS: dict[str, Callable[..., Shares]] = {
    "softmax": _softmax,
    "log_softmax": lambda a, dy, x: (log_softmax_backward(dy, log_softmax_forward(x)),),
    "norm": _norm,
    "rotate": _rotate,
    "add": lambda a, dy, *x: (dy,) * len(x),
    "scale": lambda a, dy, x: (dy * a["factor"],),
    "multiply": lambda a, dy, x, y: (dy * y, dy * x),
    "mask": lambda a, dy, x, seen: (np.where(seen != 0, dy, 0.0),),
    "activation": lambda a, dy, x: (activation_backward(a["kind"], dy, x),),
}
