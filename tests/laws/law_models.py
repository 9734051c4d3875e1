"""The models that the laws are tried on, and what the law files share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from numtx import Batch, Config, forward
from numtx.config import MODELS, POSITIONS
from numtx.testing.strategies import parameters_of
from numtx.trace.trace import Trace, record

Array = np.ndarray
B, T, S, V = 2, 4, 6, 11
PAD = V - 1  # an id that the random tokens below do not have


def model(kind: str, positions: str | None, window: int | None, **fields: Any) -> Config:
    """A small model with grouped heads and all sizes different."""
    wanted: dict[str, Any] = {
        "model": kind,
        "width": 8,
        "encoder_layers": 2 if kind != "decoder-only" else 0,
        "decoder_layers": 2 if kind != "encoder-only" else 0,
        "heads": 4,
        "key_value_heads": 2,
        "key_width": 6,
        "value_width": 3,
        "hidden": 7,
        "vocabulary": V,
        "positions": positions,
        "position_limit": 9 if positions == "learned" else None,
        "norm_place": "pre" if positions == "rotary" else "post",
        "activation": "silu",
        "window": window,
    }
    return Config(**{**wanted, **fields})


CASES = [
    pytest.param(model(kind, positions, window), id=f"{kind}-{positions}-window-{window}")
    for kind in MODELS
    for positions in (*POSITIONS, None)
    for window in (None, 3)
] + [
    pytest.param(
        model(kind, "rotary", None, key_value_heads=None, key_value_latent=5), id=f"{kind}-latent"
    )
    for kind in MODELS
]
every_model = pytest.mark.parametrize("config", CASES)
causal_models = pytest.mark.parametrize(
    "config", [case for case in CASES if case.values[0].model != "encoder-only"]
)


def parameters(config: Config, seed: int = 7) -> dict[str, Array]:
    return parameters_of(config, seed)


def ids(shape: tuple[int, int], seed: int = 3) -> Array:
    """Random tokens below PAD; some repeat."""
    return np.random.default_rng(seed).integers(0, PAD, shape)


def batch(config: Config, rows: int = B, seed: int = 3) -> Batch:
    """Tokens without padding, with labels of which one is ignored."""
    source, target = ids((rows, S), seed), ids((rows, T), seed + 1)
    both = config.model == "encoder-decoder"
    labels = ids((rows, T if both else S), seed + 2)
    labels[0, 1] = -100
    return Batch(source, target if both else None, labels)


def padded(config: Config) -> tuple[Batch, Array]:
    """A batch whose first row is padded left and whose last row right, labels of padding
    ignored; and the mask of the positions that have logits."""
    found = batch(config)
    masks = []
    for array in (found.ids, found.decoder_ids):
        if array is not None:
            mask = np.ones(array.shape, bool)
            mask[0, :2] = False
            mask[-1, -1:] = False
            array[~mask] = PAD
            masks.append(mask)
    found.labels[~masks[-1]] = -100
    both = config.model == "encoder-decoder"
    return replace(found, mask=masks[0], decoder_mask=masks[1] if both else None), masks[-1]


def last_ids(config: Config, given: Batch) -> Array:
    """The tokens of the stack that gives the logits."""
    return given.decoder_ids if config.model == "encoder-decoder" else given.ids


def with_last_ids(config: Config, given: Batch, tokens: Array, **other: Any) -> Batch:
    """The batch with other tokens in the stack that gives the logits, without labels."""
    name = "decoder_ids" if config.model == "encoder-decoder" else "ids"
    return replace(given, **{name: tokens, "labels": None, **other})


def logits(config: Config, own: Mapping[str, Array], given: Batch) -> Array:
    return forward(config, own, given)[0].logits


def run(config: Config, own: Mapping[str, Array], given: Batch, **options: Any) -> Trace:
    return record(config, own, given, **options)


def close(a: Array, b: Array) -> bool:
    """An equivalence of whole computations in float64, at unit gain."""
    return a.shape == b.shape and float(np.abs(a - b).max(initial=0.0)) <= 1e-10
