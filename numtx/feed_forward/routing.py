"""Experts: who is chosen for a token, with what weight, and the products with chosen matrices.

Every row is multiplied by itself, as often as it has experts: the product of a row does not depend
on which other rows chose the same expert, so what holds bit for bit of a dense layer holds here.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np

from ..ops.activation import sigmoid
from ..ops.softmax import softmax_backward, softmax_forward
from ..shapes import Array
from ..small_repr import small_repr

SMALLEST_SUM = 1e-20  # added to what sigmoids are divided by (as in released code)


def choose_forward(scores: Array, count: int) -> Array:
    """The numbers of the largest scores of every row, the largest first    [..., E] -> [..., K]

    Of equal ones that with the lower number comes first. There is no backward: a choice is
    constant.
    """
    order: Array = np.argsort(-scores, axis=-1, kind="stable")[..., :count]
    return order


def group_scores(scores: Array, groups: int, best: int) -> Array:
    """Of every group of neighbouring experts the sum of its `best` largest scores
    [..., E] -> [..., groups]"""
    apart = scores.reshape(*scores.shape[:-1], groups, -1)
    if best == 1:
        largest: Array = apart.max(-1)
        return largest
    most: Array = np.sort(apart, axis=-1)[..., ::-1]
    found = most[..., 0]
    for k in range(1, best):
        found = found + most[..., k]
    return found


def keep_groups(scores: Array, groups: int, kept: int, best: int) -> Array:
    """The scores of the experts in the `kept` best groups, -inf in the others; shape kept"""
    chosen = choose_forward(group_scores(scores, groups, best), kept)
    inside = np.zeros((*scores.shape[:-1], groups), bool)
    np.put_along_axis(inside, chosen, True, -1)
    return np.where(inside.repeat(scores.shape[-1] // groups, -1), scores, -np.inf)


@small_repr()
class RouteContext(NamedTuple):
    chosen: Array
    experts: int
    weights: Array  # before the factor
    total: Array | None  # what was divided by
    over_chosen: bool
    factor: float


def route_forward(
    scores: Array, chosen: Array, how: str, factor: float, room: float = 0.0
) -> tuple[Array, RouteContext]:
    """The weights of the chosen experts    [B, T, E], [B, T, K] -> [B, T, K]

    how   "softmax": softmax of the chosen scores alone; "divided": w = s / (sum of s + room);
          "kept": w = s. All are then multiplied by the factor
    """
    picked, total = np.take_along_axis(scores, chosen, -1), None
    if how == "softmax":
        weights = softmax_forward(picked)
    elif how == "divided":
        total = np.add.reduce(picked, -1, keepdims=True) + room
        weights = picked / total
    else:
        weights = picked
    kept = RouteContext(chosen, scores.shape[-1], weights, total, how == "softmax", factor)
    return weights if factor == 1.0 else weights * factor, kept


def route_backward(dweights: Array, context: RouteContext) -> Array:
    """w = factor * s / (sum of s + room) of the chosen    =>    ds, 0 for those not chosen"""
    chosen, experts, weights, total, over_chosen, factor = context
    dpicked = dweights if factor == 1.0 else dweights * factor
    if over_chosen:
        dpicked = softmax_backward(dpicked, weights)
    elif total is not None:
        dpicked = (dpicked - np.add.reduce(dpicked * weights, -1, keepdims=True)) / total
    rows, count = chosen.reshape(-1, chosen.shape[-1]), chosen.shape[-1]
    dscores = np.zeros((len(rows), experts), dweights.dtype)
    np.add.at(dscores, (np.arange(len(rows))[:, None], rows), dpicked.reshape(-1, count))
    return dscores.reshape(*chosen.shape[:-1], experts)


def sigmoid_forward(logits: Array) -> tuple[Array, Array]:
    """s = 1 / (1 + exp(-x)), and its slope s (1 - s) without the cancellation in 1 - s"""
    small = np.exp(-np.abs(logits))
    return sigmoid(logits), small / ((1.0 + small) * (1.0 + small))


Groups: TypeAlias = "list[tuple[int, Array]]"  # an expert, and the rows that chose it


def by_expert(chosen: Array) -> Groups:
    """Which rows chose each expert, of those that any chose    [...] whole numbers"""
    flat = chosen.reshape(-1)
    return [(int(expert), np.flatnonzero(flat == expert)) for expert in np.unique(flat)]


def expert_forward(x: Array, w: Array, b: Array | None, groups: Groups) -> Array:
    """y = x·w[e] + b[e], e the expert that the row chose    [..., in]·[E, in, out] -> [..., out]"""
    rows = x.reshape(-1, x.shape[-1])
    y = np.empty((len(rows), w.shape[-1]), x.dtype)
    for expert, places in groups:
        y[places] = (rows[places, None] @ w[expert])[:, 0]
        if b is not None:
            y[places] += b[expert]
    return y.reshape(*x.shape[:-1], -1)


def expert_backward(dy: Array, x: Array, w: Array, groups: Groups) -> tuple[Array, Array, Array]:
    """y = x·w[e] + b[e]    =>    dx = dy·w[e]^T    dw[e] = x^T·dy    db[e] = sum of dy, each over
    the rows that chose e; 0 for experts that no row chose

    A row without a gradient (padding) is left out of the sums: whom it chose does not even move
    their last bits.
    """
    rows, drows = x.reshape(-1, x.shape[-1]), dy.reshape(-1, dy.shape[-1])
    dx, dw = np.empty_like(rows), np.zeros_like(w)
    db = np.zeros((len(w), w.shape[-1]), w.dtype)
    for expert, places in groups:
        own = drows[places]
        dx[places] = (own[:, None] @ w[expert].T)[:, 0]
        felt = own.any(-1)
        dw[expert] = rows[places[felt]].T @ own[felt]
        db[expert] = np.add.reduce(own[felt], 0)
    return dx.reshape(x.shape), dw, db
