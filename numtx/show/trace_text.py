"""A whole trace as text, section by section."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase

import numpy as np

from ..errors import StageError, nearest
from ..shapes import Array
from ..stages.graph import Graph
from ..trace.trace import Trace
from .grid import display_width
from .headings import say, section_of, section_title
from .stage_grid import Marks, StageGrids, Style
from .stage_html import stage_html
from .stage_text import StagePrinter


def select(graph: Graph, globs: list[str] | None) -> list[str]:
    """The stages that match any of the patterns, in order; all without patterns."""
    names = list(graph.stages)
    if not globs:
        return names
    for glob in globs:
        if not any(fnmatchcase(name, glob) for name in names):
            raise StageError(f"--stage {glob!r} matches no stage; {nearest(glob, names)}")
    return [name for name in names if any(fnmatchcase(name, glob) for glob in globs)]


def trace_text(
    trace: Trace, style: Style, stages: list[str] | None = None, gradients: bool = False
) -> Iterator[str]:
    """The blocks of a printed trace; `stages` as from `select`."""
    check_row(trace, style)
    shapes = {name: array.shape for name, array in trace.arrays.items()}
    printer = StagePrinter(shapes, StageGrids(trace.tokens, trace.vocabulary, style))
    section = None
    for number, name in numbered(trace, stages):
        if section_of(name) != section:
            section = section_of(name)
            yield _rule(trace, section, style)
        stage = trace.graph[name]
        yield printer.stage(number, stage, trace[name], marks_of(trace, name))
        if gradients and name in trace.gradients:
            yield printer.gradient(stage, trace.grad(name))


def check_row(trace: Trace, style: Style) -> None:
    """Raise `StageError` where the style asks for a row that the batch does not have."""
    rows = len(next(iter(trace.tokens.values())))
    if style.row is not None and style.row >= rows:
        raise StageError(f"--row {style.row}: the batch has {rows} rows, 0 to {rows - 1}")


def trace_html(trace: Trace, style: Style | None = None) -> str:
    """The trace as HTML that folds, for a notebook."""
    grids = StageGrids(trace.tokens, trace.vocabulary, style or Style())
    shapes = {name: array.shape for name, array in trace.arrays.items()}
    return "\n".join(
        stage_html(number, trace.graph[name], trace[name], marks_of(trace, name), shapes, grids)
        for number, name in numbered(trace, None)
    )


def numbered(trace: Trace, stages: list[str] | None) -> Iterator[tuple[int, str]]:
    """Stages that were recorded, with their numbers in computing order."""
    wanted = None if stages is None else set(stages)
    for number, name in enumerate(trace.graph.stages, 1):
        if name in trace and (wanted is None or name in wanted):
            yield number, name


def marks_of(trace: Trace, name: str) -> Marks:
    """What is to be marked in a stage: its mask where it lies under one, and its pins."""
    return Marks(mask_of(trace, name), trace.pins.get(name))


def mask_of(trace: Trace, name: str) -> Array | None:
    """The mask that a stage's cells lie under, where it has one."""
    place, _, leaf = name.rpartition(".")
    if leaf not in ("masked_scores", "weights") or f"{place}.mask" not in trace:
        return None
    return trace[f"{place}.mask"]


def _rule(trace: Trace, section: str, style: Style) -> str:
    title = say(section_title(section, trace.config), style.lang)
    line = f"== {section}   {title} " if section else f"== {title} "
    line += "=" * max(2, style.width - display_width(line))
    extra = ""
    if section.endswith("attention"):
        config = trace.config
        heads = f"{config.heads} head{'s' if config.heads > 1 else ''}"
        if config.kv_heads != config.heads:
            heads += f", {config.kv_heads} key/value"
        width, name = config.d_k, "d_k"
        if f"{section}.latent" in trace.graph:
            heads += f", latent {trace.graph.sizes['r']}"
        if trace.graph[f"{section}.scores"].attributes["apart"]:
            width, name = trace.graph.sizes["e"], "d_k + d_r"
        extra = f"\n{heads}, {name} = {width}, sqrt({name}) = {np.sqrt(width):.6g}"
    return style.painter.bold(line) + extra
