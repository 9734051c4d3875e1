"""Mistakes in one projection that makes queries, keys and values side by side."""

from __future__ import annotations

import numpy as np

from ..shapes import Array
from .at import At, Forms
from .cause import cause

LEAVES = ("queries", "keys", "values")


@cause("合并的投影 q k v", "fused projection of q, k, v", "queries keys values")
def fused(at: At) -> Forms:
    stages = [at.graph[f"{at.place}.{leaf}"] for leaf in LEAVES]
    if len({stage.inputs[0] for stage in stages}) > 1 or at.stage.operation != "contract":
        return
    parts = [at._replace(stage=stage).again().swapaxes(1, 2) for stage in stages]
    batch, length, heads, width = parts[0].shape
    groups, which = parts[1].shape[2], LEAVES.index(at.stage.leaf.name)
    if any(part.shape[3] != width for part in parts):
        return
    every = np.concatenate(parts, 2)  # [B, T, H + G + G, k]
    ends = [heads, heads + groups]

    def cut(x: Array) -> Array:
        return np.split(x.reshape(every.shape), ends, 2)[which].swapaxes(1, 2)

    share = heads // groups
    by_group = [part.reshape(batch, length, groups, -1, width) for part in parts]
    yield (
        "cut per head, to be cut apart",
        np.split(every.reshape(batch, length, groups, share + 2, width), [share, share + 1], 3)[
            which
        ]
        .reshape(batch, length, -1, width)
        .swapaxes(1, 2),
    )
    yield "cut apart, to be cut per head", cut(np.concatenate(by_group, 3))
    if groups != heads:
        return
    letters, shape = "3Hk", (3, heads, width)
    for order in ((1, 2, 0), (2, 0, 1), (2, 1, 0)):
        name = ", ".join(letters[k] for k in order)
        back = every.reshape(batch, length, *(shape[k] for k in order))
        yield f"cut as ({name})", cut(back.transpose(0, 1, *(2 + np.argsort(order))))
        whole = every.reshape(batch, length, *shape)
        yield f"stands as ({name})", cut(whole.transpose(0, 1, *(2 + k for k in order)))
    for turned in ((1, 2, 0), (2, 0, 1), (2, 1, 0)):  # the other two are causes of their own
        name = ", ".join("qkv"[k] for k in turned)
        yield f"in the order {name}", parts[turned[which]].swapaxes(1, 2)
