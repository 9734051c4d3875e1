"""How queries look at keys and take from values: products, scale, mask, softmax, weighing.

Step by step, where the steps are recorded; with nothing recorded they are taken in one piece
(`attend_at_once`), and where there are many scores in blocks (`attend_blocks`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..masks import Mask, live_keys
from ..shapes import Array
from ..small_repr import small_repr
from ..tap import Tap
from . import attend_blocks
from .attend_at_once import AtOnceContext, at_once_backward, at_once_forward
from .attend_blocks import BlocksContext, blocks_backward, blocks_forward
from .attend_inputs import AttendGradients, AttendInputs
from .cap import cap_backward, cap_forward
from .grouped import products_backward, products_forward, weigh_backward, weigh_forward
from .sinks import sink_softmax_forward, sinks_backward
from .softmax import softmax_backward, softmax_forward


@small_repr()
class StepsContext(NamedTuple):
    softmax: Array  # as computed
    weights: Array  # the same after the tap
    slope: Array | None  # of the cap
    share: Array | None  # of the sinks


@small_repr()
class AttendContext(NamedTuple):
    inputs: AttendInputs
    live: Array | None  # [B, S], the keys that some query may attend to; None: all
    at_once: AtOnceContext | None = None  # one of these three
    blocks: BlocksContext | None = None
    steps: StepsContext | None = None


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

    With a tap that is on, every step is a stage, the last under `name`.
    """
    if not tap.active:
        if mask.live is not None:
            values = zero_unattended(values, mask.live)
        inputs = AttendInputs(
            queries, keys, values, mask.allowed[:, :1], scale, bias, cap, sinks, mask.full
        )
        batch, heads, length, _ = queries.shape
        scores = length * keys.shape[2]
        if scores >= attend_blocks.OF_A_HEAD or batch * heads * scores > attend_blocks.OF_ALL:
            context, blocks = blocks_forward(inputs)
            return context, AttendContext(inputs, mask.live, blocks=blocks)
        context, at_once = at_once_forward(inputs)
        return context, AttendContext(inputs, mask.live, at_once)
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
    inputs = AttendInputs(queries, keys, values, seen, scale, bias, cap, sinks)
    steps = StepsContext(softmax, weights, slope, share)
    return context, AttendContext(inputs, live, steps=steps)


def attend_backward(
    dcontext: Array, context: AttendContext, tap: Tap, of_bias: bool = False
) -> AttendGradients:
    """context = softmax(cap(queries·keys^T * scale) + bias, masked)·values
    =>    dqueries, dkeys, dvalues, dsinks where there are sinks, and dbias if it is asked for"""
    c, live, at_once, blocks, saved = context
    dcontext = tap.grad("context", dcontext)
    if live is not None:
        c = c._replace(keys=zero_unattended(c.keys, live))
    if at_once is not None:
        return at_once_backward(dcontext, c, at_once, of_bias)
    if blocks is not None:
        return blocks_backward(dcontext, c, blocks, of_bias)
    assert saved is not None
    dweights, dvalues = weigh_backward(dcontext, saved.weights, c.values)
    dweights = tap.grad("weights", dweights)
    dsinks = None if saved.share is None else sinks_backward(dweights, saved.softmax, saved.share)
    dmasked = tap.grad("masked_scores", softmax_backward(dweights, saved.softmax))
    dscores = mask_backward(dmasked, c.mask)
    dbias = None
    if c.bias is not None:
        dscores = tap.grad("biased_scores", dscores)
        dbias = tap.grad("bias", dscores)
    if saved.slope is not None:
        dscores = cap_backward(tap.grad("capped_scores", dscores), saved.slope)
    dscores = tap.grad("scores", dscores)
    dproducts = tap.grad("products", dscores * c.scale)
    dpair = products_backward(dproducts, c.queries, c.keys)
    return AttendGradients(*dpair, dvalues, dsinks, dbias)


def mask_forward(scores: Array, mask: Array) -> Array:
    """masked = scores where the mask is True, else -inf

    The true -inf, not a large number: exp of it is exactly 0, and never a denormal.
    """
    return np.where(mask, scores, -np.inf)


def mask_backward(dmasked: Array, mask: Array) -> Array:
    """masked = scores where True, else -inf    =>    dscores = dmasked where True, else 0"""
    return np.where(mask, dmasked, 0.0)


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
