"""Another run of the same model, to be shown beside the one that a page is of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from ..formats.trace_json import strict
from ..html.frame import bilingual
from ..shapes import Array
from ..stages.catalogue import Text


class Part(NamedTuple):
    """Which tables of an array are made: of this run, or of the other; and the cells that are
    marked, as they differ."""

    differing: Array | None = None
    is_other: bool = False


ALONE = Part()
ONE_SIDED = Text("另一边没有，没有比较", "not in the other; not compared")


class Beside(NamedTuple):
    """The other run.

    own, other  what this run and the other are called; `leads`: the other stands first
    arrays      of the other, in the shapes of this run's: stages, `parameters/NAME`, `grad/NAME`
    differing   name -> where the two differ; not there: nowhere
    notes       name -> why an array could not be set beside this run's
    opened      the stages that are open at first; the others are folded
    """

    own: Text
    other: Text
    leads: bool
    arrays: Mapping[str, Array]
    differing: Mapping[str, Array]
    notes: Mapping[str, Text]
    opened: frozenset[str]

    def sides(self, name: str, own: Array, draw: Callable[[Array, Part], str]) -> str:
        """The tables of an array: of both runs where they differ, else of this one."""
        if name in self.notes or name not in self.arrays:
            why = self.notes.get(name, ONE_SIDED)
            return f'<p class="quiet">{bilingual(why)}</p>{draw(own, ALONE)}'
        if name not in self.differing:
            return draw(own, ALONE)
        differing = self.differing[name]
        pair = [
            (self.own, draw(own, Part(differing))),
            (self.other, draw(self.arrays[name], Part(differing, is_other=True))),
        ]
        both = "".join(
            f'<div class="side"><p class="quiet">{bilingual(title)}</p>{tables}</div>'
            for title, tables in (reversed(pair) if self.leads else pair)
        )
        return f'<div class="sides">{both}</div>'

    def differs(self, name: str) -> bool:
        """Whether an array differs, or its gradient does, or could not be compared."""
        return any(n in self.differing or n in self.notes for n in (name, f"grad/{name}"))

    def says(self, name: str) -> str:
        """How much of a stage differs, for its heading."""
        found = []
        for target, zh, en in ((name, "", ""), (f"grad/{name}", "梯度 ", "gradient: ")):
            if target in self.differing:
                where = self.differing[target]
                many, of = np.count_nonzero(where), where.size
                found.append(Text(f"≠ {zh}{many} / {of} 格", f"≠ {en}{many} of {of} cells"))
        return "".join(f'<span class="differs">{bilingual(text)}</span>' for text in found)

    def data(self, name: str, whole: bool) -> dict[str, Any]:
        """What the script reads of the other's array: its numbers where they differ."""
        found: dict[str, Any] = {}
        for key, target in (("other", name), ("otherGradient", f"grad/{name}")):
            if target not in self.arrays or target in self.notes:
                found[key] = None
            elif target in self.differing and whole:
                found[key] = strict(self.arrays[target].ravel().tolist())
        return found
