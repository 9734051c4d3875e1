"""Mistakes planted in Transformers that are written apart, in PyTorch: where they begin, and why.

Skipped where PyTorch is missing. `planted_table.py` prints the whole table.
"""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest
from planted_mistakes import FAMILIES, GRADIENTS, UNKNOWABLE, VALUES
from samples import some

needs_torch = pytest.mark.skipif(not importlib.util.find_spec("torch"), reason="needs torch")
PLANTED = {f"{family}: {mistake}": (family, mistake, *rest) for family, mistake, *rest in VALUES}


def told(name: str, kept: str) -> tuple[str | None, str, list[str]]:
    from planted_table import against, verdict

    family, mistake, _, words = PLANTED[name]
    found = against(family, mistake, kept)
    return (found.first.name if found.first else None, *verdict(found, words))


@needs_torch
@pytest.mark.parametrize("family", some(3, __name__, FAMILIES))
def test_values_and_gradients_of_the_models_are_equal(family: str) -> None:
    from planted_table import against

    found = against(family, "", gradients=True)
    assert found.equal, found.first
    assert len(found.values) > 40 and len(found.gradients) > 50


@needs_torch
@pytest.mark.parametrize("name", some(12, __name__, PLANTED))
def test_a_planted_mistake_is_found_and_named(name: str) -> None:
    first, said, causes = told(name, "all")
    assert first == PLANTED[name][2]
    assert said == "right", causes


@needs_torch
@pytest.mark.parametrize("kept", ["some", "last"])
@pytest.mark.parametrize("name", some(2, f"{__name__} sparse", PLANTED))
def test_it_is_named_where_the_file_has_little(name: str, kept: str) -> None:
    _, said, causes = told(name, kept)
    assert said == UNKNOWABLE.get((name, kept), "right"), causes


@needs_torch
@pytest.mark.parametrize("number", some(4, __name__, map(str, range(len(GRADIENTS)))))
def test_a_mistake_of_a_gradient_is_found_and_named(number: str) -> None:
    from planted_table import against, verdict

    family, mistake, stage, words = GRADIENTS[int(number)]
    found = against(family, mistake, gradients=True)
    assert found.first is not None and found.first.name == f"grad/{stage}"
    said, causes = verdict(found, words)
    assert said == "right", causes


def test_there_are_enough() -> None:
    counts: dict[str, Any] = dict.fromkeys(FAMILIES, 0)
    for family, *_ in VALUES:
        counts[family] += 1
    assert min(counts.values()) > 0 and len(VALUES) >= 100 and len(PLANTED) == len(VALUES)
