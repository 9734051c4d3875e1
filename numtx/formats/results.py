"""What JSON says of results that hold more than a reader of JSON wants."""

from __future__ import annotations

from typing import Any

from ..costs import StepCost
from ..explaining.explanation import Explanation, written


def costs_of(costs: list[StepCost]) -> list[dict[str, Any]]:
    """Of each step its multiply-adds by group, and the numbers in the cache after it."""
    return [
        {
            "phase": cost.step.phase,
            "computed": cost.step.computed,
            "read": cost.step.read,
            "multiply_adds": {g: cost.total(g) for g in sorted({p.group for p in cost.products})},
            "cached": cost.cached,
        }
        for cost in costs
    ]


def arithmetic_of(explained: Explanation) -> dict[str, Any]:
    """An explanation: its steps as text with all digits, and those of the cells before it."""
    return {
        "name": explained.name,
        "cell": explained.cell,
        "kind": explained.kind,
        "value": explained.value,
        "formula": explained.formula,
        "steps": [
            {
                "left": step.left,
                "symbols": step.symbols,
                "forms": [written(form, repr) for form in step.forms],
                "value": step.value,
            }
            for step in explained.steps
        ],
        "notes": explained.notes,
        "pinned": explained.pinned,
        "sources": [arithmetic_of(source) for source in explained.sources],
    }
