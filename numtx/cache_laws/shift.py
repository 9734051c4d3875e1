"""C14, C15: context shift: tokens leave from the front, and those behind them move up.

The deeper layers of what stays have seen what was dropped, so that a shifted state is not what the
rest gives alone, unless there is one layer, or all is beyond a window. What is right for any
number of layers: what cannot be seen may as well be gone, wherever that puts the rest.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from ..laws.exactness import ROUNDINGS
from ..laws.law import Draw, draw_ids, expect, expect_true, in_roundings, law, other_ids
from ..shapes import Array
from ..subjects.subject import LENGTHS, SHIFT, STEP, Subject

NEW = 2  # tokens after a shift


def _asked(subject: Subject, draw: Draw) -> tuple[Array, Array] | None:
    """Tokens of a state, and those after it."""
    if subject.longest < NEW + 2:
        return None
    ids = draw_ids(subject, draw, NEW + 2)
    return ids[:, :-NEW], ids[:, -NEW:]


def _after(
    subject: Subject, ids: Array, new: Array, shifts: tuple[tuple[int, int], ...], one_by_one: bool
) -> Array:
    """The logits of the last token after a state was shifted, once for each (keep, drop)."""
    _, state = subject.step(ids)
    for keep, drop in shifts:
        state = subject.shift(state, keep, drop)
    if LENGTHS in subject.capabilities:
        expected = [ids.shape[1] - sum(drop for _, drop in shifts)] * len(ids)
        got, example = subject.lengths(state), {"ids": ids, "shifts (keep, drop)": shifts}
        expect_true(got == expected, "the length after a shift is wrong", example, got)
    for part in np.split(new, new.shape[1], 1) if one_by_one else [new]:
        logits, state = subject.step(part, state)
    return logits[:, -1:]


@law(
    "C14",
    "shift: the first tokens kept without what follows them are they alone; nothing dropped is "
    "nothing changed; twice is once, and what is kept can be dropped later",
    "上下文平移: 只留开头等同于只有开头; 不丢弃则不变; 两次等于一次, 保留的开头也可之后再丢",
    STEP,
    SHIFT,
)
def shifts(subject: Subject, draw: Draw) -> bool:
    asked = _asked(subject, draw)
    if asked is None:
        return False
    ids, new = asked
    length, one_by_one = ids.shape[1], draw(st.booleans())
    keep = draw(st.integers(1, length - 1))
    drop = draw(st.integers(1, length - keep))
    example: dict[str, Any] = {"ids": ids, "keep": keep, "drop": drop, "then": new}

    def after(*every: tuple[int, int]) -> Array:
        return _after(subject, ids, new, every, one_by_one)

    once = after((keep, drop))
    if keep + drop == length:
        whole = np.concatenate([ids[:, :keep], new], 1)
        what = f"the first {keep} tokens, kept, give other logits than they alone"
        expect(subject, what, subject.logits(whole)[:, -1:], once, example)
    first = draw(st.integers(0, drop))
    what = f"dropping {first} tokens and then {drop - first} is not dropping {drop}"
    expect(subject, what, once, after((keep, first), (keep, drop - first)), example)
    what = f"dropping {drop} tokens and then those before them is not dropping all of them"
    both = after((0, keep + drop)) if keep + drop < length else None
    if both is not None:
        expect(subject, what, both, after((keep, drop), (0, keep)), example)
    what = "a shift that drops nothing changes something"
    expect(subject, what, after(), after((keep, 0)), example)
    return True


@law(
    "C15",
    "shift: what stays stands in its new place: it gives what it gives alone where it never saw "
    "what was dropped, and otherwise what it gives where that is hidden from later tokens",
    "上下文平移: 留下者处于新位置: 若未见过被丢弃者, 与单独时相同; "
    "否则与对后续词元隐藏被丢弃者时相同",
    STEP,
    SHIFT,
)
def turned(subject: Subject, draw: Draw) -> bool:
    asked = _asked(subject, draw)
    if asked is None:
        return False
    ids, new = asked
    length, one_by_one = ids.shape[1], draw(st.booleans())
    drop = draw(st.integers(1, length - 1))
    keep = draw(st.integers(0, length - 1 - drop))
    example: dict[str, Any] = {"ids": ids, "keep": keep, "drop": drop, "then": new}

    def after(text: Array, keep: int) -> Array:
        return _after(subject, text, new, ((keep, drop),), one_by_one)

    got, gone = after(ids, keep), slice(keep, keep + drop)
    others = [ids.copy(), ids.copy()]
    for other in others:
        other[:, gone] = other_ids(subject, draw, ids)[:, gone]
    if all(in_roundings(got, after(other, keep)) <= ROUNDINGS for other in others):
        whole = np.concatenate([ids[:, :keep], ids[:, keep + drop :], new], 1)
        what = "what stays gives other logits than it gives alone"
        expect(subject, what, subject.logits(whole)[:, -1:], got, example)
        return True
    if keep:
        got, example["keep"] = after(ids, 0), 0
    _, state = subject.step(ids)
    state = subject.hide(state, drop)
    for part in np.split(new, NEW, 1) if one_by_one else [new]:
        logits, state = subject.step(part, state)
    what = "what stays gives other logits than it gives where what was dropped is hidden"
    expect(subject, what, logits[:, -1:], got, example)
    return True
