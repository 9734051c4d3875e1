"""Where in a model of the `transformers` package the stages of numtx are: which module gives or is
given which, found from what tensors the modules own and which stages read these."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from ..layouts.layout import SINUSOID, Entry, Layout
from ..stages.graph import Graph, Stage
from .torch import Spot

ACTIVATIONS = ("transformers.activations", "torch.nn.modules.activation")
OF_MODULES = ("contract", "norm", "lookup")  # what a module with a tensor of its own computes
BLOCK = re.compile(r"(.*?\.\d+)\.")  # a layer's module is named by the first number in a path


class Place(NamedTuple):
    """Stages that stand side by side in one tensor, as `Row.how` says it."""

    stages: tuple[str, ...]
    how: str = "columns"


def spots_of(
    model: Any, layout: Layout, entries: dict[str, Entry], graph: Graph
) -> dict[Spot, Place]:
    """The spots of a model; what a module is given only where no module gives it: several may be
    given one tensor by views of it, whose gradients are then but shares."""
    every: dict[Spot, Place] = {}
    for spot, place in _Spots(model, layout, entries, graph).all():
        every.setdefault(spot, place)
    given = {name for spot, place in every.items() if spot[1] is not None for name in place.stages}
    found = {spot: place for spot, place in every.items() if spot[1] is not None}
    for spot, place in every.items():
        if spot[1] is None and not given.intersection(place.stages):
            given.update(place.stages)
            found[spot] = place
    return found


class _Spots:
    def __init__(
        self, model: Any, layout: Layout, entries: dict[str, Entry], graph: Graph
    ) -> None:
        self.layout, self.entries, self.graph = layout, entries, graph
        self.modules = dict(model.named_modules(remove_duplicate=False))
        self.tensors = [
            *(name for name, _ in model.named_parameters(remove_duplicate=False)),
            *(name for name, _ in model.named_buffers(remove_duplicate=False)),
        ]

    def all(self) -> Iterator[tuple[Spot, Place]]:
        for name in self.tensors:
            path, _, leaf = name.rpartition(".")
            kind, place = self.layout.place(name, self.entries)
            parameters: tuple[str, ...] = ()
            if kind == "mapped":
                parameters = tuple(self.entries[place].shapes)
            elif kind == "copy" and self.layout.copies[place] == SINUSOID:
                side = "decoder" if "decoder" in path else "encoder"
                yield (path, 0), Place((f"{side}.positions",))
            elif kind == "copy":
                parameters = (self.layout.copies[place],)
            readers = [one for name in parameters if (one := self.reader(path, name)) is not None]
            if readers and len(readers) == len(parameters):
                how = self.entries[place].row.how if kind == "mapped" else ""
                yield from self.around(path, readers, how)

    def reader(self, path: str, parameter: str) -> Stage | None:
        """The stage that a module computes with a parameter, where it is all that it computes."""
        embeds = "Embedding" in type(self.modules[path]).__name__
        for stage in self.graph.consumers.get(f"parameters/{parameter}", ()):
            side = stage.name.split(".")[0]
            if stage.operation == "expert":
                return stage
            if stage.operation not in OF_MODULES or embeds != (stage.operation == "lookup"):
                continue
            if embeds and len(self.graph.config.sides) > 1 and f"{side}." not in path:
                continue
            return stage
        return None

    def around(self, path: str, readers: list[Stage], how: str) -> Iterator[tuple[Spot, Place]]:
        """What follows from the stages that a module computes."""
        first, parent = readers[0], path.rpartition(".")[0]
        prefix, _, leaf = first.name.rpartition(".")
        if (block := BLOCK.match(path)) and first.name.split(".")[1:2][0].isdigit():
            yield from self.of_block(block[1], *first.name.split(".")[:2])
        if first.operation == "expert":
            yield (path, 0), Place((f"{prefix.rpartition('.')[0]}.routed",))
            return
        if leaf == "logits" and prefix.endswith(".router"):
            yield from self.of_router(path, prefix)
            return
        if first.name == "logits":
            return  # of which there is more than the module gives; see `record`
        names = tuple(stage.name for stage in readers)
        if leaf == "embedding" and hasattr(self.modules[path], "embed_scale"):
            names = (f"{prefix}.scaled_embedding",) if self.has(f"{prefix}.scaled_embedding") else names
        yield (path, 0), Place(names, "heads" if how == "heads" else "columns")
        if first.inputs[0] in self.graph:
            yield (path, None), Place(first.inputs[:1])
        if leaf == "hidden":
            yield from self.of_activation(parent, prefix)

    def has(self, name: str) -> bool:
        return name in self.graph

    def of_block(self, path: str, side: str, layer: str) -> Iterator[tuple[Spot, Place]]:
        own = [name for name in self.graph.stages if name.startswith(f"{side}.{layer}.")]
        yield (path, 0), Place((own[-1],))
        if layer == "0":
            yield (path, None), Place((f"{side}.input",))

    def of_router(self, path: str, prefix: str) -> Iterator[tuple[Spot, Place]]:
        """Logits, weights and the chosen; and the module in which the router stands."""
        for part, leaf in enumerate(("logits", "weights", "chosen")):
            yield (path, part), Place((f"{prefix}.{leaf}",))
        yield (path.rpartition(".")[0], 0), Place((f"{prefix.rpartition('.')[0]}.output",))

    def of_activation(self, path: str, prefix: str) -> Iterator[tuple[Spot, Place]]:
        """The activation beside a linear module, and for a pooler what holds both."""
        if prefix == "pooler":
            yield (path, 0), Place(("pooler.output",))
            return
        for name, module in self.modules[path].named_children() if path else ():
            if type(module).__module__ in ACTIVATIONS:
                yield (f"{path}.{name}", 0), Place((f"{prefix}.activation",))
