"""Mistakes in the projections, the heads, the mask, the softmax."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..ops.softmax import softmax_forward
from ..shapes import Array
from .at import At, Candidates, Forms


def transposed(at: At) -> Forms:
    if at.stage.operation != "contract" or len(at.inputs) < 2:
        return
    w = at.inputs[1]
    yield "", at.again({1: w.T}) if w.shape[0] == w.shape[1] else None
    yield "read in the order (out, in)", at.again({1: w.reshape(w.shape[::-1]).T})


def without_bias(at: At) -> Candidates:
    return at.again({2: None}) if len(at.inputs) > 2 else None


def with_bias_twice(at: At) -> Candidates:
    return at.again({2: 2.0 * at.inputs[2]}) if len(at.inputs) > 2 else None


def not_normalised(at: At) -> Candidates:
    before = at.before(0)
    return None if before is None else at.again({0: before})


def swapped(letter: str) -> Callable[[At], Candidates]:
    def make(at: At) -> Candidates:
        other = at.weights(letter)
        return None if other is None else at.again(other)

    return make


def taken_from(leaf: str) -> Callable[[At], Candidates]:
    """A projection of what another projection of the sublayer takes."""

    def make(at: At) -> Candidates:
        place = at.stage.name.rpartition(".")[0]
        source = at.graph[f"{place}.{leaf}"].inputs[0]
        return None if source == at.stage.inputs[0] else at.again({0: at.value(source)})

    return make


def split_heads(at: At) -> Forms:
    y = at.again()
    batch, heads, length, width = y.shape
    if heads == 1:
        return
    flat = y.transpose(0, 2, 1, 3).reshape(batch, length, heads * width)
    yield (
        "as (d, heads), not (heads, d)",
        flat.reshape(batch, length, width, heads).transpose(0, 3, 1, 2),
    )
    yield "without transposing", flat.reshape(batch, heads, length, width)
    yield "in reverse order", y[:, ::-1]
    yield "moved on by one", np.roll(y, 1, 1)
    yield "moved back by one", np.roll(y, -1, 1)


def heads_of(operand: int) -> Callable[[At], Candidates]:
    """The heads of one operand in another order than those of the other."""

    def make(at: At) -> Forms:
        x = at.inputs[operand]
        if x.shape[1] > 1:
            yield "in reverse order", at.again({operand: x[:, ::-1]})
            yield "moved by one", at.again({operand: np.roll(x, 1, 1)})

    return make


def tiled(at: At) -> Candidates:
    x, heads = at.inputs[1], at.inputs[0].shape[1]
    if x.shape[1] in (1, heads):
        return None
    return at.again({1: np.tile(x, (1, heads // x.shape[1], 1, 1))})


def unrotated(at: At) -> Forms:
    if "rotated_queries" not in at.stage.inputs[0]:
        return
    queries, keys = at.near("queries"), at.near("keys")
    yield "queries", at.again({0: queries})
    yield "keys", at.again({1: keys})
    yield "neither is rotated", at.again({0: queries, 1: keys})


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


def slopes(at: At) -> Forms:
    """The bias by distance with a mistake; the right one is the slopes times -distance."""
    right, (queries, keys) = at.again(), at.inputs
    away = queries[:, None, :, None] - keys[:, None, None, :]
    size, slope = np.abs(away), _slopes(right, away)  # [B, 1, T, S], [H, 1, 1]
    heads = right.shape[1]
    n = 1 << (heads.bit_length() - 1)
    powers = np.arange(1, heads + 1)[:, None, None]
    plain = np.broadcast_to(np.arange(keys.shape[1]), keys.shape)
    yield "the other sign: farther keys gain", -right
    yield "left out", np.zeros_like(right)
    yield (
        "positions counted over padding too",
        at.again({0: plain[:, -queries.shape[1] :], 1: plain}),
    )
    if n < heads:
        yield "2^(-8h/H), though H is no power of two", -(2.0 ** (-8 * powers / heads)) * size
        yield "the slopes in falling order", -np.sort(slope, 0)[::-1] * size
        every = np.concatenate([slope[:n], 2.0 ** (-4 * powers[: heads - n] / n)])
        yield "the heads beyond take every slope, not each other one", -every * size
    yield "in reverse order of the heads", right[:, ::-1]
    yield "of the key's position, without the query's", slope * keys[:, None, None, :]
    yield "one slope for all heads", -slope[:1] * size
    yield "signed: later keys gain", -slope * away
    yield "slopes from 2^0 on", -(2.0 ** (-8 * (powers - 1) / n)) * size


def _slopes(bias: Array, away: Array) -> Array:
    """The slope of each head, from a bias that is right."""
    size = np.broadcast_to(np.abs(away), bias.shape)
    there = np.argwhere(size[0, 0] > 0)
    if not len(there):
        return np.ones((bias.shape[1], 1, 1))
    t, s = there[0]
    return np.asarray(-bias[0, :, t, s] / size[0, :, t, s])[:, None, None]


def biased(at: At) -> Forms:
    scores, bias = at.inputs
    yield "left out", scores
    yield "added twice", scores + 2.0 * bias
    yield "taken away, not added", scores - bias
    factor = at.graph[at.place + ".scores"].attributes["factor"]
    yield "added before the scale", scores + bias * factor


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
    if queries == valid.shape[1]:
        yield "rows and columns swapped", right.swapaxes(-1, -2)
        yield (
            "padding applied to queries, not keys",
            mask(np.ones_like(valid)) & valid.astype(bool)[:, None, :, None],
        )
    if stage.attributes["causal"]:
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


def masked(at: At) -> Forms:
    scores, mask = at.inputs
    for detail, wrong in masks(at):
        yield detail, at.again({1: wrong})
    yield "multiplied, so that hidden scores are 0", scores * mask
    yield "added as 0 and 1", scores + mask
    yield "added as 1 and 0", scores + ~mask.astype(bool)


def unmasked(at: At) -> Array | None:
    """What the mask was put on, beside weights."""
    masked = at.graph[at.stage.inputs[0]]
    return at.near(masked.inputs[0].rpartition(".")[2])


def softmax_axis(at: At) -> Forms:
    x, scores, mask = at.inputs[0], unmasked(at), at.near("mask")
    soft = None  # a large number for -inf: a column that is hidden throughout is not 0
    if scores is not None and mask is not None:
        soft = scores + np.where(mask, 0.0, -1e9)
    for axis, name in ((-2, "queries"), (1, "heads"), (0, "rows of the batch")):
        for scored in (x, soft):
            if scored is not None and x.shape[axis] > 1:
                weights = softmax_forward(np.moveaxis(scored, axis, -1))
                yield f"over the {name}", np.moveaxis(weights, -1, axis)


def softmax_otherwise(at: At) -> Forms:
    x, scores, mask = at.inputs[0], unmasked(at), at.near("mask")
    yield "not divided by the sum of the row", np.exp(x)
    yield "not divided, largest taken away", np.exp(x - x.max(-1, keepdims=True))
    yield "taken twice", softmax_forward(softmax_forward(x))
    yield "of 1 / (1 + exp(-x)) instead", np.where(np.isfinite(x), 1.0 / (1.0 + np.exp(-x)), 0.0)
    if scores is not None and mask is not None:
        yield "of the scores without mask", softmax_forward(scores)
        yield "masked after the softmax, not before", softmax_forward(scores) * mask
        blind = ~mask.astype(bool).any(-1, keepdims=True)
        if blind.any():
            even = np.ones_like(x) / x.shape[-1]
            yield "a query without keys averages all keys", np.where(blind, even, at.again())


def merged(at: At) -> Forms:
    if at.inputs[0].ndim != 4:
        return
    x = at.inputs[0]
    batch, heads, length, width = x.shape
    if heads == 1:
        return
    yield (
        "without transposing",
        at.again({0: x.reshape(batch, length, heads, width).transpose(0, 2, 1, 3)}),
    )
    mixed = x.transpose(0, 2, 3, 1).reshape(batch, length, heads, width).transpose(0, 2, 1, 3)
    yield "as (d, heads), not (heads, d)", at.again({0: mixed})
    yield "in reverse order", at.again({0: x[:, ::-1]})


def without_w_o(at: At) -> Candidates:
    if at.inputs[0].ndim != 4:
        return None
    x = at.inputs[0]
    merged = x.transpose(0, 2, 1, 3).reshape(x.shape[0], x.shape[2], -1)
    return merged if len(at.inputs) > 1 else None
