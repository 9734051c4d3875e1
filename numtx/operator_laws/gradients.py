"""A16: the gradients of an attention operator."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from ..laws.law import Draw, LawBroken, law
from ..operators.attention import LOWER, AttentionSubject
from ..operators.reference import Terms, allowed, gradients
from ..shapes import Array
from ..subjects.kinds import ATTENTION, CAUSAL, GRADIENTS, GROUPED, SCORE_MASK
from .calls import Asked, causally, draw_call, generator_of


def _cotangent(asked: Asked) -> Array:
    """A random gradient of the output; 0 where a query sees nothing, for there it may be NaN."""
    numbers = generator_of(asked).standard_normal(asked.q.shape).astype(np.float16)
    return np.where(np.broadcast_to(asked.sees[..., None], numbers.shape), numbers, 0.0)


def _held(asked: Asked, dout: Array, what: str) -> tuple[Array, ...]:
    """The gradients, each held to the reference."""
    subject, terms = asked.subject, asked.terms
    q, k, v = asked.q, asked.k, asked.v
    got = subject.gradients(dout, q, k, v, asked.options, asked.dtype)
    dtype = subject.inner.get(asked.dtype, asked.dtype)
    exact = gradients(q, k, v, terms, dout)
    plain = gradients(q, k, v, terms, dout, dtype)
    largest = asked.exact.largest
    seen = np.broadcast_to(asked.sees[..., None], q.shape)
    for name, one, other, mine in zip(("dq", "dk", "dv"), exact, plain, got, strict=True):
        # What is summed: products of weights, which sum to 1 a query, with dout and the others.
        size = float(abs(dout).max(initial=0.0)) * max(1.0, float(abs(v).max())) * q.shape[3]
        size *= max(1.0, float(abs(q).max()), float(abs(k).max()))
        size *= q.shape[2] if name != "dq" else 1
        limit = allowed(other, one, dtype, largest, size / 4.0)
        with np.errstate(invalid="ignore"):
            wrong = ~(abs(one - mine) <= limit)
        wrong &= seen if name == "dq" else True
        if not wrong.any():
            continue
        place = tuple(int(i) for i in np.argwhere(wrong)[0][:3])
        with np.errstate(invalid="ignore"):
            off = float(abs(np.where(wrong, one - mine, 0.0)).max())
        told = f"{what}: {name} differs (largest difference {off:.3g}, allowed {limit:.3g})"
        told += _why(asked, name, mine, limit, dout)
        where = f"[{','.join(map(str, place))}]"
        example = {**asked.example, "dout": dout, "differs at [row,head,token]": where}
        raise LawBroken(told, example, None, one[place], mine[place])
    return got


def _why(asked: Asked, name: str, mine: Array, limit: float, dout: Array) -> str:
    """The known mistake that gives every number of a gradient."""
    which, terms = ("dq", "dk", "dv").index(name), asked.terms
    exact = gradients(asked.q, asked.k, asked.v, terms, dout)[which]
    options: list[tuple[str, Array]] = [
        ("it lacks the scale", exact / terms.scale),
        ("it has the scale twice", exact * terms.scale),
        ("its sign is turned", -exact),
    ]
    groups, heads = asked.k.shape[1], asked.q.shape[1]
    if groups != heads and name != "dq":
        k, v = (np.repeat(x, heads // groups, 1) for x in (asked.k, asked.v))
        own = Terms(terms.scale, terms.seen, terms.bias, terms.softcap, terms.sinks)
        parts = gradients(asked.q, k, v, own, dout)[which]
        parts = parts.reshape(len(parts), groups, -1, *parts.shape[2:])
        options += [
            ("it is that of the group's first head, not the sum", parts[:, :, 0]),
            ("it is that of the group's last head, not the sum", parts[:, :, -1]),
            ("it is the mean of the group's heads, not the sum", parts.mean(2)),
        ]
    for words, other in options:
        if other.shape == mine.shape and (abs(other - mine) <= limit).all():
            return f"; {words}"
    return ""


@law(
    "A16",
    "dq, dk and dv are those of the formula, as near to float64's as their type allows",
    "dq, dk, dv 与公式一致, 与 float64 的差在其类型允许之内",
    GRADIENTS,
    kind=ATTENTION,
)
def gradient(subject: AttentionSubject, draw: Draw) -> bool:
    asked = draw_call(subject, draw, least=2)
    if draw(st.booleans()) and CAUSAL in subject.capabilities:
        asked = causally(asked)
    dout = _cotangent(asked)
    _held(asked, dout, "the gradient")
    return bool(dout.any())


@law(
    "A16-grouped",
    "fewer key/value heads: dk and dv are summed over the query heads of a group",
    "键值头较少: dk 与 dv 对组内查询头求和",
    GRADIENTS,
    GROUPED,
    kind=ATTENTION,
)
def grouped_gradient(subject: AttentionSubject, draw: Draw) -> bool:
    groups, times = draw(st.integers(1, 2)), draw(st.integers(2, 3))
    asked = draw_call(subject, draw, heads=(groups * times, groups), least=2)
    dout = _cotangent(asked)
    _held(asked, dout, "the gradient of grouped heads")
    return bool(dout.any())


@law(
    "A16-nothing",
    "a query that sees nothing, and a key that nobody sees, have a gradient of 0",
    "无可关注的查询与无人关注的键梯度为 0",
    GRADIENTS,
    kind=ATTENTION,
)
def gradient_of_nothing(subject: AttentionSubject, draw: Draw) -> bool:
    asked = draw_call(subject, draw, least=2)
    if SCORE_MASK in subject.capabilities:
        generator = generator_of(asked)
        mask = generator.random((len(asked.q), 1, asked.q.shape[2], asked.k.shape[2])) < 0.5
        if subject.empty != "zero":
            mask[..., 0] = True
        asked = asked.given(mask=mask)
    elif CAUSAL in subject.capabilities and (subject.corner != LOWER or subject.empty == "zero"):
        asked = causally(asked)
    seen = asked.terms.seen
    if seen.all() or (subject.empty != "zero" and not asked.sees.all()):
        return False
    dout = generator_of(asked).standard_normal(asked.q.shape).astype(np.float16)
    q, k, v = asked.q, asked.k, asked.v
    got = subject.gradients(dout.astype(np.float64), q, k, v, asked.options, asked.dtype)
    unseen = ~np.asarray(seen.any(2))[..., None]  # [B,1,S,1]
    for name, one, zero in zip(
        ("dq", "dk", "dv"), got, (~asked.sees[..., None], unseen, unseen), strict=True
    ):
        wrong = np.broadcast_to(zero, one.shape) & ~(one == 0.0)
        if wrong.any():
            place = tuple(int(i) for i in np.argwhere(wrong)[0][:3])
            told = f"{name} is not 0 at [{','.join(map(str, place))}], which has no part"
            raise LawBroken(told, asked.example, None, 0.0 * one[place], one[place])
    return bool(unseen.any() or not asked.sees.all())


@law(
    "A16-differences",
    "dq, dk and dv are the finite differences of the output, in float64",
    "dq, dk, dv 等于输出的有限差分 (float64)",
    GRADIENTS,
    kind=ATTENTION,
)
def differences(subject: AttentionSubject, draw: Draw) -> bool:
    if "float64" not in subject.dtypes or subject.inner.get("float64"):
        return False
    asked = draw_call(subject, draw, least=2).with_(dtype="float64")
    if draw(st.booleans()) and CAUSAL in subject.capabilities:
        asked = causally(asked)
    dout = _cotangent(asked)
    got = subject.gradients(dout, asked.q, asked.k, asked.v, asked.options, "float64")
    if asked.answer().dtype != "float64":
        return False
    generator, step = generator_of(asked), 1e-4
    seen = np.broadcast_to(asked.sees[..., None], dout.shape)
    for name, one in zip("qkv", got, strict=True):
        x = getattr(asked, name)
        way = generator.standard_normal(x.shape)
        up, down = (
            asked.with_(**{name: x + sign * step * way}).answer().out for sign in (1.0, -1.0)
        )
        change = np.where(seen, dout * (up - down), 0.0)
        expected = float(change.sum()) / (2.0 * step)
        counted = np.where(seen, one, 0.0) if name == "q" else one
        found = float((counted * way).sum())
        size = 1.0 + float(abs(change).sum()) / (2.0 * step) + float(abs(counted * way).sum())
        if not abs(found - expected) <= 1e-5 * size:
            told = f"d{name} along a random direction is not the difference of the output"
            raise LawBroken(told, {**asked.example, "dout": dout}, None, expected, found)
    return bool(dout.any())
