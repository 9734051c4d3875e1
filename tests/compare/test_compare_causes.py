"""Mistakes that one code makes in every layer, seen in the logits alone, and those of one stage."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from samples import ragged_batch, random_parameters, some
from test_compare_positions import causes_of

from numtx import Batch, Config
from numtx.compare.compare import compare
from numtx.compare.sides import Side, side_of
from numtx.config.rotary import BandScaling, LinearScaling, YarnScaling
from numtx.trace.trace import record

BLOCKS: dict[str, Any] = {
    "model": "decoder-only", "width": 12, "heads": 3, "decoder_layers": 2, "hidden": 9,
    "vocabulary": 11, "norm_place": "pre",
}  # fmt: skip
ROTARY = Config(
    **BLOCKS, positions="rotary", key_width=8, norm="rms", activation="silu", gated=True
)
PLAIN = Config(**BLOCKS, positions="learned", position_limit=9, biases=True)
BOTH = Config(
    **{**BLOCKS, "model": "encoder-decoder", "encoder_layers": 2, "norm_place": "post"},
    positions="sinusoidal",
)
LOCAL = replace(ROTARY, window=(3, None), score_cap=0.7)
ATTENTION = "decoder.0.self_attention"

# A configuration, fields of it that are otherwise in the run of the file, and what is said.
OTHERWISE: dict[str, tuple[Config, dict[str, Any]]] = {
    "rotation (base 500000, not 10000)": (ROTARY, {"position_base": 500000.0}),
    "rotation (layout interleaved, not half)": (ROTARY, {"rotary_layout": "interleaved"}),
    "rotation (only a half of it rotated)": (ROTARY, {"rotary_width": 4}),
    "positions divided by 4": (ROTARY, {"rotary_scaling": LinearScaling(factor=4.0)}),
    "frequencies scaled (llama3, 8), of a training with 16 tokens": (
        ROTARY, {"rotary_scaling": BandScaling(factor=8.0, original=16)}),
    "frequencies scaled (yarn, 4), of a training with 64 tokens": (
        ROTARY, {"rotary_scaling": YarnScaling(factor=4.0, original=64)}),
    "of a training with 64 tokens, without attention factor": (
        ROTARY, {"rotary_scaling": YarnScaling(factor=4.0, original=64, attention_factor=1.0)}),
    "for a factor 4": (ROTARY, {"position_base": 10000.0 * 4.0 ** (8 / 6)}),
    "activation (gelu for silu)": (ROTARY, {"activation": "gelu"}),
    "another epsilon (0.001, not 1e-05)": (ROTARY, {"epsilon": 1e-3}),
    "mask (window too long by one)": (LOCAL, {"window": (4, None)}),
    "mask (window too short by one)": (LOCAL, {"window": (2, None)}),
    "mask (the window of another layer)": (LOCAL, {"window": (None, 3)}),
    "cap (left out)": (LOCAL, {"score_cap": None}),
    "scale (missing)": (PLAIN, {"score_scale": 1.0}),
    "mask (not causal)": (PLAIN, {"causal": False}),
    "embedding multiplied by sqrt(width)": (PLAIN, {"embedding_scale": 12**0.5}),
    "activation (gelu for relu)": (BOTH, {"activation": "gelu"}),
    "all sines before all cosines": (BOTH, {"sinusoidal_layout": "half"}),
}  # fmt: skip


@pytest.mark.parametrize("cause", some(2, __name__, OTHERWISE))
def test_a_mistake_of_all_layers_is_named_from_the_logits(cause):
    config, fields = OTHERWISE[cause]
    weights = random_parameters(config, 3)
    batch = Batch(**ragged_batch(config, 4, rows=3))
    right, wrong = (
        record(c, weights, batch, gradients=False) for c in (config, replace(config, **fields))
    )
    found = compare(side_of(right, "A"), Side("B", {"logits": wrong["logits"]}, None))
    told = [str(one) for one in found.causes]
    assert any(cause in one for one in told), told
    assert len(told) <= 2, told


# Parts of q, k and v, and which rows of the three side by side they are taken for.
THREE = np.arange(36).reshape(3, 3, 4)
CUTS = {
    "cut per head, to be cut apart": THREE.reshape(3, 3, 4).swapaxes(0, 1),
    "cut apart, to be cut per head": THREE.reshape(3, 3, 4).swapaxes(0, 1),
    "in the order k, v, q": THREE[[1, 2, 0]],
    "in the order v, q, k": THREE[[2, 0, 1]],
    "cut as (k, H, 3)": THREE.reshape(4, 3, 3).transpose(2, 1, 0),
    "stands as (k, H, 3)": THREE.transpose(2, 1, 0),
}
ROWS = Batch(np.random.default_rng(1).integers(0, 11, (2, 5)))


@pytest.mark.parametrize("cause", CUTS)
@pytest.mark.parametrize("leaf", ["queries", "values"])
def test_a_fused_projection_cut_wrongly(cause, leaf):
    def wrong(config, trace):
        parts = [trace[f"{ATTENTION}.{name}"] for name in ("queries", "keys", "values")]
        every = np.concatenate([x.swapaxes(1, 2).reshape(2, 5, 12) for x in parts], -1)
        order = CUTS[cause].reshape(3, 3, 4)[("queries", "keys", "values").index(leaf)]
        return every[..., order].swapaxes(1, 2)

    told = causes_of(PLAIN, f"{ATTENTION}.{leaf}", wrong, ROWS)
    assert any(cause in one for one in told), told


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def of_scores(change):
    """Weights of scores that are masked otherwise."""

    def wrong(config, trace):
        with np.errstate(all="ignore"):
            return change(trace[f"{ATTENTION}.scores"], trace[f"{ATTENTION}.mask"], trace)

    return wrong


def across(config, trace):
    q, k = (trace[f"{ATTENTION}.{x}"].swapaxes(0, 2) for x in ("queries", "keys"))
    return softmax(q @ k.swapaxes(-1, -2) * config.scale)


PADDED = np.array([[False, True, True, True, True], [True] * 5])
STAGES: list[tuple[str, str, Any]] = [
    ("mask", "padding inverted", lambda c, t: np.tri(5, dtype=bool) & ~PADDED[:, None, None]),
    ("mask", "padding of another row", lambda c, t: (
        np.tri(5, dtype=bool) & PADDED[::-1, None, None] & np.ones((2, 3, 5, 5), bool))),
    ("mask", "tiled, not repeated, over the heads", lambda c, t: (
        np.tile(t[f"{ATTENTION}.mask"][:, 0], (3, 1, 1)).reshape(2, 3, 5, 5))),
    ("masked_scores", "-1e-09 for -inf", of_scores(lambda s, m, t: np.where(m, s, -1e-9))),
    ("masked_scores", "-7.25 for -inf", of_scores(lambda s, m, t: np.where(m, s, -7.25))),
    ("masked_scores", "-7.25 added", of_scores(lambda s, m, t: s + np.where(m, 0, -7.25))),
    ("weights", "hidden scores (-7.25 for -inf)", of_scores(
        lambda s, m, t: softmax(np.where(m, s, -7.25)))),
    ("weights", "hidden scores (-10 added", of_scores(
        lambda s, m, t: softmax(s + np.where(m, 0.0, -10.0)))),
    ("weights", "0 / 0 is no number", of_scores(
        lambda s, m, t: np.where(m.any(-1, keepdims=True), t[f"{ATTENTION}.weights"], np.nan))),
    ("weights", "a query without keys (sees all keys)", of_scores(
        lambda s, m, t: np.where(m.any(-1, keepdims=True), t[f"{ATTENTION}.weights"], softmax(s)))),
    ("weights", "dropout left on", lambda c, t: t[f"{ATTENTION}.weights"] / 0.75 * (
        np.random.default_rng(0).random((2, 3, 5, 5)) > 0.25)),
    ("context", "over the rows of the batch", lambda c, t: (
        across(c, t) @ t[f"{ATTENTION}.values"].swapaxes(0, 2)).swapaxes(0, 2)),
    ("weights", "over the rows of the batch", across),
]  # fmt: skip


@pytest.mark.parametrize(("leaf", "cause", "wrong"), STAGES)
def test_a_mistake_of_one_stage_is_named(leaf, cause, wrong):
    batch = Batch(ROWS.ids, mask=PADDED)
    told = causes_of(PLAIN, f"{ATTENTION}.{leaf}", wrong, batch)
    assert any(cause in one for one in told), told


def test_an_exponential_that_overflows():
    def wrong(config, trace):
        with np.errstate(all="ignore"):
            e = np.exp(trace[f"{ATTENTION}.masked_scores"].astype(np.float32))
            weights = e / e.sum(-1, keepdims=True)
        assert np.isnan(weights).any()
        return weights.astype(np.float64)

    sharp = replace(PLAIN, score_scale=300.0)
    told = causes_of(sharp, f"{ATTENTION}.weights", wrong, ROWS)
    assert any("exp of a large number (overflows in float32)" in one for one in told), told


def picked(logs, labels):
    return -np.take_along_axis(logs, labels[..., None], -1)[..., 0]


def smoothed(e, of_label, of_others):
    def wrong(config, trace):
        logs, labels = trace["log_probabilities"], trace["labels"]
        right = picked(logs, labels)
        return of_label(e) * right + of_others(e) * (-logs.sum(-1) - right)

    return wrong


SMOOTHED = {
    "the others by 1 / (V - 1)": smoothed(0.1, lambda e: 1 - e, lambda e: e / 10),
    "nothing taken from the label": smoothed(0.1, lambda e: 1 + e / 11, lambda e: e / 11),
    "not divided by V": smoothed(0.1, lambda e: 1.0, lambda e: e),
    "the label without its share": smoothed(0.1, lambda e: 1 - e, lambda e: e / 11),
    "smoothing left out": smoothed(0.1, lambda e: 1.0, lambda e: 0.0),
}
LABELLED = replace(ROWS, labels=np.random.default_rng(2).integers(0, 11, (2, 5)))


@pytest.mark.parametrize("cause", SMOOTHED)
def test_slips_of_smoothing(cause):
    told = causes_of(
        replace(PLAIN, label_smoothing=0.1), "loss.per_token", SMOOTHED[cause], LABELLED
    )
    assert any(cause in one for one in told), told


def test_smoothing_where_there_should_be_none():
    wrong = smoothed(0.1, lambda e: 1 - e + e / 11, lambda e: e / 11)
    told = causes_of(PLAIN, "loss.per_token", wrong, LABELLED)
    assert any("smoothed by 0.1, though it should not be" in one for one in told), told


TWICE = {
    "rows apart": lambda p, labels: picked(p[:, :-1], labels[:, 1:]),
    "flat": lambda p, labels: picked(p.reshape(-1, 11)[:-1], labels.reshape(-1)[1:]),
}


@pytest.mark.parametrize("wording", TWICE)
def test_labels_shifted_twice(wording):
    def wrong(config, trace):
        return TWICE[wording](trace["log_probabilities"], trace["labels"]).mean()

    told = causes_of(PLAIN, "loss", wrong, LABELLED)
    assert told == ["labels shifted twice (the next one), in loss"]


def test_labels_not_shifted():
    told = causes_of(
        PLAIN, "loss.per_token", lambda c, t: picked(t["log_probabilities"], LABELLED.ids), LABELLED
    )
    assert any("labels not shifted" in one for one in told), told
