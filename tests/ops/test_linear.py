from __future__ import annotations

import numpy as np
import pytest
from samples import assert_close, central_difference

from numtx.ops.linear import linear_backward, linear_forward

GENERATOR = np.random.default_rng(0)
X = GENERATOR.standard_normal((2, 3, 4))
W = GENERATOR.standard_normal((4, 5))
B = GENERATOR.standard_normal(5)
DY = GENERATOR.standard_normal((2, 3, 5))


def test_by_hand():
    x, w = np.array([[1.0, 2.0]]), np.array([[1.0, 0.0, 3.0], [0.0, 1.0, -1.0]])
    y, _ = linear_forward(x, w, np.array([10.0, 20.0, 30.0]))
    assert y.tolist() == [[11.0, 22.0, 31.0]]
    y, context = linear_forward(x, w)
    assert y.tolist() == [[1.0, 2.0, 1.0]]
    dx, dw, db = linear_backward(np.array([[1.0, 2.0, 0.0]]), context)
    assert dx.tolist() == [[1.0, 2.0]]
    assert dw.tolist() == [[1.0, 2.0, 0.0], [2.0, 4.0, 0.0]] and db is None


def test_by_the_formula():
    y, _ = linear_forward(X, W, B)
    for b, t, j in np.ndindex(y.shape):
        right = sum(X[b, t, i] * W[i, j] for i in range(4)) + B[j]
        assert abs(y[b, t, j] - right) < 1e-14


@pytest.mark.parametrize("shape", [(4,), (3, 4), (2, 3, 4), (2, 1, 3, 4)])
def test_leading_axes_are_kept(shape):
    x = GENERATOR.standard_normal(shape)
    y, context = linear_forward(x, W, B)
    assert y.shape == (*shape[:-1], 5)
    dx, dw, db = linear_backward(y, context)
    assert (dx.shape, dw.shape, db.shape) == (shape, W.shape, B.shape)


def test_backward():
    _, context = linear_forward(X, W, B)
    dx, dw, db = linear_backward(DY, context)

    def f(x, w, b):
        return float((linear_forward(x, w, b)[0] * DY).sum())

    assert_close(dx, central_difference(lambda x: f(x, W, B), X), 1e-9)
    assert_close(dw, central_difference(lambda w: f(X, w, B), W), 1e-9)
    assert_close(db, central_difference(lambda b: f(X, W, b), B), 1e-9)


def test_a_transposed_matrix_and_float32():
    x, w = X.astype(np.float32), np.ascontiguousarray(W.T).astype(np.float32).T
    y, context = linear_forward(x, w, B.astype(np.float32))
    assert y.dtype == np.float32
    assert {g.dtype for g in linear_backward(y, context)} == {np.dtype(np.float32)}
