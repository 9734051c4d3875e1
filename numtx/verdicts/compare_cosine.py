"""The cosine between two sides' vectors of each token: turned, or only longer?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from ..errors import UsageError, nearest
from ..shapes import Array

if TYPE_CHECKING:
    from ..compare.comparison import Comparison
    from ..compare.sides import Side


def check_cosine(name: str, found: Comparison) -> None:
    """Raises `UsageError` for a name of nothing that was compared."""
    compared = [d.name for d in (*found.values, *found.gradients) if d.fits]
    if name not in compared:
        raise UsageError(f"--cosine {name!r}: not compared; {nearest(name, compared)}")


def cosine_lines(name: str, pair: tuple[Array, Array], first: Side, lang: str) -> Iterator[str]:
    """A table: a token a line, the cosine and the two lengths; heads below one another."""
    from ..show.cell_text import Names
    from ..show.headings import pick
    from ..show.numbers import number
    from ..show.table import table_text

    names = None if first.trace is None else Names(first.trace, lang)
    bare = name.removeprefix("grad/")
    right, got = (np.atleast_1d(np.where(np.isfinite(x), x, 0.0)) for x in pair)
    dots = (right * got).sum(-1)
    lengths = [np.sqrt((x * x).sum(-1)) for x in (right, got)]
    rows = [["cell", "", "cosine", "expected length", "length"]]
    rows = [["格", "", "余弦", "应有的长度", "长度"]] if lang == "zh" else rows
    for cell in np.ndindex(dots.shape):
        both = lengths[0][cell] * lengths[1][cell]
        label = ""
        if names is not None and names.shapes.get(bare) == right.shape:
            label = names.label(bare, (*cell, 0)).rpartition(pick(lang, "，", ", "))[0]
        rows.append([
            "[" + ",".join(map(str, cell)) + "]", label,
            number(dots[cell] / both) if both else "", number(lengths[0][cell]),
            number(lengths[1][cell]),
        ])  # fmt: skip
    yield pick(lang, f"每个词元的余弦，{name}：", f"cosine of each token, {name}:")
    yield table_text(rows, "llrrr", "  ")
