"""Arguments why an illustration cannot be. Each covers every value within half a printed unit
of the stated one, and returns None where it does not exclude it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from ...shapes import Array
from .verdicts import Argument


def sums_to_one(stated: Array, half: float) -> str | None:
    """The rows of a softmax sum to 1 and have no negative entry."""
    for row in np.atleast_2d(stated):
        far = abs(float(row.sum()) - 1.0)
        if far > row.size * half + 1e-9:
            return (
                f"a softmax row sums to 1; this one to {row.sum():.3f}, and rounding moves "
                f"{row.size} entries by {row.size * half:.3g} at most"
            )
        if (row < -half).any():
            return "a softmax has no negative entry"
    return None


def no_more_than_one(stated: Array, half: float) -> str | None:
    """Probabilities of different words sum to at most 1."""
    least = float(stated.sum()) - stated.size * half
    if least > 1.0 + 1e-9:
        return f"probabilities of different outcomes sum to {least:.3f} or more, above 1"
    return None


def rank_at_most(rank: int) -> Argument:
    """A product of [n, rank] and [rank, m] has at most `rank` singular values above 0.

    A change of every entry by at most h moves each singular value by at most h * sqrt(n * m)
    (Weyl's inequality with the Frobenius norm).
    """

    def argument(stated: Array, half: float) -> str | None:
        values = np.linalg.svd(stated, compute_uv=False)
        reach = half * float(np.sqrt(stated.size))
        if rank < len(values) and values[rank] > reach:
            return (
                f"Q·K^T with d_k = {rank} has rank {rank}; singular value {rank + 1} of the table "
                f"is {values[rank]:.3f}, and rounding accounts for {reach:.3f}"
            )
        return None

    return argument


def on_a_plane(stated: Array, half: float) -> str | None:
    """Rows that leave a LayerNorm lie in one hyperplane: sum over j of (y_j - bias_j) / gain_j = 0.

    For the signs of the gains, s, and d + 1 rows, solve y^T·H = s, sum(y) = 0. For any normal a
    with those signs the rows then deviate from every plane by at least |a|_1 / |y|_1, while
    rounding moves a row by at most half * |a|_1. So a pattern of signs is excluded where
    1 / |y|_1 > half for some choice of rows. A gain of 0 has no sign: it makes its column
    constant, and where a column could be that the argument does not apply.
    """
    count, width = stated.shape
    if (np.ptp(stated, axis=0) <= 2 * half).any():
        return None
    weakest = np.inf
    for tail in itertools.product((1.0, -1.0), repeat=width - 1):
        strongest = 0.0
        for chosen in itertools.combinations(range(count), width + 1):
            system = np.vstack([stated[list(chosen)].T, np.ones(width + 1)])
            if abs(np.linalg.det(system)) > 1e-12:
                y = np.linalg.solve(system, [1.0, *tail, 0.0])
                strongest = max(strongest, 1.0 / float(np.abs(y).sum()))
        weakest = min(weakest, strongest)
    if weakest > half * (1 + 1e-6):
        return (
            "the rows that leave one LayerNorm lie in a hyperplane; for each sign of the gains "
            f"some {width + 1} of these rows need a rounding error of {weakest:.5f} to do so, and "
            f"half a unit is {half:g}"
        )
    return None


def log_span(basis: Array) -> Argument:
    """log softmax(K·q) is a combination of the columns of K and a constant.

    Stated weights give an interval for each log weight. If no combination meets all of them,
    then already (Helly's theorem) some width + 1 rows have a dependency y with y·basis = 0
    whose sum with the log weights cannot be 0.
    """

    def argument(stated: Array, half: float) -> str | None:
        spanned = np.column_stack([basis, np.ones(len(basis))])
        size = spanned.shape[1] + 1
        with np.errstate(divide="ignore"):
            low, high = np.log(np.maximum(stated - half, 0.0)), np.log(stated + half)
        for chosen in itertools.combinations(range(len(stated)), size):
            part = list(chosen)
            y = np.linalg.svd(spanned[part].T)[2][-1]
            with np.errstate(invalid="ignore"):
                least = float(np.where(y > 0, y * low[part], y * high[part]).sum())
                most = float(np.where(y > 0, y * high[part], y * low[part]).sum())
            if least > 1e-9 or most < -1e-9:
                return (
                    "the log weights of a head are K·q plus a constant; a dependency of the "
                    f"stated keys at places {', '.join(map(str, chosen))} makes a sum 0 that lies "
                    f"in [{least:.3f}, {most:.3f}]"
                )
        return None

    return argument


def never_rises(most: Array) -> Argument:
    """The log-probability of a sequence is at most that of any of its beginnings.

    most  that of the beginnings, at the upper end of their own rounding
    """

    def argument(stated: Array, half: float) -> str | None:
        if (stated - half > most).any():
            i = int(np.argmax(stated - most))
            return (
                "a sequence is never more probable than its beginning: "
                f"{stated.flat[i]:g} stated where at most {most.flat[i]:.2f} is possible"
            )
        return None

    return argument


def disjoint(stated: Array, half: float) -> str | None:
    """Log-probabilities of different sequences of one length: their exponentials sum to <= 1."""
    least = float(np.exp(stated - half).sum())
    if least > 1.0:
        return f"different sequences have probabilities that sum to at most 1; these to {least:.2f}"
    return None


def one_row(stated: Array, half: float) -> str | None:
    """Rows of weights of one position at two steps: causality makes them the same row."""
    apart = float(np.abs(stated[0] - stated[1]).max())
    if apart > 2 * half + 1e-9:
        return (
            "under the causal mask later tokens never change an earlier row; these two rows of "
            f"one position differ by {apart:.2f}"
        )
    return None


def softmax_of(logits: Sequence[float], logits_half: float, place: int) -> Argument:
    """The probability at a place follows from the logits, up to their own rounding."""
    values = np.asarray(logits, float)
    others = np.delete(values, place)

    def share(own: float, other: float) -> float:
        top = np.exp(values[place] + own)
        return float(top / (top + np.exp(others + other).sum()))

    def argument(stated: Array, half: float) -> str | None:
        low, high = share(-logits_half, logits_half), share(logits_half, -logits_half)
        if float(stated) + half < low or float(stated) - half > high:
            return f"with the stated logits it lies in [{low:.4f}, {high:.4f}]"
        return None

    return argument
