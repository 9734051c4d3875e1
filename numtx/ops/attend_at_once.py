"""Attention with nothing recorded, in one piece: the steps of `attend`, taken in place."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from ..shapes import Array, row_dots
from .attend_inputs import AttendGradients, AttendInputs
from .cap import cap_forward
from .grouped import products_backward, products_forward, weigh_backward, weigh_forward
from .sinks import sink_softmax_forward, sinks_backward
from .softmax import exponentials

# The weights, the slope of the cap, and the share of the sinks; a tuple costs no call.
AtOnceContext: TypeAlias = tuple[Array, Array | None, Array | None]


def at_once_forward(inputs: AttendInputs) -> tuple[Array, AtOnceContext]:
    """context = softmax(cap(queries·keys^T * scale) + bias, masked)·values    -> [B, H, T, c]"""
    queries, keys, values, mask, scale, bias, cap, sinks, full = inputs
    weights, slope, share = products_forward(queries, keys), None, None
    weights *= scale
    if cap is not None:
        weights, slope = cap_forward(weights, cap)
    if bias is not None:
        weights += bias
    if not full:
        np.copyto(weights, -np.inf, where=~mask)
    if sinks is None:
        weights /= exponentials(weights, weights)[0]
    else:
        share = sink_softmax_forward(weights, sinks, weights)[1]
    return weigh_forward(weights, values), (weights, slope, share)


def at_once_backward(
    dcontext: Array, inputs: AttendInputs, context: AtOnceContext, of_bias: bool
) -> AttendGradients:
    """context = softmax(cap(queries·keys^T * scale) + bias, masked)·values
    =>    dqueries, dkeys, dvalues, dsinks where there are sinks, and dbias if it is asked for"""
    weights, slope, share = context
    dscores, dvalues = weigh_backward(dcontext, weights, inputs.values)
    dsinks = None if share is None else sinks_backward(dscores, weights, share)
    dscores -= row_dots(dscores, weights)
    dscores *= weights  # 0 where masked
    dbias = dscores.copy() if of_bias else None
    if slope is not None:
        dscores *= slope
    dscores *= inputs.scale
    dpair = products_backward(dscores, inputs.queries, inputs.keys)
    return AttendGradients(*dpair, dvalues, dsinks, dbias)
