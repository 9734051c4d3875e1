"""The pooler: one vector for a whole row (Devlin et al., 2018)."""

from __future__ import annotations

from typing import NamedTuple

from .config import Config
from .ops.cap import cap_backward, cap_forward
from .ops.linear import LinearContext, linear_backward, linear_forward
from .ops.pool import first_backward, first_forward
from .place import Place, Shapes
from .shapes import Array
from .small_repr import small_repr


@small_repr()
class PoolerContext(NamedTuple):
    places: Array
    length: int
    into: LinearContext
    slope: Array


def pooler_parameters(config: Config) -> Shapes:
    """Names and shapes of its parameters."""
    yield "pooler.w", (config.width, config.width)
    if config.has_bias("pooler.b"):
        yield "pooler.b", (config.width,)


def pooler_forward(at: Place, x: Array, valid: Array) -> tuple[Array, PoolerContext]:
    """y = tanh(x[first]·W + b)    [B, T, d] -> [B, d]"""
    first, places = first_forward(x, valid)
    hidden, into = linear_forward(at("first", first), at["w"], at.parameters.get("pooler.b"))
    y, slope = cap_forward(at("hidden", hidden), 1.0)
    return at("output", y)[:, 0], PoolerContext(places, x.shape[1], into, slope)


def pooler_backward(dy: Array, context: PoolerContext, at: Place) -> Array:
    """y = tanh(x[first]·W + b)    =>    dx"""
    places, length, into, slope = context
    dhidden = at.grad("hidden", cap_backward(at.grad("output", dy[:, None]), slope))
    dfirst, dw, db = linear_backward(dhidden, into)
    at.add("w", dw)
    if db is not None:
        at.add("b", db)
    return first_backward(at.grad("first", dfirst), places, length)
