"""Attention with nothing recorded, by blocks of queries that stay in the cache.

Of a row of weights only the largest score and the sum of exponentials are kept; the backward
pass makes the weights of a block once more. So memory grows with T, not with T * S (Dao et al.,
2022; Rabe and Staats, 2021).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ..shapes import Array, constant_row, row_dots
from ..small_repr import small_repr
from .attend_inputs import AttendGradients, AttendInputs
from .cap import cap_forward

# From so many scores a head on (T * S), or of all heads, blocks are faster than one piece.
OF_A_HEAD, OF_ALL = 1 << 16, 1 << 22
ROWS = 64  # queries of a block, those of all heads of a group together
PIECE = 1 << 17  # scores of a block, where it holds several groups


@small_repr()
class BlocksContext(NamedTuple):
    context: Array
    largest: Array  # [B, H, T, 1], of the scores of a row, with its sink
    total: Array  # [B, H, T, 1], sum of exp(score - largest), with the sink's
    share: Array | None  # of the sinks


class Block(NamedTuple):
    """Some queries of some groups of heads, and the keys between the first and the last that
    one of these queries may attend to."""

    row: int  # of the batch
    groups: slice
    heads: slice  # those of the groups
    queries: slice
    keys: slice
    edge: slice  # of these keys, those between the first and the last hidden from some query
    hidden: Array  # [t, edge]

    def of_queries(self, x: Array) -> Array:
        """[B, H, T, *] -> [g, r * t, *], the r heads of a group one beneath the other"""
        part = x[self.row, self.heads, self.queries]
        groups = self.groups.stop - self.groups.start
        return part.reshape(groups, -1, part.shape[2])

    def of_keys(self, x: Array) -> Array:
        """[B, G, S, *] -> [g, s, *], a view"""
        return x[self.row, self.groups, self.keys]

    def by_heads(self, scores: Array) -> Array:
        """[g, r * t, s] -> [g * r, t, s], a view"""
        return scores.reshape(-1, len(self.hidden), scores.shape[2])


def _blocks(queries: Array, keys: Array, mask: Array) -> Iterator[Block]:
    """All blocks with a key to attend to; mask [B, 1, T, S], the same for every head"""
    (batch, heads, length, _), groups = queries.shape, keys.shape[1]
    repeat = heads // groups
    for row in range(batch):
        for start in range(0, length, step := max(1, ROWS // repeat)):
            rows = slice(start, min(start + step, length))
            seen = np.flatnonzero(np.logical_or.reduce(mask[row, 0, rows], 0))
            if not seen.size:
                continue
            span = slice(seen[0], seen[-1] + 1)
            hidden = ~mask[row, 0, rows, span]
            partly = np.flatnonzero(np.logical_or.reduce(hidden, 0))
            edge = slice(partly[0], partly[-1] + 1) if partly.size else slice(0)
            several = max(1, PIECE // (repeat * hidden.size))
            hidden = hidden[:, edge]
            for first in range(0, groups, several):
                some = slice(first, min(first + several, groups))
                every = slice(some.start * repeat, some.stop * repeat)
                yield Block(row, some, every, rows, span, edge, hidden)


def _block_scores(block: Block, queries: Array, inputs: AttendInputs) -> tuple[Array, Array | None]:
    """cap(queries·keys^T) + bias, masked    -> [g, r * t, s], and the slope of the cap

    queries  those of the block, times the scale
    """
    scores, slope = queries @ block.of_keys(inputs.keys).swapaxes(-1, -2), None
    if inputs.cap is not None:
        scores, slope = cap_forward(scores, inputs.cap)
    by_heads = block.by_heads(scores)
    if inputs.bias is not None:
        by_heads += inputs.bias[block.row, block.heads, block.queries, block.keys]
    np.copyto(by_heads[..., block.edge], -np.inf, where=block.hidden)
    return scores, slope


def blocks_forward(inputs: AttendInputs) -> tuple[Array, BlocksContext]:
    """context = softmax(cap(queries·keys^T * scale) + bias, masked)·values    -> [B, H, T, c]"""
    queries, keys, values, mask, scale, _, _, sinks, _ = inputs
    context = np.zeros((*queries.shape[:3], values.shape[3]), queries.dtype)
    largest = np.zeros((*queries.shape[:3], 1), queries.dtype)
    total = np.ones_like(largest)
    share = None if sinks is None else np.zeros_like(largest)
    lowest = np.finfo(queries.dtype).min
    for block in _blocks(queries, keys, mask):
        place = block.row, block.heads, block.queries
        scores, _ = _block_scores(block, block.of_queries(queries) * scale, inputs)
        by_heads = block.by_heads(scores)
        # A query with no key to attend to has the lowest number there is, so that its -inf
        # less that is -inf still, and a sum of 0; every other sum is 1 or more.
        most = np.maximum.reduce(by_heads, -1, keepdims=True, initial=lowest)
        if sinks is not None:
            most = np.maximum(most, sinks[block.heads, None, None])
        by_heads -= most
        np.exp(scores, out=scores)
        sums = row_dots(by_heads, constant_row(scores.shape[-1], 1.0, scores.dtype))
        if sinks is not None and share is not None:
            sunk = np.exp(sinks[block.heads, None, None] - most)
            sums += sunk
        np.maximum(sums, 1.0, out=sums)
        if share is not None:
            share[place] = sunk / sums
        weighed = block.by_heads(scores @ block.of_keys(values))
        np.divide(weighed, sums, out=context[place])
        largest[place], total[place] = most, sums
    return context, BlocksContext(context, largest, total, share)


def blocks_backward(
    dcontext: Array, inputs: AttendInputs, saved: BlocksContext, of_bias: bool
) -> AttendGradients:
    """context = softmax(cap(queries·keys^T * scale) + bias, masked)·values
    =>    dqueries, dkeys, dvalues, dsinks where there are sinks, and dbias if it is asked for

    The sum of dweights * weights over a row's keys is that of dcontext * context.
    """
    queries, keys, values, mask, scale, bias, *_ = inputs
    context, largest, total, share = saved
    sums = row_dots(dcontext, context)
    dsinks = None if share is None else -np.add.reduce(share * sums, (0, 2, 3))
    dcontext, sums = dcontext / total, sums / total  # for weights that are not divided by it
    dqueries = np.zeros(queries.shape, queries.dtype)
    dkeys, dvalues = np.zeros(keys.shape, keys.dtype), np.zeros(values.shape, values.dtype)
    dbias = np.zeros_like(bias) if of_bias and bias is not None else None
    for block in _blocks(queries, keys, mask):
        place = block.row, block.heads, block.queries
        asking, drows = block.of_queries(queries) * scale, block.of_queries(dcontext)
        weights, slope = _block_scores(block, asking, inputs)
        weights -= block.of_queries(largest)
        np.exp(weights, out=weights)
        block.of_keys(dvalues)[...] += weights.swapaxes(-1, -2) @ drows
        dscores = drows @ block.of_keys(values).swapaxes(-1, -2)
        dscores -= block.of_queries(sums)
        dscores *= weights  # 0 where masked
        if dbias is not None:
            dbias[*place, block.keys] = block.by_heads(dscores)
        if slope is not None:
            dscores *= slope
        block.of_keys(dkeys)[...] += dscores.swapaxes(-1, -2) @ asking
        drows = dscores @ block.of_keys(keys)
        np.multiply(block.by_heads(drows), scale, out=dqueries[place])
    return AttendGradients(dqueries, dkeys, dvalues, dsinks, dbias)
