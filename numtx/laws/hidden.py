"""Whether a difference of a few roundings is rounding: a leak grows with what leaks.

Each function here sets up tokens that must be without effect, and replaces none, one or all of them
by another id, the same everywhere, so that what leaks adds up.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..shapes import Array
from ..subjects.subject import Memory, Subject
from .law import Hidden, in_roundings

MANY = 32  # hidden tokens, where the model takes so many
TRIALS = 8
GROWTH = 4.0  # so many times what one token does, or what one rounding is

Ask = Callable[[int], Array]


def grows(subject: Subject, hidden: Hidden, seed: int = 0) -> tuple[float, float] | None:
    """The largest difference, in roundings, by one hidden token and by many, if it grows."""
    generator = np.random.default_rng(seed)
    one, all_of_them = 1.0, 0.0
    for _ in range(TRIALS):
        many = MANY
        ask = hidden(subject, generator, many)
        while ask is None and many > 2:
            many //= 2
            ask = hidden(subject, generator, many)
        if ask is None:
            return None
        before = ask(0)
        one = max(one, in_roundings(before, ask(1)))
        all_of_them = max(all_of_them, in_roundings(before, ask(many)))
    return (one, all_of_them) if all_of_them > GROWTH * one else None


def _pair(subject: Subject, generator: np.random.Generator) -> tuple[int, int]:
    """Two different ids."""
    first, step = generator.integers(0, [subject.vocabulary_size, subject.vocabulary_size - 1])
    return int(first), int(first + 1 + step) % subject.vocabulary_size


def _visible(
    subject: Subject, generator: np.random.Generator, count: int, most: int
) -> Array | None:
    """The ids of some tokens that are looked at, beside `count` hidden ones."""
    length = min(2, most - count)
    shape = (subject.fixed_rows or 1, length)
    return None if length < 1 else generator.integers(0, subject.vocabulary_size, shape)


def later_columns(subject: Subject, generator: np.random.Generator, count: int) -> Ask | None:
    """The first tokens, with `count` after them."""
    ids = _visible(subject, generator, count, subject.far)
    if ids is None:
        return None
    one, other = _pair(subject, generator)

    def ask(replaced: int) -> Array:
        later = np.full((len(ids), count), one)
        later[:, :replaced] = other
        return subject.logits(np.concatenate([ids, later], 1))[:, : ids.shape[1]]

    return ask


def beyond_reach(subject: Subject, generator: np.random.Generator, count: int) -> Ask | None:
    """The last tokens, with `count` before all that they reach."""
    reach = subject.reach or 0
    ids = _visible(subject, generator, count + reach, max(subject.far, subject.longest))
    if ids is None:
        return None
    one, other = _pair(subject, generator)
    between = generator.integers(0, subject.vocabulary_size, (len(ids), reach))

    def ask(replaced: int) -> Array:
        far = np.full((len(ids), count), one)
        far[:, count - replaced :] = other
        return subject.logits(np.concatenate([far, between, ids], 1))[:, -ids.shape[1] :]

    return ask


def padded_columns(subject: Subject, generator: np.random.Generator, count: int) -> Ask | None:
    """Tokens with `count` columns of padding before or after them."""
    sides = [side for side in ("left", "right") if side in subject.paddings]
    ids = _visible(subject, generator, count, subject.far)
    if ids is None or not sides:
        return None
    left = generator.choice(sides) == "left"
    one, other = _pair(subject, generator)
    length = ids.shape[1]
    mask = np.zeros((len(ids), length + count), bool)
    place = slice(count, None) if left else slice(0, length)
    mask[:, place] = True

    def ask(replaced: int) -> Array:
        pads = np.full((len(ids), count), one)
        pads[:, :replaced] = other
        whole = np.concatenate([pads, ids] if left else [ids, pads], 1)
        return subject.logits(whole, mask)[:, place]

    return ask


def padded_memory(subject: Subject, generator: np.random.Generator, count: int) -> Ask | None:
    """Two tokens that look at a memory with `count` columns of padding."""
    ids = _visible(subject, generator, 0, subject.longest)
    if ids is None or count + 2 > subject.longest_memory:
        return None
    memory = subject.new_memory(len(ids), count + 2, int(generator.integers(2**16)))
    other = subject.new_memory(1, 2, int(generator.integers(2**16)))
    assert memory is not None and other is not None
    mask = np.zeros(memory.ids.shape, bool)
    mask[:, :2] = True

    def ask(replaced: int) -> Array:
        whole = memory.ids.copy()
        whole[:, 2:] = other.ids[0, 0]
        whole[:, 2 : 2 + replaced] = other.ids[0, 1]
        return subject.logits(ids, memory=Memory(whole, mask))

    return ask
