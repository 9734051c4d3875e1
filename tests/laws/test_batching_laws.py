"""B1 to B5, W2 and W4: rows, padding, the order of the vocabulary, and types."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from law_models import (
    PAD,
    B,
    S,
    V,
    batch,
    close,
    every_model,
    ids,
    logits,
    model,
    padded,
    parameters,
    run,
)

from numtx import Batch, Config, backward, forward
from numtx.testing.exactness import same


@every_model
def test_b1_other_rows_do_not_matter(config: Config) -> None:
    """Neither their tokens nor their padding."""
    own, given = parameters(config), batch(config, rows=3)
    both = given.decoder_ids is not None
    changes: dict[str, Any] = {}
    for prefix in ("", "decoder_") if both else ("",):
        tokens = getattr(given, f"{prefix}ids")
        other, mask = (tokens + 3) % PAD, np.ones(tokens.shape, bool)
        other[1], mask[0, 0], mask[2, -1] = tokens[1], False, False
        changes |= {f"{prefix}ids": other, f"{prefix}mask": mask}
    first, second = logits(config, own, given), logits(config, own, replace(given, **changes))
    assert same(first[1], second[1])
    assert not close(first[0], second[0])


@every_model
def test_b2_rows_in_another_order_give_outputs_in_that_order(config: Config) -> None:
    own, given = parameters(config), padded(config)[0]
    turned = {
        name: getattr(given, name)[::-1]
        for name in ("ids", "decoder_ids", "labels", "mask", "decoder_mask")
        if getattr(given, name) is not None
    }
    first, second = run(config, own, given), run(config, own, replace(given, **turned))
    assert close(first["logits"][::-1], second["logits"])
    assert close(first["loss"], second["loss"])
    for name in own:
        assert close(first.grad(f"parameters/{name}"), second.grad(f"parameters/{name}"))


@every_model
@pytest.mark.parametrize("where", ["left", "right"])
def test_b3_padding_changes_nothing_wherever_it_is(config: Config, where: str) -> None:
    """The model derives its own positions from the mask; gradients are the same too."""
    own, given = parameters(config), batch(config)
    both = given.decoder_ids is not None
    room, first = 2, where == "left"
    start = slice(room, None) if first else slice(None, -room)
    changes: dict[str, Any] = {}
    for name in ("ids", "decoder_ids", "labels"):
        array = getattr(given, name)
        if array is None:
            continue
        filler = -100 if name == "labels" else PAD
        wide = np.full((B, array.shape[1] + room), filler)
        wide[:, start] = array
        changes[name] = wide
        mask = np.zeros(wide.shape, bool)
        mask[:, start] = True
        if name != "labels":
            changes["decoder_mask" if name == "decoder_ids" else "mask"] = mask
    short, long = run(config, own, given), run(config, own, Batch(**changes))
    assert close(long["logits"][:, start], short["logits"])
    assert close(long["loss"], short["loss"])
    for name in own:
        assert close(long.grad(f"parameters/{name}"), short.grad(f"parameters/{name}")), name
    assert both == (config.model == "encoder-decoder")


@every_model
def test_b4_a_row_alone_is_the_row_in_the_batch(config: Config) -> None:
    own, (given, _) = parameters(config), padded(config)
    together = logits(config, own, given)
    for row in range(B):
        fields = {
            name: getattr(given, name)[row : row + 1]
            for name in ("ids", "decoder_ids", "mask", "decoder_mask")
            if getattr(given, name) is not None
        }
        assert close(logits(config, own, Batch(**fields)), together[row : row + 1])


@pytest.mark.parametrize("positions", ["sinusoidal", "learned", "rotary", None])
@pytest.mark.parametrize("window", [None, 3])
def test_b5_the_memorys_padding_does_not_matter_and_the_memory_does(
    positions: str | None, window: int | None
) -> None:
    config = model("encoder-decoder", positions, window)
    own, given = parameters(config), batch(config)
    first = logits(config, own, given)
    mask = np.zeros((B, S + 3), bool)
    mask[:, :S] = True
    long = np.concatenate([given.ids, ids((B, 3), 9)], 1)
    assert close(logits(config, own, replace(given, ids=long, mask=mask)), first)
    assert not close(logits(config, own, replace(given, ids=(given.ids + 1) % PAD)), first)


@every_model
@pytest.mark.parametrize("tied", [False, True])
def test_w2_another_order_of_the_vocabulary_is_another_order_of_the_logits(
    config: Config, tied: bool
) -> None:
    config = replace(config, tied_output=tied)
    own, given = parameters(config), batch(config)
    order = np.random.default_rng(6).permutation(V)
    place = np.argsort(order)
    moved = {
        name: array[order]
        if name.endswith("embedding")
        else array[..., order]
        if name.startswith("output.")
        else array
        for name, array in own.items()
    }
    target = None if given.decoder_ids is None else place[given.decoder_ids]
    tokens = Batch(place[given.ids], target)
    first = logits(config, own, given)
    assert close(logits(config, moved, tokens), first[..., order])


def floats(value: Any, name: str = "context") -> Iterator[tuple[str, np.ndarray]]:
    """Every floating array inside a nested context."""
    if isinstance(value, np.ndarray):
        if value.dtype.kind == "f":
            yield name, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from floats(inner, f"{name}[{key!r}]")
    elif isinstance(value, tuple | list):
        fields = getattr(value, "_fields", range(len(value)))
        for key, inner in zip(fields, value, strict=True):
            yield from floats(inner, f"{name}.{key}")


@every_model
@pytest.mark.parametrize("activation", ["relu", "gelu", "gelu_tanh", "silu"])
@pytest.mark.parametrize("norm", ["layer", "rms"])
def test_w4_no_float64_array_appears_in_a_float32_run(
    config: Config, activation: str, norm: str
) -> None:
    """Outputs, what backward keeps, every stage, every gradient."""
    config = replace(
        config, dtype="float32", activation=activation, norm=norm, gated=activation != "relu",
        embedding_scale=8**0.5, output_scale=0.5, embedding_norm=True, segments=2,
    )  # fmt: skip
    own, (given, _) = parameters(config), padded(config)
    outputs, context = forward(config, own, given)
    trace = run(config, own, given)
    found = [
        *floats(tuple(outputs), "outputs"), *floats(context), *floats(backward(context), "own"),
        *floats(dict(trace.values), "values"), *floats(dict(trace.gradients), "gradients"),
    ]  # fmt: skip
    assert len(found) > 100
    assert [name for name, array in found if array.dtype != np.float32] == []
