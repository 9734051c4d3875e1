"""V1, V2, V4 and V5 beyond what `numtx laws` says: of weights and gradients, and bit for bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from law_runs import attentions, close, every_model, logits, padded_run, run
from samples import among, config_of, ragged_batch, random_parameters

from numtx import Config
from numtx.own_laws.variants import heads_taken


def mixes_heads(config: Config) -> bool:
    """Whether every attention has an output projection, and heads to put in another order: none
    that are told apart by their place, as slopes are."""
    places = [f"{side}.{name}" for side in config.sides for name in config.sublayers(side)]
    attention = [place for place in places if "attention" in place]
    several = config.heads > 1 and config.positions != "alibi"
    return several and all(map(config.has_output_projection, attention))


@pytest.mark.parametrize("name", among(mixes_heads))
def test_v1_the_order_of_heads_does_not_matter(name: str) -> None:
    """Key/value heads move together with the query heads of their group."""
    config, first = config_of(name), padded_run(name)
    heads, groups = (list(range(n))[::-1] for n in (config.heads, config.kv_heads))
    own = random_parameters(config)
    moved = {
        own_name: heads_taken(config, own_name, a, heads, groups) for own_name, a in own.items()
    }
    second = run(config, moved, ragged_batch(config))
    assert close(first["logits"], second["logits"])
    for place in attentions(first):
        for stage in (f"{place}.queries", f"{place}.weights"):
            assert close(first[stage][:, heads], second[stage])
        assert not close(first[f"{place}.queries"], second[f"{place}.queries"])
    for own_name in own:
        gradient = first.grad(f"parameters/{own_name}")
        there = heads_taken(config, own_name, gradient, heads, groups)
        assert close(there, second.grad(f"parameters/{own_name}")), own_name


def as_many_keys(config: Config) -> bool:
    return config.kv_heads == config.heads and config.key_value_latent is None


@pytest.mark.parametrize("name", among(as_many_keys))
def test_v2_as_many_key_value_heads_as_heads_is_the_default(name: str) -> None:
    config = config_of(name, key_value_heads=None)
    own, given = random_parameters(config), ragged_batch(config)
    written = replace(config, key_value_heads=config.heads)
    assert np.array_equal(logits(config, own, given), logits(written, own, given))


@every_model
def test_v4_a_window_as_long_as_the_sequence_is_none(name: str) -> None:
    config = config_of(name, window=None)
    own, given = random_parameters(config), ragged_batch(config)
    first, longest = logits(config, own, given), given["ids"].shape[1]
    for window in (longest, longest + 1, 1000):
        assert np.array_equal(first, logits(replace(config, window=window), own, given))
    assert not np.array_equal(first, logits(replace(config, window=2), own, given))


@every_model
def test_v5_a_score_scale_written_out_is_the_default(name: str) -> None:
    """Over latents that of the rotated part, too; cross-attention beside it has none."""
    config = config_of(name, score_scale=None)
    width = config.d_k
    if config.key_value_latent is not None:
        if config.rotated and len(config.sides) == 2:
            config = replace(config, positions=None, rotary_width=None)
        width += config.rotated
    own, given = random_parameters(config), ragged_batch(config)
    explicit = replace(config, score_scale=1.0 / np.sqrt(width).item())
    assert np.array_equal(logits(config, own, given), logits(explicit, own, given))
