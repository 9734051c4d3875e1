"""Scores with a learned bias by the distance of a key, in buckets (Raffel et al., 2020)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..shapes import Array
from ..small_repr import small_repr
from .lookup import lookup_backward, lookup_forward


@small_repr()
class Relative(NamedTuple):
    """A bias by distance that is learned: what its backward pass needs."""

    buckets: Array  # [B, T, S]
    table: Array  # [n, H]
    name: str  # of the table among the parameters


def buckets(distance: Array, count: int, farthest: int, both: bool) -> Array:
    """The bucket of key position minus query position; whole numbers of any shape, kept.

    The first half of the buckets are one distance each, the others grow in proportion to it, up
    to `farthest`; beyond, the last serves. With `both` sides the upper half is of later keys;
    without, a later key counts as distance 0 (it is masked).
    """
    found = np.zeros(distance.shape, np.int64)
    if both:
        count //= 2
        found += np.where(distance > 0, count, 0)
        away = np.abs(distance)
    else:
        away = np.maximum(-distance, 0)
    exact = count // 2
    ratio = np.log(np.maximum(away, exact) / exact) / np.log(farthest / exact)
    grown = exact + (ratio * (count - exact)).astype(np.int64)
    found += np.where(away < exact, away, np.minimum(grown, count - 1))
    return found


def relative_bias_forward(table: Array, found: Array) -> Array:
    """bias = table[bucket]    [n, H], [B, T, S] -> [B, H, T, S]"""
    return np.moveaxis(lookup_forward(table, found), -1, 1)


def relative_bias_backward(dbias: Array, found: Array, table: Array) -> Array:
    """bias = table[bucket]    =>    dtable[n, h] = sum of dbias over the pairs of bucket n"""
    return lookup_backward(np.moveaxis(dbias, 1, -1), found, table)
