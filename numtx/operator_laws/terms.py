"""A5 to A9, A12, A13: what changes the scores of an attention operator, and lse."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from ..laws.law import Draw, law
from ..operators.attention import EPS, LOWER, AttentionSubject
from ..operators.reference import truth
from ..subjects.kinds import (
    ATTENTION,
    BIAS,
    CAUSAL,
    LSE,
    SCALE,
    SCORE_MASK,
    SINKS,
    SLOPES,
    SOFTCAP,
    WINDOW,
)
from .attention import masked
from .calls import (
    Asked,
    causally,
    draw_call,
    expect_near,
    expect_same,
    expect_truth,
    generator_of,
)


@law(
    "A5",
    "a bias is added to the scaled scores, and one that is the same for all keys changes nothing",
    "偏置加到缩放后的分数上; 对所有键相同的偏置不起作用",
    BIAS,
    kind=ATTENTION,
)
def bias(subject: AttentionSubject, draw: Draw) -> bool:
    plain = draw_call(subject, draw, least=2)
    shape = (*plain.q.shape[:3], plain.k.shape[2])
    numbers = generator_of(plain).standard_normal(shape).round(2).astype(np.float16)
    asked = plain.given(bias=numbers.astype(np.float64))
    expect_truth(asked, "the output differs")
    even = np.broadcast_to(asked.options["bias"][..., :1], shape).copy()
    expect_same(plain, plain.given(bias=even), "an even bias changed the output")
    return True


@law(
    "A6",
    "the scale multiplies the products: twice the scale is twice the queries",
    "缩放乘在点积上: 缩放加倍等于查询加倍",
    SCALE,
    kind=ATTENTION,
)
def scale(subject: AttentionSubject, draw: Draw) -> bool:
    asked = draw_call(subject, draw, least=2).given(scale=draw(st.sampled_from((0.125, 0.75, 1.5))))
    expect_truth(asked, "the output differs")
    doubled = asked.given(scale=2.0 * asked.options["scale"])
    expect_same(doubled, asked.with_(q=2.0 * asked.q), "twice the queries is not twice the scale")
    return True


def _windowed(subject: AttentionSubject, draw: Draw, least: int = 1) -> Asked:
    """A call to be given a window: causal where that is possible, and nothing left unseen."""
    asked = draw_call(subject, draw, least=least, square=False)
    asked = causally(asked) if CAUSAL in subject.capabilities else asked
    if asked.q.shape[2] > asked.k.shape[2]:
        asked = asked.with_(q=asked.q[:, :, : asked.k.shape[2]])
    return asked


@law(
    "A7",
    "a window of w is w keys, the query's own among them, counted from its place among the keys",
    "窗口 w 即 w 个键, 含查询自身, 按其在键中的位置计",
    WINDOW,
    kind=ATTENTION,
)
def window(subject: AttentionSubject, draw: Draw) -> bool:
    asked = _windowed(subject, draw, 2)
    size = draw(st.integers(1, asked.k.shape[2]))
    asked = asked.given(window=size)
    expect_truth(asked, "the output differs")
    return bool(size < asked.k.shape[2])


@law(
    "A7-none",
    "a window at least as long as the keys is none",
    "窗口不短于键数即无窗口",
    WINDOW,
    kind=ATTENTION,
)
def wide_window(subject: AttentionSubject, draw: Draw) -> bool:
    asked = _windowed(subject, draw)
    size = asked.k.shape[2] + draw(st.sampled_from((0, 1, 1000)))
    expect_same(asked, asked.given(window=size), f"a window of {size} keys hides some")
    return True


@law(
    "A7-self",
    "a window of 1 gives each query the value at its own place",
    "窗口为 1 时每个查询得到自身位置的值",
    WINDOW,
    kind=ATTENTION,
)
def window_of_one(subject: AttentionSubject, draw: Draw) -> bool:
    asked = _windowed(subject, draw).given(window=1)
    queries, keys = asked.q.shape[2], asked.k.shape[2]
    first = keys - queries if subject.corner == LOWER else 0
    answer = asked.answer()
    own = asked.v[:, :, first : first + queries]
    limit = asked.limit(answer.dtype)
    expect_near(asked, "not its own value", own, answer.out, limit, causes=True)
    return True


@law(
    "A8",
    "a soft cap is cap tanh(score / cap) of the scaled scores, before any mask",
    "软上限为缩放后分数的 cap tanh(score / cap), 在掩码之前",
    SOFTCAP,
    kind=ATTENTION,
)
def softcap(subject: AttentionSubject, draw: Draw) -> bool:
    asked = draw_call(subject, draw, least=2)
    if SCORE_MASK in subject.capabilities:
        asked = masked(asked, draw)
    elif CAUSAL in subject.capabilities:
        asked = causally(asked)
    asked = asked.with_(q=4.0 * asked.q).given(softcap=draw(st.sampled_from((0.5, 2.0, 4.0))))
    expect_truth(asked, "the output differs")
    return bool(asked.sees.any())


@law(
    "A8-none",
    "a soft cap far above all scores is none",
    "软上限远高于所有分数即无上限",
    SOFTCAP,
    kind=ATTENTION,
)
def high_cap(subject: AttentionSubject, draw: Draw) -> bool:
    asked = draw_call(subject, draw, least=2)
    widest = subject.inner.get(asked.dtype, asked.dtype)
    cap = 1e8 if widest == "float64" else 1e5 if widest == "float32" else 1e3
    expect_same(asked, asked.given(softcap=cap), f"a cap of {cap:g} changed the output")
    return True


def _sinks(asked: Asked) -> np.ndarray:
    found: np.ndarray = generator_of(asked).integers(-16, 17, asked.q.shape[1]) / 8.0
    return found


@law(
    "A9",
    "with a sink s the output is that without times Z / (Z + exp s), Z the sum over the keys",
    "有汇点 s 时输出为无汇点者乘 Z / (Z + exp s), Z 为各键之和",
    SINKS,
    kind=ATTENTION,
)
def sinks(subject: AttentionSubject, draw: Draw) -> bool:
    asked = draw_call(subject, draw)
    with_sinks = asked.given(sinks=_sinks(asked))
    plain, exact, answer = asked.answer(), asked.exact, with_sinks.answer()
    share = 1.0 / (1.0 + np.exp(with_sinks.options["sinks"][:, None] - exact.lse))
    dtype = max(plain.dtype, answer.dtype, key=EPS.__getitem__)
    limit = asked.limit(dtype) + with_sinks.limit(dtype)
    expected = plain.out * share[..., None]
    expect_near(
        with_sinks, "the output is not Z / (Z + exp s)", expected, answer.out, limit, causes=True
    )
    return True


@law(
    "A9-none",
    "a sink of next to -inf is none",
    "汇点趋于 -inf 即无汇点",
    SINKS,
    kind=ATTENTION,
)
def low_sinks(subject: AttentionSubject, draw: Draw) -> bool:
    asked = draw_call(subject, draw)
    low = np.full(asked.q.shape[1], -1e4)
    expect_same(asked, asked.given(sinks=low), "a sink of -1e4 changed the output")
    return True


@law(
    "A12",
    "slopes: a score falls by the head's slope for each key of distance",
    "斜率: 每远一个键, 分数按该头的斜率下降",
    SLOPES,
    kind=ATTENTION,
)
def slopes(subject: AttentionSubject, draw: Draw) -> bool:
    asked = draw_call(subject, draw, square=True, least=2)
    asked = causally(asked) if CAUSAL in subject.capabilities else asked
    asked = asked.given(slopes=0.5 ** np.arange(1.0, asked.q.shape[1] + 1.0))
    expect_truth(asked, "the output differs")
    return True


@law(
    "A13",
    "lse is the logarithm of the sum of exponentials of the scores",
    "lse 为分数指数和的对数",
    LSE,
    kind=ATTENTION,
)
def lse(subject: AttentionSubject, draw: Draw) -> bool:
    asked = draw_call(subject, draw)
    answer, exact = asked.answer(), asked.exact
    plain = truth(asked.q, asked.k, asked.v, asked.terms, answer.dtype)
    off = float(abs(plain.lse - exact.lse)[np.isfinite(exact.lse)].max(initial=0.0))
    limit = 4.0 * off + 64.0 * EPS[answer.dtype] * (1.0 + exact.largest)
    assert answer.lse is not None
    expect_near(asked, "the lse differs", exact.lse, answer.lse, limit)
    return bool(asked.sees.any())


@law(
    "A13-merge",
    "keys split in two and merged by their lse give the whole",
    "键分成两段再按 lse 合并, 等于整体",
    LSE,
    kind=ATTENTION,
)
def merged(subject: AttentionSubject, draw: Draw) -> bool:
    if subject.always_causal or subject.fixed.get("window"):
        return False  # a part alone would count its places anew
    asked = draw_call(subject, draw, least=2)
    cut = draw(st.integers(1, asked.k.shape[2] - 1))
    parts = [
        asked.with_(k=asked.k[:, :, part], v=asked.v[:, :, part]).answer()
        for part in (slice(None, cut), slice(cut, None))
    ]
    whole = asked.answer()
    assert whole.lse is not None
    lses = np.array([part.lse for part in parts])
    with np.errstate(over="ignore", invalid="ignore"):
        shares = np.exp(lses - np.logaddexp(*lses))
    expected = sum(share[..., None] * part.out for share, part in zip(shares, parts, strict=True))
    limit = 4.0 * asked.limit(whole.dtype)
    what = f"keys split at {cut} and merged by their lse differ from the whole"
    expect_near(asked, what, np.asarray(expected), whole.out, limit)
    return True
