"""The wiring of a block: where the residual connection and the norm stand around a sublayer.

    post    y = norm(x + f(x))                 (Vaswani et al., 2017)
    pre     y = x + f(norm(x))                 (Xiong et al., 2020)
    both    y = x + norm_after(f(norm(x)))     (Ding et al., 2021)
    inner   y = x + norm(f(x))                 (Liu et al., 2022)

Either may be absent where the configuration says so. Self-attention and feed-forward may stand
side by side, on the same input:

    parallel one    y = x + A(N x) + M(N x)       (Wang and Komatsuzaki, 2021)
    parallel two    y = x + A(N1 x) + M(N2 x)     (Black et al., 2022)
"""

from __future__ import annotations

from typing import Any, NamedTuple

from .attention import KINDS, MULTI_HEAD, AttentionInputs
from .config import Config
from .feed_forward import FEED_FORWARDS
from .ops.norm import NormContext
from .place import Place
from .shapes import Array
from .small_repr import small_repr


@small_repr()
class Stack(NamedTuple):
    """What a stack gives one of its blocks."""

    side: str  # encoder or decoder
    self_attention: AttentionInputs
    cross_attention: AttentionInputs | None = None  # where there is a memory
    memory: Array | None = None  # the encoder's output; None where a cache has its keys already


@small_repr()
class After(NamedTuple):
    """What stood after a sublayer."""

    within: NormContext | None  # the residual
    residual: float | None  # the factor on what is added; None: there is no residual
    norm: NormContext | None


@small_repr()
class Sublayer(NamedTuple):
    """One sublayer of a forward pass: its own context, and what stood around it."""

    before: NormContext | None
    context: Any
    after: After


@small_repr()
class BlockContext(NamedTuple):
    config: Config
    self_attention: Sublayer
    cross_attention: Sublayer | None
    feed_forward: Sublayer


def block_forward(config: Config, at: Place, x: Array, stack: Stack) -> tuple[Array, BlockContext]:
    """Self-attention, cross-attention where there is a memory, feed-forward; [B, T, d] kept."""
    beside = x
    here, name = at / "self_attention", f"{stack.side}.self_attention"
    h, before = enter(config, name, here, x)
    if config.parallel == "one":
        beside = h
    attention = KINDS[config.attention]
    y, inner = attention.forward(config, here, h, h, stack.self_attention)
    x, after = leave(config, name, here, x, y)
    own = Sublayer(before, inner, after)
    cross = None
    if stack.cross_attention is not None:
        here, name = at / "cross_attention", f"{stack.side}.cross_attention"
        h, before = enter(config, name, here, x)
        y, inner = MULTI_HEAD.forward(config, here, h, stack.memory, stack.cross_attention)
        x, after = leave(config, name, here, x, y)
        cross = Sublayer(before, inner, after)
    here, name = at / "feed_forward", f"{stack.side}.feed_forward"
    h, before = enter(config, name, here, x if config.parallel is None else beside)
    y, inner = FEED_FORWARDS[config.feed_forward].forward(config, here, h)
    x, after = leave(config, name, here, x, y)
    return x, BlockContext(config, own, cross, Sublayer(before, inner, after))


def block_backward(dy: Array, context: BlockContext, at: Place) -> tuple[Array, Array | None]:
    """y = feed_forward(cross_attention(self_attention(x)))    =>    dx, dmemory"""
    config, own, cross, feed = context
    here = at / "feed_forward"
    dy, dskip = leave_backward(dy, feed, here)
    dh = FEED_FORWARDS[config.feed_forward].backward(dy, feed.context, here)
    dx = enter_backward(dh, dskip if config.parallel is None else None, feed, here)
    dbeside = dmemory = None
    if config.parallel is not None and dskip is not None:  # it always is, side by side
        dx, dbeside = dskip, dx
    if cross is not None:
        here = at / "cross_attention"
        dy, dskip = leave_backward(dx, cross, here)
        dh, dmemory = MULTI_HEAD.backward(dy, cross.context, here)
        dx = enter_backward(dh, dskip, cross, here)
    here = at / "self_attention"
    dy, dskip = leave_backward(dx, own, here)
    dqueries, dkeys = KINDS[config.attention].backward(dy, own.context, here)
    dh = dqueries + dkeys  # x asks and is looked at: its two paths are summed
    if dbeside is not None and config.parallel == "one":
        dh = dh + dbeside
    elif dbeside is not None and dskip is not None:
        dskip = dskip + dbeside
    return enter_backward(dh, dskip, own, here), dmemory


def enter(config: Config, name: str, at: Place, x: Array) -> tuple[Array, NormContext | None]:
    """What a sublayer works on: norm(x) where the norm stands before it, else x"""
    if config.norm_place not in ("pre", "both") or not config.has_norm(name):
        return x, None
    h, norm = at.norm(x, config)
    return at("norm", h), norm


def enter_backward(dh: Array, dskip: Array | None, sublayer: Sublayer, at: Place) -> Array:
    """h = norm(x) or x, and x skips the sublayer where there is a residual    =>    dx"""
    if sublayer.before is not None:
        dh = at.norm_backward(at.grad("norm", dh), sublayer.before)
    return dh if dskip is None else dh + dskip


def leave(config: Config, name: str, at: Place, skip: Array, y: Array) -> tuple[Array, After]:
    """skip + factor * y, or y alone; normalised where a norm stands within the residual or after
    it"""
    within = norm = None
    place = config.norm_place
    if place in ("both", "inner") and config.has_norm(name):
        leaf = "norm" if place == "inner" else "norm_after"
        y, within = at.norm(y, config, leaf)
        y = at(leaf, y)
    residual = config.residual_scale if config.has_residual(name) else None
    if residual is not None:
        if residual != 1.0:
            y = at("scaled_output", y * residual)
        y = at("residual", skip + y)
    if place == "post" and config.has_norm(name):
        y, norm = at.norm(y, config)
        y = at("norm", y)
    return y, After(within, residual, norm)


def leave_backward(dy: Array, sublayer: Sublayer, at: Place) -> tuple[Array, Array | None]:
    """norm(skip + factor * within(y))    =>    dy, and dskip (None: no residual)"""
    within, residual, norm = sublayer.after
    if norm is not None:
        dy = at.norm_backward(at.grad("norm", dy), norm)
    dskip = None
    if residual is not None:
        dy = dskip = at.grad("residual", dy)
        if residual != 1.0:
            dy = at.grad("scaled_output", dy) * residual
    if within is not None:
        leaf = "norm" if sublayer.before is None else "norm_after"
        dy = at.norm_backward(at.grad(leaf, dy), within, leaf)
    return dy, dskip
