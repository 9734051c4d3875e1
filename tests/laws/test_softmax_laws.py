"""S1, S2, S4: what the rows of weights and the context are made of. (S3: test_random_models.)"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from law_models import every_model, model, padded, parameters, run

from numtx import Config
from numtx.ops.softmax import log_softmax_forward, softmax_forward


@pytest.mark.parametrize("size", [1.0, 1e2, 1e4, 1e8, 1e300])
def test_s1_rows_sum_to_one_and_stay_finite(size: float) -> None:
    scores = size * np.random.default_rng(1).uniform(-1.0, 1.0, (2, 3, 5))
    weights = softmax_forward(scores)
    assert np.isfinite(weights).all() and (weights >= 0.0).all()
    assert np.abs(weights.sum(-1) - 1.0).max() <= 1e-15 * scores.shape[-1]
    assert np.isfinite(log_softmax_forward(scores)).all()


@pytest.mark.parametrize("shift", [-1e4, -3.0, 0.25, 1e4, 1e8])
def test_s1_a_shift_of_a_row_changes_nothing(shift: float) -> None:
    scores = np.random.default_rng(1).standard_normal((2, 3, 5))
    difference = softmax_forward(scores + shift) - softmax_forward(scores)
    assert np.abs(difference).max() <= 4 * np.finfo(float).eps * max(1.0, abs(shift))
    logs = log_softmax_forward(scores + shift) - log_softmax_forward(scores)
    assert np.abs(logs).max() <= 8 * np.finfo(float).eps * max(1.0, abs(shift))


@every_model
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_s2_in_a_run_valid_rows_sum_to_one_and_masked_weights_are_zero(
    config: Config, dtype: str
) -> None:
    config = replace(config, dtype=dtype)
    given, _ = padded(config)
    trace = run(config, parameters(config), given, gradients=False)
    for name in [stage for stage in trace if stage.endswith(".weights")]:
        weights, seen = trace[name], trace[name.replace("weights", "mask")]
        sums = weights.sum(-1)
        eps = float(np.finfo(dtype).eps)
        assert np.abs(sums[seen.any(-1)] - 1.0).max() <= 4 * eps
        assert (sums[~seen.any(-1)] == 0.0).all()
        assert (weights[~seen] == 0.0).all()
        assert (weights[seen] > 0.0).all()
    rows = trace["probabilities"].sum(-1)
    assert np.abs(rows - 1.0).max() <= 16 * float(np.finfo(dtype).eps)


@every_model
def test_s4_context_lies_between_the_least_and_the_largest_attended_value(config: Config) -> None:
    given, _ = padded(config)
    trace = run(config, parameters(config), given, gradients=False)
    group = config.heads // config.kv_heads
    for name in [stage for stage in trace if stage.endswith(".context")]:
        place = name.removesuffix(".context")
        values = trace[f"{place}.values"].repeat(group, 1)[:, :, None]  # [B, H, 1, S, c]
        seen = trace[f"{place}.mask"][..., None]
        least = np.where(seen, values, np.inf).min(-2)
        largest = np.where(seen, values, -np.inf).max(-2)
        some = trace[f"{place}.mask"].any(-1)
        context = trace[name]
        assert (context >= least - 1e-14)[some].all()
        assert (context <= largest + 1e-14)[some].all()


def test_s4_would_notice_weights_that_do_not_sum_to_one() -> None:
    """The law above can fail: doubled weights leave the range."""
    config = model("decoder-only", "sinusoidal", None)
    given, _ = padded(config)
    own = parameters(config)
    trace = run(config, own, given, gradients=False)
    name = "decoder.0.self_attention.weights"
    wrong = run(config, own, given, gradients=False, pins={name: 2.0 * trace[name]})
    context = wrong["decoder.0.self_attention.context"]
    assert np.abs(context).max() > np.abs(trace["decoder.0.self_attention.values"]).max()
