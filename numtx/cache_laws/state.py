"""C12, C13: what outlives a call: requests beside one another, and drafts that are taken back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

from ..laws.law import Draw, LawBroken, expect, law, seeds
from ..shapes import Array
from ..subjects.subject import STEP, TRUNCATE, Subject

STRANGERS = 4  # requests that are asked where one went wrong
BLOCKS = (1, 2, 3, 4, 8, 16, 32)  # tokens of a beginning: caches of prefixes go by such blocks


def requests(subject: Subject, draw: Draw) -> list[Array]:
    """[1, T] each: two beginnings, each before two ends, and ids that are alike in a byte or two.

    What stands after another beginning is another thing, and so is another id.
    """
    most = subject.far - 3
    generator, size = np.random.default_rng(draw(seeds)), subject.vocabulary_size
    cut = int(generator.choice([one for one in BLOCKS if one <= max(1, most // 2)]))
    longest = max(cut, min(most, 2 * cut + 3))
    length = longest if generator.random() < 0.5 else int(generator.integers(cut, longest + 1))
    first, second = generator.integers(0, size, (2, length))
    second[cut:] = first[cut:]
    third = first.copy()
    third[cut:] = generator.integers(0, size, length - cut)
    found = [first, second, third]
    alike = [first + step for step in (256, 65536) if size > step]
    found += [np.where(one < size, one, first) for one in alike]
    ends = generator.integers(0, size, (len(found), 2))
    return [np.concatenate([one, end])[None] for one, end in zip(found, ends, strict=True)]


@law(
    "C12",
    "a request gives the same whatever was asked before it, in any order and by turns: shared "
    "beginnings, and equal parts after others",
    "无论之前问过什么, 以何次序, 是否交替, 一个请求结果相同: 含共同开头与不同开头后的相同部分",
    STEP,
)
def between_calls(subject: Subject, draw: Draw) -> bool:
    """Twice over, so that what each left behind is there when the others come."""
    if subject.far < 5:
        return False
    rows = subject.fixed_rows or 1
    asked = [one.repeat(rows, 0) for one in requests(subject, draw)]
    orders = [draw(st.permutations(range(len(asked)))) for _ in (0, 1)]
    try:
        _by_turns(subject, asked, orders)
    except LawBroken:
        if _wrong_alone(subject, asked[0].shape):
            return False
        raise
    return True


def _wrong_alone(subject: Subject, shape: tuple[int, ...]) -> bool:
    """Whether requests that have nothing in common go wrong alike: then nothing is left behind by
    others, and C1 says what is wrong."""
    generator = np.random.default_rng(0)
    for _ in range(STRANGERS):
        one = generator.integers(0, subject.vocabulary_size, (1, shape[1])).repeat(shape[0], 0)
        try:
            _by_turns(subject, [one], [[0]])
        except LawBroken:
            continue
        return False
    return True


def _by_turns(subject: Subject, asked: list[Array], orders: Sequence[Sequence[int]]) -> None:
    """Each request but its last two tokens, in order; then these, in turn."""
    whole = [subject.logits(one) for one in asked]
    done: list[str] = []
    for order in orders:
        states: dict[int, Any] = {}
        for n in order:
            got, states[n] = subject.step(asked[n][:, :-2])
            done.append(f"prefill({n})")
            _same(subject, whole[n][:, :-2], got, asked, done)
        for column in (-2, -1):
            for n in order if column == -1 else reversed(order):
                part = slice(column, None if column == -1 else column + 1)
                got, states[n] = subject.step(asked[n][:, part], states[n])
                done.append(f"step({n})")
                _same(subject, whole[n][:, part], got, asked, done)


def _same(
    subject: Subject, expected: Array, got: Array, asked: list[Array], done: list[str]
) -> None:
    example: dict[str, Any] = {f"request {n}": one[:1] for n, one in enumerate(asked)}
    example["script"] = " ".join(done)
    what = "what was asked before changes a request"
    expect(subject, what, expected[:, -got.shape[1] :], got, example)


@law(
    "C13",
    "speculation: a draft that is verified in one call and cut back to what was accepted gives "
    "what token by token gives",
    "推测解码: 草稿一次验证并截回到被接受处, 与逐个生成相同",
    STEP,
    TRUNCATE,
    cost=2,
)
def speculation(subject: Subject, draw: Draw) -> bool:
    """Each draft is right for some tokens, and then wrong: its rest must leave no trace."""
    rows, room = subject.fixed_rows or 1, subject.far
    generator, size = np.random.default_rng(draw(seeds)), subject.vocabulary_size
    length = draw(st.integers(1, max(1, min(room - 4, 12))))
    if room < 5:
        return False
    text = generator.integers(0, size, (1, length))
    example: dict[str, Any] = {"ids": text.copy()}
    _, state = subject.step(text.repeat(rows, 0))
    told, rejected = [], 0
    for _ in range(draw(st.integers(2, 3))):
        count = draw(st.integers(1, 3))
        if text.shape[1] + count + 1 >= room:
            break
        accepted = draw(st.integers(0, count))
        rejected += count - accepted
        fed = _draft(subject, text, count, accepted, generator)
        told.append(f"draft {fed[0].tolist()}, {accepted + 1} accepted")
        got, state = subject.step(fed.repeat(rows, 0), state)
        whole = np.concatenate([text, fed], 1)
        expected = subject.logits(whole.repeat(rows, 0))[:, -got.shape[1] :]
        example["rounds"] = "; ".join(told)
        expect(subject, "a draft gives other logits than the whole text", expected, got, example)
        text = whole[:, : text.shape[1] + 1 + accepted]
        state = subject.truncate(state, [text.shape[1]] * rows)
    return rejected > 0 and len(told) > 1


def _draft(subject: Subject, text: Array, count: int, accepted: int, generator: Any) -> Array:
    """[1, 1 + count]: the greedy token, and a draft of which so many tokens are greedy too."""
    rows, whole = subject.fixed_rows or 1, text
    for n in range(count + 1):
        best = subject.logits(whole.repeat(rows, 0))[:1, -1].argmax(-1)
        if n > accepted:
            best = (best + 1 + generator.integers(0, subject.vocabulary_size - 1)) % (
                subject.vocabulary_size
            )
        whole = np.concatenate([whole, best[:, None]], 1)
    return whole[:, text.shape[1] :]
