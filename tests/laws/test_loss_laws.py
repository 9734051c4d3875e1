"""L1 to L3, L5 and G3 beyond what `numtx laws` says: the loss of each token, the share of each
label, and a table of words that several stacks use."""

from __future__ import annotations

import math

import numpy as np
import pytest
from law_runs import close, every_model, logits, padded_run, prefixes, run
from samples import among, config_of, ragged_batch, random_parameters

from numtx.model import tied_name
from numtx.parameters import parameter_shapes


@every_model
def test_l1_the_loss_of_each_token_is_that_of_a_loop(name: str) -> None:
    config, trace = config_of(name), padded_run(name)
    labels, smoothing = ragged_batch(config)["labels"], config.label_smoothing
    losses = []
    for b, row in enumerate(labels.tolist()):
        for t, label in enumerate(row):
            if label == -100:
                assert trace["loss.per_token"][b, t] == 0.0
                continue
            numbers = trace["logits"][b, t].tolist()
            largest = max(numbers)
            total = largest + math.log(math.fsum(math.exp(x - largest) for x in numbers))
            spread = math.fsum(total - x for x in numbers) / len(numbers)
            losses.append((1.0 - smoothing) * (total - numbers[label]) + smoothing * spread)
            assert abs(trace["loss.per_token"][b, t] - losses[-1]) < 1e-13
    assert 0 < len(losses) < labels.size
    assert abs(float(trace["loss"]) - math.fsum(losses) / len(losses)) < 1e-13


@every_model
def test_l1_uniform_logits_cost_the_logarithm_of_the_vocabulary(name: str) -> None:
    """However much the loss is smoothed."""
    config = config_of(name)
    own = random_parameters(config)
    flat = dict(own)
    matrix = tied_name(config) if config.tied_output else "output.w"
    flat[matrix] = 0.0 * own[matrix]
    if "output.b" in own:
        flat["output.b"] = 0.0 * own["output.b"] + 3.0
    trace = run(config, flat, ragged_batch(config), gradients=False)
    assert abs(float(trace["loss"]) - math.log(config.vocabulary)) < 1e-14


@every_model
def test_l2_parts_weighted_by_their_tokens_make_the_whole_batch(name: str) -> None:
    """Of rows that are padded, in every stack."""
    config, whole = config_of(name), padded_run(name)
    config = config_of(name)
    own, given = random_parameters(config), ragged_batch(config, 3)
    given["labels"][0, 0] = -100
    whole = run(config, own, given)
    counts = (given["labels"] != -100).sum(1)
    assert counts[0] != counts[1]  # or the mean of the means would be right too
    loss, sums = 0.0, {own_name: np.zeros_like(array) for own_name, array in own.items()}
    for row in range(2):
        share = float(counts[row] / counts.sum())
        one = {field: array[[row]] for field, array in given.items()}
        part = run(config, own, one, cotangent=share)
        loss += share * float(part["loss"])
        for own_name in sums:
            sums[own_name] += part.grad(f"parameters/{own_name}")
    assert abs(loss - float(whole["loss"])) < 1e-13
    for own_name, total in sums.items():
        assert close(total, whole.grad(f"parameters/{own_name}")), own_name


@every_model
def test_l3_ignored_labels_have_no_share_and_the_others_have_one(name: str) -> None:
    trace = padded_run(name)
    ignored = ragged_batch(config_of(name))["labels"] == -100
    assert ignored.any()
    for stage in ("logits", "log_probabilities", "loss.per_token"):
        assert (trace.grad(stage)[ignored] == 0.0).all()
        assert (trace.grad(stage)[~ignored] != 0.0).any(-1).all()
    assert float(trace["loss"]) == trace["loss.per_token"].sum() / (~ignored).sum()


@every_model
def test_l5_each_row_of_the_logits_gradient_sums_to_zero(name: str) -> None:
    config = config_of(name)
    trace = run(config, random_parameters(config), ragged_batch(config), cotangent=-1.7)
    gradient = trace.grad("logits")
    limit = config.vocabulary * np.finfo(float).eps * np.abs(gradient).max()
    assert np.abs(gradient.sum(-1)).max() <= limit
    assert np.abs(gradient).max() > 1e-3


@pytest.mark.parametrize("name", among(lambda config: config.shared_embedding))
@pytest.mark.parametrize("tied", [False, True])
def test_g3_a_table_of_words_for_both_stacks_sums_both_paths(name: str, tied: bool) -> None:
    shared = config_of(name, tied_output=tied)
    apart = config_of(name, tied_output=tied, source_vocabulary=shared.vocabulary)
    own, given = random_parameters(shared), ragged_batch(shared)
    both = {f"{side}.embedding": own["embedding"] for side in shared.sides}
    free = {own_name: both.get(own_name, own.get(own_name)) for own_name in parameter_shapes(apart)}
    first, second = run(shared, own, given), run(apart, free, given)
    assert np.array_equal(first["logits"], second["logits"])
    paths = [second.grad(f"parameters/{table}") for table in both]
    assert all(np.abs(path).max() > 1e-3 for path in paths)
    assert close(first.grad("parameters/embedding"), paths[0] + paths[1])


@every_model
def test_the_gradient_of_an_id_that_does_not_occur_is_zero(name: str) -> None:
    """But for the table that makes the logits, too: there every word has a gradient."""
    config = config_of(name)
    given = ragged_batch(config)
    for side, prefix in prefixes(config).items():
        given[f"{prefix}ids"] %= config.vocabulary_of(side) - 1
    trace = run(config, random_parameters(config), given)
    for own_name in trace.parameters:
        if own_name.endswith("embedding"):
            gradient = trace.grad(f"parameters/{own_name}")
            tied = config.tied_output and own_name == tied_name(config)
            assert (gradient[-1] != 0.0).any() == tied
            assert (gradient != 0.0).any()


@every_model
def test_without_labels_the_logits_are_the_same(name: str) -> None:
    config = config_of(name)
    own, given = random_parameters(config), ragged_batch(config)
    bare = {field: array for field, array in given.items() if field != "labels"}
    assert np.array_equal(logits(config, own, given), logits(config, own, bare))
