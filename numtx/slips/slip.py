"""A known mistake of a backward pass: what a stage passes back to one of its inputs, made wrongly.

What is right follows from the formula of the stage (`oracle.gradients`); a slip makes its share
anew, with one mistake in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias, TypeVar

import numpy as np

from ..oracle.oracle import Oracle
from ..recompute import layered, recompute
from ..shapes import Array
from ..stages.graph import Graph, Stage
from ..stages.leaf import Text
from .passed import passed

# Words in Chinese and in English, and a share with the mistake.
Slips: TypeAlias = Iterator[tuple[str, str, Array | None]]


class Back(NamedTuple):
    """A stage, its gradient, and which of its inputs takes a share of that."""

    graph: Graph
    stage: Stage
    arrays: Mapping[str, Array]
    dy: Array
    operand: int

    @property
    def x(self) -> Array:
        """The input."""
        return self.value(self.stage.inputs[self.operand])

    @property
    def y(self) -> Array:
        """What the stage is."""
        return self.value(self.stage.name)

    @property
    def is_parameter(self) -> bool:
        return self.stage.inputs[self.operand].startswith("parameters/")

    def value(self, name: str) -> Array:
        array = self.arrays[name]
        return array.astype(np.float64) if array.dtype.kind == "f" else array

    def input(self, k: int) -> Array | None:
        """Another input, where there are so many."""
        return self.value(self.stage.inputs[k]) if k < len(self.stage.inputs) else None

    def right(self) -> Array:
        """The share as it should be."""
        return self.share()

    def share(
        self,
        dy: Array | None = None,
        arrays: Mapping[str, Array] | None = None,
        **attributes: Any,
    ) -> Array:
        """The share of another gradient, of other inputs, or of another formula."""
        stage = self.stage._replace(attributes={**self.stage.attributes, **attributes})
        once = [name if k == self.operand else f"{name} {k}" for k, name in enumerate(stage.inputs)]
        had = layered(arrays or {}, self.arrays)
        named = {
            alias: had[name]
            for alias, name in zip(once, stage.inputs, strict=True)
            if alias != name
        }
        stage = stage._replace(inputs=tuple(once))  # an input that is there twice, once
        every = layered(named, had)
        oracle = Oracle(self.graph, every, float(np.finfo(np.float64).eps))
        return passed(oracle, stage, self.dy if dy is None else dy, every)[once[self.operand]]

    def again(self, x: Array) -> Array:
        """The stage forwards, of another first input."""
        return recompute(self.graph, self.stage, layered({self.stage.inputs[0]: x}, self.arrays))


Make: TypeAlias = Callable[[Back], Slips]
M = TypeVar("M", bound=Make)


class Slip(NamedTuple):
    """A mistake of a backward pass: its name, the operations it is made in, and how."""

    name: Text
    operations: frozenset[str]
    make: Make

    def forms(self, back: Back) -> Iterator[tuple[Text, Array]]:
        """The share with the mistake, in each of its forms, up to one whose shapes do not fit."""
        if self.operations and back.stage.operation not in self.operations:
            return
        shape = back.arrays[back.stage.inputs[back.operand]].shape
        try:
            for zh, en, share in self.make(back):
                if share is not None and share.shape == shape:
                    yield Text(f"{self.name.zh}（{zh}）", f"{self.name.en} ({en})"), share
        except (ValueError, IndexError, KeyError):
            return


SLIPS: list[Slip] = []  # of all files of this folder, in their order


def slip(zh: str, en: str, operations: str = "") -> Callable[[M], M]:
    """A decorator: what it stands above makes shares with a mistake of this name; without
    operations it may be made in any."""

    def enter(make: M) -> M:
        SLIPS.append(Slip(Text(zh, en), frozenset(operations.split()), make))
        return make

    return enter
