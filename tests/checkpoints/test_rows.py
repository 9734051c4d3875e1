"""Parameters side by side within each head, of the same width or not, go into a tensor and out."""

from __future__ import annotations

import numpy as np
import pytest

from numtx.layouts.layout import Entry, Row

HEADS, INNER = 3, 5


@pytest.mark.parametrize("widths", [(4, 2), (2, 2, 2), (1, 6)])
def test_heads_side_by_side(widths: tuple[int, ...]) -> None:
    generator = np.random.default_rng(1)
    own = {f"w_{i}": generator.standard_normal((INNER, HEADS * w)) for i, w in enumerate(widths)}
    row = Row("both.weight", tuple(own), "heads")
    entry = Entry(row, (HEADS * sum(widths), INNER), {name: x.shape for name, x in own.items()})
    stored = entry.fold(own, HEADS)
    assert stored.shape == entry.stored
    for head in range(HEADS):
        parts = [x[:, head * w : (head + 1) * w] for x, w in zip(own.values(), widths, strict=True)]
        rows = slice(head * sum(widths), (head + 1) * sum(widths))
        np.testing.assert_array_equal(stored[rows], np.concatenate(parts, 1).T)
    for name, x in entry.unfold(stored, "float64", HEADS):
        np.testing.assert_array_equal(x, own[name])
