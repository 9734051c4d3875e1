"""A known mistake: its name, the stages it may be made in, and the stage with the mistake.

A cause makes a stage once more from its inputs with one mistake in it. `compare` names it
only where that reproduces the numbers of the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple, TypeAlias, TypeVar

import numpy as np

from ..shapes import Array
from ..stages.graph import Stage
from ..stages.leaf import Text
from .at import At, Candidates

Make: TypeAlias = Callable[[At], Candidates]
M = TypeVar("M", bound=Make)


class Cause(NamedTuple):
    """A mistake: its name, the leaves (or @operations) that it is made in, and how it is made."""

    name: Text
    stages: str
    make: Make

    def applies_to(self, stage: Stage) -> bool:
        names = self.stages.split()
        return stage.leaf.name in names or f"@{stage.operation}" in names

    def forms(self, at: At) -> Iterator[tuple[str, Callable[[], Array]]]:
        """The stage with the mistake, in each of its forms, as functions that make it."""
        made = self.make(at)
        if made is None:
            return
        for detail, array in [("", made)] if isinstance(made, np.ndarray) else made:
            if array is not None:
                name = f"{self.name.en} ({detail})" if detail else self.name.en
                yield name, array if callable(array) else partial(np.asarray, array)

    def candidates(self, at: At) -> Iterator[tuple[str, Array]]:
        """The same, made."""
        return ((name, make()) for name, make in self.forms(at))


CAUSES: list[Cause] = []  # of all files of this folder, in their order


def cause(zh: str, en: str, stages: str) -> Callable[[M], M]:
    """A decorator: what it stands above makes the stages with a mistake of this name."""

    def enter(make: M) -> M:
        CAUSES.append(Cause(Text(zh, en), stages, make))
        return make

    return enter
