"""A stage of another implementation, and how it can be made once more with a mistake."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ..config import Config
from ..recompute import layered, recompute
from ..shapes import Array
from ..stages.graph import Graph, Stage

# A mistake in each of its forms; what takes its time, as a function that makes it.
Forms: TypeAlias = Iterator[tuple[str, Array | Callable[[], Array] | None]]
Candidates: TypeAlias = Array | Forms | None
FEWEST = 10  # numbers that differ from one another, for a cause with a number fitted to them


class At(NamedTuple):
    """A stage, and all arrays by name: its inputs, and what may have been taken by mistake."""

    graph: Graph
    stage: Stage
    arrays: Mapping[str, Array]
    got: Array  # what the file has

    @property
    def inputs(self) -> list[Array]:
        return [self.value(name) for name in self.stage.inputs]

    def value(self, name: str) -> Array:
        """Any stage or parameter; floating numbers in float64, whatever their type."""
        array = self.arrays[name]
        return array.astype(np.float64) if array.dtype.kind == "f" else array

    @property
    def config(self) -> Config:
        return self.graph.config

    @property
    def place(self) -> str:
        """The sublayer of the stage."""
        return self.stage.name.rpartition(".")[0]

    def again(self, changed: Mapping[int, Array | None] | None = None, **attributes: Any) -> Array:
        """The stage with other inputs (None: left out) or other numbers of its formula."""
        names = dict(enumerate(self.stage.inputs))
        arrays = {names[k]: x for k, x in (changed or {}).items() if x is not None}
        kept = tuple(name for k, name in names.items() if (changed or {}).get(k, True) is not None)
        stage = self.stage._replace(inputs=kept, attributes={**self.stage.attributes, **attributes})
        return recompute(self.graph, stage, layered(arrays, self.arrays))

    def near(self, leaf: str) -> Array | None:
        """A sibling stage, or a parameter of the same sublayer."""
        place = f"{self.place}." if self.place else ""
        for name in (f"{place}{leaf}", f"parameters/{place}{leaf}"):
            if name in self.graph or name.startswith("parameters/"):
                try:
                    return self.value(name)
                except KeyError:
                    continue
        return None

    def before(self, operand: int) -> Array | None:
        """What an input was made from, where it is a norm."""
        name = self.stage.inputs[operand]
        if name not in self.graph or self.graph[name].operation != "norm":
            return None
        return self.value(self.graph[name].inputs[0])

    def weights(self, letter: str) -> dict[int, Array | None] | None:
        """The matrix and the bias of another projection in place of this one's."""
        w, b = self.near(f"w_{letter}"), self.near(f"b_{letter}")
        if w is None or w.shape != self.inputs[1].shape:
            return None
        leaves = [name.rpartition(".")[2] for name in self.stage.inputs]
        return {1: w, **{k: b for k, leaf in enumerate(leaves) if leaf.startswith("b_")}}


def can_fit(x: Array) -> bool:
    """Whether an array has numbers enough to fit one to them: one number fits any factor."""
    return np.unique(x[np.isfinite(x) & (x != 0.0)].astype(np.float32)).size >= FEWEST
