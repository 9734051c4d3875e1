from __future__ import annotations

import numpy as np
import pytest
from samples import assert_close, central_difference

from numtx.ops.attend import mask_backward, mask_forward, zero_unattended
from numtx.ops.grouped import products_backward, products_forward, weigh_backward, weigh_forward

HEADS = pytest.mark.parametrize(("h", "g"), [(3, 3), (4, 2), (3, 1)])


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).standard_normal(shape)


@HEADS
def test_products_by_the_formula(h, g):
    q, k = draw(2, h, 3, 4), draw(2, g, 5, 4)
    products = products_forward(q, k)
    assert products.shape == (2, h, 3, 5)
    for b, n, t, s in np.ndindex(products.shape):
        right = sum(q[b, n, t, i] * k[b, n // (h // g), s, i] for i in range(4))
        assert abs(products[b, n, t, s] - right) < 1e-14


@HEADS
def test_context_by_the_formula(h, g):
    w, v = draw(2, h, 3, 5), draw(2, g, 5, 6)
    context = weigh_forward(w, v)
    assert context.shape == (2, h, 3, 6)
    for b, n, t, c in np.ndindex(context.shape):
        right = sum(w[b, n, t, s] * v[b, n // (h // g), s, c] for s in range(5))
        assert abs(context[b, n, t, c] - right) < 1e-14


@HEADS
def test_grouped_heads_are_repeated_keys_and_values(h, g):
    q, k, w, v = draw(2, h, 3, 4), draw(2, g, 5, 4), draw(2, h, 3, 5), draw(2, g, 5, 6)
    repeat = h // g
    assert_close(products_forward(q, k), products_forward(q, np.repeat(k, repeat, 1)), 1e-14)
    assert_close(weigh_forward(w, v), weigh_forward(w, np.repeat(v, repeat, 1)), 1e-14)


@HEADS
def test_backward_of_products(h, g):
    q, k, d = draw(2, h, 3, 4), draw(2, g, 5, 4), draw(2, h, 3, 5)
    dq, dk = products_backward(d, q, k)
    assert_close(dq, central_difference(lambda q: (products_forward(q, k) * d).sum(), q), 1e-9)
    assert_close(dk, central_difference(lambda k: (products_forward(q, k) * d).sum(), k), 1e-9)


@HEADS
def test_backward_of_context(h, g):
    w, v, d = draw(2, h, 3, 5), draw(2, g, 5, 6), draw(2, h, 3, 6)
    dw, dv = weigh_backward(d, w, v)
    assert_close(dw, central_difference(lambda w: (weigh_forward(w, v) * d).sum(), w), 1e-9)
    assert_close(dv, central_difference(lambda v: (weigh_forward(w, v) * d).sum(), v), 1e-9)


def test_the_mask():
    scores, mask = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[True, False], [True, True]])
    assert mask_forward(scores, mask).tolist() == [[1.0, -np.inf], [3.0, 4.0]]
    assert mask_backward(scores, mask).tolist() == [[1.0, 0.0], [3.0, 4.0]]


@pytest.mark.parametrize("content", [np.nan, np.inf, -np.inf])
def test_nan_and_inf_go_where_no_query_attends_and_nowhere_else(content):
    x = draw(2, 3, 4, 5)
    live = np.array([[True, True, False, True], [True, True, True, True]])
    x[0, 1, 2, 0] = x[0, 0, 0, 0] = x[1, 0, 2, 0] = content
    clean = zero_unattended(x, live)
    assert clean[0, 1, 2, 0] == 0.0
    changed = np.argwhere(~((clean == x) | (np.isnan(clean) & np.isnan(x))))
    assert changed.tolist() == [[0, 1, 2, 0]]
    assert zero_unattended(x, None) is x


def test_finite_content_stays_whatever_its_size():
    x = np.full((1, 1, 2, 3), 1e200)
    assert (zero_unattended(x, np.array([[False, True]])) == x).all()


def test_type_is_kept():
    q, k, w = (draw(2, 4, 3, 5).astype(np.float32) for _ in range(3))
    k = k[:, :2]
    mask = np.ones((2, 4, 3, 3), bool)
    mask[..., 0] = False
    products = products_forward(q, k)
    kinds = [products, *products_backward(products, q, k), mask_forward(products, mask)]
    kinds += [mask_backward(products, mask), weigh_forward(products, k)]
    kinds += [*weigh_backward(w, products, k), zero_unattended(k, mask[:, 0, 0])]
    assert {x.dtype for x in kinds} == {np.dtype(np.float32)}
