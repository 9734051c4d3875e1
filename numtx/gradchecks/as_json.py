"""What gradcheck found as one JSON object, for programs."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..backwards.check import OwnReport
    from ..check.gradcheck import GradientReport


def own_as_json(found: OwnReport) -> str:
    """Every gradient with its wrong cells and what it is. An infinite number, which JSON has not,
    is null."""
    gradients = [
        {
            "name": one.name,
            "ok": one.ok,
            "cells": one.cells,
            "differing": one.differing,
            "in_tolerances": _finite(one.worst),
            "kinks": one.kinks,
            "causes": [{"en": kind.en, "zh": kind.zh} for kind in one.kinds],
            "worst": [_cell(cell.cell, cell.numeric, cell.analytic) for cell in one.wrong],
        }
        for one in found.checked
    ]
    return _text({"ok": found.ok, "gradients": gradients, "not_given": found.missing})


def as_json(found: GradientReport) -> str:
    """The same of a model, its stages, or operations; the worst cell is that of each array."""
    gradients = [
        {
            "name": one.name,
            "ok": one.ok,
            "cells": one.cells,
            "in_tolerances": _finite(one.worst),
            "worst": [_cell(one.cell, one.numeric, one.analytic)],
        }
        for one in found.comparisons
    ]
    return _text({"ok": found.ok, "gradients": gradients, "kinks": found.kinks})


def _cell(cell: tuple[int, ...] | None, numeric: float, analytic: float) -> dict[str, Any]:
    """A cell, or null for a random direction."""
    return {
        "cell": None if cell is None else list(cell),
        "differences": _finite(numeric),
        "backward": _finite(analytic),
    }


def _text(found: dict[str, Any]) -> str:
    return json.dumps(found, ensure_ascii=False, indent=1)


def _finite(x: float) -> float | None:
    return x if math.isfinite(x) else None
