"""The wiring of a block: where the residual connection and the norm stand around a sublayer.

    post-norm   y = norm(x + f(x))      (Vaswani et al., 2017)
    pre-norm    y = x + f(norm(x))      (Xiong et al., 2020)

Either may be absent where the configuration says so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from .attention import AttentionContext, Store, attention_backward, attention_forward
from .config import Config
from .feed_forward import FeedForwardContext, feed_forward_backward, feed_forward_forward
from .latent_attention import (
    LatentContext,
    latent_attention_backward,
    latent_attention_forward,
)
from .masks import Mask
from .ops.norm import NormContext, norm_backward, norm_forward
from .ops.positions import Rotation
from .parameters import Gradients, Scope
from .shapes import Array
from .small_repr import small_repr
from .tap import Tap


@small_repr()
class Wiring(NamedTuple):
    """What stood around a sublayer in the forward pass."""

    norm_before: NormContext | None
    residual: bool
    norm_after: NormContext | None


@small_repr()
class BlockContext(NamedTuple):
    self_attention: tuple[Wiring, AttentionContext | LatentContext]
    cross_attention: tuple[Wiring, AttentionContext] | None
    feed_forward: tuple[Wiring, FeedForwardContext]


@small_repr()
class Memory(NamedTuple):
    """The encoder's output as cross-attention sees it."""

    output: Array | None  # None where the cache has its keys and values already
    mask: Mask


@small_repr()
class Stores(NamedTuple):
    """A block's places in a cache; None where there is no cache."""

    self_attention: Store | None = None
    cross_attention: Store | None = None


def block_forward(
    config: Config,
    side: str,
    p: Scope,
    x: Array,
    mask: Mask,
    rotation: Rotation | None,
    memory: Memory | None,
    stores: Stores,
    tap: Tap,
) -> tuple[Array, BlockContext]:
    """Self-attention, cross-attention where there is a memory, feed-forward; [B, T, d] kept."""
    here, q = tap.at("self_attention"), p.at("self_attention")
    store = stores.self_attention

    def inner(h: Array) -> tuple[Array, AttentionContext | LatentContext | None]:
        if config.key_value_latent is not None:
            return latent_attention_forward(config, q, h, mask, rotation, store, here)
        return attention_forward(config, q, h, h, mask, rotation, store, here)

    x, self_context = sublayer_forward(config, f"{side}.self_attention", q, x, inner, here)
    cross_context = None
    if memory is not None:
        there, r = tap.at("cross_attention"), p.at("cross_attention")
        x, cross_context = sublayer_forward(
            config, f"{side}.cross_attention", r, x,
            lambda h: attention_forward(
                config, r, h, memory.output, memory.mask, None, stores.cross_attention, there
            ), there,
        )  # fmt: skip
    onward, s = tap.at("feed_forward"), p.at("feed_forward")
    x, feed_context = sublayer_forward(
        config, f"{side}.feed_forward", s, x,
        lambda h: feed_forward_forward(config, s, h, onward), onward,
    )  # fmt: skip
    return x, BlockContext(self_context, cross_context, feed_context)


def block_backward(
    dy: Array, context: BlockContext, gradients: Gradients, tap: Tap
) -> tuple[Array, Array | None]:
    """y = feed_forward(cross_attention(self_attention(x)))    =>    dx, dmemory"""
    onward, g = tap.at("feed_forward"), gradients.at("feed_forward")
    wiring, feed_context = context.feed_forward
    dx = sublayer_backward(
        dy, wiring, g, lambda d: feed_forward_backward(d, feed_context, g, onward), onward
    )
    dmemory = None
    if context.cross_attention is not None:
        there, h = tap.at("cross_attention"), gradients.at("cross_attention")
        wiring, cross_context = context.cross_attention

        def cross(d: Array) -> Array:
            nonlocal dmemory
            dquery, dmemory = attention_backward(d, cross_context, h, there)
            return dquery

        dx = sublayer_backward(dx, wiring, h, cross, there)
    here, k = tap.at("self_attention"), gradients.at("self_attention")
    wiring, self_context = context.self_attention

    def both(d: Array) -> Array:  # x asks and is looked at: its two paths are summed
        if isinstance(self_context, LatentContext):
            return latent_attention_backward(d, self_context, k, here)
        dquery, dkey = attention_backward(d, self_context, k, here)
        return dquery + dkey

    return sublayer_backward(dx, wiring, k, both, here), dmemory


def sublayer_forward(
    config: Config,
    name: str,
    p: Scope,
    x: Array,
    inner: Callable[[Array], tuple[Array, Any]],
    tap: Tap,
) -> tuple[Array, tuple[Wiring, Any]]:
    """y = norm(x + inner(x)), or x + inner(norm(x)), as far as the configuration has them."""
    normed = config.has_norm(name)
    before = after = None
    h = x
    if normed and config.norm_place == "pre":
        h, before = normalise(config, p.at("norm"), x)
        h = tap("norm", h)
    y, context = inner(h)
    residual = config.has_residual(name)
    if residual:
        y = tap("residual", x + y)
    if normed and config.norm_place == "post":
        y, after = normalise(config, p.at("norm"), y)
        y = tap("norm", y)
    return y, (Wiring(before, residual, after), context)


def sublayer_backward(
    dy: Array,
    wiring: Wiring,
    gradients: Gradients,
    inner: Callable[[Array], Array],
    tap: Tap,
) -> Array:
    """y = norm(x + inner(x)), or x + inner(norm(x))    =>    dx"""
    if wiring.norm_after is not None:
        dy = denormalise(tap.grad("norm", dy), wiring.norm_after, gradients.at("norm"))
    if wiring.residual:
        dy = tap.grad("residual", dy)
    dx = inner(dy)
    if wiring.norm_before is not None:
        dx = denormalise(tap.grad("norm", dx), wiring.norm_before, gradients.at("norm"))
    return dx + dy if wiring.residual else dx


def normalise(config: Config, p: Scope, x: Array) -> tuple[Array, NormContext]:
    """The norm that the configuration names, with the parameters of `p`."""
    return norm_forward(x, p["gain"], p.get("bias"), config.epsilon, config.norm == "layer")


def denormalise(dy: Array, context: NormContext, gradients: Gradients) -> Array:
    """y = norm(x)    =>    dx; its parameters' gradients are collected"""
    dx, dgain, dbias = norm_backward(dy, context)
    gradients.add("gain", dgain)
    gradients.add("bias", dbias)
    return dx
