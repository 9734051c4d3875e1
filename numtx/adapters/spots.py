"""Where in a model of the `transformers` package the stages of numtx are, and what is found there
in the axes of these stages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..batch import Inputs
from ..config import Config
from ..errors import SubjectError
from ..layouts.layout import Layout
from ..layouts.modules import Output, stages_of_modules
from ..shapes import Array
from ..stages.graph import Graph
from .torch import Kept, Spot

PARTS = 3  # of what a module gives, at most, that are stages
SHARED = ("bucket",)  # operations whose result serves all layers there, and so its gradient


def spots_of(model: Any, config: Config, layout: Layout, graph: Graph) -> dict[Spot, Output]:
    """What modules give, and what those with a tensor of their own are given where no module gives
    it (several may be given one tensor by views of it, whose gradients are but shares)."""
    table = stages_of_modules(config, layout)
    found: dict[Spot, Output] = {}
    given: set[str] = set()
    sources: dict[str, str] = {}  # what modules with a tensor of their own are given

    def add(spot: Spot, output: Output | None) -> None:
        if output is not None and not given.intersection(output.stages):
            found[spot] = output
            given.update(output.stages)

    for path, module in model.named_modules():
        parts = [table.of(path, part) for part in range(PARTS)]
        for part, output in enumerate(parts):
            if output is not None and output.item == part:
                add((path, part), output)
        if parts[0] is None:
            continue
        first = parts[0].stages[0]
        if hasattr(module, "num_embeddings"):
            sources[path] = f"{first.split('.')[0]}.tokens"
        elif parts[0].widths:
            sources[path] = graph[first].inputs[0]
        place, router, leaf = first.rpartition(".router.")
        if leaf == "logits" and router:
            add((path, 1), Output(path, 1, (f"{place}.router.weights",)))
            add((path, 2), Output(path, 2, (f"{place}.router.chosen",)))
    for path, source in sources.items():
        if source in graph:
            add((path, None), Output(path, 0, (source,)))
    return found


class Arranged:
    """The stages in what modules gave; `values` has their numbers, or their gradients."""

    def __init__(self, graph: Graph, inputs: Inputs, parameters: Mapping[str, Array]) -> None:
        self.graph, self.inputs, self.parameters = graph, inputs, parameters
        self.rows = len(next(iter(inputs.sides.values())).ids)
        self.outputs: dict[str, Output] = {}
        self.sources: dict[str, Kept] = {}  # by the first stage in each

    def add(self, output: Output, kept: Kept) -> None:
        self.outputs[output.stages[0]], self.sources[output.stages[0]] = output, kept

    def values(self, gradients: Mapping[str, Array] | None = None) -> dict[str, Array]:
        """The stages, in order of computation.

        gradients  of the sources; None: their numbers
        """
        found: dict[str, Array] = {}
        for first, output in self.outputs.items():
            array = self.sources[first].array if gradients is None else gradients.get(first)
            if array is not None:
                found |= self.cut(output, array, gradients is not None)
        for stage in self.graph:
            if stage.operation == "add" and len(stage.inputs) == 1 and stage.inputs[0] in found:
                found.setdefault(stage.name, found[stage.inputs[0]])  # a sum of one is that one
            if stage.operation in ("choose", "route") and stage.name in found:
                order = self.order(stage.name.rpartition(".")[0])
                found[stage.name] = np.take_along_axis(found[stage.name], order, -1)
        return {name: found[name] for name in self.graph.stages if name in found}

    def cut(self, output: Output, array: Array, gradient: bool = False) -> dict[str, Array]:
        """The stages in an array; of a gradient those that it is the whole gradient of."""

        def shape(name: str) -> tuple[int, ...]:
            return self.graph.shape(name, self.rows, self.inputs.lengths)

        if gradient:
            whole = sum(int(np.prod(shape(name))) for name in output.stages) == array.size
            if not whole or self.graph[output.stages[0]].operation in SHARED:
                return {}
        try:
            parts = dict(output.arrays(array, shape))
        except ValueError:
            raise SubjectError(
                f"module {output.module!r} gives shape {array.shape}, which is no "
                f"{' beside '.join(output.stages)}"
            ) from None
        return {name: np.ascontiguousarray(part) for name, part in parts.items()}

    def order(self, router: str) -> Array:
        """Where the experts that a token chose stand, the best first, in the order that others
        have them in."""
        logits, chosen = (
            self.cut(self.outputs[name], self.sources[name].array)[name]
            for name in (f"{router}.logits", f"{router}.chosen")
        )
        correction = self.parameters.get(f"parameters/{router}.correction")
        if correction is not None:
            logits = 1.0 / (1.0 + np.exp(-logits)) + correction
        return np.argsort(-np.take_along_axis(logits, chosen, -1), -1, kind="stable")
