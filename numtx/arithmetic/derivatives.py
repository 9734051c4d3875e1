"""The chain rule over numbers that remember: backwards from many cells, or forwards from one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from .number import EXACT, Number, Value, added, times


class Share(NamedTuple):
    """A cell that was read, what it takes of the gradient, and how far rounding may move that."""

    number: Number
    gradient: Value
    bound: Value


def order(numbers: Iterable[Number]) -> list[Number]:
    """Numbers and all that they were made of, what was read first standing first."""
    found: list[Number] = []
    seen: set[int] = set()
    stack = [(number, False) for number in reversed(list(numbers))]
    while stack:
        number, done = stack.pop()
        if done:
            found.append(number)
        elif id(number) not in seen:
            seen.add(id(number))
            stack.append((number, True))
            stack += [(parent, False) for parent, _, _ in reversed(number.parents)]
    return found


def backward(seeds: Sequence[tuple[Number, Value]]) -> list[Share]:
    """What each cell that was read takes of the gradients of many numbers: one pass for all.

    seeds  numbers, each with its own gradient

    Cells whose derivative is 0 are among the shares too.
    """
    steps: dict[int, list[Value]] = {}  # added when all are there: a long sum needs its order
    bounds: dict[int, Value] = {}
    for number, seed in seeds:
        steps.setdefault(id(number), []).append(seed)
    gradients: dict[int, Value] = {}
    numbers = order(number for number, _ in seeds)
    for number in reversed(numbers):
        if id(number) not in steps:
            continue
        parts = steps.pop(id(number))
        gradient, off = added(parts), bounds.get(id(number), 0.0)
        if len(parts) > 1:  # a sum is rounded too, unless all but one of its terms are 0
            several = added([(part != 0.0) * 1.0 for part in parts]) > 1.0
            off = off + added([abs(part) for part in parts]) * several
        gradients[id(number)], bounds[id(number)] = gradient, off
        for parent, slope, loose in number.parents:
            step, bound = gradient, off
            if not (isinstance(slope, float) and slope == 1.0):  # most are 1: of sums, of names
                if isinstance(slope, float) and slope == 0.0:
                    continue
                step, bound = times(gradient, slope), times(off, abs(slope))
            if loose is not EXACT:
                bound = bound + times(abs(gradient), loose) + abs(step)
            steps.setdefault(id(parent), []).append(step)
            bounds[id(parent)] = bounds.get(id(parent), 0.0) + bound
    return [
        Share(number, gradients.get(id(number), 0.0), bounds.get(id(number), 0.0))
        for number in numbers
        if number.leaf is not None
    ]


def forward(numbers: Sequence[Number], source: str, offset: int) -> list[float]:
    """d(each of the numbers) / d(one cell that they read): one pass for all of them."""
    slopes: dict[int, float] = {}
    for number in order(numbers):
        if number.leaf is not None:
            slopes[id(number)] = 1.0 if number.leaf == (source, offset) else 0.0
        else:
            slopes[id(number)] = sum(
                slopes[id(parent)] * slope
                for parent, slope, _ in number.parents
                if slopes[id(parent)]
            )
    return [slopes[id(number)] for number in numbers]
