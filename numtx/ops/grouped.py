"""Products of heads that share keys and values in groups.

H query heads share G key/value heads; head h belongs to group h // (H / G). The query heads
of a group are stacked along its rows, so that nothing is repeated.
"""

from __future__ import annotations

from ..shapes import Array


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
