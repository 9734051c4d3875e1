"""Numbers as text. Rounded for display only; a masked zero never looks like a small number."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from ..shapes import Array

MASKED = "."


def fixed(x: float, decimals: int) -> str:
    """A number with so many decimals: `-inf`, never `-0.00`; an exact zero is `0`-padded too."""
    if math.isinf(x):
        return "-inf" if x < 0 else "inf"
    if math.isnan(x):
        return "nan"
    text = f"{x:.{decimals}f}"
    if text.startswith("-") and not text.strip("-0."):
        text = text[1:]
    return text


def decimals_for(array: Array, precision: int) -> int:
    """How many decimals show the largest number of an array with `precision` + 1 digits, at
    least `precision`: gradients are often small throughout."""
    finite = np.abs(array[np.isfinite(array)])
    largest = float(finite.max()) if finite.size else 0.0
    if largest == 0.0:
        return precision
    return min(precision + max(0, -math.floor(math.log10(largest))), 12)


def cell(x: float | int | bool, decimals: int) -> str:
    """One cell: a truth value as 1 or 0, a whole number as it is, a float with its decimals."""
    if isinstance(x, bool):
        return "1" if x else "0"
    if isinstance(x, int):
        return str(x)
    return fixed(x, decimals)


def summary(array: Array) -> str:
    """One line for an array that is too large to print."""
    text = f"{array.dtype}[{','.join(map(str, array.shape))}]"
    if array.dtype.kind == "b":
        return f"{text} true {int(array.sum())} of {array.size}"
    if array.dtype.kind != "f":
        return f"{text} [{array.min()}, {array.max()}]"
    finite = array[np.isfinite(array)]
    parts = [text]
    if finite.size:
        mean, deviation = float(finite.mean()), float(finite.std())
        parts.append(f"mean {mean:.3g} sd {deviation:.3g} [{finite.min():.3g}, {finite.max():.3g}]")
    for name, count in (
        ("-inf", np.count_nonzero(array == -np.inf)),
        ("inf", np.count_nonzero(array == np.inf)),
        ("nan", np.count_nonzero(np.isnan(array))),
    ):
        if count:
            parts.append(f"{name}: {count}")
    return "  ".join(parts)


def shape_text(shape: Iterable[int]) -> str:
    """(7, 4) -> [7,4]"""
    return "[" + ",".join(map(str, shape)) + "]"


def number(x: float | int | bool) -> str:
    """A number of a cell with enough digits to see how it differs."""
    if isinstance(x, bool) or not isinstance(x, float):
        return str(x)
    return f"{x:.10g}"


def amount(x: float) -> str:
    """A difference: its size matters, not its digits."""
    return "inf" if math.isinf(x) else f"{x:.3g}"
