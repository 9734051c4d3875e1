"""Known mistakes in scaled angles and in chunks are named."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from mechanism_checks import IDS, MASK
from samples import config_of, one, random_parameters

from numtx import Batch
from numtx.batch import count_positions
from numtx.compare.compare import compare
from numtx.compare.sides import Side
from numtx.config.rotary import LinearScaling, YarnScaling
from numtx.masks import allowed
from numtx.ops.positions import rotate_forward, rotation
from numtx.trace.trace import record

POSITIONS = count_positions(MASK)
PADDED = Batch(IDS, mask=MASK)
RAMP = one(lambda c: isinstance(c.rotary_scaling, YarnScaling) and c.key_value_latent is None)
LISTS = "encoder, every angle by a number of its own"
BANDS = "decoder, angles by bands, and divided in some layers"
WRONG = {
    (RAMP, "angles not scaled"): lambda by: None,
    (RAMP, "attention factor left out"): lambda by: replace(by, attention_factor=1.0),
    (RAMP, "every angle divided by the factor"): lambda by: LinearScaling(factor=by.factor),
    (RAMP, "ramp over whole pairs"): lambda by: replace(by, truncate=True),
    (BANDS, "angles not scaled"): lambda by: None,
    (BANDS, "every angle divided by the factor"): lambda by: LinearScaling(factor=by.factor),
    (LISTS, "the list for short texts"): lambda by: replace(by, length=None),
}


def causes_of(config, stage, wrong, batch=PADDED):
    """What is said of a stage that was computed otherwise, and of nothing before it."""
    trace = record(config, random_parameters(config), batch, gradients=False)
    found = compare(
        Side("A", {**trace.arrays}, trace), Side("B", {stage: wrong(config, trace)}, None)
    )
    assert found.first is not None and found.first.name == stage
    return [str(cause) for cause in found.causes]


@pytest.mark.parametrize(("name", "cause"), WRONG)
def test_wrong_angles(name, cause):
    def turned(config, trace):
        own = config.layer(config.sides[0], 0)
        other = WRONG[name, cause](own.rotary_scaling)
        how = own.rotated, own.position_base, own.rotary_layout, "float64", other
        return rotate_forward(trace[trace.graph[stage].inputs[0]], rotation(POSITIONS, *how))

    stage = f"{config_of(name).sides[0]}.0.self_attention.rotated_queries"
    causes = causes_of(config_of(name), stage, turned)
    assert any(cause in told for told in causes), causes


@pytest.mark.parametrize(
    ("cause", "changes"),
    [
        ("chunks ignored", {}), ("a window, not chunks", {"window": 3}),
        ("chunks too long by one", {"chunk": 4}),
    ],
)  # fmt: skip
def test_wrong_chunks(cause, changes):
    name = one(lambda c: c.chunk == (3, None))

    def seen(config, trace):
        given = {"causal": True, "query_positions": POSITIONS, "key_positions": POSITIONS}
        return np.array(allowed(MASK, 5, **given, **changes).allowed)

    causes = causes_of(config_of(name), "decoder.0.self_attention.mask", seen)
    assert any(cause in told for told in causes), causes
