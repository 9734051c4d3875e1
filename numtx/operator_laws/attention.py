"""A1 to A4, A10, A11, A14, A15: an attention operator gives softmax(scale q kᵀ) v."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from ..laws.law import Draw, LawBroken, law
from ..operators.attention import EPS, LOWER, AttentionSubject
from ..subjects.kinds import (
    ATTENTION,
    CAUSAL,
    GROUPED,
    SCORE_MASK,
)
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
    "A1",
    "the output is softmax(scale q kᵀ) v, as near to float64's as its type allows",
    "输出等于 softmax(scale q kᵀ) v, 与 float64 的差在其类型允许之内",
    ATTENTION,
    kind=ATTENTION,
)
def output(subject: AttentionSubject, draw: Draw) -> bool:
    asked = draw_call(subject, draw)
    expect_truth(asked, "the output differs")
    return bool(asked.sees.any())


@law(
    "A2",
    "causal: the triangle is aligned to the declared corner, queries and keys differing in number",
    "因果: 查询与键数目不同时, 三角按声明的角对齐",
    CAUSAL,
    kind=ATTENTION,
)
def corner(subject: AttentionSubject, draw: Draw) -> bool:
    asked = causally(draw_call(subject, draw, square=False))
    expect_truth(asked, "the output differs")
    return asked.q.shape[2] != asked.k.shape[2] and bool(asked.sees.any())


@law(
    "A2-later",
    "causal: keys and values after a query's own do not move its output",
    "因果: 查询之后的键与值不影响其输出",
    CAUSAL,
    kind=ATTENTION,
)
def later_keys(subject: AttentionSubject, draw: Draw) -> bool:
    asked = causally(draw_call(subject, draw, square=True, least=2))
    cut = draw(st.integers(1, asked.k.shape[2] - 1))
    k, v = (x.copy() for x in (asked.k, asked.v))
    k[:, :, cut:], v[:, :, cut:] = -2.0 * k[:, :, cut:], 4.0 * v[:, :, cut:]
    before = np.broadcast_to(np.arange(asked.q.shape[2]) < cut, asked.sees.shape)
    expect_same(asked, asked.with_(k=k, v=v), "later keys moved an earlier output", before)
    return True


def masked(asked: Asked, draw: Draw) -> Asked:
    """The same with a mask under which every query sees something."""
    shape = (len(asked.q), 1, asked.q.shape[2], asked.k.shape[2])
    generator = generator_of(asked)
    mask = generator.random(shape) < draw(st.sampled_from((0.3, 0.6, 0.9)))
    rows = np.arange(shape[2])
    mask[:, :, rows, generator.integers(0, shape[3], shape[2])] = True
    return asked.given(mask=mask)


@law(
    "A3",
    "a mask: a query attends where it is True, and nothing else of it matters",
    "掩码: 查询只关注为 True 处, 其余无影响",
    SCORE_MASK,
    kind=ATTENTION,
)
def mask(subject: AttentionSubject, draw: Draw) -> bool:
    asked = masked(draw_call(subject, draw, least=2), draw)
    expect_truth(asked, "the output differs")
    unseen = ~np.asarray(asked.terms.seen.any((1, 2)))  # [B,S], keys that no query sees
    k, v = (np.where(unseen[:, None, :, None], 8.0, x) for x in (asked.k, asked.v))
    expect_same(asked, asked.with_(k=k, v=v), "what is masked moved the output")
    return not asked.options["mask"].all()


@law(
    "A3-causal",
    "a mask and causal together: a query attends where both permit",
    "掩码与因果同用: 两者皆允许处才关注",
    SCORE_MASK,
    CAUSAL,
    kind=ATTENTION,
)
def mask_and_causal(subject: AttentionSubject, draw: Draw) -> bool:
    if not subject.together:
        return False
    asked = causally(masked(draw_call(subject, draw, least=2), draw))
    expect_truth(asked, "the output differs")
    return not asked.options["mask"].all()


@law(
    "A4",
    "a query that may attend to nothing gives 0, or what is declared, and moves no other",
    "无可关注的查询输出为 0 (或所声明者), 且不影响其他",
    ATTENTION,
    kind=ATTENTION,
)
def nothing_to_see(subject: AttentionSubject, draw: Draw) -> bool:
    asked = draw_call(subject, draw, square=False)
    if SCORE_MASK in subject.capabilities:
        asked = masked(draw_call(subject, draw, least=2), draw)
        empty = generator_of(asked).random(asked.q.shape[2]) < 0.5
        asked.options["mask"][:, :, empty] = False
    elif CAUSAL in subject.capabilities and subject.corner == LOWER:
        asked = causally(asked)
    answer = asked.answer()
    blind = np.broadcast_to(~asked.sees, answer.out.shape[:3])
    limit = asked.limit(answer.dtype)
    expect_near(
        asked, "a blind query moved another", asked.exact.out, answer.out, limit, causes=True
    )
    if subject.empty == "any" or not blind.any():
        return False
    nan = subject.empty == "nan"
    wanted = np.where(blind[..., None], np.nan if nan else 0.0, answer.out)
    if nan and not np.isnan(answer.out[blind]).all():
        told = "a query that sees nothing does not give NaN, as empty='nan' says"
        raise LawBroken(told, asked.example, None, np.nan, answer.out[blind][0])
    if not nan:
        what = "a query that sees nothing does not give 0 (empty= says what it gives)"
        expect_near(asked, what, wanted, answer.out, 0.0, real=blind)
    return True


@law(
    "A10",
    "permuting the heads permutes the outputs",
    "头的次序改变, 输出随之改变",
    ATTENTION,
    kind=ATTENTION,
)
def permuted_heads(subject: AttentionSubject, draw: Draw) -> bool:
    if "h" not in subject.layout:
        return False
    count = draw(st.integers(2, 4))
    asked = draw_call(subject, draw, heads=(count, count))
    order = np.array(draw(st.permutations(range(count))))
    turned = asked.with_(q=asked.q[:, order], k=asked.k[:, order], v=asked.v[:, order])
    first, second = asked.answer(), turned.answer()
    limit = 2.0 * asked.limit(first.dtype)
    expected, what = first.out[:, order], "the outputs did not follow the heads"
    expect_near(turned, what, expected, second.out, limit, also={"order": order})
    return bool((order != np.arange(count)).any())


@law(
    "A11",
    "fewer key/value heads: each serves a run of query heads, as if it were repeated",
    "键值头较少: 每个键值头服务一段连续的查询头, 如同重复",
    GROUPED,
    kind=ATTENTION,
)
def grouped(subject: AttentionSubject, draw: Draw) -> bool:
    groups, times = draw(st.integers(1, 3)), draw(st.integers(2, 3))
    asked = draw_call(subject, draw, heads=(groups * times, groups))
    k, v = (np.repeat(x, times, 1) for x in (asked.k, asked.v))
    first, second = asked.with_(k=k, v=v).answer(), asked.answer()
    limit = 2.0 * asked.limit(max(first.dtype, second.dtype, key=EPS.__getitem__))
    expect_near(
        asked, "a group is not its head repeated", first.out, second.out, limit, causes=True
    )
    return bool(groups > 1)


@law(
    "A14",
    "a row of the batch alone, and a query alone, give what they give among others",
    "批中一行单独, 一个查询单独, 与同在时相同",
    ATTENTION,
    kind=ATTENTION,
)
def alone(subject: AttentionSubject, draw: Draw) -> bool:
    asked = draw_call(subject, draw, rows=2 if "b" in subject.layout else 1)
    answer = asked.answer()
    limit = 2.0 * asked.limit(answer.dtype)
    row = draw(st.integers(0, len(asked.q) - 1))
    part = slice(row, row + 1)
    one = asked.with_(q=asked.q[part], k=asked.k[part], v=asked.v[part])
    got = one.answer().out
    expect_near(one, f"row {row} alone differs", answer.out[part], got, limit)
    if not subject.always_causal and "window" not in subject.fixed:
        query = draw(st.integers(0, asked.q.shape[2] - 1))
        part = slice(query, query + 1)
        one = asked.with_(q=asked.q[:, :, part])
        got = one.answer().out
        what = f"query {query} alone differs"
        expect_near(one, what, answer.out[:, :, part], got, limit)
    return len(asked.q) > 1 or asked.q.shape[2] > 1


@law(
    "A15",
    "large scores do not overflow: the largest is taken away before the exponential",
    "分数很大也不溢出: 取指数前先减去最大者",
    ATTENTION,
    kind=ATTENTION,
)
def large_scores(subject: AttentionSubject, draw: Draw) -> bool:
    asked = draw_call(subject, draw, least=2)
    sizes = {"float64": 2048.0, "float32": 256.0, "float16": 32.0, "bfloat16": 256.0}
    asked = asked.with_(q=sizes[asked.dtype] * asked.q)
    answer = asked.answer()
    limit = asked.limit(answer.dtype)
    expect_near(asked, "large scores", asked.exact.out, answer.out, limit, causes=True)
    if answer.lse is not None:
        finite = asked.exact.lse
        limit = 64.0 * EPS[answer.dtype] * (1.0 + asked.exact.largest)
        expect_near(asked, "the lse of large scores", finite, answer.lse, limit)
    return bool(asked.sees.any())
