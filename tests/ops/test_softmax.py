from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import assert_close, central_difference

from numtx.ops.softmax import (
    log_softmax_backward,
    log_softmax_forward,
    softmax_backward,
    softmax_forward,
)

INF = np.inf


def scores(seed: int = 0) -> np.ndarray:
    return 2.0 * np.random.default_rng(seed).standard_normal((2, 3, 5))


def test_by_hand():
    logs = np.log([[1.0, 2.0, 5.0]])
    assert_close(softmax_forward(logs), [[0.125, 0.25, 0.625]], 1e-15)
    assert_close(log_softmax_forward(logs), np.log([[0.125, 0.25, 0.625]]), 1e-15)
    assert_close(softmax_backward(np.array([[8.0, 0.0, 0.0]]), softmax_forward(logs)),
                 [[0.875, -0.25, -0.625]], 1e-15)  # fmt: skip


def test_by_the_formula():
    x = scores()
    right = [[[math.exp(v) / math.fsum(map(math.exp, row)) for v in row] for row in m]
             for m in x.tolist()]  # fmt: skip
    assert_close(softmax_forward(x), right, 1e-14)
    assert_close(log_softmax_forward(x), np.log(right), 1e-14)


@pytest.mark.parametrize("place", [0, 255, 256, 699])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_largest_of_many_wherever_it_stands(place, dtype):
    x = np.zeros((1, 700), dtype)
    x[0, place] = 5000.0
    assert softmax_forward(x)[0].tolist() == [float(n == place) for n in range(700)]
    assert log_softmax_forward(x)[0].tolist() == [-5000.0 * (n != place) for n in range(700)]
    x[0, place] = 3.0
    room = 8 * float(np.finfo(dtype).eps)
    assert_close(softmax_forward(x)[0, place], math.exp(3) / (math.exp(3) + 699), room)
    assert_close(log_softmax_forward(x)[0, place], 3 - math.log(math.exp(3) + 699), room)


def test_backward():
    x = scores()
    cotangent = np.random.default_rng(1).standard_normal(x.shape)
    numeric = central_difference(lambda x: float((softmax_forward(x) * cotangent).sum()), x)
    assert_close(softmax_backward(cotangent, softmax_forward(x)), numeric, 1e-9)
    numeric = central_difference(lambda x: float((log_softmax_forward(x) * cotangent).sum()), x)
    assert_close(log_softmax_backward(cotangent, log_softmax_forward(x)), numeric, 1e-9)


def test_backward_of_rows_sums_to_zero():
    """A shift of the whole row changes nothing; with a cotangent of ones nothing is left."""
    x, cotangent = scores(), np.random.default_rng(1).standard_normal((2, 3, 5))
    assert np.abs(softmax_backward(cotangent, softmax_forward(x)).sum(-1)).max() < 1e-15
    assert np.abs(log_softmax_backward(cotangent, log_softmax_forward(x)).sum(-1)).max() < 1e-14
    assert np.abs(softmax_backward(np.ones_like(x), softmax_forward(x))).max() < 1e-15


def test_a_hidden_score_gets_exactly_nothing():
    x = scores()
    x[..., 1] = -INF
    weights = softmax_forward(x)
    assert (weights[..., 1] == 0.0).all() and np.abs(weights.sum(-1) - 1.0).max() < 1e-15
    assert (softmax_backward(scores(1), weights)[..., 1] == 0.0).all()
    assert_close(np.delete(weights, 1, -1), softmax_forward(np.delete(x, 1, -1)), 1e-15)


def test_a_row_without_a_key_is_zero_and_the_others_are_untouched():
    x = scores()
    plain = softmax_forward(x)
    x[1, 2] = -INF
    weights = softmax_forward(x)
    assert (weights[1, 2] == 0.0).all()
    plain[1, 2] = 0.0
    assert (weights == plain).all()
    dscores = softmax_backward(scores(1), weights)
    assert (dscores[1, 2] == 0.0).all() and np.isfinite(dscores).all()
    others = (weights != 0.0).all(-1)
    whole = softmax_backward(scores(1), softmax_forward(scores()))
    assert (dscores[others] == whole[others]).all() and others.sum() == others.size - 1
    assert (softmax_forward(np.full((2, 3), -INF)) == 0.0).all()


@pytest.mark.parametrize("huge", [1e4, 1e30, 1e300])
def test_huge_scores_stay_finite(huge):
    x = np.array([[huge, huge, -huge, 0.0]])
    assert softmax_forward(x).tolist() == [[0.5, 0.5, 0.0, 0.0]]
    logs = log_softmax_forward(x)
    assert_close(logs[0, :2], [-math.log(2.0)] * 2, 1e-15)
    assert np.isfinite(logs).all() and logs[0, 3] == -huge - math.log(2.0)


@given(st.integers(0, 2**32), st.floats(-1e4, 1e4))
def test_a_shift_changes_nothing(seed, shift):
    x = scores(seed)
    assert_close(softmax_forward(x + shift), softmax_forward(x), 1e-10)
    assert_close(log_softmax_forward(x + shift), log_softmax_forward(x), 1e-10)


def test_type_and_input_are_kept():
    x = scores().astype(np.float32)
    x[0, 0] = -INF
    before = x.copy()
    weights = softmax_forward(x)
    assert weights.dtype == softmax_backward(weights, weights).dtype == np.float32
    logs = log_softmax_forward(x[1])
    assert logs.dtype == log_softmax_backward(logs, logs).dtype == np.float32
    assert (x == before).all()
