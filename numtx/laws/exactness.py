"""How exact the products of this machine are: what of "bit for bit" can be asked here.

A BLAS sums a row of x·w in one order whatever the other rows hold; every BLAS that was tried
does, whatever the alignment in memory. But its kernels take several rows at once, and the rows
left over at the end (of 5 rows, the fifth) with another kernel, which may round otherwise. Then a
row that moves to another place of the batch changes in its last bits, and only rows that stay
where they are can be compared bit for bit. numtx leaves that as it is: one product a row would
be exact anywhere, and many times slower.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np

from ..shapes import Array

ROUNDINGS = 64  # of the largest number, for what a whole model makes of a last bit


class RowIndependence(NamedTuple):
    """Whether equal rows of x give equal rows of x·w, bit for bit, in products of one shape.

    contents  whatever the other rows hold
    places    wherever in x the row stands, too
    """

    contents: bool
    places: bool

    @property
    def note(self) -> str:
        """What is compared within rounding instead; empty where nothing is."""
        if not self.contents:
            return (
                "this machine's BLAS mixes rows: what is equal bit for bit elsewhere is compared "
                "within rounding"
            )
        if not self.places:
            return (
                "this machine's BLAS rounds a row by its place in the batch: rows that move are "
                "compared within rounding, all else bit for bit"
            )
        return ""


def probe(product: Callable[[Array, Array], Array]) -> RowIndependence:
    """Try a product [n, in]·[in, out] for sizes such as the laws and the tests use."""
    generator = np.random.default_rng(0)
    contents = places = True
    for rows in range(2, 18):
        for inner, outer in ((8, 24), (8, 7), (7, 8), (12, 8), (24, 11)):
            numbers = generator.standard_normal((2 * rows + outer, inner))
            for dtype in (np.float64, np.float32):
                x, other, turned = np.split(numbers.astype(dtype), (rows, 2 * rows))
                for w in (np.ascontiguousarray(turned.T), turned.T):
                    y = product(x, w)
                    moved = product(np.roll(x, 1, 0), w)  # every row to the next place
                    places = places and np.array_equal(np.roll(y, 1, 0), moved)
                    contents = contents and _alone(product, x, other, w, y)
    return RowIndependence(contents, contents and places)


def _alone(
    product: Callable[[Array, Array], Array], x: Array, other: Array, w: Array, y: Array
) -> bool:
    """Whether each row keeps its result when all others are replaced."""
    for row in range(len(x)):
        replaced = other.copy()
        replaced[row] = x[row]
        if not np.array_equal(product(replaced, w)[row], y[row]):
            return False
    return True


@cache
def row_independence() -> RowIndependence:
    """What the products of this machine are, tried once."""
    return probe(np.matmul)


def same(a: Array, b: Array, moved: bool = False) -> bool:
    """Whether two results of computations of one shape are equal: bit for bit, or within
    rounding where `row_independence` says that this machine cannot do it.

    moved  the rows stand at other places of the batch in one than in the other
    """
    machine = row_independence()
    if a.dtype.kind != "f" or (machine.places if moved else machine.contents):
        return np.array_equal(a, b)
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    largest = float(np.abs(a[np.isfinite(a)]).max(initial=1.0))
    return np.allclose(a, b, rtol=0.0, atol=ROUNDINGS * float(np.finfo(a.dtype).eps) * largest)
