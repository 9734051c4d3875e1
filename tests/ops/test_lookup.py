from __future__ import annotations

import numpy as np
import pytest
from samples import assert_close, central_difference

from numtx.ops.lookup import lookup_backward, lookup_forward

IDS = np.array([[2, 0, 2], [2, 3, 0]])


def test_forward():
    table = np.arange(8.0).reshape(4, 2)
    assert lookup_forward(table, IDS)[0].tolist() == [[4.0, 5.0], [0.0, 1.0], [4.0, 5.0]]


@pytest.mark.parametrize("rows", [4, 64, 65, 100], ids=lambda n: f"{n} rows")
def test_backward_sums_repeated_ids(rows):
    generator = np.random.default_rng(0)
    table, dy = generator.standard_normal((rows, 5)), generator.standard_normal((2, 3, 5))
    got = lookup_backward(dy, IDS, table)
    right = np.zeros_like(table)
    for place in np.ndindex(IDS.shape):
        right[IDS[place]] += dy[place]
    assert_close(got, right, 1e-15)
    assert not got[1].any() and got.shape == table.shape
    if rows == 4:
        numeric = central_difference(lambda t: float((lookup_forward(t, IDS) * dy).sum()), table)
        assert_close(got, numeric, 1e-9)


@pytest.mark.parametrize("rows", [4, 100])
def test_type_is_kept(rows):
    table = np.ones((rows, 5), np.float32)
    y = lookup_forward(table, IDS)
    assert y.dtype == lookup_backward(y, IDS, table).dtype == np.float32
