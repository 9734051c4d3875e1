"""JSON as numtx reads it everywhere: strict, so that nothing of it is lost or made up.

A byte order mark is taken, as editors write one. A name that occurs twice in an object, and a
number that is not finite (NaN, Infinity, 1e400), are refused.
"""

from __future__ import annotations

import json
import math
from typing import Any

from .errors import NumtxError

BOM = "\ufeff"


class RefusedJSONError(ValueError):
    """JSON by its form, with something in it that cannot be taken."""


def parse(text: str | bytes) -> Any:
    """The value of a JSON text.

    Raises `json.JSONDecodeError` for a text that is not JSON, `RefusedJSONError` for one that
    is and cannot be taken.
    """
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise RefusedJSONError(f"not JSON, which is UTF-8: {error}") from None
    try:
        return json.loads(
            text.removeprefix(BOM),
            object_pairs_hook=_object,
            parse_float=_finite,
            parse_int=_whole,
            parse_constant=_constant,
        )
    except RecursionError:
        raise RefusedJSONError("lists or objects are nested too deeply") from None


def read_json(text: str | bytes, where: str, error: type[NumtxError]) -> Any:
    """The value of a JSON text; raises `error` with one line that begins with `where`."""
    try:
        return parse(text)
    except RefusedJSONError as refused:
        raise error(f"{where}: {refused}") from None
    except json.JSONDecodeError as wrong:
        raise error(f"{where}: not JSON: {wrong}") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise RefusedJSONError(f"the name {_short(name)!r} occurs twice in an object; keep one")
        found[name] = value
    return found


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise RefusedJSONError(
            f"the number {_short(text)} is not finite; a float64 ends at 1.8e308"
        )
    return number


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:  # Python reads so many digits and no more
        raise RefusedJSONError(
            f"the number {_short(text)} has {len(text)} digits; too many"
        ) from None


def _constant(text: str) -> float:
    raise RefusedJSONError(
        f'{text} is not JSON; numbers are finite (a stage may be set to the strings "inf", "-inf")'
    )


def _short(text: str) -> str:
    return text if len(text) <= 40 else text[:40] + "..."
