"""S1 and S2 to the last digits, in both types. (S3: test_random_models.)"""

from __future__ import annotations

import numpy as np
import pytest
from law_runs import attentions, every_model, run
from samples import config_of, ragged_batch, random_parameters

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
    name: str, dtype: str
) -> None:
    config = config_of(name, dtype=dtype)
    trace = run(config, random_parameters(config), ragged_batch(config), gradients=False)
    eps = float(np.finfo(dtype).eps)
    for place in attentions(trace):
        weights, seen = trace[f"{place}.weights"], trace[f"{place}.mask"]
        sums = weights.sum(-1)
        assert np.abs(sums[seen.any(-1)] - 1.0).max() <= 4 * eps
        assert (sums[~seen.any(-1)] == 0.0).all()
        assert (weights[~seen] == 0.0).all()
        assert (weights[seen] > 0.0).all()
    assert np.abs(trace["probabilities"].sum(-1) - 1.0).max() <= 16 * eps
