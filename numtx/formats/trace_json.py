"""A trace as strict JSON: infinities as the strings "-inf" and "inf", NaN as "nan"."""

from __future__ import annotations

import json
import math
from typing import Any

from ..shapes import AXIS_NAMES
from ..trace.trace import Trace


def trace_json(trace: Trace, stages: list[str] | None = None) -> str:
    """A trace, or some of its stages, as one JSON object on one line.

    {"config", "tokens", "vocabulary", "stages": {name: {"formula", "axes", "value", "gradient",
    "pinned"}}}; gradient and pinned only where there are any.
    """
    data = {
        "config": trace.config.to_dict(),
        "tokens": trace.tokens,
        "vocabulary": trace.vocabulary,
        "stages": {
            name: _stage(trace, name)
            for name in (stages if stages is not None else trace.values)
            if name in trace
        },
    }
    return json.dumps(data, ensure_ascii=False, allow_nan=False) + "\n"


def _stage(trace: Trace, name: str) -> dict[str, Any]:
    stage = trace.graph[name]
    found = {
        "formula": stage.formula,
        "axes": [AXIS_NAMES.get(axis, axis) for axis in stage.axes],
        "value": strict(trace[name].tolist()),
    }
    if name in trace.gradients:
        found["gradient"] = strict(trace.grad(name).tolist())
    if name in trace.pins:
        found["pinned"] = trace.pins[name].tolist()
    return found


def strict(value: Any) -> Any:
    """Nested lists of numbers with what JSON lacks written as strings."""
    if isinstance(value, list):
        return [strict(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else ("inf" if value > 0 else "-inf")
    return value
