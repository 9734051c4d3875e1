"""Right models of transformers in coarser formats: rounding; a mistake of a thousandth is none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from small_folders import CONFIGS, written

from numtx import Batch, read_model
from numtx import record as run_of
from numtx.compare.compare import compare
from numtx.compare.comparison import Comparison
from numtx.compare.sides import Side, side_of

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from numtx.adapters.folder import load  # noqa: E402
from numtx.adapters.transformers import record  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")
FEW = ("llama", "gpt2", "roberta", "gemma2")
BODIES = ("bert", "distilbert", "vit")  # they have no loss
ONE = [n for n in CONFIGS if CONFIGS[n]["model"] != "encoder-decoder" and n not in BODIES]
EVERY = [pytest.param(n, marks=() if n in FEW else pytest.mark.heavy) for n in ONE]
IDS, LABELS = [[1, 2, 3, 10, 5, 6]], [[5, 3, 2, 7, 1, 4]]


def both(name: str, folder, change=lambda model: None, only=()) -> Comparison:
    """The family's small model in float64 by numtx, beside what the package makes of it."""
    written(folder, name, "float32")
    config, parameters = read_model(folder)[:2]
    trace = run_of(
        replace(config, dtype="float64"),
        {n: array.astype(np.float64) for n, array in parameters.items()},
        Batch(IDS, labels=LABELS),
    )
    model = load(str(folder))
    change(model)
    arrays = record(model, IDS, labels=LABELS).arrays
    if only:
        arrays = {stage: arrays[stage] for stage in only}
    return compare(side_of(trace, "numtx"), Side("theirs", arrays, None))


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("name", EVERY)
def test_a_right_model_is_rounding(name, dtype, tmp_path):
    for only in ((), ("logits",)):
        found = both(name, tmp_path / f"m{len(only)}", lambda m: m.to(getattr(torch, dtype)), only)
        wrong = [d for d in (*found.values, *found.gradients) if not d.equal]
        assert found.verdict == "rounding", (wrong, found.causes)


@pytest.mark.parametrize("name", FEW)
def test_a_thousandth_in_float32_is_different(name, tmp_path):
    def change(model):
        with torch.no_grad():
            weight = [p for n, p in model.named_parameters() if p.ndim == 2][-1]
            weight.mul_(1.001)

    found = both(name, tmp_path / "m", change)
    assert found.verdict == "different"
