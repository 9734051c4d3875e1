"""What `compare` says of a cause, in Chinese: it is put together from phrases."""

from __future__ import annotations

from ..mistakes_of_positions import CAUSES

NAMES = {cause.name.en: cause.name.zh for cause in CAUSES}


def cause_zh(text: str) -> str:
    """A cause with its name in Chinese; details, and what has no entry, stay as they are."""
    cause, comma, place = text.partition(", in ")
    name, bracket, detail = cause.partition(" (")
    where = f"，在 {place}" if comma else ""
    return NAMES.get(cause, NAMES.get(name, name) + bracket + detail) + where
