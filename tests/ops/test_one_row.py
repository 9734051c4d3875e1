"""A run of one row of one token, which operations work on as a vector, is the same as two such
rows, on which they work as on any: over the list of models, in both passes and behind a cache."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from samples import assert_close, config_of

from numtx import Batch, Cache, Config, backward, forward
from numtx.models import MODELS, parameters_of
from numtx.step import step


def tokens(config: Config, rows: int, token: int, labelled: bool = False) -> Batch:
    ids = np.full((rows, 1), token)
    given: dict[str, Any] = {"labels": ids} if labelled and config.head is not None else {}
    if config.model != "encoder-decoder":
        return Batch(ids, **given)
    if config.lacks_encoder:
        vectors = np.linspace(-1.0, 1.0, config.width)
        return Batch(None, ids, memory=np.broadcast_to(vectors, (rows, 1, config.width)), **given)
    return Batch(ids, ids, **given)


@pytest.mark.parametrize("name", MODELS)
def test_one_row_is_as_one_of_two(name: str) -> None:
    config = config_of(name, dtype="float64")
    parameters = parameters_of(config)
    times = 2.0 if config.loss_reduction == "sum" else 1.0
    alone, two = (forward(config, parameters, tokens(config, n, 2, True)) for n in (1, 2))
    for one, both in zip(alone[0], two[0], strict=True):
        if one is not None:
            assert_close(one, both[:1] if both.ndim else both / times, 1e-12)
    if alone[0].loss is not None:
        gradients = backward(two[1])
        for key, gradient in backward(alone[1]).items():
            assert_close(gradient, gradients[key] / times, 1e-12)


@pytest.mark.parametrize("name", [name for name, model in MODELS.items() if model.storages])
def test_a_step_of_one_row_is_as_one_of_two(name: str) -> None:
    config = config_of(name, dtype="float64")
    parameters = parameters_of(config)
    found = []
    for rows in (1, 2):
        cache = Cache(config, parameters, rows)
        step(config, parameters, tokens(config, rows, 2), cache)
        new = np.full((rows, 1), 1)
        both = config.model == "encoder-decoder"
        found.append(step(config, parameters, Batch(None, new) if both else Batch(new), cache))
    assert_close(found[0].logits, found[1].logits[:1], 1e-12)
