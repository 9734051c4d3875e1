"""Mistakes in the learned bias by distance, in buckets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..mistakes.at import At, Forms
from ..mistakes.cause import cause
from ..ops.relative import relative_bias_forward
from ..shapes import Array


@cause("分桶的相对位置偏置", "bias by buckets", "@bucket")
def by_buckets(at: At) -> Forms:
    (table, queries, keys), a = at.inputs, at.stage.attributes
    right, both = at.again(), a["both"]
    yield "left out", np.zeros_like(right)
    yield "the other sign of the distance: query less key", at.again({1: -queries, 2: -keys})
    yield "buckets of one side for both, or of both for one", at.again(both=not both)
    plain = np.broadcast_to(np.arange(keys.shape[1]), keys.shape)
    late = plain[:, -queries.shape[1] :]
    yield "positions counted over padding too", at.again({1: late, 2: plain})
    yield "queries counted from 0 in every step", at.again({1: plain[:, : queries.shape[1]]})
    for farthest in (128, 64, 32, 256):
        if farthest != a["farthest"]:
            yield f"{farthest} the farthest, not {a['farthest']}", at.again(farthest=farthest)
    distance = keys[:, None, :] - queries[:, :, None]
    for detail, found in _otherwise(distance, a["count"], a["farthest"], both):
        yield detail, relative_bias_forward(table, np.clip(found, 0, len(table) - 1))
    yield "in reverse order of the heads", right[:, ::-1]
    yield "one head's for all", np.broadcast_to(right[:, :1], right.shape)
    yield "multiplied by the scale of the scores", right * at.config.scale


def _otherwise(
    distance: Array, count: int, farthest: int, both: bool
) -> Iterator[tuple[str, Array]]:
    """The buckets of distances with a mistake in their borders."""
    size = np.abs(distance) if both else np.maximum(-distance, 0)
    count = count // 2 if both else count
    side = np.where(distance > 0, count, 0) if both else 0
    exact = count // 2

    def grown(exact: int, last: int = count - 1, rounded: Any = np.trunc) -> Array:
        share = np.log(np.maximum(size, exact) / exact) / np.log(farthest / exact)
        parts = rounded(share * (count - exact)).astype(np.int64)
        found: Array = side + np.where(size < exact, size, np.minimum(exact + parts, last))
        return found

    yield "buckets one too far", side + np.minimum(grown(exact) - side + 1, count - 1)
    for more in (1, -1):
        if 0 < exact + more < farthest:
            word = "more" if more > 0 else "less"
            yield f"one distance {word} with a bucket of its own", grown(exact + more)
    yield "the last bucket never used", grown(exact, last=count - 2)
    yield "parts of the logarithm rounded, not cut", grown(exact, rounded=np.rint)
    yield "parts of the logarithm rounded up, not cut", grown(exact, rounded=np.ceil)
    yield "without the logarithmic part", side + np.minimum(size, count - 1)
    spread = np.log(np.maximum(size, 1)) / np.log(farthest) * (count - exact)
    yield (
        "the logarithm of the distance, not of its share of the exact part",
        side + np.where(size < exact, size, np.minimum(exact + spread.astype(int), count - 1)),
    )
    yield "buckets of equal width", side + np.minimum(size * count // farthest, count - 1)
