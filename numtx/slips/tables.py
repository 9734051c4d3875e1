"""Mistakes of the backward pass of tables: embeddings, positions, biases by bucket."""

from __future__ import annotations

import numpy as np

from ..shapes import Array
from .slip import Back, Slips, slip


@slip("查表的反向", "backward of the look-up", "lookup")
def lookup(b: Back) -> Slips:
    if not b.is_parameter:
        return
    ids, offset = b.value(b.stage.inputs[0]), b.stage.attributes.get("offset", 0)
    rows, flat = (ids + offset).reshape(-1), b.dy.reshape(ids.size, -1)
    yield from _repeated("编号", "ids", b.x, rows, flat)
    if offset:
        moved = np.zeros_like(b.x)
        np.add.at(moved, rows - offset, flat)
        yield "忘了偏移", "the offset forgotten", moved
    else:
        yield "漏了编号 0 的行", "the row of id 0 left out", b.share(b.dy * (ids != 0)[..., None])


@slip("分桶偏置的反向", "backward of the bias by bucket", "bucket")
def bucket(b: Back) -> Slips:
    if b.operand:
        return
    heads = b.dy.shape[1]
    numbers = np.arange(float(len(b.x)))[:, None] * np.ones(heads)
    rows = b.again(numbers)[:, 0].astype(int).reshape(-1)
    flat = np.moveaxis(b.dy, 1, -1).reshape(rows.size, heads)
    yield from _repeated("桶", "buckets", b.x, rows, flat)


def _repeated(zh: str, en: str, table: Array, rows: Array, flat: Array) -> Slips:
    """Rows of a table that are read several times, and their gradients not summed."""
    last, first, summed = (np.zeros_like(table, np.float64) for _ in range(3))
    last[rows] = flat
    first[rows[::-1]] = flat[::-1]
    np.add.at(summed, rows, flat)
    counts = np.maximum(1, np.bincount(rows, minlength=len(table)))[:, None]
    for which_zh, which, found in (("最后", "last", last), ("第", "first", first)):
        yield (
            f"重复的{zh}没有相加：只算{which_zh}一个",
            f"repeated {en} not summed: the {which} one counts",
            found,
        )
    yield f"重复的{zh}取了均值", f"the mean over repeated {en}", summed / counts
