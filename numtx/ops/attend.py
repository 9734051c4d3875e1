"""Products of queries and keys, the mask, and values weighed: with heads in groups.

H query heads share G key/value heads; head h belongs to group h // (H / G). The query heads
of a group are stacked along its rows, so that nothing is repeated.
"""

from __future__ import annotations

import numpy as np

from ..shapes import Array


def _stack_groups(x: Array, groups: int) -> Array:
    """[B, H, T, *] -> [B, G, (H/G)*T, *]"""
    batch, heads, length, width = x.shape
    if heads == groups:
        return x
    return x.reshape(batch, groups, heads // groups * length, width)


def products_forward(queries: Array, keys: Array) -> Array:
    """products = queries·keys^T    [B, H, T, k]·[B, G, S, k]^T -> [B, H, T, S]"""
    batch, heads, length, _ = queries.shape
    products: Array = _stack_groups(queries, keys.shape[1]) @ keys.swapaxes(-1, -2)
    return products.reshape(batch, heads, length, keys.shape[2])


def products_backward(dproducts: Array, queries: Array, keys: Array) -> tuple[Array, Array]:
    """products = queries·keys^T
    =>    dqueries = dproducts·keys    dkeys = dproducts^T·queries"""
    groups = keys.shape[1]
    drows = _stack_groups(dproducts, groups)
    dqueries = (drows @ keys).reshape(queries.shape)
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
    batch, heads, length, _ = weights.shape
    context: Array = _stack_groups(weights, values.shape[1]) @ values
    return context.reshape(batch, heads, length, values.shape[3])


def weigh_backward(dcontext: Array, weights: Array, values: Array) -> tuple[Array, Array]:
    """context = weights·values
    =>    dweights = dcontext·values^T    dvalues = weights^T·dcontext"""
    groups = values.shape[1]
    drows = _stack_groups(dcontext, groups)
    dweights = (drows @ values.swapaxes(-1, -2)).reshape(weights.shape)
    dvalues = _stack_groups(weights, groups).swapaxes(-1, -2) @ drows
    return dweights, dvalues


def without_junk(x: Array, live: Array | None) -> Array:
    """Keys or values with NaN and inf set to 0 where no query may attend to them.

    Their weights are 0, but 0 * NaN is NaN: this keeps it out of the sums. `live` is [B, S],
    or None where every key is attended to by some query.
    """
    if live is None:
        return x
    return np.where(live[:, None, :, None] | np.isfinite(x), x, 0.0)
