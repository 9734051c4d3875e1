"""Gains that are kept as w and used as 1 + w: by hand, as they begin, and known mistakes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from samples import assert_close, config_of, random_parameters

from numtx import Batch, Config, initialise
from numtx.compare.compare import compare
from numtx.compare.sides import Side
from numtx.errors import ConfigError
from numtx.ops.norm import norm_forward
from numtx.place import Place
from numtx.trace.trace import record

NAME = "decoder, norms before and after sublayers"
IDS = [[1, 2, 3, 4, 5], [3, 1, 6, 7, 2]]


def test_by_hand() -> None:
    """RMS of (1, 2, 3, 4) with w = (0, 0.5, -0.5, 1) and epsilon 1e-6."""
    config = Config(
        model="decoder-only", width=4, decoder_layers=1, hidden=1, vocabulary=3, norm="rms",
        gain_offset=1, epsilon=1e-6,
    )  # fmt: skip
    at = Place({"norm.gain": np.array([0.0, 0.5, -0.5, 1.0])})
    y, _ = at.norm(np.array([[[1.0, 2.0, 3.0, 4.0]]]), config)
    assert_close(y[0, 0], [0.36514835, 1.09544504, 0.54772252, 2.92118678], 1e-8)


def test_every_gain_begins_as_nothing() -> None:
    for offset in (0, 1):
        config = config_of(NAME, gain_offset=offset)
        gains = [a for name, a in initialise(config).items() if name.endswith(".gain")]
        assert len(gains) == 2 * 6 + 1  # four norms, queries' and keys', of two blocks; the last
        assert all((gain == 1.0 - offset).all() for gain in gains)


def test_every_norm_has_it() -> None:
    """A model with gains less 1 and the offset is the model without, stage by stage."""
    config = config_of(NAME)
    p = random_parameters(config)
    whole = {name: a + 1.0 if name.endswith(".gain") else a for name, a in p.items()}
    first = record(config, p, Batch(IDS))
    second = record(config_of(NAME, gain_offset=0), whole, Batch(IDS))
    norms = [stage for stage in first.graph if stage.operation == "norm"]
    assert {stage.leaf.name for stage in norms} == {
        "norm", "norm_after", "normed_queries", "normed_keys", "output",
    }  # fmt: skip
    assert all("(1 + gain)" in stage.formula for stage in norms if stage.leaf.name != "output")
    for name in first:
        assert (first[name] == second[name]).all()


def test_other_numbers_are_refused() -> None:
    with pytest.raises(ConfigError, match="gain_offset is 2; it is a whole number of at least 0"):
        config_of(NAME, gain_offset=2)


@pytest.mark.parametrize(("by", "cause"), [(0.0, "as it is stored"), (2.0, "1 added twice")])
@pytest.mark.parametrize("stage", ["norm", "normed_keys"])
def test_known_mistakes_are_named(by: float, cause: str, stage: str) -> None:
    config = config_of(NAME)
    p: dict[str, Any] = random_parameters(config)
    trace = record(config, p, Batch(IDS))
    name = f"decoder.0.self_attention.{stage}"
    gain = p[name.replace("normed_keys", "key_norm") + ".gain"]
    wrong = norm_forward(trace[trace.graph[name].inputs[0]], gain + by, None, 1e-5, False)[0]
    found = compare(Side("A", {**trace.arrays}, trace), Side("B", {name: wrong}, None))
    assert found.first is not None and found.first.name == name
    assert any(cause in str(c) for c in found.causes), found.causes
