"""The feed-forward sublayer: two linear maps and an activation, each token by itself."""

from __future__ import annotations

from typing import NamedTuple

from .config import Config
from .ops.activation import activation_backward, activation_forward
from .ops.linear import LinearContext, linear_backward, linear_forward
from .parameters import Gradients, Scope
from .shapes import Array
from .small_repr import small_repr
from .tap import Tap


@small_repr()
class FeedForwardContext(NamedTuple):
    kind: str
    into: LinearContext
    hidden: Array
    gate: tuple[LinearContext, Array, Array] | None  # its map, its value, act(its value)
    out: LinearContext


def feed_forward_forward(
    config: Config, p: Scope, x: Array, tap: Tap
) -> tuple[Array, FeedForwardContext]:
    """output = act(x·w_in + b_in)·w_out + b_out    [B, T, d] -> [B, T, f] -> [B, T, d]

    Gated (Shazeer, 2020): output = (act(x·w_gate + b_gate) * (x·w_in + b_in))·w_out + b_out
    """
    kind = config.activation
    hidden, into = linear_forward(x, p["w_in"], p.get("b_in"))
    hidden = tap("hidden", hidden)
    gate = None
    if config.gated:
        opening, gate_map = linear_forward(x, p["w_gate"], p.get("b_gate"))
        opening = tap("gate", opening)
        inner = active = tap("activation", activation_forward(kind, opening))
        inner = tap("gated", active * hidden)
        gate = (gate_map, opening, active)
    else:
        inner = tap("activation", activation_forward(kind, hidden))
    output, out = linear_forward(inner, p["w_out"], p.get("b_out"))
    return tap("output", output), FeedForwardContext(kind, into, hidden, gate, out)


def feed_forward_backward(
    doutput: Array, context: FeedForwardContext, gradients: Gradients, tap: Tap
) -> Array:
    """output = inner·w_out + b_out, inner = act(x·w_in + b_in) or its gated form    =>    dx"""
    kind, into, hidden, gate, out = context
    doutput = tap.grad("output", doutput)
    dinner, dw, db = linear_backward(doutput, out)
    gradients.add("w_out", dw)
    gradients.add("b_out", db)
    if gate is None:
        dactive = tap.grad("activation", dinner)
        dhidden = activation_backward(kind, dactive, hidden)
        dx = None
    else:
        gate_map, opening, active = gate
        dinner = tap.grad("gated", dinner)
        dhidden = dinner * active
        dactive = tap.grad("activation", dinner * hidden)
        dopening = tap.grad("gate", activation_backward(kind, dactive, opening))
        dx, dw, db = linear_backward(dopening, gate_map)
        gradients.add("w_gate", dw)
        gradients.add("b_gate", db)
    dhidden = tap.grad("hidden", dhidden)
    dx_in, dw, db = linear_backward(dhidden, into)
    gradients.add("w_in", dw)
    gradients.add("b_in", db)
    return dx_in if dx is None else dx_in + dx
