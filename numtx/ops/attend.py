"""How queries look at keys and take from values: products, scale, mask, softmax, weighing.

H query heads share G key/value heads; head h belongs to group h // (H / G). The query heads
of a group are stacked along its rows, so that nothing is repeated.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..masks import Mask, live_keys
from ..shapes import Array, row_dots
from ..small_repr import small_repr
from ..tap import Tap
from .cap import cap_backward, cap_forward
from .sinks import sink_softmax_forward, sinks_backward
from .softmax import exponentials, softmax_backward, softmax_forward

# Up to so many scores the weights are kept for the backward pass; beyond, they are made anew.
KEPT = 1 << 22
BLOCK = 128  # rows of queries worked through at a time, so that their scores stay in the cache


@small_repr()
class AttendContext(NamedTuple):
    queries: Array
    keys: Array
    values: Array
    mask: Array
    live: Array | None
    scale: float
    bias: Array | None
    cap: float | None
    sinks: Array | None
    softmax: Array | None  # the softmax as computed, where the steps were taken one by one
    weights: Array | None  # the same after the tap; None where there were too many to keep
    slope: Array | None  # of the cap, beside the weights
    share: Array | None  # of the sinks, beside the weights


class AttendGradients(NamedTuple):
    """Of what `attend_forward` takes."""

    queries: Array
    keys: Array
    values: Array
    sinks: Array | None  # where there are any
    bias: Array | None  # where it was asked for


def attend_forward(
    queries: Array,
    keys: Array,
    values: Array,
    mask: Mask,
    scale: float,
    tap: Tap,
    *,
    bias: Array | None = None,
    cap: float | None = None,
    sinks: Array | None = None,
    name: str = "context",
) -> tuple[Array, AttendContext]:
    """context = softmax(cap(queries·keys^T * scale) + bias, masked)·values    -> [B, H, T, c]

    With a tap that is on, every step is a stage (the last under `name`); with none,
    `attend_at_once` takes them in one.
    """
    if not tap.active:
        values = zero_unattended(values, mask.live)
        seen = mask.allowed[:, :1]
        context, made = attend_at_once(
            queries, keys, values, seen, scale, full=mask.full, bias=bias, cap=cap, sinks=sinks
        )
        return context, AttendContext(
            queries, keys, values, seen, mask.live, scale, bias, cap, sinks, None, *made
        )
    products = tap("products", products_forward(queries, keys))
    scores = tap("scores", products * scale)
    slope = share = None
    if cap is not None:
        scores, slope = cap_forward(scores, cap)
        scores = tap("capped_scores", scores)
    if bias is not None:
        bias = tap("bias", bias)
        scores = tap("biased_scores", scores + bias)
    seen = tap("mask", np.broadcast_to(mask.allowed, scores.shape))
    masked_scores = tap("masked_scores", mask_forward(scores, seen))
    if sinks is None:
        softmax = softmax_forward(masked_scores)
    else:
        softmax, share = sink_softmax_forward(masked_scores, sinks)
    weights = tap("weights", softmax)
    live = None if mask.live is None else live_keys(seen)  # a pin may have changed the mask
    values = zero_unattended(values, live)
    context = tap(name, weigh_forward(weights, values))
    return context, AttendContext(
        queries, keys, values, seen, live, scale, bias, cap, sinks, softmax, weights, slope, share
    )


def attend_backward(
    dcontext: Array, context: AttendContext, tap: Tap, of_bias: bool = False
) -> AttendGradients:
    """context = softmax(cap(queries·keys^T * scale) + bias, masked)·values
    =>    dqueries, dkeys, dvalues, dsinks where there are sinks, and dbias if it is asked for"""
    c = context
    keys = zero_unattended(c.keys, c.live)
    dcontext = tap.grad("context", dcontext)
    if c.softmax is None:
        weights, slope, share = c.weights, c.slope, c.share
        if weights is None:
            weights, slope, share = attention_weights(
                c.queries, c.keys, c.mask, c.scale, bias=c.bias, cap=c.cap, sinks=c.sinks
            )
        dscores, dvalues = weigh_backward(dcontext, weights, c.values)
        dsinks = None if share is None else sinks_backward(dscores, weights, share)
        dscores -= row_dots(dscores, weights)
        dscores *= weights  # 0 where masked
        dbias = dscores.copy() if of_bias else None
        if slope is not None:
            dscores *= slope
        dscores *= c.scale
        dpair = products_backward(dscores, c.queries, keys)
        return AttendGradients(*dpair, dvalues, dsinks, dbias)
    assert c.weights is not None
    dweights, dvalues = weigh_backward(dcontext, c.weights, c.values)
    dweights = tap.grad("weights", dweights)
    dsinks = None if c.share is None else sinks_backward(dweights, c.softmax, c.share)
    dmasked = tap.grad("masked_scores", softmax_backward(dweights, c.softmax))
    dscores = mask_backward(dmasked, c.mask)
    dbias = None
    if c.bias is not None:
        dscores = tap.grad("biased_scores", dscores)
        dbias = tap.grad("bias", dscores)
    if c.slope is not None:
        dscores = cap_backward(tap.grad("capped_scores", dscores), c.slope)
    dscores = tap.grad("scores", dscores)
    dproducts = tap.grad("products", dscores * c.scale)
    dpair = products_backward(dproducts, c.queries, keys)
    return AttendGradients(*dpair, dvalues, dsinks, dbias)


def attend_at_once(
    queries: Array,
    keys: Array,
    values: Array,
    mask: Array,
    scale: float,
    *,
    full: bool = False,
    bias: Array | None = None,
    cap: float | None = None,
    sinks: Array | None = None,
) -> tuple[Array, tuple[Array | None, Array | None, Array | None]]:
    """context, and if they are few the weights, the slope of the cap and the share of the sinks

    mask  [B, 1, T, S], the same for every head
    full  it is True everywhere

    Small scores are worked on in place. Many are worked on by head and by block of queries,
    without the keys before the first and after the last that some query of the block may see.
    """
    batch, heads, length, _ = queries.shape
    if batch * heads * length * keys.shape[2] <= KEPT:
        seen = None if full else mask
        made = attention_weights(queries, keys, seen, scale, bias=bias, cap=cap, sinks=sinks)
        return weigh_forward(made[0], values), made
    context = np.zeros((batch, heads, length, values.shape[3]), queries.dtype)
    group = heads // keys.shape[1]
    for b in range(batch):
        for start in range(0, length, BLOCK):
            rows = slice(start, start + BLOCK)
            seen = np.flatnonzero(np.logical_or.reduce(mask[b, 0, rows], 0))
            if not seen.size:
                continue
            span = slice(seen[0], seen[-1] + 1)
            hidden = ~mask[b, 0, rows, span]
            partly = np.flatnonzero(np.logical_or.reduce(hidden, 0))
            edge = slice(partly[0], partly[-1] + 1) if partly.size else slice(0)
            hidden = hidden[:, edge]
            for h in range(heads):
                scores = queries[b, h, rows] @ keys[b, h // group, span].T
                scores *= scale
                if cap is not None:
                    scores, _ = cap_forward(scores, cap)
                if bias is not None:
                    scores += bias[b, h, rows, span]
                np.copyto(scores[:, edge], -np.inf, where=hidden)
                total, _ = exponentials(scores, scores, None if sinks is None else sinks[h])
                np.divide(scores @ values[b, h // group, span], total, out=context[b, h, rows])
    return context, (None, None, None)


def attention_weights(
    queries: Array,
    keys: Array,
    mask: Array | None,
    scale: float,
    *,
    bias: Array | None = None,
    cap: float | None = None,
    sinks: Array | None = None,
) -> tuple[Array, Array | None, Array | None]:
    """softmax(cap(queries·keys^T * scale) + bias, masked)    -> [B, H, T, S], in one array; and
    the slope of the cap and the share of the sinks, where there are some (mask None: all seen)"""
    weights, slope = products_forward(queries, keys), None
    weights *= scale
    if cap is not None:
        weights, slope = cap_forward(weights, cap)
    if bias is not None:
        weights += bias
    if mask is not None:
        np.copyto(weights, -np.inf, where=~mask)
    if sinks is not None:
        return weights, slope, sink_softmax_forward(weights, sinks, weights)[1]
    weights /= exponentials(weights, weights)[0]
    return weights, slope, None


def _stack_groups(x: Array, groups: int) -> Array:
    """[B, H, T, *] -> [B, G, (H/G)*T, *]"""
    batch, heads, length, width = x.shape
    if heads == groups:
        return x
    return x.reshape(batch, groups, heads // groups * length, width)


def _unstack_groups(x: Array, heads: int) -> Array:
    """[B, G, (H/G)*T, *] -> [B, H, T, *]"""
    batch, groups, length, width = x.shape
    if heads == groups:
        return x
    return x.reshape(batch, heads, length * groups // heads, width)


def products_forward(queries: Array, keys: Array) -> Array:
    """products = queries·keys^T    [B, H, T, k]·[B, G, S, k]^T -> [B, H, T, S]"""
    products = _stack_groups(queries, keys.shape[1]) @ keys.swapaxes(-1, -2)
    return _unstack_groups(products, queries.shape[1])


def products_backward(dproducts: Array, queries: Array, keys: Array) -> tuple[Array, Array]:
    """products = queries·keys^T
    =>    dqueries = dproducts·keys    dkeys = dproducts^T·queries"""
    groups = keys.shape[1]
    drows = _stack_groups(dproducts, groups)
    dqueries = _unstack_groups(drows @ keys, queries.shape[1])
    dkeys = drows.swapaxes(-1, -2) @ _stack_groups(queries, groups)
    return dqueries, dkeys


def mask_forward(scores: Array, mask: Array) -> Array:
    """masked = scores where the mask is True, else -inf

    The true -inf, not a large number: exp of it is exactly 0, and never a denormal.
    """
    return np.where(mask, scores, -np.inf)


def mask_backward(dmasked: Array, mask: Array) -> Array:
    """masked = scores where True, else -inf    =>    dscores = dmasked where True, else 0"""
    return np.where(mask, dmasked, 0.0)


def weigh_forward(weights: Array, values: Array) -> Array:
    """context = weights·values    [B, H, T, S]·[B, G, S, c] -> [B, H, T, c]"""
    context = _stack_groups(weights, values.shape[1]) @ values
    return _unstack_groups(context, weights.shape[1])


def weigh_backward(dcontext: Array, weights: Array, values: Array) -> tuple[Array, Array]:
    """context = weights·values
    =>    dweights = dcontext·values^T    dvalues = weights^T·dcontext"""
    groups = values.shape[1]
    drows = _stack_groups(dcontext, groups)
    dweights = _unstack_groups(drows @ values.swapaxes(-1, -2), weights.shape[1])
    dvalues = _stack_groups(weights, groups).swapaxes(-1, -2) @ drows
    return dweights, dvalues


def zero_unattended(x: Array, live: Array | None) -> Array:
    """Keys, values [B, G, S, *] or what they are made from [B, S, d], with NaN and inf set to
    0 where no query may attend to them.

    Their weights are 0, but 0 * NaN is NaN: this keeps it out of the sums. `live` is [B, S],
    or None where every key is attended to by some query.
    """
    if live is None:
        return x
    rows = live[:, None, :, None] if x.ndim == 4 else live[:, :, None]
    return np.where(rows | np.isfinite(x), x, x.dtype.type(0))
