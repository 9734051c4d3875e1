"""Buckets of distances: known borders, both statements of them, and a bias that is learned."""

from __future__ import annotations

import numpy as np
import pytest
from samples import config_of, random_parameters

from numtx import Batch, backward, forward
from numtx.formulas.positions import bucket_of
from numtx.ops.relative import buckets, relative_bias_backward, relative_bias_forward

# First distance of each bucket beyond those of one distance, 32 buckets up to 128.
BOTH = {8: 8, 12: 9, 16: 10, 23: 11, 32: 12, 46: 13, 64: 14, 91: 15}
BACK = {16: 16, 19: 17, 21: 18, 24: 19, 27: 20, 31: 21, 35: 22, 40: 23, 46: 24, 52: 25, 59: 26,
        67: 27, 77: 28, 87: 29, 99: 30, 113: 31}  # fmt: skip


@pytest.mark.parametrize(("borders", "both"), [(BOTH, True), (BACK, False)])
def test_known_borders(borders, both):
    for distance, bucket in borders.items():
        near, here = buckets(np.array([1 - distance, -distance]), 32, 128, both)
        assert (near, here) == (bucket - 1, bucket)
    last = max(borders.values())
    assert buckets(np.array([-500, -10_000]), 32, 128, both).tolist() == [last, last]
    exact = min(borders)
    assert buckets(-np.arange(exact), 32, 128, both).tolist() == list(range(exact))


def test_later_keys():
    assert buckets(np.array([1, 8, 500]), 32, 128, True).tolist() == [17, 24, 31]
    assert buckets(np.array([1, 8, 500]), 32, 128, False).tolist() == [0, 0, 0]


@pytest.mark.parametrize("both", [True, False])
@pytest.mark.parametrize(("count", "farthest"), [(32, 128), (16, 64), (8, 20), (64, 128), (6, 4)])
def test_the_oracle_counts_borders_and_finds_the_same(count, farthest, both):
    distances = np.arange(-400, 401)
    found = buckets(distances, count, farthest, both)
    assert [bucket_of(int(d), count, farthest, both) for d in distances] == found.tolist()
    assert found.min() >= 0 and found.max() == count - 1


def test_a_bias_and_its_gradient():
    generator = np.random.default_rng(1)
    table, found = generator.standard_normal((5, 3)), generator.integers(0, 5, (2, 4, 6))
    bias = relative_bias_forward(table, found)
    assert bias.shape == (2, 3, 4, 6) and bias[1, 2, 3, 0] == table[found[1, 3, 0], 2]
    dbias = generator.standard_normal(bias.shape)
    dtable = relative_bias_backward(dbias, found, table)
    assert (dbias * bias).sum() == pytest.approx((dtable * table).sum())  # it is linear


def test_all_layers_of_a_stack_use_one_table():
    config = config_of("encoder-decoder, bias by buckets, one table a stack")
    parameters = random_parameters(config)
    assert [n for n in parameters if "relative" in n] == [
        "encoder.relative_bias", "decoder.relative_bias",
    ]  # fmt: skip
    ids = [[1, 2, 3, 4, 5, 6, 7]]
    batch = Batch(ids, ids, labels=ids)
    _, context = forward(config, parameters, batch)
    gradients = backward(context)
    for side in ("encoder", "decoder"):
        name, step = f"{side}.relative_bias", 1e-5
        direction = np.random.default_rng(2).standard_normal(parameters[name].shape)
        ends = []
        for sign in (1, -1):
            moved = {**parameters, name: parameters[name] + sign * step * direction}
            ends.append(forward(config, moved, batch)[0].loss)
        slope = (ends[0] - ends[1]) / (2 * step)
        assert slope == pytest.approx((gradients[name] * direction).sum(), rel=1e-7)
