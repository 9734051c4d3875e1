"""Mistakes in what a hidden score is, in rows of hidden scores alone, and in exp of large ones."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..ops.softmax import softmax_forward
from ..shapes import Array
from .at import FEWEST, At, Forms
from .cause import cause

NUMBERS = (-1.0, -10.0, -1e-9, 1e-9)  # that stand for -inf, and do not do


def unmasked(at: At) -> tuple[Array | None, Array | None]:
    """What the mask was put on, and the mask, beside masked scores or weights."""
    masked = at.stage if at.stage.operation == "mask" else at.graph[at.stage.inputs[0]]
    return at.near(masked.inputs[0].rpartition(".")[2]), at.near("mask")


@cause("掩盖的分数", "hidden scores", "masked_scores weights")
def numbers(at: At) -> Forms:
    scores, mask = unmasked(at)
    if scores is None or mask is None:
        return
    is_last = at.stage.leaf.name == "masked_scores"
    seen = np.broadcast_to(mask.astype(bool), scores.shape)

    def finished(scored: Array) -> Array:
        return scored if is_last else at.again({0: scored})

    for added in (0.0, scores):
        word = "" if added is not scores else "added "
        for number in (*NUMBERS, *_solved(at, scores, seen, added)):
            filled = np.where(seen, scores, number + added)
            yield f"{number:g} {word}for -inf", finished(filled)


def _solved(at: At, scores: Array, seen: Array, added: Array | float) -> Iterator[float]:
    """The number that hidden scores are in the file, or that is added to them."""
    got = at.got.astype(np.float64)
    if at.stage.leaf.name == "weights":  # log of a weight: its score less a number of the row
        got = np.log(got)
        off = np.where(seen & np.isfinite(got), got - scores, np.nan)
        got = got - np.nanmax(off, -1, keepdims=True, initial=-np.inf)
    hidden = (got - added)[~seen]
    hidden = hidden[np.isfinite(hidden)]
    if hidden.size >= FEWEST:
        yield float(f"{np.median(hidden):.6g}") if np.abs(hidden).max() > 1e-12 else 0.0


@cause("没有键的查询", "a query without keys", "weights")
def empty_rows(at: At) -> Forms:
    scores, mask = unmasked(at)
    if scores is None or mask is None:
        return
    blind = ~np.broadcast_to(mask.astype(bool), scores.shape).any(-1, keepdims=True)
    if blind.any():
        right = at.again()
        yield "0 / 0 is no number", np.where(blind, np.nan, right)
        yield "averages all keys", np.where(blind, 1.0 / right.shape[-1], right)
        yield "sees all keys", np.where(blind, softmax_forward(scores), right)


@cause("指数溢出", "exp of a large number", "weights log_probabilities")
def overflow(at: At) -> Forms:
    """Where the largest number of the row is not taken away."""
    x, is_log = at.inputs[0], at.stage.operation == "log_softmax"
    blind, right = np.isneginf(x).all(-1, keepdims=True), softmax_forward(x)
    if len(at.inputs) > 1:  # a sink is the largest number at times
        return
    for kind in ("float64", "float32", "float16"):
        powers = np.exp(x.astype(kind))
        shares = np.where(blind, right, (powers / powers.sum(-1, keepdims=True)))
        yield f"overflows in {kind}", np.log(shares) if is_log else shares
        if is_log:
            small = right.astype(kind).astype(np.float64)
            yield f"the log of a share too small for {kind}", np.log(small)
