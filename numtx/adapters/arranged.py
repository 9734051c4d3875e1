"""Tensors of another program brought into the axes of numtx's stages."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from ..batch import Inputs
from ..shapes import Array
from ..stages.graph import Graph
from .spots import Place
from .torch import Kept

Source = tuple[str, str]  # "stage" and the first of its stages


class Arranged:
    """The stages in what modules gave; `values` cuts their numbers, or their gradients."""

    def __init__(self, graph: Graph, inputs: Inputs, parameters: Mapping[str, Array]) -> None:
        self.graph, self.inputs, self.parameters = graph, inputs, parameters
        self.rows = len(next(iter(inputs.sides.values())).ids)
        self.places: dict[Source, Place] = {}
        self.sources: dict[Source, Kept] = {}

    def add(self, place: Place, kept: Kept) -> None:
        source = "stage", place.stages[0]
        if source not in self.places:
            self.places[source], self.sources[source] = place, kept

    def values(self, arrays: Mapping[Source, Array] | None = None) -> dict[str, Array]:
        """The stages, in order of computation.

        arrays  gradients of the sources; None: their numbers
        """
        found: dict[str, Array] = {}
        for source, place in self.places.items():
            kept = self.sources[source]
            array = kept.array if arrays is None else arrays.get(source)
            if array is not None:
                found |= self.cut(place, array, kept.tensor, arrays is not None)
        for stage in self.graph:
            if stage.operation == "add" and len(stage.inputs) == 1 and stage.inputs[0] in found:
                found.setdefault(stage.name, found[stage.inputs[0]])  # a sum of one is that one
            if stage.operation in ("choose", "route") and stage.name in found:
                order = self.order(stage.name.rpartition(".")[0])
                found[stage.name] = np.take_along_axis(found[stage.name], order, -1)
        return {name: found[name] for name in self.graph.stages if name in found}

    def order(self, router: str) -> Array:
        """Where the experts that a token chose stand, the best first, in the order that others
        have them in."""
        logits, chosen = (self.stage(f"{router}.{leaf}") for leaf in ("logits", "chosen"))
        correction = self.parameters.get(f"parameters/{router}.correction")
        if correction is not None:
            logits = 1.0 / (1.0 + np.exp(-logits)) + correction
        return np.argsort(-np.take_along_axis(logits, chosen, -1), -1, kind="stable")

    def stage(self, name: str) -> Array:
        """The numbers of a stage that has a tensor of its own."""
        source = "stage", name
        kept = self.sources[source]
        return self.cut(self.places[source], kept.array, kept.tensor, False)[name]

    def cut(self, place: Place, array: Array, tensor: Any, gradient: bool) -> dict[str, Array]:
        """The stages that stand side by side in an array."""
        wants = [self.graph.shape(n, self.rows, self.inputs.lengths) for n in place.stages]
        parts = [array]
        if len(wants) > 1:
            counts = [int(np.prod(w)) * array.shape[-1] // max(1, array.size) for w in wants]
            if place.how == "heads":
                array = array.reshape(*array.shape[:-1], self.graph.config.heads, -1)
                counts = [count // self.graph.config.heads for count in counts]
            ends = [0, *np.cumsum(counts).tolist()]
            if ends[-1] != array.shape[-1]:
                return {}
            parts = [array[..., a:b] for a, b in pairwise(ends)]
        tokens_first = tensor.ndim == 4 and tensor.stride(1) > tensor.stride(2)
        found = {}
        for name, part, want in zip(place.stages, parts, wants, strict=True):
            axes = self.graph[name].axes
            one = _fitted(part, want, axes, tokens_first, gradient)
            if one is not None:
                found[name] = np.ascontiguousarray(one)
        return found


def _fitted(
    array: Array, want: tuple[int, ...], axes: tuple[str, ...], tokens_first: bool, gradient: bool
) -> Array | None:
    """An array in a shape, where it can be brought there.

    tokens_first  whether of an array with heads and tokens these come first, where lengths do not
                  tell
    gradient      whether it may not be repeated
    """
    per_head = len(axes) == 4 and axes[1] in "hg" and axes[3] != "s"
    if per_head:
        rows, heads, length, width = want
        behind = (rows, length, heads, width)
        if array.shape == behind and (array.shape != want or tokens_first):
            return array.swapaxes(1, 2)
        if array.shape != want and array.size == np.prod(want):
            return array.reshape(behind).swapaxes(1, 2)
    if array.shape == want:
        return array
    if array.size == np.prod(want) and (array.shape[-1:] == want[-1:] or not want):
        return array.reshape(want)
    squeezed = array[0] if array.ndim == len(want) and len(array) == 1 else array
    if not gradient and squeezed.shape == want[1:]:
        return np.broadcast_to(squeezed, want)
    return None
