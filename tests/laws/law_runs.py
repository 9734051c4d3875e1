"""What the tests of laws share: inputs for a model of the list, and its runs."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import pytest
from samples import MODELS, among, config_of, ragged_batch, random_parameters

from numtx import Batch, Config, forward
from numtx.trace.trace import Trace, record

Array = np.ndarray
Fields = dict[str, Any]  # of a batch

every_model = pytest.mark.parametrize("name", MODELS)
CAUSAL = among(lambda config: "decoder" in config.sides and config.causal)
TWO_STACKS = among(lambda config: len(config.sides) == 2)


def prefixes(config: Config) -> dict[str, str]:
    """By side, what the names of its fields in a batch begin with."""
    both = len(config.sides) == 2
    return {side: "decoder_" if both and side == "decoder" else "" for side in config.sides}


def last_prefix(config: Config) -> str:
    """The same for the stack that gives the logits."""
    return prefixes(config)[config.sides[-1]]


def changed(config: Config, given: Fields, where: Mapping[str, Any]) -> Fields:
    """A batch with another id at some places of some sides."""
    found = dict(given)
    for side, places in where.items():
        name = prefixes(config)[side] + "ids"
        other = (given[name] + 1) % config.vocabulary_of(side)
        found[name] = np.where(places, other, given[name])
    return found


def logits(config: Config, own: Mapping[str, Array], given: Fields) -> Array:
    found: Array = forward(config, own, Batch(**given))[0].logits
    return found


def run(config: Config, own: Mapping[str, Array], given: Fields, **options: Any) -> Trace:
    return record(config, own, Batch(**given), **options)


@cache
def padded_run(name: str) -> Trace:
    """The run of a model of the list over a batch of which a row is padded on the left."""
    config = config_of(name)
    return run(config, random_parameters(config), ragged_batch(config))


def attentions(trace: Trace) -> list[str]:
    """The places of attention in a run."""
    return [stage.removesuffix(".weights") for stage in trace if stage.endswith(".weights")]


def close(a: Array, b: Array) -> bool:
    """An equivalence of whole computations in float64, at unit gain."""
    return a.shape == b.shape and float(np.abs(a - b).max(initial=0.0)) <= 1e-10
