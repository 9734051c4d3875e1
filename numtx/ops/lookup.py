"""Rows of a table by their number."""

from __future__ import annotations

import numpy as np

from ..shapes import Array


def lookup_forward(table: Array, ids: Array) -> Array:
    """y = table[ids]    [V, d], [B, T] -> [B, T, d]"""
    return table[ids]


def padding_beyond(x: Array, valid: Array, limit: float) -> Array | None:
    """Which cells of padding, [B, T, d], are beyond the limit; None where there are none."""
    beyond = ~valid[..., None] & ~(np.abs(x) <= limit)  # NaN is not <= anything
    return beyond if beyond.any() else None


def lookup_backward(dy: Array, ids: Array, table: Array) -> Array:
    """y = table[ids]    =>    dtable[v] = sum of dy over every place where ids is v

    `dtable[ids] += dy` would lose all but one of a repeated id. For a small table the sum is
    a product with the one-hot matrix, which is faster than adding one by one.
    """
    rows = dy.reshape(-1, table.shape[1])
    if table.shape[0] <= 64:
        one_hot = (np.arange(table.shape[0])[:, None] == ids.reshape(-1)).astype(dy.dtype)
        dtable: Array = one_hot @ rows
        return dtable
    dtable = np.zeros_like(table)
    np.add.at(dtable, ids.reshape(-1), rows)
    return dtable
