"""A model as data: the ordered graph of its stages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, NamedTuple

from ..config import Config
from ..errors import StageError, nearest
from ..selection import select
from ..shapes import parse, shape_of
from ..small_repr import in_notebook, small_repr
from .leaf import Leaf


@small_repr()
class Stage(NamedTuple):
    """One stage of one model: a leaf with its inputs found and its numbers filled in.

    inputs are names of stages, `parameters/NAME`, or `inputs/NAME` (token counts from outside).
    sides says for the axis letters t and s which stack's tokens they run over ("last": only
    over the last column).
    """

    name: str
    leaf: Leaf
    inputs: tuple[str, ...]
    formula: str
    sides: Mapping[str, str]
    attributes: Mapping[str, Any]

    @property
    def operation(self) -> str:
        return self.leaf.operation

    @property
    def specification(self) -> str:
        return self.leaf.specification

    @property
    def axes(self) -> tuple[str, ...]:
        """The axis letters of the stage's array."""
        return parse(self.leaf.specification).result


BLOCK = re.compile(r"(encoder|decoder)\.(\d+)\.")


@in_notebook
@small_repr("stages", "config")
class Graph:
    """The stages of a model in order of computation, and the sizes of its axis letters."""

    def __init__(self, config: Config, stages: Iterable[Stage]) -> None:
        self.config = config
        self.stages: dict[str, Stage] = {}
        for stage in stages:
            assert stage.name not in self.stages, stage.name
            self.stages[stage.name] = stage
        self.sizes = config.axes

    def __iter__(self) -> Iterator[Stage]:
        return iter(self.stages.values())

    def __len__(self) -> int:
        return len(self.stages)

    def __getitem__(self, name: str) -> Stage:
        if name not in self.stages:
            raise StageError(f"stage {name!r} does not exist; {nearest(name, self.stages)}")
        return self.stages[name]

    def __contains__(self, name: object) -> bool:
        return name in self.stages

    def select(self, globs: list[str] | None) -> list[str]:
        """The stages that match any of the patterns, as `numtx.selection.select` reads them."""
        return select(list(self.stages), globs)

    @cached_property
    def consumers(self) -> Mapping[str, tuple[Stage, ...]]:
        """For each source, the stages that read it."""
        found: dict[str, list[Stage]] = {}
        for stage in self:
            for source in dict.fromkeys(stage.inputs):
                found.setdefault(source, []).append(stage)
        return {name: tuple(stages) for name, stages in found.items()}

    def shape(self, name: str, batch: int, lengths: Mapping[str, int]) -> tuple[int, ...]:
        """The shape of a stage for so many rows and tokens per side."""
        stage = self[name]
        sizes = {**self.sizes, "b": batch}
        if (place := BLOCK.search(name)) is not None:  # layers may differ
            sizes |= self.config.layer(place[1], int(place[2])).axes
        for letter, side in stage.sides.items():
            sizes[letter] = 1 if side.rpartition(".")[2] == "last" else lengths[side]
        return shape_of(stage.axes, sizes)
