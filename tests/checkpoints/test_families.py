"""Every family read from what transformers writes, and written so that transformers reads it.

Skipped where PyTorch or transformers is missing. Each way runs in a process of its own, once for
all families: `wide` changes PyTorch's types for the whole of it.
"""

from __future__ import annotations

import importlib.util
import json
from functools import cache
from pathlib import Path

import pytest
from children import python
from family_models import FAMILIES

from numtx.families import LAYOUTS

HAVE = all(importlib.util.find_spec(name) for name in ("torch", "transformers"))
needed = pytest.mark.skipif(not HAVE, reason="needs torch and transformers")


@cache
def wrong(how: str, folder: Path) -> dict[str, str]:
    """What is wrong with each family, by one child."""
    run = python(str(Path(__file__).parent / "outside_families.py"), how, str(folder))
    assert run.returncode == 0, run.stderr
    found: dict[str, str] = json.loads(run.stdout)
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("families")


@needed
@pytest.mark.parametrize("name", FAMILIES)
def test_formulas_are_those_of_transformers(name: str, folder: Path) -> None:
    """Logits and all gradients, in float64 throughout."""
    assert wrong("wide", folder / "wide")[name] == ""


@needed
@pytest.mark.parametrize("name", FAMILIES)
def test_models_go_in_and_out(name: str, folder: Path) -> None:
    """As shipped: logits and gradients, the same bytes again, and models of numtx loaded whole."""
    assert wrong("shipped", folder / "shipped")[name] == ""


def test_every_family_is_tried() -> None:
    assert {name.partition("-")[0] for name in FAMILIES} == set(LAYOUTS)


def test_the_readme_names_every_family() -> None:
    text = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    named = text.partition("Families, by model_type:")[2].partition("Each computes")[0]
    assert set(LAYOUTS) <= {*named.replace(",", " ").replace(".", " ").split()}
