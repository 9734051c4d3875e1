"""D9: speculative decoding gives the tokens of plain greedy decoding."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from ..laws.law import Draw, LawBroken, expect_true, law, seeds, tolerance_of
from ..shapes import Array
from ..subjects.subject import SPECULATE, Subject

POOL = 8  # rows of tokens among whose beginnings a prompt is looked for
MOST = 6  # new tokens


@law(
    "D9",
    "speculation: whatever a draft proposes, the tokens are those of plain greedy decoding: of "
    "equal logits the lowest id, and nothing is left of what was rejected",
    "推测解码: 无论草稿如何, 结果都是贪心解码的词元: logits 相等时取最小 id, 被拒绝者不留痕迹",
    SPECULATE,
    cost=2,
)
def speculated(subject: Subject, draw: Draw) -> bool:
    """Drafts are right for some tokens, and then take the runner-up, which may tie with the best.

    Half of the prompts stand before two tokens that are as good, or almost, if there are any.
    """
    room = subject.far
    if room < 3:
        return False
    generator = np.random.default_rng(draw(seeds))
    most = draw(st.integers(1, min(MOST, room - 2)))
    length = draw(st.integers(1, min(room - 1 - most, 8)))
    prompt = generator.integers(0, subject.vocabulary_size, (1, length))
    if draw(st.booleans()):
        prompt = _close_call(subject, generator, length)
        length = prompt.shape[1]
    drafts: list[list[int]] = []

    def draft(text: Any, count: int = 4) -> Array:
        found = _draft(subject, np.array(text).reshape(1, -1), min(count, 4), generator)
        drafts.append(found[0].tolist())
        return found

    got = subject.speculate(prompt, draft, most)
    example = {"ids": prompt, "max_new_tokens": most, "drafts": drafts}
    expect_true(got.shape[1] == most, f"not {most} tokens", example, got)
    whole = np.concatenate([prompt, got], 1)
    every = _logits(subject, whole)[0, -most - 1 : -1]
    for n, token in enumerate(got[0]):
        best, place = int(every[n].argmax()), length + n
        if token != best and not _as_good(subject, whole, place, int(token)):
            what = f"new token {n} is not the greedy one"
            raise LawBroken(what, {**example, "new": got}, [(0, place)], best, int(token))
    return bool(drafts)


def _logits(subject: Subject, ids: Array) -> Array:
    """Of one text, among copies of itself where rows are fixed."""
    return subject.logits(ids.repeat(subject.fixed_rows or 1, 0))[:1]


def _as_good(subject: Subject, whole: Array, length: int, token: int) -> bool:
    """Whether a token is as good as the greedy one after so many tokens, within rounding.

    Of a tie only the lowest id is; it is one if the two are equal in every text that goes on from
    there, for kernels round a long text otherwise than a short one.
    """
    texts = [whole[:, :end] for end in range(length, whole.shape[1] + 1)]
    every = [_logits(subject, text)[0, length - 1] for text in texts]
    lowest = int(every[0].argmax())
    if all(logits[token] == logits[lowest] == logits.max() for logits in every):
        return token == lowest
    near = tolerance_of(subject, every[0]) * float(np.abs(every[0]).max())
    return bool(every[0].max() - every[0][token] <= near)


def _ranked(logits: Array) -> Array:
    """Ids from the best on, ties by id."""
    order: Array = np.argsort(-logits, -1, kind="stable")
    return order


def _draft(subject: Subject, text: Array, count: int, generator: Any) -> Array:
    """So many tokens at most: greedy ones, the runner-up or another, and greedy ones after it."""
    count = int(generator.integers(0, count + 1))
    right, start = int(generator.integers(0, count + 1)), text.shape[1]
    wrong = int(generator.choice((1, min(2, subject.vocabulary_size - 1))))
    for n in range(count):
        if text.shape[1] >= subject.far:
            break
        ranks = _ranked(_logits(subject, text)[0, -1])
        text = np.concatenate([text, ranks[None, [wrong if n == right else 0]]], 1)
    return text[:, start:]


def _close_call(subject: Subject, generator: Any, longest: int) -> Array:
    """The beginning, of some drawn rows, after which the best two tokens lie closest together."""
    rows = subject.fixed_rows or POOL
    ids = generator.integers(0, subject.vocabulary_size, (rows, longest))
    ordered = np.sort(subject.logits(ids), -1)
    gap = ordered[..., -1] - ordered[..., -2]
    ties = np.argwhere(gap == gap.min())
    row, last = ties[generator.integers(len(ties))]
    found: Array = ids[row : row + 1, : last + 1]
    return found
