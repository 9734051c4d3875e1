"""The operations of gates: over numbers that remember, as all of them."""

from __future__ import annotations

from ..arithmetic.number import Operand, choose, written_as
from .rows import Rows


def clamp(r: Rows) -> Operand:
    """the number held between two limits, where there are, + a shift"""
    x = found = r.at(0, r.index)
    low, high, shift = (r.attributes[name] for name in ("low", "high", "shift"))
    words: list[Operand | str] = [x]
    if high is not None:
        found = choose(r.plain(x) > high, lambda: r.constant(high, "", x), found)
        words = ["min(", *words, f", {high:g})"]
    if low is not None:
        found = choose(r.plain(x) < low, lambda: r.constant(low, "", x), found)
        words = ["max(", *words, f", {low:g})"]
    found = written_as(found, *words)
    return found + shift if shift else found
