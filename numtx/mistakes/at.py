"""A stage of another implementation, and how it can be made once more with a mistake."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias, cast

import numpy as np

from ..config import Config
from ..ops.activation import activation_forward
from ..ops.heads import merge_heads, split_heads
from ..ops.norm import norm_forward
from ..ops.sinks import sink_softmax_forward
from ..ops.softmax import log_softmax_forward, softmax_forward
from ..oracle.oracle import Oracle
from ..shapes import Array
from ..stages.graph import Graph, Stage

Forms: TypeAlias = Iterator[tuple[str, Array | None]]  # a mistake in each of its forms
Candidates: TypeAlias = Array | Forms | None
FEWEST = 10  # numbers that differ from one another, for a cause with a number fitted to them


def layered(*arrays: Mapping[str, Array]) -> Mapping[str, Array]:
    """Arrays by name, those of the first mapping that has them."""
    return ChainMap(*cast("list[dict[str, Array]]", arrays))


def recompute(graph: Graph, stage: Stage, arrays: Mapping[str, Array]) -> Array:
    """A whole stage once more by its formula, in float64, from arrays that may be another's.

    Raises `ValueError` or `IndexError` where their shapes do not go together.
    """
    if stage.operation in FORWARDS:
        inputs = (arrays[name] for name in stage.inputs)
        return FORWARDS[stage.operation](stage.attributes, *(x.astype(np.float64) for x in inputs))
    return Oracle(graph, arrays, float(np.finfo(np.float64).eps)).plain(stage)


def gain_of(attributes: Mapping[str, Any], gain: Array | None) -> Array | None:
    """What a norm multiplies by, from the parameter."""
    return None if gain is None else gain + attributes.get("offset", 0)


def _norm(
    a: Mapping[str, Any], x: Array, gain: Array | None = None, bias: Array | None = None
) -> Array:
    gain = gain_of(a, gain)
    if a.get("over") == "projection":
        return split_heads(
            norm_forward(merge_heads(x), gain, bias, a["epsilon"], False)[0], x.shape[1]
        )
    return norm_forward(x, gain, bias, a["epsilon"], a["centred"])[0]


# Operations by row, whose formula over whole arrays takes its time, and the function that does the
# same; a test holds the two equal.
FORWARDS: dict[str, Callable[..., Array]] = {
    "softmax": lambda a, x, *sinks: (
        sink_softmax_forward(x, *sinks)[0] if sinks else softmax_forward(x)
    ),
    "log_softmax": lambda a, x: log_softmax_forward(x),
    "norm": _norm,
    "activation": lambda a, x: activation_forward(a["kind"], x),
}


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
        return {1: w, 2: b} if len(self.inputs) > 2 else {1: w}


def can_fit(x: Array) -> bool:
    """Whether an array has numbers enough to fit one to them: one number fits any factor."""
    return np.unique(x[np.isfinite(x) & (x != 0.0)].astype(np.float32)).size >= FEWEST
