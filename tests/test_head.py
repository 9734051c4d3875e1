"""What stands on the last stack."""

from __future__ import annotations

import math

import numpy as np
import pytest
from samples import assert_close, config_of, one, ragged_batch, random_parameters, run_of

from numtx import Batch, backward, forward
from numtx.check.gradcheck import check_model
from numtx.check.verify import verify
from numtx.compare.compare import compare
from numtx.compare.sides import Side
from numtx.errors import BatchError
from numtx.head import head_forward
from numtx.ops.total import total_backward, total_forward
from numtx.place import Place
from numtx.pooler import pooler_backward, pooler_forward, pooler_parameters
from numtx.trace.files import load_trace, save_trace
from numtx.trace.trace import record

MASKED = "masked-language-model"


def test_a_masked_language_model_by_hand():
    """x·W + b = (1, -1, 3) and (0, 2, -2), of which relu leaves (1, 0, 3) and (0, 2, 0)."""
    config = config_of(
        "encoder, chunks", width=3, vocabulary=2, head=MASKED, head_activation="relu", epsilon=0.0,
        heads=1, positions="alibi", norm="layer",
    )  # fmt: skip
    p = {
        "head.w": np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]]),
        "head.b": np.array([0.0, -1.0, 1.0]),
        "head.norm.gain": np.array([1.0, 2.0, 1.0]),
        "head.norm.bias": np.array([0.0, 0.0, 1.0]),
        "encoder.embedding": np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]]),
        "output.b": np.array([0.0, 10.0]),
    }
    hidden = np.array([[[1.0, 2.0, 0.0], [0.0, -3.0, 3.0]]])
    valid = np.ones((1, 2), bool)
    logits = head_forward(config, Place(p), hidden, valid, None, False)[0]["logits"]
    first, root = math.sqrt(14.0 / 9.0), math.sqrt(2.0)  # deviations of 1, 0, 3 and of 0, 2, 0
    rows = [
        [-1 / 3 / first, -8 / 3 / first, 5 / 3 / first + 1],
        [-1 / root, 2 * root, -1 / root + 1],
    ]
    expected = [[[row[0], row[1] + row[2] + 10.0] for row in rows]]
    assert_close(logits, expected, 1e-14)


def test_a_mistake_in_the_layer_before_the_logits_is_named():
    name = one(lambda config: config.head == MASKED and config.tied_output)
    trace = run_of(name, gradients=False)
    matrix = trace.parameters["encoder.embedding"].T
    for stage, form in (
        ("encoder.output", "left out"), ("head.activation", "its norm left out"),
    ):  # fmt: skip
        assert trace.config.output_scale == 1.0
        wrong = {"logits": trace[stage] @ matrix + trace.parameters["output.b"]}
        theirs = Side("B", {**trace.arrays, **wrong}, None)
        found = compare(Side("A", {**trace.arrays}, trace), theirs).causes
        assert f"layer of the head ({form})" in [one.cause for one in found]


def test_a_pooler_by_hand():
    """The first real tokens are (1, 2) and (0, 3): of a row without padding, and of one with."""
    config = config_of("encoder, chunks", width=2, heads=1, pooler=True)
    p = {"pooler.w": np.array([[1.0, 0.0], [0.5, -1.0]]), "pooler.b": np.array([0.0, 1.0])}
    hidden = np.array([[[1.0, 2.0], [7.0, 7.0]], [[9.0, 9.0], [0.0, 3.0]]])
    valid = np.array([[True, True], [False, True]])
    pooled, context = pooler_forward(Place(p) / "pooler", hidden, valid)
    assert_close(pooled, np.tanh([[2.0, -1.0], [1.5, -2.0]]), 1e-15)
    at = Place(p) / "pooler"
    dhidden = pooler_backward(np.array([[1.0, 0.0], [0.0, 1.0]]), context, at)
    slopes = 1.0 - np.tanh([2.0, -2.0]) ** 2
    assert_close(dhidden[0], [[slopes[0], 0.5 * slopes[0]], [0.0, 0.0]], 1e-15)
    assert_close(dhidden[1], [[0.0, 0.0], [0.0, -slopes[1]]], 1e-15)
    assert_close(at.gradients["pooler.b"], slopes, 1e-15)
    assert set(pooler_parameters(config)) == {("pooler.w", (2, 2)), ("pooler.b", (2,))}


