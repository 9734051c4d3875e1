"""y = x·w + b, for row vectors. `dot` is the routine behind `@`, at half of the time where
matrices are small."""

from __future__ import annotations

from typing import NamedTuple

from ..shapes import Array, sum_rows
from ..small_repr import small_repr


@small_repr()
class LinearContext(NamedTuple):
    x: Array
    w: Array
    biased: bool


def linear_forward(x: Array, w: Array, b: Array | None = None) -> tuple[Array, LinearContext]:
    """y = x·w + b    [..., in]·[in, out] -> [..., out]

    Leading axes are flattened before the product: one large product is faster than a stack
    of small ones, and every row is treated alike.
    """
    alone = x.size == len(w)  # one row: as a vector it takes half of the time
    y: Array = x.reshape(-1).dot(w) if alone else x.reshape(-1, len(w)).dot(w)
    if b is not None:
        y += b
    y.resize((*x.shape[:-1], w.shape[1]))  # a reshape that is not a view
    return y, LinearContext(x, w, b is not None)


def linear_backward(dy: Array, context: LinearContext) -> tuple[Array, Array, Array | None]:
    """y = x·w + b    =>    dx = dy·w^T    dw = x^T·dy    db = sum of dy over rows"""
    x, w, biased = context
    rows = x.reshape(-1, x.shape[-1])
    drows = dy.reshape(-1, dy.shape[-1])
    dx: Array = drows.dot(w.T)
    dx.resize(x.shape)
    dw = rows.T.dot(drows)
    db = sum_rows(drows) if biased else None
    return dx, dw, db
