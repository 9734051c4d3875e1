from __future__ import annotations

import math

import numpy as np
import pytest
from samples import assert_close, central_difference

from numtx.ops.norm import norm_backward, norm_forward

GENERATOR = np.random.default_rng(0)
X = GENERATOR.standard_normal((2, 3, 5)) * 2.0 + 1.0
GAIN = 1.0 + 0.3 * GENERATOR.standard_normal(5)
BIAS = GENERATOR.standard_normal(5)
DY = GENERATOR.standard_normal(X.shape)


def test_layer_norm_by_hand():
    """1, 3, 5: the mean is 3, the variance 8/3 (not 4: it divides by 3)."""
    gain, bias = np.array([1.0, 1.0, 2.0]), np.array([0.0, 1.0, 0.0])
    y, _ = norm_forward(np.array([[1.0, 3.0, 5.0]]), gain, bias, 0.0, True)
    root = 2.0 / math.sqrt(8.0 / 3.0)
    assert_close(y, [[-root, 1.0, 2.0 * root]], 1e-15)
    y, _ = norm_forward(np.array([[1.0, 3.0, 5.0]]), np.ones(3), None, 4.0 / 3.0, True)
    assert_close(y, [[-1.0, 0.0, 1.0]], 1e-15)


def test_rms_norm_by_hand():
    y, _ = norm_forward(np.array([[3.0, 4.0]]), np.array([1.0, 10.0]), None, 0.0, False)
    root = math.sqrt(12.5)
    assert_close(y, [[3.0 / root, 40.0 / root]], 1e-15)


@pytest.mark.parametrize("centred", [True, False])
def test_by_the_formula(centred):
    y, _ = norm_forward(X, GAIN, BIAS, 1e-5, centred)
    for row, got in zip(X.reshape(-1, 5).tolist(), y.reshape(-1, 5), strict=True):
        mean = math.fsum(row) / 5.0 if centred else 0.0
        variance = math.fsum((x - mean) ** 2 for x in row) / 5.0
        normal = [(x - mean) / math.sqrt(variance + 1e-5) for x in row]
        assert_close(got, np.array(normal) * GAIN + BIAS, 1e-14)


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("biased", [True, False])
def test_backward(centred, biased):
    bias = BIAS if biased else None

    def f(x, gain, bias):
        return float((norm_forward(x, gain, bias, 1e-2, centred)[0] * DY).sum())

    _, context = norm_forward(X, GAIN, bias, 1e-2, centred)
    dx, dgain, dbias = norm_backward(DY, context)
    assert_close(dx, central_difference(lambda x: f(x, GAIN, bias), X), 1e-8)
    assert_close(dgain, central_difference(lambda g: f(X, g, bias), GAIN), 1e-8)
    if biased:
        assert_close(dbias, central_difference(lambda b: f(X, GAIN, b), BIAS), 1e-8)
    else:
        assert dbias is None


def test_layer_norm_does_not_see_a_shift_and_its_gradient_sums_to_zero():
    y, context = norm_forward(X, GAIN, BIAS, 1e-5, True)
    assert_close(norm_forward(X + 7.0, GAIN, BIAS, 1e-5, True)[0], y, 1e-13)
    assert np.abs(norm_backward(DY, context)[0].sum(-1)).max() < 1e-13
    rms, _ = norm_forward(X, GAIN, None, 1e-5, False)
    assert np.abs(norm_forward(X + 7.0, GAIN, None, 1e-5, False)[0] - rms).max() > 0.1


def test_a_constant_row_gives_the_bias():
    y, context = norm_forward(np.full((1, 5), 3.0), GAIN, BIAS, 1e-5, True)
    assert_close(y, BIAS[None], 1e-11)
    assert np.isfinite(norm_backward(DY[:1, 0], context)[0]).all()


@pytest.mark.parametrize("centred", [True, False])
def test_type_and_input_are_kept(centred):
    x, gain, bias = (a.astype(np.float32) for a in (X, GAIN, BIAS))
    before = x.copy()
    y, context = norm_forward(x, gain, bias, 1e-5, centred)
    assert y.dtype == np.float32
    assert {g.dtype for g in norm_backward(y, context)} == {np.dtype(np.float32)}
    assert (x == before).all()
