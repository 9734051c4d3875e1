"""Norms before and after a sublayer, and within the residual alone: by hand, in every cache, and
known mistakes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from mechanism_checks import token_by_token_is_the_whole
from samples import assert_close, config_of, one, random_parameters

from numtx import Batch, Config, forward
from numtx.compare.compare import compare
from numtx.compare.sides import Side
from numtx.models import MODELS, parameters_of
from numtx.subjects.own import NumtxSubject
from numtx.testing import check
from numtx.trace.trace import record

NAMES = [n for n, model in MODELS.items() if model.config().norm_place in ("both", "inner")]
IDS = [[1, 2, 3, 4, 5], [3, 1, 6, 7, 2]]


@pytest.mark.parametrize(
    ("place", "added"),
    [
        ("both", [6.0 * math.sqrt(2.0 / 153.0), 6.0 * math.sqrt(2.0 / 153.0)]),
        ("inner", [4.0 * math.sqrt(2.0) / 5.0, 9.0 * math.sqrt(2.0) / 5.0]),
    ],
)
def test_by_hand(place: str, added: list[float]) -> None:
    """x = (3, 4), of root mean square 5 / sqrt 2, and W_O swaps. inner: (4, 3) normed, with gains
    (1, 3). both: x normed with these gains is (3, 12) * sqrt 2 / 5; swapped it is along (12, 3),
    and normed, with gains (0.5, 2), (6, 6) / sqrt(153 / 2)."""
    config = Config(
        model="decoder-only", width=2, decoder_layers=1, hidden=1, vocabulary=3, positions=None,
        norm="rms", norm_place=place, biases=False, epsilon=0.0, norm_at=["decoder.self_attention"],
    )  # fmt: skip
    p = {name: np.zeros_like(a) for name, a in random_parameters(config).items()}
    p["decoder.embedding"][1] = [3.0, 4.0]
    at = "decoder.0.self_attention"
    p[f"{at}.w_v"][:], p[f"{at}.w_o"][:] = np.eye(2), np.eye(2)[::-1]
    p[f"{at}.norm.gain"][:] = [1.0, 3.0]
    if place == "both":
        p[f"{at}.norm_after.gain"][:] = [0.5, 2.0]
    trace = record(config, p, Batch([[1]]))
    residual = [3.0 + added[0], 4.0 + added[1]]
    assert_close(trace[f"{at}.residual"][0, 0], residual)
    assert (f"{at}.norm_after" in trace) == (place == "both")
    root = math.sqrt((residual[0] ** 2 + residual[1] ** 2) / 2.0)
    p["decoder.norm.gain"][:] = [1.0, 1.0]
    logits = forward(config, {**p, "output.w": np.eye(2, 3)}, Batch([[1]]))[0].logits
    assert_close(logits[0, 0, :2], np.array(residual) / root)


@pytest.mark.parametrize("name", [name for name in NAMES if MODELS[name].storages])
def test_cached_equals_uncached(name: str) -> None:
    token_by_token_is_the_whole(name)


def rms(x: Any, gain: Any) -> Any:
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-5) * gain


@pytest.mark.parametrize(
    ("wrong", "cause"),
    [
        (lambda x, y, n, g, h: x + y, "left out within the residual"),
        (lambda x, y, n, g, h: rms(x + y, h), "of the sum, not within it"),
        (lambda x, y, n, g, h: x + rms(y, g), "the gain of the norm before"),
        (lambda x, y, n, g, h: n + rms(y, h), "added to the normalised input"),
    ],
)
def test_known_mistakes_are_named(wrong: Any, cause: str) -> None:
    config = config_of("decoder, norms before and after sublayers", gain_offset=0)
    p = random_parameters(config)
    trace = record(config, p, Batch(IDS))
    place = "decoder.0.self_attention"
    name = f"{place}.residual"
    gains = (p[f"{place}.{n}.gain"] for n in ("norm", "norm_after"))
    known = trace["decoder.input"], trace[f"{place}.output"], trace[f"{place}.norm"]
    found = compare(
        Side("A", {**trace.arrays}, trace), Side("B", {name: wrong(*known, *gains)}, None)
    )
    assert found.first is not None and found.first.name == name
    assert any(cause in str(c) for c in found.causes), found.causes


def test_the_law_of_norms_within_accuses_no_sublayer_that_gives_nothing() -> None:
    """Relus that are all closed give a row of zeros, which has no length."""
    name = one(lambda c: c.norm_place == "inner" and c.activation == "relu" and c.experts)
    config = config_of(name, dtype="float64")
    own = {n: a * (not n.endswith("experts.w_in")) for n, a in parameters_of(config).items()}
    report = check(NumtxSubject(config, own, name), ["V21"], examples=3)
    assert not report.broken and not report.errors