def test_several_outputs_have_gradients_together():
    """A mean of the pooled vectors and the loss: their gradients add up."""
    name = one(lambda config: config.pooler and config.head == MASKED)
    config = config_of(name)
    p, batch = random_parameters(config), Batch(**ragged_batch(config))
    outputs, context = forward(config, p, batch)
    shares = {"loss": np.asarray(0.5), "pooled": np.ones_like(outputs.pooled)}
    both = backward(context, shares)
    for parameter, whole in both.items():
        parts = [backward(context, {n: one})[parameter] for n, one in shares.items()]
        assert_close(whole, sum(parts), 1e-12)
    with pytest.raises(BatchError, match="did you mean 'pooled'"):
        backward(context, {"poold": 1.0})
    with pytest.raises(BatchError, match=r"shape \(2,\); it should be that of the pooled"):
        backward(context, {"pooled": np.ones(2)})


def test_another_pooling_is_named():
    trace = run_of(one(lambda config: config.pooler), gradients=False)
    x = trace["encoder.output"]
    for form, wrong in (
        ("the last column", x[:, -1:]), ("the mean of all tokens, padding too", x.mean(1)[:, None]),
    ):  # fmt: skip
        theirs = Side("B", {**trace.arrays, "pooler.first": wrong}, None)
        found = compare(Side("A", {**trace.arrays}, trace), theirs).causes
        assert f"pooler ({form})" in [one.cause for one in found]


def test_a_loss_that_is_a_sum_by_hand():
    """Two labels that count cost 2 ln 2 and ln 2."""
    per_token, labels = np.log([[4.0, 2.0, 8.0]]), np.array([[0, 1, -100]])
    assert_close(total_forward(per_token, labels), 3 * math.log(2.0), 1e-15)
    assert_close(total_backward(np.array(0.5), labels), [[0.5, 0.5, 0.0]], 0.0)


def test_a_mean_in_place_of_a_sum_is_named():
    trace = run_of(one(lambda config: config.loss_reduction == "sum"), gradients=False)
    count = np.count_nonzero(trace["labels"] != -100)
    theirs = Side("B", {**trace.arrays, "loss": trace["loss"] / count}, None)
    found = compare(Side("A", {**trace.arrays}, trace), theirs).causes
    assert "summed loss (the mean, not the sum)" in [one.cause for one in found]


def test_without_a_head_a_run_ends_in_the_stack():
    """No parameter, no stage and no loss; gradients from that of the output."""
    config = config_of(one(lambda config: config.head is None))
    p, batch = random_parameters(config), Batch(**ragged_batch(config))
    outputs, context = forward(config, p, batch)
    assert outputs.logits is None and not any(name.startswith("output.") for name in p)
    cotangent = np.cos(outputs.encoder_output)
    trace = record(config, p, batch, cotangent=cotangent)
    assert list(trace)[-1] == "encoder.output" and verify(trace).ok
    assert check_model(config, p, batch).ok
    gradients = backward(context, cotangent)
    for name, gradient in gradients.items():
        assert_close(trace.grad(f"parameters/{name}"), gradient, 0.0)
    with pytest.raises(BatchError, match=r"^labels given to a model without a head"):
        forward(config, p, Batch([[1]], labels=[[1]]))
    with pytest.raises(BatchError, match=r"without a head, which has no loss; hand over"):
        backward(context)
    with pytest.raises(BatchError, match=r"^last_logits of a model without a head"):
        forward(config, p, batch, last_logits=True)


def test_a_gradient_with_a_share_from_outside_is_not_accused(tmp_path):
    """It is not the sum over its consumers; what it is cannot be known from the trace."""
    config = config_of(one(lambda config: config.pooler))
    p, batch = random_parameters(config), Batch(**ragged_batch(config))
    outputs, _ = forward(config, p, batch)
    shares = {n: np.ones_like(getattr(outputs, n)) for n in ("pooled", "encoder_output")}
    save_trace(record(config, p, batch, cotangent=shares), tmp_path / "a.npz")
    report = load_trace(tmp_path / "a.npz").verify()
    assert report.ok and report.skipped == ["grad/encoder.output"]
