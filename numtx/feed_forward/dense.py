"""The dense kind: two linear maps and an activation between them."""

from __future__ import annotations

import math
from typing import NamedTuple, TypeAlias

from ..config import Config
from ..ops.activation import activation_backward, activation_forward
from ..ops.clamp import clamp_backward, clamp_forward
from ..ops.linear import LinearContext
from ..place import Place, Shapes, projection
from ..shapes import Array
from ..small_repr import small_repr
from .kind import FeedForwardKind


def dense_parameters(config: Config, hidden: int) -> Shapes:
    """W_in, W_gate where it is gated, W_out"""
    yield from projection(config, "in", config.width, hidden)
    if config.gated:
        yield from projection(config, "gate", config.width, hidden)
    yield from projection(config, "out", hidden, config.width)


def dense_cost(config: Config, hidden: int) -> int:
    """The products of one token with these matrices."""
    return sum(math.prod(shape) for _, shape in dense_parameters(config, hidden) if len(shape) > 1)


def _parameters(config: Config) -> Shapes:
    return dense_parameters(config, config.hidden)


def _token_cost(config: Config) -> int:
    return dense_cost(config, config.hidden)


# Of a gate: its map, its value, that within the limit, act(that), what it multiplies (hidden within
# its limits, and shifted), the limit.
GateContext: TypeAlias = "tuple[LinearContext, Array, Array, Array, Array, float | None]"


@small_repr()
class DenseContext(NamedTuple):
    kind: str
    into: LinearContext
    hidden: Array
    gate: GateContext | None
    out: LinearContext


def _forward(config: Config, at: Place, x: Array) -> tuple[Array, DenseContext]:
    """output = act(x·w_in + b_in)·w_out + b_out    [B, T, d] -> [B, T, f] -> [B, T, d]

    Gated (Shazeer, 2020): output = (act(x·w_gate + b_gate) * (x·w_in + b_in))·w_out + b_out;
    with a limit and a shift (OpenAI, 2025): (act(min(g, l)) * (clip(u, -l, l) + shift))·w_out
    """
    kind = config.activation
    hidden, into = at.linear(x, "in")
    hidden = at("hidden", hidden)
    gate = None
    if config.gated:
        opening, gate_map = at.linear(x, "gate")
        opening = first = at("gate", opening)
        passing, limit, shift = hidden, config.gate_limit, config.gate_shift
        if limit is not None:
            opening = at("clamped_gate", clamp_forward(first, None, limit))
        if limit is not None or shift:
            low = None if limit is None else -limit
            passing = at("clamped_hidden", clamp_forward(hidden, low, limit, shift))
        active = at("activation", activation_forward(kind, opening))
        inner = at("gated", active * passing)
        gate = (gate_map, first, opening, active, passing, limit)
    else:
        inner = at("activation", activation_forward(kind, hidden))
    output, out = at.linear(inner, "out")
    return at("output", output), DenseContext(kind, into, hidden, gate, out)


def _backward(doutput: Array, context: DenseContext, at: Place) -> Array:
    """output = inner·w_out + b_out, inner = act(x·w_in + b_in) or its gated form    =>    dx"""
    kind, into, hidden, gate, out = context
    dinner = at.linear_backward(at.grad("output", doutput), out, "out")
    if gate is None:
        dactive = at.grad("activation", dinner)
        dhidden = activation_backward(kind, dactive, hidden)
        dx = None
    else:
        gate_map, first, opening, active, passing, limit = gate
        dinner = at.grad("gated", dinner)
        dhidden = dinner * active
        dactive = at.grad("activation", dinner * passing)
        dopening = activation_backward(kind, dactive, opening)
        if passing is not hidden:
            dhidden = at.grad("clamped_hidden", dhidden)
        if limit is not None:
            dopening = clamp_backward(at.grad("clamped_gate", dopening), first, None, limit)
            dhidden = clamp_backward(dhidden, hidden, -limit, limit)
        dx = at.linear_backward(at.grad("gate", dopening), gate_map, "gate")
    dx_in = at.linear_backward(at.grad("hidden", dhidden), into, "in")
    return dx_in if dx is None else dx_in + dx


DENSE = FeedForwardKind(_parameters, _forward, _backward, _token_cost)
