"""The stages that modules give out: held to the modules of transformers, and every row in use."""

from __future__ import annotations

import importlib.util
import json
from functools import cache
from pathlib import Path

import pytest
from children import python
from outside_families import FAMILIES
from small_folders import CONFIGS, config_of

from numtx.families import LAYOUTS
from numtx.layouts.modules import stages_of_modules
from numtx.stages.resolve import resolve

HAVE = all(importlib.util.find_spec(name) for name in ("torch", "transformers"))


@cache
def outside(folder: Path) -> dict[str, tuple[str, int]]:
    run = python(str(Path(__file__).parent / "outside_modules.py"), str(folder))
    assert run.returncode == 0, run.stderr
    found: dict[str, tuple[str, int]] = json.loads(run.stdout)
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("modules")


@pytest.mark.skipif(not HAVE, reason="needs torch and transformers")
@pytest.mark.parametrize("name", FAMILIES)
def test_modules_give_the_stages(name: str, folder: Path) -> None:
    """Every module's output is a stage to the last bits, or is known to be none."""
    wrong, stages = outside(folder)[name]
    assert wrong == "" and stages > 20


@pytest.mark.parametrize("name", CONFIGS)
def test_every_row_names_a_stage(name: str) -> None:
    config, layout = config_of(name), LAYOUTS[name]
    found = stages_of_modules(config, layout)
    stages = set(resolve(config).stages)
    for path, output in found.outputs.items():
        assert set(output.stages) <= stages, path
    acts = ("act_fn", "act", "activation_fn")  # one of them, and none of experts
    for form in layout.modules:
        if "{i}" in form and not form.endswith(acts):
            rows = {form.format(side=side, i=i) for side in config.sides for i in range(2)}
            assert rows & found.outputs.keys(), form


def test_paths_are_found_as_models_have_them() -> None:
    """With the prefix of the body and without, and in newer spellings."""
    table = stages_of_modules(config_of("gpt2"), LAYOUTS["gpt2"])
    for path in ("transformer.h.1.mlp", "h.1.mlp"):
        found = table.of(path)
        assert found is not None and found.stages == ("decoder.1.feed_forward.output",)
    experts = stages_of_modules(config_of("mixtral"), LAYOUTS["mixtral"])
    for path in ("model.layers.0.mlp.gate", "model.layers.0.block_sparse_moe.gate"):
        found = experts.of(path)
        assert found is not None and found.stages == ("decoder.0.feed_forward.router.logits",)
        weights = experts.of(path, 1)
        assert weights is not None and weights.stages[0].endswith("router.weights")
    assert table.of("transformer.h.1.mlp", 1) is None and table.of("nothing") is None


def test_what_is_fused_is_cut() -> None:
    config = config_of("gpt2")
    names = tuple(f"decoder.0.self_attention.{x}" for x in ("queries", "keys", "values"))
    for layout, path in (
        ("gpt2", "transformer.h.0.attn.c_attn"),
        ("bloom", "transformer.h.0.self_attention.query_key_value"),
    ):
        output = stages_of_modules(config, LAYOUTS[layout]).of(path)
        assert output is not None and output.stages == names
        assert bool(output.heads) == (layout == "bloom")
