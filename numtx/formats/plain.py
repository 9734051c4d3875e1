"""Results as JSON: their fields by name, numbers with all digits."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Set
from typing import Any

import numpy as np

from .trace_json import strict


def json_text(value: Any) -> str:
    """One line of strict JSON; see `plain`."""
    return json.dumps(plain(value), ensure_ascii=False, allow_nan=False) + "\n"


def plain(value: Any) -> Any:
    """Objects, lists, texts and numbers. A dataclass or a named tuple becomes an object of its
    fields, an array nested lists, and what is not finite the strings "inf", "-inf" and "nan"."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return strict(float(value))
    if isinstance(value, np.ndarray | np.generic):
        return strict(value.tolist())
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if hasattr(value, "_fields"):
        return {name: plain(getattr(value, name)) for name in value._fields}
    if dataclasses.is_dataclass(value):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    return [plain(item) for item in (sorted(value) if isinstance(value, Set) else value)]
