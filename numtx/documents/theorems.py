"""Arguments why an illustration cannot be. Each covers every value within half a printed unit
of the stated one, and returns None where it does not exclude it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from ..shapes import Array
from ..stages.catalogue import Text
from .judges import Argument


def sums_to_one(stated: Array, half: float) -> Text | None:
    """The rows of a softmax sum to 1 and have no negative entry."""
    for row in np.atleast_2d(stated):
        far = abs(float(row.sum()) - 1.0)
        if far > row.size * half + 1e-9:
            total, reach = f"{row.sum():.3f}", f"{row.size * half:.3g}"
            return Text(
                f"softmax 的一行之和为 1；这一行是 {total}，{row.size} 个数舍入最多移动 {reach}",
                f"a softmax row sums to 1; this one to {total}, and rounding moves {row.size} "
                f"entries by {reach} at most",
            )
        if (row < -half).any():
            return Text("softmax 没有负数", "a softmax has no negative entry")
    return None


def no_more_than_one(stated: Array, half: float) -> Text | None:
    """Probabilities of different words sum to at most 1."""
    least = float(stated.sum()) - stated.size * half
    if least > 1.0 + 1e-9:
        return Text(
            f"不同结果的概率之和至少是 {least:.3f}，超过 1",
            f"probabilities of different outcomes sum to {least:.3f} or more, above 1",
        )
    return None


def rank_at_most(rank: int) -> Argument:
    """A product of [n, rank] and [rank, m] has at most `rank` singular values above 0.

    A change of every entry by at most h moves each singular value by at most h * sqrt(n * m)
    (Weyl's inequality with the Frobenius norm).
    """

    def argument(stated: Array, half: float) -> Text | None:
        values = np.linalg.svd(stated, compute_uv=False)
        reach = half * float(np.sqrt(stated.size))
        if rank < len(values) and values[rank] > reach:
            value, most = f"{values[rank]:.3f}", f"{reach:.3f}"
            return Text(
                f"d_k = {rank} 时 Q·K^T 的秩是 {rank}；表的第 {rank + 1} 个奇异值是 {value}，"
                f"舍入只能解释 {most}",
                f"Q·K^T with d_k = {rank} has rank {rank}; singular value {rank + 1} of the table "
                f"is {value}, and rounding accounts for {most}",
            )
        return None

    return argument


def on_a_plane(stated: Array, half: float) -> Text | None:
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
        return Text(
            f"出自同一个 LayerNorm 的各行落在一个超平面上；增益取任何符号，总有 {width + 1} 行需要"
            f" {weakest:.5f} 的舍入误差才做得到，而半个单位是 {half:g}",
            "the rows that leave one LayerNorm lie in a hyperplane; for each sign of the gains "
            f"some {width + 1} of these rows need a rounding error of {weakest:.5f} to do so, and "
            f"half a unit is {half:g}",
        )
    return None


def never_rises(most: Array) -> Argument:
    """The log-probability of a sequence is at most that of any of its beginnings.

    most  that of the beginnings, at the upper end of their own rounding
    """

    def argument(stated: Array, half: float) -> Text | None:
        if (stated - half > most).any():
            i = int(np.argmax(stated - most))
            found, bound = f"{stated.flat[i]:g}", f"{most.flat[i]:.2f}"
            return Text(
                f"一个序列不会比它的开头更可能：文中是 {found}，最多只能是 {bound}",
                "a sequence is never more probable than its beginning: "
                f"{found} stated where at most {bound} is possible",
            )
        return None

    return argument


def disjoint(stated: Array, half: float) -> Text | None:
    """Log-probabilities of different sequences of one length: their exponentials sum to <= 1."""
    least = float(np.exp(stated - half).sum())
    if least > 1.0:
        return Text(
            f"不同序列的概率之和最多是 1；这些至少是 {least:.2f}",
            f"different sequences have probabilities that sum to at most 1; these to {least:.2f}",
        )
    return None


def one_row(stated: Array, half: float) -> Text | None:
    """Rows of weights of one position at two steps: causality makes them the same row."""
    apart = float(np.abs(stated[0] - stated[1]).max())
    if apart > 2 * half + 1e-9:
        return Text(
            f"因果掩码下，后来的词元不会改变前面的行；同一位置的这两行相差 {apart:.2f}",
            "under the causal mask later tokens never change an earlier row; these two rows of "
            f"one position differ by {apart:.2f}",
        )
    return None


def softmax_of(logits: Sequence[float], logits_half: float, place: int) -> Argument:
    """The probability at a place follows from the logits, up to their own rounding."""
    values = np.asarray(logits, float)
    others = np.delete(values, place)

    def share(own: float, other: float) -> float:
        top = np.exp(values[place] + own)
        return float(top / (top + np.exp(others + other).sum()))

    def argument(stated: Array, half: float) -> Text | None:
        low, high = share(-logits_half, logits_half), share(logits_half, -logits_half)
        if float(stated) + half < low or float(stated) - half > high:
            span = f"[{low:.4f}, {high:.4f}]"
            return Text(
                f"按写出的 logits，它落在 {span}", f"with the stated logits it lies in {span}"
            )
        return None

    return argument
