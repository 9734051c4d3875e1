"""What an attention operator should give: softmax(cap(scale q kᵀ) + bias) v, plainly.

The same lines compute it in float64, and in a narrower type rounding after every step: how far
the second lies from the first says how far an operator of that type may lie from it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..shapes import Array
from .attention import EPS, UPPER, AttentionSubject, Options, rounded

Round = Callable[[Array], Array]


class Terms(NamedTuple):
    """What stands around q kᵀ.

    seen   [B,1,T,S], True where a query may attend
    bias   [.,H,T,S], added after the cap
    sinks  [H], scores that have no value
    """

    scale: float
    seen: Array
    bias: Array | None = None
    softcap: float | None = None
    sinks: Array | None = None


class Truth(NamedTuple):
    out: Array  # [B,H,T,d]
    lse: Array  # [B,H,T], without sinks
    weights: Array  # [B,H,T,S]
    slope: Array | float  # of the cap at each score
    largest: float  # of the sums of absolute terms of a score


def terms_of(
    subject: AttentionSubject, q: Array, k: Array, options: Options, corner: str | None = None
) -> Terms:
    """The terms of one call: what the operator does always, and what it is given."""
    given = {**subject.fixed, **options}
    queries, keys = q.shape[2], k.shape[2]
    corner = corner or subject.corner
    place = np.arange(queries)[:, None] + (0 if corner == UPPER else keys - queries)
    distance = place - np.arange(keys)  # of a key behind its query
    seen = np.ones((len(q), 1, queries, keys), bool)
    causal = given.get("causal", False) or subject.always_causal
    if causal:
        seen &= distance >= 0
    if "window" in given:
        seen &= (distance if causal else abs(distance)) < given["window"]
    if "mask" in given:
        seen &= given["mask"]
    bias = given.get("bias")
    if "slopes" in given:
        bias = -given["slopes"][:, None, None] * abs(distance)
    scale = given.get("scale", 1.0 / math.sqrt(q.shape[3]))
    return Terms(scale, seen, bias, given.get("softcap"), given.get("sinks"))


def truth(q: Array, k: Array, v: Array, terms: Terms, dtype: str = "float64") -> Truth:
    """The output; a query that may attend to nothing gives 0, and an lse of -inf."""
    r: Round = (lambda x: x) if dtype == "float64" else (lambda x: rounded(x, dtype))
    q, k, v = (r(x) for x in (q, k, v))
    k, v = (np.repeat(x, q.shape[1] // x.shape[1], 1) for x in (k, v))
    scores = r(terms.scale * r(np.einsum("bhtd,bhsd->bhts", q, k)))
    terms_of_score = abs(terms.scale) * np.einsum("bhtd,bhsd->bhts", abs(q), abs(k))
    slope: Array | float = 1.0
    if terms.softcap is not None:
        bent = r(np.tanh(r(scores / terms.softcap)))
        scores, slope = r(terms.softcap * bent), 1.0 - bent**2
    if terms.bias is not None:
        scores = r(scores + terms.bias)
        terms_of_score = terms_of_score + abs(terms.bias)
    scores = np.where(terms.seen, scores, -np.inf)
    top = scores.max(-1, keepdims=True)
    sinks = None if terms.sinks is None else terms.sinks[:, None, None]
    if sinks is not None:
        top = np.maximum(top, sinks)
    top = np.where(np.isneginf(top), 0.0, top)
    powers = r(np.exp(r(scores - top)))
    total = r(powers.sum(-1, keepdims=True))
    with np.errstate(divide="ignore"):
        lse = (top + np.log(total))[..., 0]
    if sinks is not None:
        total = r(total + r(np.exp(r(sinks - top))))
    weights = r(powers / np.where(total > 0, total, 1.0))
    out = r(np.einsum("bhts,bhsd->bhtd", weights, v))
    largest = float(np.where(terms.seen, terms_of_score, 0.0).max(initial=0.0))
    return Truth(out, lse, weights, slope, largest)


def gradients(
    q: Array, k: Array, v: Array, terms: Terms, dout: Array, dtype: str = "float64"
) -> tuple[Array, Array, Array]:
    """dq, dk, dv of sum(dout * out).

    dv = weightsᵀ dout;  dscores = weights (dout vᵀ - sum of weights dout vᵀ), times the slope of
    the cap;  dq = scale dscores k;  dk = scale dscoresᵀ q; a group's dk and dv are sums.
    """
    r: Round = (lambda x: x) if dtype == "float64" else (lambda x: rounded(x, dtype))
    q, k, v, dout = (r(x) for x in (q, k, v, dout))
    groups = k.shape[1]
    found = truth(q, k, v, terms, dtype)
    keys, values = (np.repeat(x, q.shape[1] // groups, 1) for x in (k, v))
    dv = r(np.einsum("bhts,bhtd->bhsd", found.weights, dout))
    dweights = r(np.einsum("bhtd,bhsd->bhts", dout, values))
    mean = r((found.weights * dweights).sum(-1, keepdims=True))
    dscores = r(r(found.weights * (dweights - mean)) * found.slope)
    dq = r(terms.scale * r(np.einsum("bhts,bhsd->bhtd", dscores, keys)))
    dk = r(terms.scale * r(np.einsum("bhts,bhtd->bhsd", dscores, q)))
    return dq, _summed(dk, groups), _summed(dv, groups)


def _summed(x: Array, groups: int) -> Array:
    found: Array = x.reshape(len(x), groups, -1, *x.shape[2:]).sum(2)
    return found


def allowed(plain: Array, exact: Array, dtype: str, largest: float, size: float) -> float:
    """How far a result of a type may lie from the exact one, the largest difference of all.

    A small multiple of how far a plain computation in that type lies from it, and a floor: so
    many roundings of a value, and of what a rounded score makes of it. In a narrow type these are
    few, for there they are large.

    largest  of the sums of absolute terms of a score
    size     the largest number of what is summed
    """
    with np.errstate(invalid="ignore"):
        off = np.abs(plain - exact)[np.isfinite(exact)]
    many = 64.0 if EPS[dtype] < 1e-5 else 1.0
    return 4.0 * float(off.max(initial=0.0)) + many * EPS[dtype] * (8.0 + 4.0 * largest) * size


def output_limit(q: Array, k: Array, v: Array, terms: Terms, exact: Truth, dtype: str) -> float:
    plain = truth(q, k, v, terms, dtype)
    return allowed(plain.out, exact.out, dtype, exact.largest, float(abs(v).max(initial=0.0)))
