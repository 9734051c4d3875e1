"""Curves in the terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence


def curve_text(values: Sequence[float], width: int = 72, height: int = 10) -> str:
    """The values as a curve of `*`, on a logarithmic scale where all are above 0.

    A column is the mean of its share of the values, and so are the numbers on the left those
    of the scale, not of single values. The lines under it say the steps, counted from 1.
    """
    if not values:
        return "(no steps)"
    margin = 10
    columns = max(1, min(len(values), width - margin - 1))
    means = [
        math.fsum(part) / len(part)
        for part in (
            values[len(values) * j // columns : len(values) * (j + 1) // columns]
            for j in range(columns)
        )
    ]
    logarithmic = min(means) > 0
    heights = [math.log(mean) if logarithmic else mean for mean in means]
    low, high = min(heights), max(heights)
    if low == high:
        height = 1
    span = (high - low) or 1.0
    rows = [round((high - h) / span * (height - 1)) for h in heights]
    levels = [high - span * i / (height - 1) if height > 1 else high for i in range(height)]
    labels = [f"{math.exp(level) if logarithmic else level:.4g}" for level in levels]
    lines = plot({"*": rows}, labels, margin)
    last = f" {len(values)!s:>{columns - 2}}" if len(values) > 1 else ""
    return "\n".join([*lines, " " * (margin + 1) + "1" + last])


def plot(curves: Mapping[str, Sequence[int]], labels: Sequence[str], margin: int) -> list[str]:
    """Curves over one axis, of which later ones lie above: a mark and the row of each column,
    from the top. Every third row has its label, in so many columns."""
    columns = max(map(len, curves.values()))
    area = [[" "] * columns for _ in labels]
    for mark, rows in curves.items():
        for j, row in enumerate(rows):
            area[row][j] = mark
    return [
        *(
            f"{label if i % 3 == 0 else '':>{margin - 1}} |{''.join(cells)}".rstrip()
            for i, (label, cells) in enumerate(zip(labels, area, strict=True))
        ),
        " " * margin + "+" + "-" * columns,
    ]
