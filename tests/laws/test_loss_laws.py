"""L1 to L5 and G3: the loss, ignored labels, and parameters that are used twice."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from law_models import PAD, B, V, batch, close, every_model, logits, model, padded, parameters, run

from numtx import Batch, Config
from numtx.errors import BatchError


@every_model
def test_l1_the_loss_is_that_of_a_loop(config: Config) -> None:
    own, (given, _) = parameters(config), padded(config)
    trace = run(config, own, given)
    total, counted = 0.0, 0
    rows = trace["logits"].tolist()
    for b, row in enumerate(given.labels.tolist()):
        for t, label in enumerate(row):
            if label == -100:
                assert trace["loss.per_token"][b, t] == 0.0
                continue
            numbers = rows[b][t]
            largest = max(numbers)
            logarithm = largest + math.log(math.fsum(math.exp(x - largest) for x in numbers))
            assert abs(trace["loss.per_token"][b, t] - (logarithm - numbers[label])) < 1e-13
            total += logarithm - numbers[label]
            counted += 1
    assert 0 < counted < given.labels.size
    assert abs(float(trace["loss"]) - total / counted) < 1e-13


@every_model
def test_l1_uniform_logits_cost_the_logarithm_of_the_vocabulary(config: Config) -> None:
    own, given = parameters(config), batch(config)
    flat = {**own, "output.w": 0.0 * own["output.w"], "output.b": 0.0 * own["output.b"] + 3.0}
    assert abs(float(run(config, flat, given)["loss"]) - math.log(V)) < 1e-14


@every_model
def test_l2_parts_weighted_by_their_tokens_make_the_whole_batch(config: Config) -> None:
    own, (given, _) = parameters(config), padded(config)
    whole = run(config, own, given)
    counts = (given.labels != -100).sum(1)
    assert counts[0] != counts[1]  # or the mean of the means would be right too
    loss, sums = 0.0, {name: np.zeros_like(array) for name, array in own.items()}
    for row in range(B):
        fields = {
            name: getattr(given, name)[row : row + 1]
            for name in ("ids", "decoder_ids", "labels", "mask", "decoder_mask")
            if getattr(given, name) is not None
        }
        share = float(counts[row] / counts.sum())
        part = run(config, own, Batch(**fields), cotangent=share)
        loss += share * float(part["loss"])
        for name in sums:
            sums[name] += part.grad(f"parameters/{name}")
    assert abs(loss - float(whole["loss"])) < 1e-13
    for name, total in sums.items():
        assert close(total, whole.grad(f"parameters/{name}")), name


@every_model
def test_l3_ignored_positions_have_no_gradient_and_no_share(config: Config) -> None:
    own, given = parameters(config), batch(config)
    trace = run(config, own, given)
    ignored = given.labels == -100
    assert ignored.any()
    for name in ("logits", "log_probabilities", "loss.per_token"):
        assert (trace.grad(name)[ignored] == 0.0).all()
        assert (trace.grad(name)[~ignored] != 0.0).any(-1).all()
    assert float(trace["loss"]) == trace["loss.per_token"].sum() / (~ignored).sum()


@every_model
def test_l4_a_batch_of_ignored_labels_is_a_clear_error(config: Config) -> None:
    given = batch(config)
    with pytest.raises(BatchError, match="every position is ignored"):
        run(config, parameters(config), replace(given, labels=np.full_like(given.labels, -100)))


@every_model
def test_l5_each_row_of_the_logits_gradient_sums_to_zero(config: Config) -> None:
    trace = run(config, parameters(config), padded(config)[0], cotangent=-1.7)
    gradient = trace.grad("logits")
    assert np.abs(gradient.sum(-1)).max() <= V * np.finfo(float).eps * np.abs(gradient).max()
    assert np.abs(gradient).max() > 1e-3


@every_model
def test_g3_a_tied_output_sums_both_paths(config: Config) -> None:
    tied = replace(config, tied_output=True)
    own, given = parameters(tied), batch(config)
    name = "embedding" if config.shared_embedding else f"{config.sides[-1]}.embedding"
    free = {**own, "output.w": own[name].T.copy()}
    first, second = run(tied, own, given), run(config, free, given)
    assert close(first["logits"], second["logits"])
    paths = second.grad(f"parameters/{name}"), second.grad("parameters/output.w").T
    assert all(np.abs(path).max() > 1e-3 for path in paths)
    assert close(first.grad(f"parameters/{name}"), paths[0] + paths[1])


@pytest.mark.parametrize("tied", [False, True])
def test_g3_an_embedding_shared_by_both_stacks_sums_both_paths(tied: bool) -> None:
    shared = model("encoder-decoder", "sinusoidal", None, tied_output=tied)
    apart = replace(shared, source_vocabulary=V)
    own, given = parameters(shared), batch(shared)
    both = {f"{side}.embedding": own["embedding"] for side in shared.sides}
    free = {name: both.get(name, own.get(name)) for name in parameters(apart)}
    first, second = run(shared, own, given), run(apart, free, given)
    assert np.array_equal(first["logits"], second["logits"])
    paths = [second.grad(f"parameters/{name}") for name in both]
    assert all(np.abs(path).max() > 1e-3 for path in paths)
    assert close(first.grad("parameters/embedding"), paths[0] + paths[1])


@every_model
def test_the_gradient_of_an_id_that_does_not_occur_is_zero(config: Config) -> None:
    trace = run(config, parameters(config), batch(config))
    for name in trace.parameters:
        if name.endswith("embedding"):
            assert (trace.grad(f"parameters/{name}")[PAD] == 0.0).all()
            assert (trace.grad(f"parameters/{name}") != 0.0).any()


@every_model
def test_without_labels_the_logits_are_the_same(config: Config) -> None:
    own, given = parameters(config), batch(config)
    bare = replace(given, labels=None)
    assert np.array_equal(logits(config, own, given), logits(config, own, bare))
