"""What a wrong gradient is in relation to the right one, whatever the operation.

A relation is said only where it explains every number of the gradient; one with numbers that are
fitted, only where there are many more that are not.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ..mistakes.at import FEWEST, can_fit
from ..shapes import Array
from ..stages.leaf import Text

MOST_ROWS = 300  # of an axis, whose order is sought


class Wrong(NamedTuple):
    """A gradient that is wrong, in every cell.

    x, got, right  the input, its gradient as backward gives it, and by differences
    slopes         d result / d input, [cells of x, numbers of the result]
    cotangent      and the result, in its shape
    room           how near a number explains another
    ids            inputs of whole numbers
    """

    x: Array
    got: Array
    right: Array
    slopes: Array
    cotangent: Array
    result: Array
    room: Array
    ids: tuple[Array, ...]

    def is_(self, candidate: Array) -> bool:
        return candidate.shape == self.got.shape and bool(
            (np.abs(candidate - self.got) <= self.room).all()
        )

    def of(self, cotangent: Array) -> Array:
        """The right gradient of another cotangent."""
        return (self.slopes @ cotangent.reshape(-1)).reshape(self.x.shape)


def relations(w: Wrong) -> list[Text]:
    """Every relation that explains the gradient; the plainest come first and end the search."""
    if not np.isfinite(w.got).all():
        count = int((~np.isfinite(w.got)).sum())
        return [Text(f"{count} 个数不是有限的", f"{count} numbers are not finite")]
    for some in (_plain, _parts, _orders, _terms):
        with np.errstate(all="ignore"):
            found = list(dict.fromkeys(some(w)))
        if found:
            return found
    return []


def _plain(w: Wrong) -> Iterator[Text]:
    if not w.got.any():
        yield Text("全是 0", "zero throughout")
        return
    if w.is_(-w.right):
        yield Text("符号反了", "the sign is the other way round")
        return
    single = np.array_equal(w.got, w.got.astype(np.float32))
    if single and np.abs(w.got - w.right).max() < 1e-4 * np.abs(w.right).max():
        yield Text("按 float32 计算", "computed in float32")
        return
    large = np.abs(w.right) > 0.1 * np.abs(w.right).max()
    factor = float(np.median((w.got / w.right)[large]))
    if not math.isfinite(factor) or not w.is_(w.right * factor):
        return
    known = {2.0: "", 0.5: ""}
    for axis, n in enumerate(w.result.shape):
        for number, how in ((float(n), "{}"), (math.sqrt(n), "sqrt({})")):
            for by, text in ((number, how), (1.0 / number, f"1 / {how}")):
                known.setdefault(by, text.format(f"axis {axis}"))
    near = [words for number, words in known.items() if abs(number / factor - 1.0) < 1e-6]
    if near or can_fit(w.right):
        words = near[0] if near else ""
        zh = f"（{words.replace('axis', '结果的轴')} 的长度）" if words else ""
        en = f" (the length of {words} of the result)" if words else ""
        yield Text(
            f"每个数都是应有的 {factor:.6g} 倍{zh}",
            f"every number is {factor:.6g} times what it should be{en}",
        )


def _parts(w: Wrong) -> Iterator[Text]:
    """Of another cotangent, or with the Jacobian used in another way."""
    d = w.cotangent
    if w.is_(w.of(np.ones_like(d))):
        yield Text("没有用传来的梯度，当作全是 1", "as if the gradient that comes in were all ones")
    if w.is_(w.of(d * d)):
        yield Text("传来的梯度乘了两次", "times the gradient that comes in twice")
    for axis, n in enumerate(d.shape if d.size > 1 else ()):
        for at, zh, en in ((0, "第一", "first"), (n - 1, "最后", "last")):
            place = np.arange(n).reshape([-1 if k == axis else 1 for k in range(d.ndim)])
            if n > 1 and w.is_(w.of(d * (place == at))):
                yield Text(
                    f"没有沿轴 {axis} 求和：只有{zh}一个",
                    f"not summed over axis {axis} of the result: the {en} one alone",
                )
    for ids in w.ids:
        for which, zh, en in ((-1, "最后", "last"), (0, "第", "first")):
            kept = _one_of_each(ids, which)
            if ids.shape == d.shape[: ids.ndim] and w.is_(w.of(d * _widened(kept, d.ndim))):
                yield Text(
                    f"重复的编号没有相加：只算{zh}一个",
                    f"repeated ids not summed: the {en} one counts",
                )
    if w.x.shape != w.result.shape:
        return
    if w.is_(d):
        yield Text(
            "漏了导数：传来的梯度原样传回", "the derivative left out: what comes in goes back"
        )
    if w.is_(d * w.result):
        yield Text("只是结果乘以传来的梯度", "the result times what comes in, and no more")
    if w.is_((w.slopes.T @ d.reshape(-1)).reshape(d.shape)):
        yield Text(
            "用了雅可比矩阵，没有转置", "the Jacobian, not its transpose (turned on, not back)"
        )
    if w.is_(np.diagonal(w.slopes).reshape(d.shape) * d):
        yield Text("只有雅可比矩阵的对角线", "the diagonal of the Jacobian alone")


def _one_of_each(ids: Array, which: int) -> Array:
    flat = ids.reshape(-1)
    order = {int(n): np.flatnonzero(flat == n)[which] for n in np.unique(flat)}
    kept = np.zeros(flat.size, bool)
    kept[list(order.values())] = True
    return kept.reshape(ids.shape)


def _widened(x: Array, axes: int) -> Array:
    return x.reshape(*x.shape, *[1] * (axes - x.ndim))


def _orders(w: Wrong) -> Iterator[Text]:
    axes = w.x.ndim
    if axes > 1 and w.x.shape[-1] == w.x.shape[-2] and w.is_(np.swapaxes(w.right, -1, -2)):
        yield Text("转置了", "transposed")
    elif axes > 1 and w.is_(w.right.reshape(-1, order="F").reshape(w.x.shape)):
        yield Text("按另一种次序存放", "kept in the other order of the axes")
    for axis, n in enumerate(w.x.shape):
        if not 1 < n <= MOST_ROWS:
            continue
        right, got, room = (
            np.moveaxis(x, axis, 0).reshape(n, -1) for x in (w.right, w.got, w.room)
        )
        apart = np.abs(right[None] - got[:, None]) <= room[:, None]
        fits = apart.all(-1)
        if (fits.sum(1) == 1).all() and (fits.sum(0) == 1).all():
            order = fits.argmax(1)
            how_zh, how_en = "换了次序", "in another order"
            if np.array_equal(order, np.arange(n)[::-1]):
                how_zh, how_en = "次序反了", "in reverse order"
            else:
                for by in (1, -1):
                    if np.array_equal(order, np.roll(np.arange(n), by)):
                        how_zh, how_en = f"移动了 {by}", f"moved by {by}"
            yield Text(f"轴 {axis} {how_zh}", f"axis {axis} {how_en}")


def _terms(w: Wrong) -> Iterator[Text]:
    """Off by a multiple of something, one for each row: where a row has numbers enough."""
    off, n = w.got - w.right, w.x.shape[-1] if w.x.ndim else 1
    if can_fit(w.x) and off.size >= FEWEST:
        factor = float((off * w.x).sum() / (w.x * w.x).sum())
        if w.is_(w.right + factor * w.x):
            yield Text(
                f"多了输入的 {factor:.6g} 倍（如权重衰减）",
                f"{factor:.6g} times the input added (as weight decay)",
            )
            return
    rows = off.reshape(-1, n)
    if n > 2 and rows.size - len(rows) >= FEWEST:
        ones = np.ones_like(w.x)
        away = w.x - w.x.mean(-1, keepdims=True)
        for zh, en, of in (
            ("每行差一个常数：最后一轴的均值没有减去，或减了两次",
             "off by a constant in each row: a mean over the last axis is not taken away, or twice",
             ones),
            ("每行差结果的一个倍数：如 softmax 缺少点积",
             "off by a multiple of the result in each row: as a softmax without its dot product",
             w.result),
            ("每行差输入的一个倍数：如归一化缺少方差一项",
             "off by a multiple of the input in each row: as a norm without a term of its variance",
             w.x),
            ("每行差去均值的输入的一个倍数：如归一化缺少方差一项",
             "off by a multiple of the centred input in each row: as a norm without a term of its "
             "variance", away),
        ):  # fmt: skip
            if of.shape == w.x.shape and w.is_(w.right + _along(off, of)):
                yield Text(zh, en)
                return


def _along(off: Array, of: Array) -> Array:
    """The part of every row that lies along another row."""
    size = (of * of).sum(-1, keepdims=True)
    return np.asarray(of * (off * of).sum(-1, keepdims=True) / np.where(size, size, 1.0))
