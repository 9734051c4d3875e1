"""What the field does with a query that sees no key, and what numtx does."""

from __future__ import annotations

import numpy as np
import pytest

from numtx.testing.blind_rows import compare, text


@pytest.mark.parametrize("blind", [0, 1, 2])
def test_the_four_behaviours_are_what_they_are_called(blind):
    found = {one.name: one for one in compare(seed=blind, blind=blind)}
    assert list(found) == ["nan", "uniform", "vanishes", "zero"]
    assert np.isnan(found["nan"].weights).all() and np.isnan(found["nan"].context).all()
    assert np.isnan(found["nan"].dvalues).all() and np.isnan(found["nan"].dqueries).all()
    np.testing.assert_allclose(found["uniform"].weights, 0.25)
    assert (found["uniform"].dqueries == 0.0).all()
    hidden = found["vanishes"].weights
    assert (hidden > 0.0).all() and np.ptp(hidden) > 0.01 and abs(hidden.sum() - 1.0) < 1e-12
    for name in ("uniform", "vanishes"):  # a key that nobody may see has a gradient
        assert (found[name].dvalues[-1] != 0.0).any()
    zero = found["zero"]
    assert (zero.weights == 0.0).all() and (zero.context == 0.0).all()
    assert (zero.dqueries == 0.0).all() and (zero.dvalues[-1] == 0.0).all()
    assert (zero.dvalues[:-1] != 0.0).any()
    assert [one.seeing for one in found.values()] == [False, False, False, True]


def test_the_text_has_every_behaviour():
    lines = text(compare()).splitlines()
    assert [line.partition(":")[0] for line in lines if ":" in line] == [
        "nan", "uniform", "vanishes", "zero",
    ]  # fmt: skip
    assert lines.count("  weights of the row    nan nan nan nan") == 1
    assert "  weights of the row    0.25 0.25 0.25 0.25" in lines
