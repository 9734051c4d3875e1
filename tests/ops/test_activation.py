from __future__ import annotations

import math

import numpy as np
import pytest
from samples import assert_close, central_difference

from numtx.config.output import ACTIVATIONS
from numtx.ops.activation import activation_backward, activation_forward

X = np.array([[-3.0, -0.5, 0.25], [1.0, 2.0, -1.5]])

FORMULAS = {
    "relu": lambda x: max(x, 0.0),
    "gelu": lambda x: x * (1.0 + math.erf(x / math.sqrt(2.0))) / 2.0,
    "gelu_tanh": lambda x: (
        x / 2.0 * (1.0 + math.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)))
    ),
    "gelu_sigmoid": lambda x: x / (1.0 + math.exp(-1.702 * x)),
    "silu": lambda x: x / (1.0 + math.exp(-x)),
}
AT_ONE = {"relu": 1.0, "gelu": 0.8413447461, "gelu_tanh": 0.8411919906, "silu": 0.7310585786,
          "gelu_sigmoid": 0.8457957659}  # fmt: skip


@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_forward(kind):
    got = activation_forward(kind, X)
    assert_close(got, [[FORMULAS[kind](x) for x in row] for row in X.tolist()], 1e-14)
    assert_close(activation_forward(kind, np.array([1.0, 0.0])), [AT_ONE[kind], 0.0], 1e-9)


@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_backward(kind):
    dy = np.random.default_rng(0).standard_normal(X.shape)
    numeric = central_difference(lambda x: float((activation_forward(kind, x) * dy).sum()), X)
    assert_close(activation_backward(kind, dy, X), numeric, 1e-9)


@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_type_and_input_are_kept(kind):
    x = X.astype(np.float32)
    assert activation_forward(kind, x).dtype == np.float32
    assert activation_backward(kind, x, x).dtype == np.float32
    assert (x == X).all()


@pytest.mark.parametrize("kind", ACTIVATIONS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_far_from_zero_it_is_the_identity_or_nothing(kind, dtype):
    x = np.array([-1e4, 1e4, -800.0, 800.0], dtype)
    assert activation_forward(kind, x).tolist() == [0.0, 1e4, 0.0, 800.0]
    assert activation_backward(kind, np.ones(4, dtype), x).tolist() == [0.0, 1.0, 0.0, 1.0]


def test_relu_has_no_slope_at_zero():
    assert activation_backward("relu", np.ones(2), np.array([0.0, -0.0])).tolist() == [0.0, 0.0]


def test_the_two_gelus_differ():
    exact, approximate = (activation_forward(kind, X) for kind in ("gelu", "gelu_tanh"))
    assert 1e-5 < np.abs(exact - approximate).max() < 1e-2
