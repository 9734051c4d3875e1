"""Sinks: by hand, as a key without a value, in caches, and known mistakes."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from mechanism_checks import IDS, LABELS, MASK, token_by_token_is_the_whole
from samples import among, assert_close, config_of, random_parameters

from numtx import Batch, Config
from numtx.compare.compare import compare
from numtx.compare.sides import Side
from numtx.models import MODELS, parameters_of
from numtx.ops.sinks import sink_softmax_forward, sinks_backward
from numtx.ops.softmax import softmax_backward, softmax_forward
from numtx.show.stage_grid import Style
from numtx.show.trace_text import trace_text
from numtx.subjects.own import NumtxSubject
from numtx.testing import check
from numtx.trace.trace import record

NAMES = among(lambda config: config.sinks)
GROUPED = "encoder-decoder, grouped, no positions, segments"
WINDOWS = "decoder, windows of several widths"


def test_by_hand():
    weights, share = sink_softmax_forward(np.array([[[[1.0, 2.0, 0.5]]]]), np.array([1.5]))
    assert_close(weights.ravel(), [0.1674051, 0.45505423, 0.10153632], 1e-7)
    assert_close(share, 1.0 - weights.sum(-1, keepdims=True), 1e-15)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_it_is_a_key_without_a_value(dtype):
    """The softmax of the scores and the sink, of which the last column is dropped."""
    generator = np.random.default_rng(1)
    scores, dweights = generator.standard_normal((2, 2, 3, 4, 5)).astype(dtype)
    sinks = generator.standard_normal(3).astype(dtype)
    scores[1, :, 2] = -np.inf  # a query with no key
    column = np.broadcast_to(sinks[:, None, None], (2, 3, 4, 1))
    whole = softmax_forward(np.concatenate([scores, column], -1))
    weights, share = sink_softmax_forward(scores, sinks)
    dwhole = np.concatenate([dweights, 0.0 * share], -1)
    dscores = softmax_backward(dwhole, whole)
    close = 20 * np.finfo(dtype).eps
    assert_close(np.concatenate([weights, share], -1), whole, close)
    assert_close(sinks_backward(dweights, weights, share), dscores[..., -1].sum((0, 2)), close)
    assert_close(softmax_backward(dweights, weights), dscores[..., :-1], close)
    assert (weights[1, :, 2] == 0.0).all() and (share[1, :, 2] == 1.0).all()
    assert weights.dtype == share.dtype == dtype


@pytest.mark.parametrize("sink", [1e300, -1e300, -np.inf, 800.0])
def test_nothing_overflows(sink):
    weights, share = sink_softmax_forward(np.array([[[[1.0, 700.0]]]]), np.array([sink]))
    assert_close(weights, [[[[0.0, float(sink < 700.0)]]]], 1e-40)
    assert_close(share, [[[[float(sink > 700.0)]]]], 1e-40)
    blind, share = sink_softmax_forward(np.full((1, 1, 1, 2), -np.inf), np.array([sink]))
    assert (blind == 0.0).all() and np.isfinite(share).all()


@pytest.mark.parametrize("name", [name for name in NAMES if MODELS[name].storages])
def test_cached_equals_uncached_with_padding_on_the_left(name):
    token_by_token_is_the_whole(name)


def test_only_self_attention_has_them():
    p = random_parameters(config_of(GROUPED))
    assert {name for name in p if name.endswith("sinks")} == {
        f"{side}.{i}.self_attention.sinks" for side, n in (("encoder", 1), ("decoder", 2))
        for i in range(n)
    }  # fmt: skip
    assert {p[name].shape for name in p if name.endswith("sinks")} == {(4,)}


def test_they_start_as_one_more_score_of_0():
    config = Config(
        model="decoder-only", width=4, decoder_layers=1, hidden=3, vocabulary=5, sinks=True
    )
    p = {name: 0.0 * a for name, a in random_parameters(config).items()}
    weights = record(config, p, Batch([[1, 2, 3]]))["decoder.0.self_attention.weights"]
    assert_close(weights[0, 0].sum(-1), [1 / 2, 2 / 3, 3 / 4])


@pytest.mark.parametrize(
    ("changed", "cause"),
    [
        (lambda z: -np.inf + 0 * z, "sink (left out"),
        (lambda z: z + math.log(2.0), "counted twice"),
        (lambda z: z * 5**-0.5, "multiplied by the scale"),
        (lambda z: 0.0 * z, "0, not what was learned"),
        (lambda z: z[::-1], "in reverse order"),
        (lambda z: z[[0, 0, 1, 1]], "one a key/value head"),
    ],
)
def test_known_mistakes_are_named(changed, cause):
    config, place = config_of(GROUPED), "decoder.0.self_attention"
    p = random_parameters(config)
    batch = Batch(IDS, decoder_ids=IDS, decoder_mask=MASK, labels=LABELS)
    trace = record(config, p, batch)
    scores, name = trace[f"{place}.masked_scores"], f"{place}.weights"
    wrong, _ = sink_softmax_forward(scores, changed(p[f"{place}.sinks"]))
    second = Side("B", {f"{place}.masked_scores": scores, name: wrong}, None)
    found = compare(Side("A", {**trace.arrays}, trace), second)
    assert found.first is not None and found.first.name == name
    assert any(cause in str(c) for c in found.causes), found.causes


def test_the_printed_rows_show_what_the_sink_takes():
    config = config_of(WINDOWS)
    trace = record(config, random_parameters(config), Batch(IDS))
    name = "decoder.0.self_attention.weights"
    row = trace[name][0, 0, 3]
    text = "\n".join(trace_text(trace, Style(full=True), [name]))
    assert f"| sum {row.sum():.2f}  sink {1.0 - row.sum():.2f}  max " in text


def test_a_choice_between_a_key_and_the_sink_is_one():
    """With one key in reach its weight still moves, and with it what it is made from."""
    config = replace(config_of(WINDOWS), window=1)
    subject = NumtxSubject(config, parameters_of(config), WINDOWS)
    assert not check(subject, ["G2"], examples=6).broken
