"""The checks that options of generation share."""

from __future__ import annotations

import math

import numpy as np

from ..errors import DecodingError
from ..shapes import describe


def check_whole(name: str, value: object, least: int, most: int | None = None) -> None:
    """Raise `DecodingError` unless it is a whole number from least to most."""
    is_whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not is_whole or value < least or (most is not None and value > most):  # type: ignore[operator]
        span = f"from {least} up" if most is None else f"from {least} to {most}"
        raise DecodingError(f"{name} is {describe(value)}; it is a whole number {span}")


def check_number(
    name: str,
    value: object,
    span: str,
    least: float,
    most: float = math.inf,
    *,
    above: bool = False,
) -> None:
    """Raise `DecodingError` unless it is a finite number from least (or above it) to most."""
    number = _as_float(value)
    in_span = least < number <= most if above else least <= number <= most
    if not (in_span and math.isfinite(number)):
        raise DecodingError(f"{name} is {describe(value)}; it is a finite number {span}")


def _as_float(value: object) -> float:
    """A number as a float; NaN for what is none, inf for a whole number beyond any float."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.inf
