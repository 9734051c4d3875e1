"""Slopes and the bias by distance: by hand, in cached steps with padding, and known mistakes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from mechanism_checks import IDS, LABELS, MASK, token_by_token_is_the_whole
from samples import assert_close, config_of, random_parameters

from numtx import Batch, Config, forward
from numtx.compare.compare import compare
from numtx.compare.sides import Side
from numtx.models import MODELS
from numtx.ops.alibi import distance_bias, slopes
from numtx.trace.trace import record

NAMES = [name for name, model in MODELS.items() if model.config().positions == "alibi"]
FIELDS: dict[str, Any] = MODELS["decoder, slopes, six heads"].fields
BATCH: dict[str, Any] = {"ids": IDS, "mask": MASK, "labels": LABELS}
PLACE = "decoder.0.self_attention"


@pytest.mark.parametrize(
    ("heads", "exponents"),
    [
        (1, [8]),
        (2, [4, 8]),
        (3, [4, 8, 2]),
        (4, [2, 4, 6, 8]),
        (6, [2, 4, 6, 8, 1, 3]),
        (8, [1, 2, 3, 4, 5, 6, 7, 8]),
        (12, [1, 2, 3, 4, 5, 6, 7, 8, 0.5, 1.5, 2.5, 3.5]),
    ],
)
def test_slopes_by_hand(heads, exponents):
    assert slopes(heads).tolist() == [2.0**-e for e in exponents]


def test_slopes_of_any_number_of_heads():
    for heads in range(1, 130):
        found = slopes(heads)
        assert len(set(found.tolist())) == heads and (found > 0).all() and (found < 1).all()


def test_the_bias_by_hand():
    queries, keys = np.array([[3], [1]]), np.array([[0, 1, 2, 3], [0, 0, 0, 1]])
    bias = distance_bias(queries, keys, 2, "float32")
    assert bias.dtype == np.float32 and bias.shape == (2, 2, 1, 4)
    assert bias[0].tolist() == [
        [[-3 / 16, -2 / 16, -1 / 16, 0]],
        [[-3 / 256, -2 / 256, -1 / 256, 0]],
    ]
    assert bias[1, 0].tolist() == [[-1 / 16] * 3 + [0]]
    far = distance_bias(np.array([[70_000]]), np.array([[0, 4096, 69_000, 70_003]]), 2, "float64")
    assert far[0, :, 0].tolist() == [
        [-m * n for n in (70_000, 65_904, 1000, 3)] for m in (1 / 16, 1 / 256)
    ]


def test_the_scores_fall_with_the_distance_and_padding_on_the_left_moves_nothing():
    config = config_of("decoder, slopes, six heads")
    p = random_parameters(config)
    trace = record(config, p, Batch(IDS, mask=MASK))
    bias = trace[f"{PLACE}.bias"]
    for h, slope in enumerate([1 / 4, 1 / 16, 1 / 64, 1 / 256, 1 / 2, 1 / 8]):
        assert bias[0, h, 4].tolist() == [-4 * slope, -3 * slope, -2 * slope, -slope, 0.0]
        assert bias[1, h, 4, 2:].tolist() == [-2 * slope, -slope, 0.0]
    biased = trace[f"{PLACE}.scores"] + bias
    assert np.array_equal(trace[f"{PLACE}.biased_scores"], biased)
    alone = forward(config, p, Batch([IDS[1][2:]]))[0].logits
    assert_close(forward(config, p, Batch(IDS, mask=MASK))[0].logits[1, 2:], alone[0], 1e-10)


@pytest.mark.parametrize("name", [name for name in NAMES if MODELS[name].storages])
def test_cached_equals_uncached_with_padding_on_the_left(name):
    token_by_token_is_the_whole(name)


def wrong_bias(kind: str) -> Any:
    positions = np.maximum(np.cumsum(MASK, 1) - 1, 0)
    away = np.abs(positions[:, None, :, None] - positions[:, None, None, :])
    slope = slopes(6)[:, None, None]
    return {
        "the other sign": slope * away,
        "2^(-8h/H)": -(2.0 ** (-8 * np.arange(1, 7) / 6))[:, None, None] * away,
        "in falling order": -np.sort(slope, 0)[::-1] * away,
        "every slope": -np.concatenate([slope[:4], [[[0.5]], [[0.25]]]]) * away,
        "padding too": -slope * np.abs(np.arange(5)[:, None] - np.arange(5)) + 0 * away,
        "of the key's position": slope * positions[:, None, None, :] + 0 * away,
    }[kind]


@pytest.mark.parametrize(
    "cause",
    ["the other sign", "2^(-8h/H)", "in falling order", "every slope", "padding too",
     "of the key's position"],
)  # fmt: skip
def test_known_mistakes_are_named(cause):
    config = Config(**FIELDS)
    trace = record(config, random_parameters(config), Batch(**BATCH))
    second = Side("B", {f"{PLACE}.bias": wrong_bias(cause)}, None)
    found = compare(Side("A", {**trace.arrays}, trace), second)
    assert found.first is not None and found.first.name == f"{PLACE}.bias"
    assert any(cause in str(c) for c in found.causes), found.causes


@pytest.mark.parametrize("cause", ["left out", "added twice", "before the scale"])
def test_a_bias_put_in_wrongly_is_named(cause):
    config = Config(**FIELDS)
    trace = record(config, random_parameters(config), Batch(**BATCH))
    scores, bias = trace[f"{PLACE}.scores"], trace[f"{PLACE}.bias"]
    factor = {"left out": 0.0, "added twice": 2.0, "before the scale": config.scale}[cause]
    second = {f"{PLACE}.scores": scores, f"{PLACE}.biased_scores": scores + factor * bias}
    found = compare(Side("A", {**trace.arrays}, trace), Side("B", second, None))
    assert found.first is not None and found.first.name == f"{PLACE}.biased_scores"
    assert any(cause in str(c) for c in found.causes), found.causes
