"""What the modules of a model of transformers give out, as stages of numtx.

A module that owns a tensor gives what the stage gives that reads the tensor's parameter: this
follows from the rows of a layout. (What such a module is given is the first input of that stage,
`graph[stage].inputs[0]`: of an output projection the context.) The others, such as a layer, its
attention or an activation, stand in the layout's `modules`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from ..config import Config
from ..shapes import Array
from ..stages.graph import Graph
from ..stages.resolve import resolve
from .layout import Layout

SUFFIXES: Final = (".weight", ".bias")
# After a stage in `modules`: the heads stand before the tokens already; the stage is `output_scale`
# times what the module gives.
WITH_HEADS, SCALED = " bhtk", " scaled"


class Output(NamedTuple):
    """One array that a module gives out, and the stages in it.

    module  its path, as the layout spells it
    item    which of the tuple that it gives; 0 of a module that gives one array
    stages  in order; several stand side by side in the last axis
    widths  of each, its heads side by side
    heads   of several: they stand side by side within each of so many heads; 0: one after another
    headed  whether the heads stand before the tokens, as in the stage; else [B, T, heads * width]
    factor  what the module's array is multiplied by to be the stage
    """

    module: str
    item: int
    stages: tuple[str, ...]
    widths: tuple[int, ...] = ()
    heads: int = 0
    headed: bool = False
    factor: float = 1.0

    def split(self, x: Array) -> dict[str, Array]:
        """The part of each stage: the last axis is cut, and nothing else is done."""
        if len(self.stages) == 1:
            return {self.stages[0]: x if self.factor == 1.0 else x * self.factor}
        if not self.heads:
            return dict(zip(self.stages, np.split(x, np.cumsum(self.widths)[:-1], -1), strict=True))
        each = [width // self.heads for width in self.widths]
        parts = np.split(x.reshape(*x.shape[:-1], self.heads, -1), np.cumsum(each)[:-1], -1)
        return {
            stage: part.reshape(*x.shape[:-1], -1)
            for stage, part in zip(self.stages, parts, strict=True)
        }

    def arrays(
        self, x: Array, shape: Callable[[str], tuple[int, ...]]
    ) -> Iterator[tuple[str, Array]]:
        """Each stage and its array in the stage's axes.

        x      what the module gives: [B, T, width], its rows flattened, or without the rows where
               they are all alike, as positions are
        shape  the shape of a stage in this run, such as of `Graph.shape`
        """
        for stage, part in self.split(x).items():
            want = shape(stage)
            if part.size != math.prod(want):
                yield stage, np.broadcast_to(part, want)
            elif len(want) == 4 and not self.headed:
                rows, heads, tokens, width = want
                yield stage, part.reshape(rows, tokens, heads, width).swapaxes(1, 2)
            else:
                yield stage, part.reshape(want)


@dataclass(frozen=True)
class Modules:
    """The modules of a model by path; `of` finds one however its path is spelled."""

    layout: Layout
    outputs: Mapping[str, Output]
    without: frozenset[str] = frozenset()  # paths of what is known to give no stage

    def of(self, path: str, item: int = 0) -> Output | None:
        """What a module gives, or None: no stage of numtx.

        path  as `named_modules` of the model has it, with or without the prefix of its body
        item  which of the tuple that it gives, 0 where that is no tuple
        """
        more = f".{item}" if item else ""
        found = (self.outputs.get(name + more) for name in self._spellings(path))
        return next(filter(None, found), None)

    def gives_none(self, path: str) -> bool:
        """Whether a module is known, and gives no stage."""
        return not self.without.isdisjoint(self._spellings(path))

    def _spellings(self, path: str) -> tuple[str, ...]:
        spelled = self.layout.spelled(f"{path}{SUFFIXES[0]}").removesuffix(SUFFIXES[0])
        prefix = self.layout.prefix
        return (spelled, prefix + spelled, spelled.removeprefix(prefix))


def stages_of_modules(config: Config, layout: Layout) -> Modules:
    """The table of a model: which stages its modules give.

    layout  that of its family, or `layout.of(tensors)`; it need not fit the whole configuration
    """
    graph = resolve(config)
    last = _lasts(graph)
    found: dict[str, Output] = {}
    without: set[str] = set()
    for name, entry in layout.entries(config, whole=False).items():
        path = name.rpartition(".")[0]
        if not name.endswith(SUFFIXES) or entry.expert is not None:
            continue
        stages = tuple(stage for own in entry.shapes for stage in _read_by(graph, own))
        if len(stages) == len(entry.shapes):
            widths = tuple(shape[-1] for shape in entry.shapes.values())
            heads = config.heads if entry.row.how == "heads" else 0
            found.setdefault(path, Output(path, 0, stages, widths, heads))
    for form, what in layout.modules.items():
        for names in _places(config, form + what):
            path, stage = form.format(**names), what.format(**names)
            headed, scaled = stage.endswith(WITH_HEADS), stage.endswith(SCALED)
            stage = stage.removesuffix(WITH_HEADS).removesuffix(SCALED)
            stage = next((last[one] for one in stage.split("|") if one in last), "")
            module, item = _item(path)
            if stage:
                leaf = graph[stage].axes[2:]
                found[path] = Output(
                    module, item, (stage,), headed=headed or leaf == ("t", "s"),
                    factor=config.output_scale if scaled else 1.0,
                )  # fmt: skip
            elif not what:  # it gives no stage, whatever it owns
                found.pop(path, None)
                without.add(path)
    return Modules(layout, found, frozenset(without))


def _read_by(graph: Graph, parameter: str) -> list[str]:
    """The stage that reads a parameter; none where that is no array of its own, as the biases by
    distance, and of several the first."""
    readers = graph.consumers.get(f"parameters/{parameter}", ())
    return [stage.name for stage in readers if stage.operation != "bucket"][:1]


def _places(config: Config, form: str) -> Iterator[dict[str, str]]:
    """The layers and sides for which a row of the table stands."""
    for side in config.sides if "{side}" in form else ("",):
        own = side or ("encoder" if "encoder." in form else "decoder")
        layers = config.layers(own) if own in config.sides else 0
        for i in range(layers) if "{i}" in form else range(1):
            yield {"side": side, "i": str(i)}


def _lasts(graph: Graph) -> dict[str, str]:
    """The last stage of every place, such as a layer; of a stage, itself."""
    found: dict[str, str] = {}
    for name in graph.stages:
        parts = name.split(".")
        found |= {".".join(parts[:n]): name for n in range(1, len(parts))}
    return found | {name: name for name in graph.stages}


def _item(path: str) -> tuple[str, int]:
    """A module and which of its tuple: the number at the end, where that is no layer's."""
    module, _, last = path.rpartition(".")
    numbered = last.isdecimal() and module.rpartition(".")[2] not in LISTS
    return (module, int(last)) if numbered else (path, 0)


LISTS: Final = ("layers", "layer", "h", "block")  # modules that are lists of others
