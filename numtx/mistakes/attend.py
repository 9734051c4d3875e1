"""Mistakes between queries and context: heads, scale, mask, softmax."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..ops.softmax import softmax_forward
from ..shapes import Array
from .at import At, Candidates, Forms
from .cause import cause
from .hidden import unmasked


def heads_of(operand: int) -> Callable[[At], Candidates]:
    """The heads of one operand in another order than those of the other."""

    def make(at: At) -> Forms:
        x = at.inputs[operand]
        if x.shape[1] > 1:
            yield "in reverse order", at.again({operand: x[:, ::-1]})
            yield "moved by one", at.again({operand: np.roll(x, 1, 1)})

    return make


cause("键的头", "heads of the keys", "products")(heads_of(1))
cause("值的头", "heads of the values", "context")(heads_of(1))


@cause(
    "分组头整体平铺，没有逐个重复",
    "grouped heads tiled instead of repeated",
    "products context",
)
def tiled(at: At) -> Candidates:
    x, heads = at.inputs[1], at.inputs[0].shape[1]
    if x.shape[1] in (1, heads):
        return None
    return at.again({1: np.tile(x, (1, heads // x.shape[1], 1, 1))})


@cause("把值当作键", "values used as keys", "products")
def values_for_keys(at: At) -> Candidates:
    return at.again({1: at.near("values")})


@cause("把键当作值", "keys used as values", "context")
def keys_for_values(at: At) -> Candidates:
    return at.again({1: at.near("keys")})


@cause("转置了", "transposed", "products scores weights")
def rows_for_columns(at: At) -> Candidates:
    return at.again().swapaxes(-1, -2)


@cause("权重转置了", "weights transposed", "context")
def weights_transposed(at: At) -> Candidates:
    return at.again({0: at.inputs[0].swapaxes(-1, -2)})


@cause("没有旋转", "not rotated", "products")
def unrotated(at: At) -> Forms:
    if "rotated_queries" not in at.stage.inputs[0]:
        return
    queries, keys = at.near("queries"), at.near("keys")
    yield "queries", at.again({0: queries})
    yield "keys", at.again({1: keys})
    yield "neither is rotated", at.again({0: queries, 1: keys})


@cause("缩放", "scale", "scores scaled_embedding scaled_output")
def scales(at: At) -> Forms:
    x, c = at.inputs[0], at.config
    yield "missing", x
    yield "doubled", at.again() * at.stage.attributes["factor"]
    yield "divided, not multiplied", x / at.stage.attributes["factor"]
    if at.stage.leaf.name == "scores":
        yield f"1 / sqrt(width) = 1 / sqrt({c.width})", x / c.width**0.5
        yield f"1 / sqrt(d_v) = 1 / sqrt({c.d_v})", x / c.d_v**0.5
        yield f"1 / d_k = 1 / {c.d_k}", x / c.d_k
        yield f"1 / sqrt(d_k) = 1 / sqrt({c.d_k})", x / c.d_k**0.5


@cause("按距离的偏置", "bias by distance", "biased_scores")
def biased(at: At) -> Forms:
    scores, bias = at.inputs
    yield "left out", scores
    yield "added twice", scores + 2.0 * bias
    yield "taken away, not added", scores - bias
    factor = at.graph[at.place + ".scores"].attributes["factor"]
    yield "added before the scale", scores + bias * factor


@cause("掩码", "mask", "mask")
def masks(at: At) -> Iterator[tuple[str, Array]]:
    """The mask of an attention with a mistake."""
    stage = at.stage
    if stage.leaf.name != "mask":
        stage = at.graph[stage.name.rpartition(".")[0] + ".mask"]
    valid = at.value(stage.inputs[0])
    queries = at.got.shape[2]

    def mask(keys: Array = valid, **changes: Any) -> Array:
        return at._replace(stage=stage).again({0: keys}, **changes)

    def shifted(by: int) -> Array:
        seen = np.tri(queries, valid.shape[1], valid.shape[1] - queries + by, dtype=bool)
        return np.asarray(mask(causal=False) & seen)

    right = mask()
    yield "inverted", ~right
    yield "ignored", np.ones_like(right)
    yield "padding ignored", mask(np.ones_like(valid))
    yield "padding inverted", mask(~valid.astype(bool))
    for by in (1, -1):
        yield f"padding of another row of the batch ({by:+d})", mask(np.roll(valid, by, 0))
    if queries == valid.shape[1]:
        yield "rows and columns swapped", right.swapaxes(-1, -2)
        yield (
            "padding applied to queries, not keys",
            mask(np.ones_like(valid)) & valid.astype(bool)[:, None, :, None],
        )
    heads = at.got.shape[1]
    flat = np.arange(len(right) * heads).reshape(-1, heads) % len(right)
    yield "rows of the batch tiled, not repeated, over the heads", right[flat, np.arange(heads)]
    if stage.attributes["causal"]:
        yield "aligned to the upper left corner", shifted(queries - valid.shape[1])
        yield "shifted by one: sees one token too many", shifted(1)
        yield "shifted by one: does not see itself", shifted(-1)
        yield "not causal", mask(causal=False)
        later = mask(causal=False) & np.triu(np.ones(right.shape[-2:], bool))
        yield "causal the wrong way round", later
    elif queries == valid.shape[1]:
        yield "causal, though it should not be", mask(causal=True)
    else:
        corner = np.tri(queries, valid.shape[1], dtype=bool)
        yield "causal, though it should not be (aligned upper left)", right & corner
    window = stage.attributes["window"]
    for other in dict.fromkeys(at.graph.config.values_of("window")):
        if other != window:
            yield "the window of another layer", mask(window=other)
    if window is not None:
        yield "window ignored", mask(window=None)
        yield "a chunk, not a window", mask(window=None, chunk=window)
        yield "window too long by one", mask(window=window + 1)
        yield "window too short by one", mask(window=window - 1)

    chunk = stage.attributes["chunk"]
    if chunk is not None:
        yield "chunks ignored", mask(chunk=None)
        yield "a window, not chunks", mask(chunk=None, window=chunk)
        yield "chunks too long by one", mask(chunk=chunk + 1)


@cause("掩码", "mask", "masked_scores")
def masked(at: At) -> Forms:
    scores, mask = at.inputs
    for detail, wrong in masks(at):
        yield detail, at.again({1: wrong})
    yield "multiplied, so that hidden scores are 0", scores * mask
    yield "added as 0 and 1", scores + mask
    yield "added as 1 and 0", scores + ~mask.astype(bool)


@cause("softmax", "softmax", "weights")
def softmax_axis(at: At) -> Forms:
    x, (scores, mask) = at.inputs[0], unmasked(at)
    soft = None  # a large number for -inf: a column that is hidden throughout is not 0
    if scores is not None and mask is not None:
        soft = scores + np.where(mask, 0.0, -1e9)
    for axis, name in ((-2, "queries"), (1, "heads"), (0, "rows of the batch")):
        for scored in (x, soft):
            if scored is not None and x.shape[axis] > 1:
                weights = softmax_forward(np.moveaxis(scored, axis, -1))
                yield f"over the {name}", np.moveaxis(weights, -1, axis)


@cause("softmax", "softmax", "weights")
def softmax_otherwise(at: At) -> Forms:
    x, (scores, mask) = at.inputs[0], unmasked(at)
    yield "not divided by the sum of the row", np.exp(x)
    yield "not divided, largest taken away", np.exp(x - x.max(-1, keepdims=True))
    yield "taken twice", softmax_forward(softmax_forward(x))
    yield "of 1 / (1 + exp(-x)) instead", np.where(np.isfinite(x), 1.0 / (1.0 + np.exp(-x)), 0.0)
    if scores is not None and mask is not None:
        yield "of the scores without mask", softmax_forward(scores)
        yield "masked after the softmax, not before", softmax_forward(scores) * mask
