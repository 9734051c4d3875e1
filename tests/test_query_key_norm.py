"""Normed queries and keys: by hand, against loops, in every cache, and known mistakes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from samples import assert_close, config_of, random_parameters

from numtx import Batch, Cache, Config, forward
from numtx.compare.compare import compare
from numtx.compare.sides import Side
from numtx.errors import CacheError, ConfigError
from numtx.models import MODELS
from numtx.ops.positions import rotate_forward, rotation
from numtx.step import step
from numtx.trace.trace import record

NAMES = [name for name, model in MODELS.items() if model.config().query_key_norm]
FIELDS: dict[str, Any] = MODELS["decoder, normed queries and keys"].fields
IDS, MASK = [[1, 2, 3, 4, 5], [0, 0, 6, 7, 2]], np.array([[1] * 5, [0, 0, 1, 1, 1]], bool)
BATCH: dict[str, Any] = {
    "ids": IDS,
    "mask": MASK,
    "labels": [[2, 3, 4, 5, 1], [-100, -100, 7, 2, 8]],
}


def test_by_hand():
    """One head of width 2: q = (3, 4), k = (3, 4) and (0, 2); rms(3, 4) = 5 / sqrt 2."""
    config = Config(
        model="decoder-only", width=2, decoder_layers=1, hidden=1, vocabulary=3, positions=None,
        norm=None, biases=False, query_key_norm="head", epsilon=0.0, score_scale=1.0,
    )  # fmt: skip
    p = {name: np.zeros_like(a) for name, a in random_parameters(config).items()}
    p["decoder.embedding"][1:] = [[3.0, 4.0], [0.0, 2.0]]
    place = "decoder.0.self_attention"
    for letter in "qkv":
        p[f"{place}.w_{letter}"][:] = np.eye(2)
    p[f"{place}.query_norm.gain"][:] = [1.0, 2.0]
    p[f"{place}.key_norm.gain"][:] = [5.0, 10.0]
    trace = record(config, p, Batch([[1, 2]]))
    root = math.sqrt(2.0)
    assert_close(
        trace[f"{place}.normed_queries"][0, 0], [[0.6 * root, 1.6 * root], [0.0, 2 * root]]
    )
    assert_close(trace[f"{place}.normed_keys"][0, 0], [[3 * root, 8 * root], [0.0, 10 * root]])
    assert_close(trace[f"{place}.scores"][0, 0], [[3.6 + 25.6, 32.0], [32.0, 40.0]])


@pytest.mark.parametrize("epsilon", [1e-5, 0.5])
def test_against_loops(epsilon):
    config = Config(**{**FIELDS, "positions": None, "rotary_width": None, "epsilon": epsilon})
    p = random_parameters(config)
    trace = record(config, p, Batch(IDS))
    for kind, norm in (("queries", "query_norm"), ("keys", "key_norm")):
        place = "decoder.1.self_attention"
        gain, x, found = p[f"{place}.{norm}.gain"], trace[f"{place}.{kind}"], []
        for row in x.reshape(-1, x.shape[3]).tolist():
            root = math.sqrt(sum(v * v for v in row) / len(row) + epsilon)
            found.append([v / root * g for v, g in zip(row, gain, strict=True)])
        assert_close(trace[f"{place}.normed_{kind}"], np.reshape(found, x.shape), 1e-13)


@pytest.mark.parametrize("name", [name for name in NAMES if MODELS[name].storages])
def test_cached_equals_uncached(name):
    config = config_of(name)
    p = random_parameters(config)
    source = {} if config.model == "decoder-only" else {"decoder_ids": IDS}
    whole = forward(config, p, Batch(IDS, **source))[0].logits
    for storage in MODELS[name].storages:
        cache = Cache(config, p, 2, storage=storage)
        for t in range(5):
            new = [[row[t]] for row in IDS]
            batch = Batch(new) if not source else Batch(IDS if t == 0 else None, decoder_ids=new)
            logits = step(config, p, batch, cache, every_position=True).logits
            assert_close(logits[:, 0], whole[:, t], 1e-10)


def test_it_is_refused_over_latents():
    with pytest.raises(
        ConfigError, match="query_key_norm 'head' is for models with key_value_latent None"
    ):
        Config(**{**FIELDS, "key_value_heads": None, "key_value_latent": 3})


def rms(x: Any, axis: Any = -1) -> Any:
    return x / np.sqrt((x * x).mean(axis, keepdims=True) + 1e-5)


@pytest.mark.parametrize(
    ("wrong", "cause"),
    [
        (lambda x, gain, other: x, "left out"),
        (lambda x, gain, other: rms(x) * other, "with the gain of key_norm"),
        (lambda x, gain, other: rms(x, (1, 3)) * gain, "over the whole projection, not each head"),
        (lambda x, gain, other: rms(x, 1) * gain, "over the heads"),
        (lambda x, gain, other: rms(x) * (1.0 + gain), "1 + gain for gain"),
    ],
)
def test_known_mistakes_are_named(wrong, cause):
    config = Config(**FIELDS)
    p = random_parameters(config)
    trace = record(config, p, Batch(**BATCH))
    place = "decoder.0.self_attention"
    name = f"{place}.normed_queries"
    gains = (p[f"{place}.{kind}_norm.gain"] for kind in ("query", "key"))
    x = trace[f"{place}.queries"]
    second = Side("B", {f"{place}.queries": x, name: wrong(x, *gains)}, None)
    found = compare(Side("A", {**trace.arrays}, trace), second)
    assert found.first is not None and found.first.name == name
    assert any(cause in str(c) for c in found.causes), found.causes


def turned(config: Config, x: Any, positions: Any) -> Any:
    by = rotation(positions, config.rotated, config.position_base, config.rotary_layout, "float64")
    return rotate_forward(x, by)


def normed(config: Config, x: Any, gain: Any) -> Any:
    """Over all heads of a token at once."""
    batch, heads, length, width = x.shape
    flat = rms(x.transpose(0, 2, 1, 3).reshape(batch, length, heads * width)) * gain
    return flat.reshape(batch, length, heads, width).transpose(0, 2, 1, 3)


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("gained", [True, False])
def test_over_the_projection_before_or_after_the_rotation(place, gained):
    fields = {"query_key_norm": "projection", "query_key_gain": gained, "window": None}
    config = Config(**{**FIELDS, **fields, "query_key_norm_place": place})
    p = random_parameters(config)
    trace = record(config, p, Batch(**BATCH))
    at, positions = "decoder.0.self_attention", trace.arrays["inputs/decoder.positions"]
    for kind, heads in (("query", 4), ("key", 2)):
        many = "queries" if kind == "query" else "keys"
        gain = p[f"{at}.{kind}_norm.gain"] if gained else np.ones(heads * 6)
        x = trace[f"{at}.{many}"]
        if place == "before":
            x = normed(config, x, gain)
            assert_close(trace[f"{at}.normed_{many}"], x, 1e-13)
            assert_close(trace[f"{at}.rotated_{many}"], turned(config, x, positions), 1e-13)
        else:
            x = turned(config, x, positions)
            assert_close(trace[f"{at}.rotated_{many}"], x, 1e-13)
            assert_close(trace[f"{at}.normed_{many}"], normed(config, x, gain), 1e-13)
    assert any(name.endswith("query_norm.gain") for name in p) == gained


def test_without_a_gain_the_order_does_not_matter():
    fields = {**FIELDS, "query_key_gain": False}
    p = random_parameters(Config(**fields))
    found = [
        forward(Config(**{**fields, "query_key_norm_place": place}), p, Batch(**BATCH))[0].logits
        for place in ("before", "after")
    ]
    assert_close(found[1][MASK], found[0][MASK], 1e-12)


@pytest.mark.parametrize("gained", [True, False])
def test_a_gain_on_rotated_keys_is_not_turned_in_a_shift(gained):
    config = Config(**{**FIELDS, "query_key_norm_place": "after", "query_key_gain": gained})
    p = random_parameters(config)
    cache = Cache(config, p, 1)
    step(config, p, Batch([[1, 2, 3]]), cache)
    if gained:
        with pytest.raises(CacheError, match="the gain stands on rotated keys"):
            cache.shift(0, 1)
    else:
        cache.shift(0, 1)
        assert cache.lengths.tolist() == [2]


@pytest.mark.parametrize(
    ("fields", "stage", "wrong", "cause"),
    [
        (
            {"query_key_norm": "projection"}, "normed_queries",
            lambda c, x, gain, t: rms(x) * gain.reshape(4, 1, 6), "over each head",
        ),
        (
            {"query_key_norm": "projection"}, "normed_queries",
            lambda c, x, gain, t: normed(c, x, 1.0), "without gain",
        ),
        (
            {}, "rotated_queries", lambda c, x, gain, t: rms(turned(c, x, t)) * gain,
            "norm and rotation exchanged",
        ),
        (
            {"query_key_norm_place": "after"}, "normed_queries",
            lambda c, x, gain, t: turned(c, rms(x) * gain, t), "norm and rotation exchanged",
        ),
        (
            {"query_key_gain": False}, "normed_queries", lambda c, x, gain, t: x, "left out",
        ),
    ],
)  # fmt: skip
def test_known_mistakes_of_other_norms_are_named(fields, stage, wrong, cause):
    config = Config(**{**FIELDS, **fields})
    p, place = random_parameters(config), "decoder.0.self_attention"
    trace = record(config, p, Batch(**BATCH))
    x, gain = trace[f"{place}.queries"], p.get(f"{place}.query_norm.gain")
    positions, name = trace.arrays["inputs/decoder.positions"], f"{place}.{stage}"
    second = Side("B", {name: wrong(config, x, gain, positions)}, None)
    found = compare(Side("A", {**trace.arrays}, trace), second)
    assert found.first is not None and found.first.name == name
    assert any(cause in str(c) for c in found.causes), found.causes
