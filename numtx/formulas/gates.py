"""The operations of gates: over numbers that remember, as all of them."""

from __future__ import annotations

from ..arithmetic.number import Number, Operand, choose, written_as
from .rows import Rows


def clamp(r: Rows) -> Operand:
    """the number held between two limits, where there are, + a shift"""
    x = found = r.at(0, r.index)
    low, high, shift = (r.attributes[name] for name in ("low", "high", "shift"))
    words: list[Operand | str] = [x]

    def limit(value: float) -> Operand:
        number = r.constant(value, "", x)
        if isinstance(number, Number):
            number.bound = abs(value)  # the run's type may not have it
        return number

    if high is not None:
        found = choose(r.plain(x) > high, lambda: limit(high), found)
        words = ["min(", *words, f", {high:g})"]
    if low is not None:
        found = choose(r.plain(x) < low, lambda: limit(low), found)
        words = ["max(", *words, f", {low:g})"]
    found = written_as(found, *words)
    return found + shift if shift else found
