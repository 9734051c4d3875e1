"""What the modules of small models of transformers give out, beside the stages of numtx.

Run as a program, in a process of its own (it binds float32 to float64): `outside_modules.py FOLDER`
prints a line of JSON: of each family what is wrong, and how many stages were seen.
"""

from __future__ import annotations

import json
import sys
import traceback
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from outside_families import CLOSE, FAMILIES, batch_for, built, outputs_of, widen

from numtx import record
from numtx.checkpoints.folder import Folder
from numtx.checkpoints.sides import understood
from numtx.compare.compare import compare
from numtx.compare.sides import Side, side_of
from numtx.layouts.modules import Modules, stages_of_modules

# Modules that give no stage: the whole, what is no part of the formulas, single experts, the heads'
# products before what comes after them, a bias of each head apart, a norm that is not there; and
# parts outside numtx.
NO_STAGE = (
    "rotary_emb", "drop", "act_fn", "lm_head", "relative_attention_bias", "attn_norm",
    "model.encoder.", "patch_embeddings", "classifier",
)  # fmt: skip


def outputs(model: Any, name: str) -> dict[tuple[str, int], np.ndarray]:
    """Every array that a module gave, by its path and place in the tuple."""
    import torch

    found: dict[tuple[str, int], np.ndarray] = {}

    def keep(path: str, given: Any) -> None:
        arrays = given if isinstance(given, tuple) else [given]
        for item, x in enumerate(arrays):
            if isinstance(x, torch.Tensor):
                found[path, item] = x.detach().numpy().copy()

    for path, module in model.named_modules():
        module.register_forward_hook(lambda m, a, given, path=path: keep(path, given))
    with torch.no_grad():
        outputs_of(name, model)
    return found


def seen(table: Modules, trace: Any, given: dict[tuple[str, int], np.ndarray], close: float) -> int:
    """How many stages the modules gave, each as numtx has it."""
    stages: set[str] = set()
    for (path, item), x in given.items():
        output = table.of(path, item)
        if output is None:
            left = item > 0 or not path or any(part in path for part in NO_STAGE)
            assert left, f"{path}: no stage, {x.shape}"
            continue
        for stage, array in output.arrays(x, lambda stage: trace[stage].shape):
            size = np.abs(trace[stage]).max()
            np.testing.assert_allclose(array, trace[stage], 0, close * size, err_msg=path)
            stages.add(stage)
    return len(stages)


def compared(trace: Any, given: dict[tuple[str, int], np.ndarray], weights: Any) -> None:
    """A file of all that hooks and the state dict give is equal, and nobody says whose names it
    has."""
    theirs = {path: x for (path, item), x in given.items() if path and not item}
    theirs |= {tensor: x.numpy() for tensor, x in weights.items()}
    ours = side_of(trace, "A")
    found = compare(ours, understood(Side("B", theirs, None), ours))
    assert found.verdict in ("equal", "rounding"), found.first
    left = [n for n in found.unknown if not any(part in n for part in NO_STAGE)]
    assert not left and found.compared > 40, left


def tried(name: str, folder: Path) -> tuple[str, int]:
    """What is wrong with a family, and how many stages its modules gave."""
    try:
        model = built(name)
        model.save_pretrained(folder)
        opened = Folder(folder)
        config, parameters, _ = opened.read()
        trace = record(config, parameters, batch_for(name, model), gradients=False)
        table, given = stages_of_modules(config, opened.layout), outputs(model, name)
        stages = seen(table, trace, given, CLOSE.get(name, 1e-10))
        compared(trace, given, model.state_dict())
        return "", stages
    except Exception:
        return traceback.format_exc(), 0


if __name__ == "__main__":
    widen()
    warnings.simplefilter("ignore")
    print(json.dumps({name: tried(name, Path(sys.argv[1]) / name) for name in FAMILIES}))
