"""V1, V2, V4: variants of attention that must come to the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from law_models import S, close, every_model, logits, model, padded, parameters, run

from numtx import Config
from numtx.config import MODELS, POSITIONS

every_kind = pytest.mark.parametrize(
    ("kind", "positions"), [(kind, place) for kind in MODELS for place in (*POSITIONS, None)]
)


def heads_rearranged(
    name: str, array: np.ndarray, config: Config, query_heads: list[int], key_heads: list[int]
) -> np.ndarray:
    """A parameter with its heads taken in another order (or taken more than once)."""
    leaf = name.rpartition(".")[2]
    if leaf in ("w_q", "b_q", "w_uq"):
        widths, order, axis = config.d_k, query_heads, -1
    elif leaf == "w_qr":
        widths, order, axis = config.rotated, query_heads, -1
    elif leaf in ("w_k", "b_k", "w_uk"):
        widths, order, axis = config.d_k, key_heads, -1
    elif leaf in ("w_v", "b_v", "w_uv"):
        widths, order, axis = config.d_v, key_heads, -1
    elif leaf == "w_o":
        widths, order, axis = config.d_v, query_heads, 0
    else:
        return array
    columns = [head * widths + i for head in order for i in range(widths)]
    return np.take(array, columns, axis)


@every_kind
def test_v1_the_order_of_heads_does_not_matter(kind: str, positions: str | None) -> None:
    """Key/value heads move together with the query heads of their group."""
    check_order_of_heads(model(kind, positions, 3), [1, 0])


@pytest.mark.parametrize("query_latent", [None, 3])
@pytest.mark.parametrize("kind", MODELS)
def test_v1_over_latents_too(kind: str, query_latent: int | None) -> None:
    latents = {"key_value_heads": None, "key_value_latent": 5, "query_latent": query_latent}
    check_order_of_heads(model(kind, "rotary", 3, **latents), [3, 2, 0, 1])


def check_order_of_heads(config: Config, key_heads: list[int]) -> None:
    own, (given, _) = parameters(config), padded(config)
    moved = {
        name: heads_rearranged(name, array, config, [3, 2, 0, 1], key_heads)
        for name, array in own.items()
    }
    first, second = run(config, own, given), run(config, moved, given)
    assert close(first["logits"], second["logits"])
    stage = f"{config.sides[0]}.0.self_attention.weights"
    assert close(first[stage][:, [3, 2, 0, 1]], second[stage])
    assert not close(first[stage], second[stage])
    for name in own:
        there = heads_rearranged(
            name, first.grad(f"parameters/{name}"), config, [3, 2, 0, 1], key_heads
        )
        assert close(there, second.grad(f"parameters/{name}")), name


@every_kind
@pytest.mark.parametrize("groups", [1, 2])
def test_v2_grouped_heads_are_heads_with_repeated_keys_and_values(
    kind: str, positions: str | None, groups: int
) -> None:
    config = replace(model(kind, positions, None), key_value_heads=groups)
    every = replace(config, key_value_heads=None)
    own, (given, _) = parameters(config), padded(config)
    repeated = [head // (4 // groups) for head in range(4)]
    wide = {
        name: heads_rearranged(name, array, config, [0, 1, 2, 3], repeated)
        for name, array in own.items()
    }
    first, second = run(config, own, given), run(every, wide, given)
    assert close(first["logits"], second["logits"])
    for name in own:  # a repeated head's gradients are summed into the one that it repeats
        gradient = second.grad(f"parameters/{name}")
        if name.rpartition(".")[2] in ("w_k", "b_k", "w_v", "b_v"):
            width = gradient.shape[-1] // 4
            shape = (*gradient.shape[:-1], groups, 4 // groups, width)
            gradient = gradient.reshape(shape).sum(-2).reshape(first.parameters[name].shape)
        assert close(first.grad(f"parameters/{name}"), gradient), name


@every_kind
def test_v2_as_many_key_value_heads_as_heads_is_the_default(
    kind: str, positions: str | None
) -> None:
    config = replace(model(kind, positions, None), key_value_heads=4)
    own, (given, _) = parameters(config), padded(config)
    default = replace(config, key_value_heads=None)
    assert np.array_equal(logits(config, own, given), logits(default, own, given))


@every_kind
def test_v4_a_window_as_long_as_the_sequence_is_none(kind: str, positions: str | None) -> None:
    config = model(kind, positions, None)
    own, (given, _) = parameters(config), padded(config)
    first = logits(config, own, given)
    for window in (S, S + 1, 1000):
        assert np.array_equal(first, logits(replace(config, window=window), own, given))
    assert not np.array_equal(first, logits(replace(config, window=2), own, given))


@every_model
def test_a_score_scale_written_out_is_the_default(config: Config) -> None:
    width = config.d_k
    if config.key_value_latent is not None:
        if config.model == "encoder-decoder":  # its cross-attention has no rotated part
            config = replace(config, positions=None)
        width += config.rotated
    own, (given, _) = parameters(config), padded(config)
    explicit = replace(config, score_scale=1.0 / np.sqrt(width).item())
    assert np.array_equal(logits(config, own, given), logits(explicit, own, given))
