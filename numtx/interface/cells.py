"""A cell of a run explained, by its address."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ..arithmetic.cells import Single
from ..check.explain import LIMIT, explain_gradient, find_cells
from ..check.explain import explain as explain_cell
from ..explaining.explanation import Explanation
from ..show.cell_text import Names, cell_text
from ..show.headings import pick
from ..show.stage_grid import Style
from ..show.trace_text import rounding_rule
from ..small_repr import in_notebook, small_repr
from ..trace.trace import Trace


@in_notebook
@small_repr("cells", "value", "more")
class Explained(NamedTuple):
    """The cells that an address names, with their arithmetic, and how many more it names."""

    trace: Trace
    cells: list[Explanation]
    more: int = 0

    @property
    def value(self) -> Single:
        """What was recorded in the first."""
        return self.cells[0].value


def explain(
    trace: Trace, cell: str, *, gradient: bool = False, depth: int = 1, limit: int = LIMIT
) -> Explained:
    """The arithmetic of a cell such as 'logits[4,1]' with its numbers; `to_text` prints it.

    cell      leading axes of size one may be left out; NAME[pinned] takes every pinned cell, and
              parameters/NAME[i,j] is one of a parameter
    gradient  its gradient: the sum over its consumers of theirs times the partial derivative
    depth     follow back so many stages
    limit     explain no more cells than that

    Raises `StageError` for an address that names no cell.
    """
    how = explain_gradient if gradient else explain_cell
    found = find_cells(trace, cell)
    cells = [how(trace, one.name, one.cell, depth, limit) for one in found[:limit]]
    return Explained(trace, cells, len(found) - len(cells))


def explained_text(found: Explained, style: Style) -> Iterator[str]:
    """Blocks: the cells, how many more there are, and how numbers are rounded."""
    names = Names(found.trace, style.lang)
    for one in found.cells:
        yield from cell_text(one, names, style)
    if found.more:
        en = f"{found.more} more cells; --limit shows them"
        yield pick(style.lang, f"还有 {found.more} 个格；--limit 显示", en)
    if not style.full:
        lang, end = pick(style.lang, "zh", "en"), pick(style.lang, "；", ";")
        rule = rounding_rule(style.precision + 2, found.trace.config.dtype, lang)
        more = pick(lang, "--full：全部数位与各项", "--full: every digit and term")
        yield f"{rule.partition(end)[0]}{end}{pick(lang, '', ' ')}{more}"
