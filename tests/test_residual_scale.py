"""A factor on what residual connections add: by hand, in every cache, and known mistakes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from mechanism_checks import token_by_token_is_the_whole
from samples import assert_close, config_of, random_parameters

from numtx import Batch, Config
from numtx.compare.compare import compare
from numtx.compare.sides import Side
from numtx.models import MODELS
from numtx.trace.trace import record

NAMES = [name for name, model in MODELS.items() if model.config().residual_scale != 1.0]
IDS = [[1, 2, 3, 4, 5], [3, 1, 6, 7, 2]]


def test_by_hand() -> None:
    """x = (3, 4), and W_O swaps: (3, 4) + 0.5 * (4, 3)."""
    config = Config(
        model="decoder-only", width=2, decoder_layers=1, hidden=1, vocabulary=3, positions=None,
        norm=None, biases=False, residual_scale=0.5,
    )  # fmt: skip
    p = {name: np.zeros_like(a) for name, a in random_parameters(config).items()}
    p["decoder.embedding"][1] = [3.0, 4.0]
    at = "decoder.0.self_attention"
    p[f"{at}.w_v"][:], p[f"{at}.w_o"][:] = np.eye(2), np.eye(2)[::-1]
    trace = record(config, p, Batch([[1]]))
    assert_close(trace[f"{at}.scaled_output"][0, 0], [2.0, 1.5])
    assert_close(trace[f"{at}.residual"][0, 0], [5.0, 5.5])


@pytest.mark.parametrize("name", [name for name in NAMES if MODELS[name].storages])
def test_cached_equals_uncached(name: str) -> None:
    token_by_token_is_the_whole(name)


def test_without_a_residual_there_is_nothing_to_scale() -> None:
    config = config_of("decoder, slopes, grouped, window")
    trace = record(config, random_parameters(config), Batch(IDS))
    assert "decoder.0.feed_forward.scaled_output" in trace
    assert "decoder.0.self_attention.scaled_output" not in trace


@pytest.mark.parametrize(
    ("wrong", "cause"),
    [
        (lambda x, y: x + y, "left out"),
        (lambda x, y: 0.4 * x + y, "on the input, not on what is added"),
        (lambda x, y: 0.4 * (x + y), "on the sum"),
        (lambda x, y: x + y / 0.4, "divided by it"),
        (lambda x, y: x + 0.4 * 0.4 * y, "taken twice"),
    ],
)
def test_known_mistakes_are_named(wrong: Any, cause: str) -> None:
    config = config_of("decoder, side by side on one norm")
    trace = record(config, random_parameters(config), Batch(IDS))
    name = "decoder.0.self_attention.residual"
    known = trace["decoder.input"], trace["decoder.0.self_attention.output"]
    second = Side("B", {name: wrong(*known)}, None)
    found = compare(Side("A", {**trace.arrays}, trace), second)
    assert found.first is not None and found.first.name == name
    assert any(f"factor of the residual ({cause}" in str(c) for c in found.causes), found.causes
