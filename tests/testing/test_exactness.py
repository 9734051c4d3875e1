"""The probe of products, on products that are planted; and what follows where rows are mixed."""

from __future__ import annotations

import numpy as np
import pytest
from plain_models import Plain

from numtx.laws import exactness, law
from numtx.laws.exactness import RowIndependence, probe, row_independence, same
from numtx.testing import check, report


def row_by_row(x, w):
    return np.stack([row @ w for row in x])


def last_row_otherwise(x, w):
    """As kernels do that take rows in pairs: the last of an odd number is summed backwards."""
    y = row_by_row(x, w)
    if len(x) % 2:
        y[-1] = x[-1, ::-1] @ w[::-1]
    return y


def around_the_mean(x, w):
    mean = x.mean(0)
    return (x - mean) @ w + mean @ w


@pytest.mark.parametrize(
    ("product", "found"),
    [
        (row_by_row, RowIndependence(True, True)),
        (last_row_otherwise, RowIndependence(True, False)),
        (around_the_mean, RowIndependence(False, False)),
    ],
)
def test_what_a_product_is(product, found):
    assert probe(product) == found


def test_the_note_says_what_is_within_rounding():
    assert RowIndependence(True, True).note == ""
    assert "rows that move are compared within rounding" in RowIndependence(True, False).note
    assert "mixes rows" in RowIndependence(False, False).note


@pytest.mark.parametrize("contents", [True, False])
@pytest.mark.parametrize("places", [True, False])
@pytest.mark.parametrize("moved", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_same_is_bit_for_bit_where_the_machine_is(monkeypatch, contents, places, moved, dtype):
    monkeypatch.setattr(exactness, "row_independence", lambda: RowIndependence(contents, places))
    a = np.array([1.0, -3.0, -np.inf], dtype)
    bit, some, more = a.copy(), a.copy(), a.copy()
    bit[0] += np.finfo(dtype).eps
    some[0] += 0.5 * exactness.ROUNDINGS * 3.0 * np.finfo(dtype).eps
    more[0] += 1.5 * exactness.ROUNDINGS * 3.0 * np.finfo(dtype).eps
    assert same(a, a.copy(), moved)
    for close in (bit, some):
        assert same(a, close, moved) == (not (places if moved else contents))
    assert not same(a, more, moved)
    assert not same(a, a[:2], moved)
    assert not same(a == 1.0, a == -3.0, moved)
    whole = np.arange(3)
    assert same(whole, whole.copy(), moved) and not same(whole, whole + (whole == 2), moved)
    assert 16 <= exactness.ROUNDINGS <= 256


class Rounding(Plain):
    """A right model whose rows are mixed in their last bits."""

    def __call__(self, ids):
        logits = super().__call__(ids)
        return logits * (1.0 + 1e-15 * (ids.sum() % 7))


def test_where_rows_are_mixed_exact_laws_are_asked_within_the_tolerance_and_it_is_said(monkeypatch):
    for contents in (True, False):
        for module in (law, report):
            machine = RowIndependence(contents, contents)
            monkeypatch.setattr(module, "row_independence", lambda machine=machine: machine)
        found = check(Rounding(), ["K1", "K3"], examples=20)
        assert [result.status for result in found.results] == [
            "rounding" if contents else "passed", "passed",
        ]  # fmt: skip
        assert ("mixes rows" in found.table()) != contents
        assert "mixes rows" not in check(Plain(), ["K3"], examples=5).table()
        (leak,) = check(Plain(ahead=1), ["K1"], examples=20).results
        assert leak.status == "broken"


def test_this_machine_is_tried_once():
    assert row_independence() is row_independence()
