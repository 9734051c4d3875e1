"""A query that may attend to no key: what the field does with it, forward and backward.

Four behaviours are in use. `compare` runs them beside one another, as data:

    nan       -inf in every score: exp(-inf - -inf) is NaN, in the row and, through the gradients
              of keys and values, in every row
    uniform   scores filled with a finite sentinel such as -1e9: all are equal, so the row is the
              average of values that it must not see, and these get a gradient
    vanishes  a mask of only False is taken for no mask: the row attends as if nothing were hidden
    zero      weights and context are 0, and so is every gradient; this is what numtx does
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..masks import Mask, live_keys
from ..ops.attend import attend_backward, attend_forward
from ..shapes import Array
from ..tap import NO_TAP

SENTINEL = -1e9


class Behaviour(NamedTuple):
    """One way to treat a blind row.

    weights  scores [T, S] and mask [T, S] to weights [T, S]
    filled   the mask fills scores in, so these pass no gradient on; an added mask lets it through
    """

    name: str
    what: str
    weights: Callable[[Array, Array], Array]
    filled: bool


class Outcome(NamedTuple):
    """What one behaviour gives for a row without keys, and what it does to other rows.

    weights, context  of the blind row
    dqueries          gradient of the blind row's query
    dvalues           gradient of the values, all rows together
    seeing            whether the rows that do see keep the context and the gradients that they
                      have without the blind row
    """

    name: str
    what: str
    weights: Array
    context: Array
    dqueries: Array
    dvalues: Array
    seeing: bool


def _softmax(scores: Array) -> Array:
    with np.errstate(invalid="ignore"):
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        normed: Array = weights / weights.sum(-1, keepdims=True)
    return normed


def _nan(scores: Array, mask: Array) -> Array:
    return _softmax(np.where(mask, scores, -np.inf))


def _uniform(scores: Array, mask: Array) -> Array:
    return _softmax(np.where(mask, scores, SENTINEL))


def _vanishes(scores: Array, mask: Array) -> Array:
    return _nan(scores, mask | ~mask.any(-1, keepdims=True))


BEHAVIOURS = (
    Behaviour("nan", "-inf is added everywhere, then softmax", _nan, False),
    Behaviour("uniform", f"filled with a finite sentinel, {SENTINEL:.0e}", _uniform, True),
    Behaviour("vanishes", "a mask of only False is no mask", _vanishes, False),
)


def compare(seed: int = 0, queries: int = 3, keys: int = 4, blind: int = 0) -> list[Outcome]:
    """The four behaviours on the same numbers: query `blind` may attend to nothing."""
    generator = np.random.default_rng(seed)
    width = 2
    q = generator.standard_normal((queries, width))
    k, v = generator.standard_normal((2, keys, width))
    dcontext = generator.standard_normal((queries, width))
    mask = np.ones((queries, keys), bool)
    mask[:, -1] = False  # a key that nobody may see
    mask[blind] = False
    others = np.arange(queries) != blind
    right = _run(BEHAVIOURS[0], q[others], k, v, mask[others], dcontext[others])
    found = []
    for one in BEHAVIOURS:
        weights, context, dq, dk, dv = _run(one, q, k, v, mask, dcontext)
        same = [(context[others], right[1]), (dq[others], right[2]), (dk, right[3]), (dv, right[4])]
        seeing = all(np.allclose(a, b, rtol=0.0, atol=1e-12) for a, b in same)
        outcome = weights[blind], context[blind], dq[blind], dv
        found.append(Outcome(one.name, one.what, *outcome, seeing))
    found.append(_zero(q, k, v, mask, dcontext, blind, right))
    return found


def _run(
    one: Behaviour, q: Array, k: Array, v: Array, mask: Array, dcontext: Array
) -> tuple[Array, Array, Array, Array, Array]:
    """weights, context, dqueries, dkeys, dvalues of plain attention without scale"""
    with np.errstate(invalid="ignore"):
        weights = one.weights(q @ k.T, mask)
        dweights = dcontext @ v.T
        dscores = weights * (dweights - (dweights * weights).sum(-1, keepdims=True))
        if one.filled:
            dscores = np.where(mask, dscores, 0.0)
        return weights, weights @ v, dscores @ k, dscores.T @ q, weights.T @ dcontext


def _zero(
    q: Array, k: Array, v: Array, mask: Array, dcontext: Array, blind: int, right: tuple[Array, ...]
) -> Outcome:
    """The same by numtx's own attention."""
    everywhere = mask[None, None]
    queries, all_keys, values = (array[None, None] for array in (q, k, v))
    allowed = Mask(everywhere, live_keys(everywhere))
    context, kept = attend_forward(queries, all_keys, values, allowed, 1.0, NO_TAP)
    gradients = attend_backward(dcontext[None, None], kept, NO_TAP)
    dq, dk, dv = (array[0, 0] for array in gradients)
    out = context[0, 0]
    assert kept.weights is not None
    others = np.arange(len(q)) != blind
    same = [(out[others], right[1]), (dq[others], right[2]), (dk, right[3]), (dv, right[4])]
    seeing = all(np.allclose(a, b, rtol=0.0, atol=1e-12) for a, b in same)
    what = "weights and context exactly 0 (numtx)"
    return Outcome("zero", what, kept.weights[0, 0, blind], out[blind], dq[blind], dv, seeing)


def text(outcomes: list[Outcome]) -> str:
    """The comparison as lines of text."""

    def row(array: Array) -> str:
        return " ".join("nan" if np.isnan(x) else f"{x + 0.0:.2f}" for x in array.ravel())

    lines = ["a query that may attend to no key", ""]
    for one in outcomes:
        lines += [
            f"{one.name}: {one.what}",
            f"  weights of the row    {row(one.weights)}",
            f"  context of the row    {row(one.context)}",
            f"  gradient of its query {row(one.dqueries)}",
            f"  gradient of values    {row(one.dvalues)}",
            f"  all else unharmed     {'yes' if one.seeing else 'no'}",
        ]
    return "\n".join(lines)


if __name__ == "__main__":
    print(text(compare()))
