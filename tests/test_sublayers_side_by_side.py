"""Self-attention and feed-forward side by side: by hand, in every cache, and known mistakes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from mechanism_checks import token_by_token_is_the_whole
from samples import assert_close, config_of, random_parameters

from numtx import Batch, Config
from numtx.compare.compare import compare
from numtx.compare.sides import Side
from numtx.models import MODELS
from numtx.ops.norm import norm_forward
from numtx.trace.trace import record

NAMES = [name for name, model in MODELS.items() if model.config().parallel]
IDS = [[1, 2, 3, 4, 5], [3, 1, 6, 7, 2]]


@pytest.mark.parametrize(("kind", "gain"), [("one", [1.0, 3.0]), ("two", [2.0, 0.5])])
def test_by_hand(kind: str, gain: list[float]) -> None:
    """x = (3, 4) of root mean square 5 / sqrt 2; A swaps N1 x, M gives relu of twice the first of
    what it gets to the second."""
    config = Config(
        model="decoder-only", width=2, decoder_layers=1, hidden=1, vocabulary=3, positions=None,
        norm="rms", norm_place="pre", parallel=kind, biases=False, epsilon=0.0,
    )  # fmt: skip
    p = {name: np.zeros_like(a) for name, a in random_parameters(config).items()}
    assert ("decoder.0.feed_forward.norm.gain" in p) == (kind == "two")
    p["decoder.embedding"][1] = [3.0, 4.0]
    own, forward = "decoder.0.self_attention", "decoder.0.feed_forward"
    p[f"{own}.w_v"][:], p[f"{own}.w_o"][:] = np.eye(2), np.eye(2)[::-1]
    p[f"{own}.norm.gain"][:] = [1.0, 3.0]
    p["decoder.norm.gain"][:] = 1.0
    if kind == "two":
        p[f"{forward}.norm.gain"][:] = gain
    p[f"{forward}.w_in"][:], p[f"{forward}.w_out"][:] = [[2.0], [0.0]], [[0.0, 1.0]]
    trace = record(config, p, Batch([[1]]))
    unit = math.sqrt(2.0) / 5.0
    hidden = 2.0 * gain[0] * 3.0 * unit
    assert_close(trace[f"{forward}.hidden"][0, 0], [hidden])
    right = [3.0 + 12.0 * unit, 4.0 + 3.0 * unit + hidden]
    assert_close(trace[f"{forward}.residual"][0, 0], right)


@pytest.mark.parametrize("name", [name for name in NAMES if MODELS[name].storages])
def test_cached_equals_uncached(name: str) -> None:
    token_by_token_is_the_whole(name)


def mistakes(kind: str) -> Any:
    """A run of a model, how a norm of self-attention acts, and the name of a wrong stage."""
    name = next(n for n in NAMES if MODELS[n].config().parallel == kind)
    config = config_of(name)
    p = random_parameters(config)
    trace = record(config, p, Batch(IDS))
    place = f"{config.sides[0]}.0"

    def normed(x: Any, sublayer: str = "self_attention") -> Any:
        gain, bias = (p.get(f"{place}.{sublayer}.norm.{n}") for n in ("gain", "bias"))
        return norm_forward(x, gain, bias, config.epsilon, config.norm == "layer")[0]

    return config, p, trace, place, normed


@pytest.mark.parametrize(
    ("kind", "what", "cause"),
    [
        ("one", "normed", "one after the other"),
        ("one", "sum", "on the sum as it is"),
        ("one", "input", "on the input as it is"),
        ("two", "sum", "one after the other"),
        ("two", "norm", "on one norm, not on two"),
    ],
)
def test_known_mistakes_are_named(kind: str, what: str, cause: str) -> None:
    config, p, trace, place, normed = mistakes(kind)
    after, before = trace[f"{place}.self_attention.residual"], trace[f"{config.sides[0]}.input"]
    x = {"normed": normed(after), "sum": after, "input": before, "norm": normed(before)}[what]
    if kind == "two":
        name, wrong = f"{place}.feed_forward.norm", x
        wrong = normed(x, "feed_forward") if what == "sum" else x
    else:
        name = f"{place}.feed_forward.hidden"
        wrong = x @ p[f"{place}.feed_forward.w_in"] + p[f"{place}.feed_forward.b_in"]
    second = Side("B", {name: wrong}, None)
    found = compare(Side("A", {**trace.arrays}, trace), second)
    assert found.first is not None and found.first.name == name
    assert any(cause in str(c) for c in found.causes), found.causes
