"""Differences as text; the sentences around them stand with the command."""

from __future__ import annotations

import math
from collections.abc import Sequence


def table(rows: Sequence[Sequence[str]], align: Sequence[str]) -> str:
    """Rows with a heading, aligned, two spaces between the columns."""
    from tabulate import tabulate

    text: str = tabulate(
        rows[1:], headers=rows[0], tablefmt="plain", disable_numparse=True, colalign=align
    )
    return "\n".join("  " + line.rstrip() for line in text.split("\n"))


def number(x: float | int | bool) -> str:
    """A number of a cell with enough digits to see how it differs."""
    if isinstance(x, bool) or not isinstance(x, float):
        return str(x)
    return f"{x:.10g}"


def amount(x: float) -> str:
    """A difference: its size matters, not its digits."""
    return "inf" if math.isinf(x) else f"{x:.3g}"
