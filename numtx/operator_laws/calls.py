"""One call of an attention operator: drawn, asked, and held to what it should give."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from hypothesis import strategies as st

from ..laws.law import Draw, LawBroken, seeds
from ..operators.attention import EPS, LOWER, UPPER, Answer, AttentionSubject, Options, rounded
from ..operators.reference import Terms, Truth, output_limit, terms_of, truth
from ..shapes import Array


@dataclass(frozen=True)
class Asked:
    """q [B,H,T,d], k and v [B,G,S,d], what else is given, and the type."""

    subject: AttentionSubject
    q: Array
    k: Array
    v: Array
    options: Options
    dtype: str
    seed: int

    def with_(self, **changes: Any) -> Asked:
        return replace(self, **changes)

    def given(self, **options: Any) -> Asked:
        """The same with more options."""
        return replace(self, options={**self.options, **options})

    def answer(self) -> Answer:
        return self.subject.attend(self.q, self.k, self.v, self.options, self.dtype)

    @cached_property
    def terms(self) -> Terms:
        return terms_of(self.subject, self.q, self.k, self.options)

    @property
    def sees(self) -> Array:
        """[B,1,T], whether a query may attend to anything."""
        return np.asarray(self.terms.seen.any(-1))

    @cached_property
    def exact(self) -> Truth:
        return truth(self.q, self.k, self.v, self.terms)

    def limit(self, dtype: str) -> float:
        return output_limit(self.q, self.k, self.v, self.terms, self.exact, dtype)

    @property
    def example(self) -> dict[str, Any]:
        shapes = {name: list(getattr(self, name).shape) for name in "qkv"}
        told = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        found = {"call": f"{told}, {self.dtype}, numbers of seed {self.seed}"}
        found |= dict(self.options)
        return found | {"q": self.q, "k": self.k, "v": self.v}


LENGTHS = st.integers(1, 7) | st.sampled_from((1, 2, 3, 5, 8, 9, 17, 33, 65))


def draw_call(
    subject: AttentionSubject,
    draw: Draw,
    *,
    square: bool | None = None,
    heads: tuple[int, int] | None = None,
    rows: int = 1,
    least: int = 1,
) -> Asked:
    """Random numbers; Hypothesis draws the sizes, the type and the seed.

    square  as many queries as keys; None: where it is always causal, and no corner is asked for
    heads   of queries and of keys; drawn otherwise, as many of both
    rows    at least so many
    least   at least so many keys
    """
    seed = draw(seeds)
    longest = subject.longest
    queries, keys = (min(draw(LENGTHS), longest) for _ in range(2))
    keys = max(keys, least)
    if subject.always_causal if square is None else square:
        queries = keys
    if heads is None:
        count = draw(st.integers(1, 3)) if "h" in subject.layout else 1
        heads = count, count
    count = draw(st.integers(rows, max(rows, 2))) if "b" in subject.layout else 1
    dtype, width = draw(st.sampled_from(subject.dtypes)), draw(st.sampled_from(subject.widths))
    generator = np.random.default_rng(seed)
    shapes = ((heads[0], queries), (heads[1], keys), (heads[1], keys))
    q, k, v = (
        rounded(generator.standard_normal((count, *shape, width)), dtype) for shape in shapes
    )
    return Asked(subject, q, k, v, {}, dtype, seed)


def generator_of(asked: Asked) -> Any:
    """Numbers beside those of q, k and v."""
    return np.random.default_rng((asked.seed, 1))


def causally(asked: Asked) -> Asked:
    """The same call, causal."""
    return asked if asked.subject.always_causal else asked.given(causal=True)


def expect_near(
    asked: Asked,
    what: str,
    expected: Array,
    got: Array,
    limit: float,
    *,
    real: Array | None = None,
    causes: bool = False,
    also: dict[str, Any] | None = None,
) -> None:
    """Raise `LawBroken` unless two results lie within the limit, where they count.

    real    [B,1|H,T]: which of the first three axes count; None: queries that see something
    causes  whether `got` is the output of the call, which a known mistake may explain
    also    what else stands in the example
    """
    real = np.broadcast_to(asked.sees if real is None else real, expected.shape[:3])
    with np.errstate(invalid="ignore"):
        wrong = ~((abs(expected - got) <= limit) | (expected == got))
    wrong &= real.reshape(real.shape + (1,) * (wrong.ndim - 3))
    if not wrong.any():
        return
    places = sorted({tuple(int(i) for i in place[:3]) for place in np.argwhere(wrong)})
    shown = "  ".join(f"[{','.join(map(str, place))}]" for place in places[:6])
    more = f"  and {len(places) - 6} more" if len(places) > 6 else ""
    with np.errstate(invalid="ignore"):
        size = float(abs(np.where(wrong, expected - got, 0.0)).max())
    told = f"{what} (largest difference {size:.3g}, allowed {limit:.3g})"
    if causes:
        words = " or ".join(explained(asked, got, limit))
        told += f"; it is what {words} gives" if words else ""
    example = {**asked.example, **(also or {}), "differs at [row,head,query]": shown + more}
    first = places[0]
    raise LawBroken(told, example, None, expected[first], got[first])


def expect_truth(asked: Asked, what: str) -> Answer:
    """The output lies where the reference says."""
    answer = asked.answer()
    limit = asked.limit(answer.dtype)
    expect_near(asked, what, asked.exact.out, answer.out, limit, causes=True)
    return answer


def expect_same(asked: Asked, other: Asked, what: str, real: Array | None = None) -> None:
    """Two calls give the same output, as near as each of them may lie from it."""
    first, second = asked.answer(), other.answer()
    dtype = max(first.dtype, second.dtype, key=EPS.__getitem__)
    limit = asked.limit(dtype) + other.limit(dtype)
    both = asked.sees & other.sees if real is None else real
    also = {f"{name} of the other": value for name, value in other.options.items()}
    expect_near(asked, what, first.out, second.out, limit, real=both, also=also)


def explained(asked: Asked, got: Array, limit: float) -> Iterator[str]:
    """The known mistakes that give every number of an output."""
    real = np.broadcast_to(asked.sees, got.shape[:3])[..., None]
    if not np.isfinite(got[real[..., 0]]).all():
        return
    for words, other in mistaken(asked):
        with np.errstate(invalid="ignore"):
            near = (abs(other - got) <= limit) | ~real
        if near.all():
            yield words


def mistaken(asked: Asked) -> Iterator[tuple[str, Array]]:
    """Outputs with a known mistake in them."""
    subject, q, k, v, terms = asked.subject, asked.q, asked.k, asked.v, asked.terms
    options = {**subject.fixed, **asked.options}
    width = q.shape[3]

    def out(changed: Terms, keys: Array = k, values: Array = v) -> Array:
        return truth(q, keys, values, changed).out

    def other(**changes: Any) -> Terms:
        return terms_of(subject, q, k, {**options, **changes})

    yield "no scale", out(terms._replace(scale=1.0))
    yield "the scale applied twice", out(terms._replace(scale=terms.scale**2))
    yield "1 / d as the scale", out(terms._replace(scale=1.0 / width))
    if terms.scale != width**-0.5:
        yield "the default scale", out(terms._replace(scale=width**-0.5))
    for corner in (LOWER, UPPER):
        if corner != subject.corner:
            told = f"a causal triangle aligned {corner}"
            yield told, out(terms_of(subject, q, k, asked.options, corner))
    yield "no mask at all", out(terms._replace(seen=np.ones_like(terms.seen)))
    if "mask" in options:
        yield "the mask turned round", out(other(mask=~options["mask"]))
        without = {name: value for name, value in options.items() if name != "mask"}
        yield "the mask left out", out(terms_of(subject, q, k, without))
    if "window" in options:
        yield "a window of one key more", out(other(window=options["window"] + 1))
        yield "a window of one key fewer", out(other(window=options["window"] - 1))
    if terms.sinks is not None:
        yield "no sink", out(terms._replace(sinks=None))
    yield from _bent(asked, options, out)
    if k.shape[1] != q.shape[1]:
        tiled = np.arange(q.shape[1]) % k.shape[1]
        yield "key/value heads tiled instead of repeated", out(terms, k[:, tiled], v[:, tiled])


def _bent(asked: Asked, options: Options, out: Any) -> Iterator[tuple[str, Array]]:
    """Mistakes of the cap and of a bias."""
    terms = asked.terms
    if terms.softcap is not None:
        yield "no cap", out(terms._replace(softcap=None))
        # cap tanh(qk / cap) scale is the cap times the scale, of scores that are scaled
        early = terms._replace(softcap=terms.softcap * terms.scale)
        yield "the cap before the scale", out(early)
        if not terms.seen.all():
            yield "the cap after the mask", _cap_after_mask(asked)
    if terms.bias is not None:
        name = "slopes" if "slopes" in options else "bias"
        yield f"no {name}", out(terms._replace(bias=None))
        yield f"the {name} with the other sign", out(terms._replace(bias=-terms.bias))


def _cap_after_mask(asked: Asked) -> Array:
    """A masked score of -inf that the cap bends to -cap."""
    terms, groups = asked.terms, asked.q.shape[1] // asked.k.shape[1]
    keys = np.repeat(asked.k, groups, 1)
    scores = terms.scale * np.einsum("bhtd,bhsd->bhts", asked.q, keys)
    cap = float(terms.softcap or 1.0)
    bent = np.where(terms.seen, cap * np.tanh(scores / cap), -cap)
    bias = bent - scores
    plain = Terms(terms.scale, np.ones_like(terms.seen), bias, None, terms.sinks)
    return truth(asked.q, asked.k, asked.v, plain).out
