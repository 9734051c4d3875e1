"""What a masked-language-model has between its last stack and the logits (Devlin et al., 2018)."""

from __future__ import annotations

from typing import NamedTuple

from .config import Config
from .ops.activation import activation_backward, activation_forward
from .ops.linear import LinearContext, linear_backward, linear_forward
from .ops.norm import NormContext
from .place import Place, Shapes
from .shapes import Array
from .small_repr import small_repr


@small_repr()
class LayerContext(NamedTuple):
    kind: str
    into: LinearContext
    hidden: Array
    norm: NormContext


def layer_parameters(config: Config) -> Shapes:
    """Names and shapes of its parameters."""
    yield "head.w", (config.width, config.width)
    if config.has_bias("head.b"):
        yield "head.b", (config.width,)
    yield "head.norm.gain", (config.width,)
    if config.norm == "layer" and config.has_bias("norm.bias"):
        yield "head.norm.bias", (config.width,)


def layer_forward(config: Config, at: Place, x: Array) -> tuple[Array, LayerContext]:
    """y = norm(act(x·W + b))    [B, T, d] -> [B, T, d]"""
    kind = config.head_activation or config.activation
    hidden, into = linear_forward(x, at["w"], at.parameters.get("head.b"))
    hidden = at("hidden", hidden)
    y, norm = at.norm(at("activation", activation_forward(kind, hidden)), config)
    return at("norm", y), LayerContext(kind, into, hidden, norm)


def layer_backward(dy: Array, context: LayerContext, at: Place) -> Array:
    """y = norm(act(x·W + b))    =>    dx"""
    kind, into, hidden, norm = context
    dactive = at.grad("activation", at.norm_backward(at.grad("norm", dy), norm))
    dhidden = at.grad("hidden", activation_backward(kind, dactive, hidden))
    dx, dw, db = linear_backward(dhidden, into)
    at.add("w", dw)
    if db is not None:
        at.add("b", db)
    return dx
