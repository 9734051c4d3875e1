"""Whole models of transformers beside numtx: every family with every demand, or why it has none.

Skipped where PyTorch or transformers is missing. Each way runs in a process of its own, once for
all families: `wide` changes PyTorch's types for the whole of it.
"""

from __future__ import annotations

import importlib.util
import json
from functools import cache
from pathlib import Path

import pytest
from beside_transformers import DEMANDS, SEEDS
from children import python
from outside_models import FAMILIES

HAVE = all(importlib.util.find_spec(name) for name in ("torch", "transformers"))
ASKED = [(how, demand) for how, demands in DEMANDS.items() for demand in demands]


@cache
def compared(how: str) -> dict[str, dict[str, list[str]]]:
    """Of each family and demand: how many models were compared, and what is wrong."""
    run = python(str(Path(__file__).parent / "beside_transformers.py"), how)
    assert run.returncode == 0, run.stderr
    found: dict[str, dict[str, list[str]]] = json.loads(run.stdout.splitlines()[-1])
    return found


@pytest.mark.heavy
@pytest.mark.skipif(not HAVE, reason="needs torch and transformers")
@pytest.mark.parametrize(("how", "demand"), ASKED)
@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_is_that_of_transformers(name: str, how: str, demand: str) -> None:
    """Three configurations with as many seeds each; at least one has what is demanded."""
    count, *wrong = compared(how)[name][demand]
    assert not wrong, "\n".join(wrong)
    if demand in FAMILIES[name].lacks:
        assert count == "0"
    else:
        assert int(count) >= len(SEEDS)


def test_what_a_family_lacks_is_a_demand() -> None:
    demands = {demand for _, demand in ASKED}
    assert all(family.lacks.keys() <= demands for family in FAMILIES.values())
    assert all(len(family.fields) == 3 for family in FAMILIES.values())
