"""The operations of experts: over numbers that remember, as all of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..arithmetic.number import (
    Operand,
    Value,
    exp,
    largest,
    lift,
    named,
    noted,
    total,
    written,
)
from ..shapes import parse
from .rows import Rows


def sigmoid(r: Rows) -> Operand:
    """1 / (1 + exp(-x))"""
    return r.constant(1.0) / (exp(-r.at(0, r.index)) + 1)


def choose_experts(r: Rows) -> list[Operand]:
    """the numbers of the largest scores (+ correction) of a row, the largest first, of equal ones
    the lower; where there are groups, of those in the best groups alone"""
    row = r.row(0)
    if len(r.inputs) > 1:
        row = [x + r.at(1, (e,)) for e, x in enumerate(row)]
    scores = [_held(r, r.plain(x)) for x in row]
    if r.attributes["best"]:
        scores = _within_groups(r, scores)
    ranks = [rank(scores, e) for e in range(len(scores))]
    cells: list[Operand] = []
    for k in range(r.attributes["count"]):
        chosen: Value = sum((e * (place == k) for e, place in enumerate(ranks)), start=0)
        chosen = int(chosen) if r.single else chosen

        def parts(k: int = k) -> Sequence[object]:
            kept = [e for e, score in enumerate(scores) if score != -np.inf]
            pairs = ((f"{', ' * (e > kept[0])}(-(", lift(row[e]), f"), {e})") for e in kept)
            return ["sorted([", *(part for pair in pairs for part in pair), f"])[{k}][1]"]

        cells.append(written(chosen, row, parts))
    if r.single and r.attributes["best"]:
        note = "only experts of the groups that are kept are compared"
        return [noted(cell, lambda: note) for cell in cells]
    return cells


def _within_groups(r: Rows, scores: list[Value]) -> list[Value]:
    """The scores in the best groups, -inf elsewhere; the score of a group is the sum of its `best`
    largest."""
    count, kept, best = (r.attributes[name] for name in ("groups", "kept", "best"))
    size = len(scores) // count
    sums: list[Value] = []
    for g in range(count):
        own = scores[g * size : (g + 1) * size]
        ranks = [rank(own, i) for i in range(size)]
        found: Value = 0.0
        for k in range(best):
            next_best = sum(np.where(p == k, x, 0.0) for p, x in zip(ranks, own, strict=True))
            found = _held(r, found + next_best)
        sums.append(found)
    places = [rank(sums, g) for g in range(count)]
    return [np.where(places[e // size] < kept, x, -np.inf) for e, x in enumerate(scores)]


def _held(r: Rows, value: Value) -> Value:
    """A sum as the run's own type holds it: what is compared has no room for rounding."""
    return np.float64(np.float32(value)) if r.attributes["single"] else value


def rank(scores: Sequence[Value], e: int) -> Value:
    """How many of the scores come before that of e: the larger ones, and equal ones before it."""
    own = scores[e]
    return sum(
        (other > own) * 1 + (other == own) * (1 if j < e else 0)
        for j, other in enumerate(scores)
        if j != e
    )


def route(r: Rows) -> list[Operand]:
    """the scores of the chosen experts: through a softmax of their own, divided by their sum, or
    as they are; times the factor"""
    picked = [r.at(0, (*r.index, r.plain(e)), e) for e in r.row(1)]
    a = r.attributes
    if a["how"] == "softmax":
        top = named("largest", largest(picked))
        sum_ = named("total", total(exp(x - top) for x in picked))
        picked = [exp(x - top) / sum_ for x in picked]
    elif a["how"] == "divided":
        room = [r.constant(a["room"])] if a["room"] else []
        sum_ = named("total", total([*picked, *room]))
        picked = [x / sum_ for x in picked]
    return picked if a["factor"] == 1.0 else [x * a["factor"] for x in picked]


def expert(r: Rows) -> Operand:
    """a row times the matrix of the expert that was chosen, + its bias"""
    axes = parse(r.stage.specification)
    at = dict(zip(axes.result, r.index, strict=True))
    chosen = r.at(2, (at["b"], at["t"], at["m"]))
    at["x"], summed = r.plain(chosen), axes.operands[0][-1]
    terms = []
    for i in range(r.shape(0)[-1]):
        at[summed] = i
        x = r.at(0, [at[axis] for axis in axes.operands[0]])
        terms.append(x * r.at(1, [at[axis] for axis in axes.operands[1]], chosen))
    if len(r.inputs) > 3:
        terms.append(r.at(3, (at["x"], r.index[-1]), chosen))
    return total(terms)


def sum_of_choices(r: Rows) -> Operand:
    """the sum over the choices of a token"""
    batch, *rest = r.index
    return total(r.at(0, (batch, k, *rest)) for k in range(r.shape(0)[1]))
