"""A comparison as one JSON object, for programs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..compare.comparison import Comparison, Difference


def as_json(found: Comparison) -> dict[str, Any]:
    """The verdict, the first difference with its causes, every array, and what was left out.

    An infinite number, which JSON has not, is null.
    """
    first = found.first
    return {
        "verdict": found.verdict,
        "compared": found.compared,
        "of": found.of,
        "tolerance": found.tolerance,
        "configuration": {name: list(both) for name, both in found.config.items()},
        "first": None if first is None else first.name,
        "causes": [
            {"en": str(one), "zh": one.in_chinese(), "stages": list(one.stages)}
            for one in found.causes
        ],
        "parameters": [_array(d) for d in found.parameters],
        "values": [_array(d) for d in found.values],
        "gradients": [_array(d) for d in found.gradients],
        "only_first": found.only_first,
        "only_second": found.only_second,
        "unknown_first": found.unknown_first,
        "unknown_second": found.unknown,
    }


def _array(d: Difference) -> dict[str, Any]:
    return {
        "name": d.name,
        "cells": d.cells,
        "differing": d.differing,
        "largest": _finite(d.largest),
        "in_tolerances": _finite(d.relative),
        "tolerance": _finite(d.tolerance),
        "precision": d.precision,
        "nans": d.nans,
        "infinities": d.infinities,
        "note": d.note,
        "worst": [
            {"cell": list(p.cell), "expected": _finite(p.expected), "got": _finite(p.got)}
            for p in d.worst
        ],
    }


def _finite(x: float) -> float | None:
    return x if math.isfinite(x) else None
