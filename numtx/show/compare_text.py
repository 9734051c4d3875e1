"""Differences as text: two numbers beside each other, and how far they are apart."""

from __future__ import annotations

import math


def number(x: float | int | bool) -> str:
    """A number of a cell with enough digits to see how it differs."""
    if isinstance(x, bool) or not isinstance(x, float):
        return str(x)
    return f"{x:.10g}"


def amount(x: float) -> str:
    """A difference: its size matters, not its digits."""
    return "inf" if math.isinf(x) else f"{x:.3g}"
