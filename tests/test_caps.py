"""Caps of scores and logits: by hand, where nothing is recorded, in caches, and known mistakes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from mechanism_checks import IDS, LABELS, MASK, token_by_token_is_the_whole
from samples import among, assert_close, config_of, random_parameters

from numtx import Batch, Config, backward, forward
from numtx.compare.compare import compare
from numtx.compare.sides import Side
from numtx.errors import ConfigError
from numtx.models import MODELS
from numtx.ops.cap import cap_backward, cap_forward
from numtx.trace.trace import record

NAMES = among(lambda config: config.score_cap is not None or config.logit_cap is not None)
SLOPED = "decoder, slopes, grouped, window"
PLACE = "decoder.1.self_attention"


def test_by_hand():
    y, slope = cap_forward(np.array([30.0, -np.inf, 0.0, np.nan]), 50.0)
    assert_close(y[0], 26.852478349901766, 1e-15)
    assert_close(slope[0], 1.0 - (26.852478349901766 / 50.0) ** 2, 1e-15)
    assert y[1:3].tolist() == [-50.0, 0.0] and slope[1:].tolist() == [0.0, 1.0, 0.0]
    assert_close(cap_forward(np.array([45.0]), 30.0)[0], [27.154447609345993], 1e-15)
    assert cap_backward(np.array([2.0]), np.array([0.25])).tolist() == [0.5]
    assert cap_forward(np.float32([3.0]), 2.0)[0].dtype == np.float32


@pytest.mark.parametrize("cap", [0.0, -1.0, float("inf"), "2"])
@pytest.mark.parametrize("field", ["score_cap", "logit_cap"])
def test_what_is_no_cap_is_refused(field, cap):
    with pytest.raises(ConfigError, match=f"{field} is {cap!r}; it is"):
        Config(**{**MODELS[SLOPED].fields, field: cap})


@pytest.mark.parametrize("name", [name for name in NAMES if MODELS[name].storages])
def test_cached_equals_uncached_with_padding_on_the_left(name):
    token_by_token_is_the_whole(name)


@pytest.mark.parametrize("junk", [np.nan, np.inf, 1e300])
@pytest.mark.parametrize("recorded", [False, True])
def test_what_is_masked_has_no_effect(junk, recorded):
    config = config_of(SLOPED)
    p = random_parameters(config)
    batch = Batch([[0, 6, 7, 2]], mask=np.array([[0, 1, 1, 1]], bool), labels=[[-100, 7, 2, 8]])
    found = []
    for value in (0.0, junk):
        p["decoder.embedding"][0] = value
        if recorded:
            trace = record(config, p, batch)
            found.append({name: trace.grad(f"parameters/{name}") for name in p})
        else:
            found.append(backward(forward(config, p, batch)[1]))
    assert all(np.array_equal(found[0][name], found[1][name]) for name in p)


def named(config: Config, stage: str, wrong: Any, cause: str, known: tuple[str, ...] = ()) -> None:
    trace = record(config, random_parameters(config), Batch(IDS, mask=MASK, labels=LABELS))
    theirs = {name: trace[name] for name in known} | {stage: wrong(trace)}
    found = compare(Side("A", {**trace.arrays}, trace), Side("B", theirs, None))
    assert found.first is not None and found.first.name == stage
    assert any(cause in str(c) for c in found.causes), found.causes


@pytest.mark.parametrize(
    ("wrong", "cause"),
    [
        (lambda x: x, "cap (left out)"),
        (lambda x: np.tanh(x / 0.5), "not multiplied by the cap"),
        (lambda x: 0.5 * np.tanh(x), "x not divided by the cap"),
        (lambda x: np.clip(x, -0.5, 0.5), "cut off at the cap"),
        (lambda x: 0.5 * np.tanh(np.tanh(x / 0.5)), "taken twice"),
        (lambda x: 0.5 * np.tanh(x * 3**0.5 / 0.5) / 3**0.5, "before the scale"),
    ],
)
def test_known_mistakes_are_named(wrong, cause):
    scores = f"{PLACE}.scores"
    named(
        config_of(SLOPED), f"{PLACE}.capped_scores", lambda trace: wrong(trace[scores]), cause,
        (scores,),
    )  # fmt: skip


def test_a_cap_on_the_wrong_side_is_named():
    config, place = config_of("decoder, latents, rotary, smoothed"), "decoder.0.self_attention"

    def after_the_mask(trace):
        scores = trace[f"{place}.capped_scores"]
        return np.where(trace[f"{place}.mask"], scores, -0.5)

    named(config, f"{place}.masked_scores", after_the_mask, "after the mask")
    named(
        config, f"{place}.masked_scores",
        lambda t: np.where(t[f"{place}.mask"], t[f"{place}.scores"], -np.inf), "cap left out",
    )  # fmt: skip

    def weights(trace):
        x = np.where(trace[f"{place}.mask"], trace[f"{place}.scores"], -np.inf)
        x = np.exp(x - np.maximum(x.max(-1, keepdims=True), -1e300))
        return x / np.maximum(x.sum(-1, keepdims=True), 1e-300)

    named(config, f"{place}.weights", weights, "cap left out", (f"{place}.scores",))


def test_a_cap_after_the_bias_is_named():
    scores, bias = f"{PLACE}.scores", f"{PLACE}.bias"
    named(
        config_of(SLOPED), f"{PLACE}.biased_scores",
        lambda t: 0.5 * np.tanh((t[scores] + t[bias]) / 0.5), "after the bias", (scores, bias),
    )  # fmt: skip


def test_a_cap_left_out_of_the_logits_is_named():
    def logs(trace):
        x = trace["logits"]
        return x - np.log(np.exp(x).sum(-1, keepdims=True))

    named(
        config_of("decoder, latents, rotary, smoothed"), "log_probabilities", logs,
        "cap left out", ("logits",),
    )  # fmt: skip
