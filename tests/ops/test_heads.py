from __future__ import annotations

import numpy as np
import pytest

from numtx.ops.heads import merge_heads, split_heads

X = np.arange(2 * 3 * 8.0).reshape(2, 3, 8)


def test_a_head_owns_neighbouring_columns():
    split = split_heads(X, 2)
    assert split.shape == (2, 2, 3, 4)
    assert (split[1, 0] == X[1, :, :4]).all() and (split[1, 1] == X[1, :, 4:]).all()
    assert split_heads(np.array([[[1.0, 2.0], [3.0, 4.0]]]), 2).tolist() == [
        [[[1.0], [3.0]], [[2.0], [4.0]]]
    ]


@pytest.mark.parametrize("heads", [1, 2, 4, 8])
def test_merging_is_the_inverse(heads):
    assert (merge_heads(split_heads(X, heads)) == X).all()
    y = X.reshape(2, 4, 3, 2)
    assert (split_heads(merge_heads(y), 4) == y).all()


def test_merging_is_the_backward():
    """sum(split(x) * d) = sum(x * merge(d)) for every d: each is the other's transpose."""
    d = np.random.default_rng(0).standard_normal((2, 4, 3, 2))
    assert (split_heads(X, 4) * d).sum() == pytest.approx((X * merge_heads(d)).sum(), rel=1e-14)
