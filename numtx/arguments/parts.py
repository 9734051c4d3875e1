"""Which part of a run is kept and which is printed, and how large the run is."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from ..errors import UsageError
from .options import indices
from .saved import is_saved
from .source import is_own

if TYPE_CHECKING:
    from ..examples.example import Example
    from ..show.stage_grid import Style
    from ..trace.trace import Trace


def kept_of(args: argparse.Namespace, example: Example) -> list[str] | None:
    """The patterns of the stages that are kept; None: all."""
    if args.act is not None or args.set:
        if args.record:
            raise UsageError("--record goes with neither --act nor --set, which read every stage")
        return None
    if args.record:
        return [*args.record, *(args.stage or ())]
    if any(path is not None for path in (args.npz, args.json, args.html)):
        return None
    if args.stage is None and args.layers is not None and is_own(args):
        return [f"*.{i}.*" for i in indices("--layers", args.layers, example.config.depth)]
    patterns: list[str] | None = args.stage
    return patterns


def chosen(args: argparse.Namespace, trace: Trace) -> list[str]:
    """The stages that `--stage` and `--layers` choose of those that were kept."""
    names = [name for name in trace.graph.select(args.stage) if name in trace]
    if args.layers is None or not (is_own(args) or is_saved(args)):
        return names
    depth = trace.config.depth
    layers = {str(i) for i in indices("--layers", args.layers, depth)}
    found = [name for name in names if layers & set(name.split("."))]
    if not found:
        raise UsageError(f"--layers {args.layers}: no stage of these is shown")
    return found


def with_heads(args: argparse.Namespace, style: Style, example: Example) -> Style:
    """The style with the heads of `--heads`, and the key/value heads that they look at."""
    if args.heads is None:
        return style
    config = example.config
    heads = indices("--heads", args.heads, config.heads)
    groups = {head * config.kv_heads // config.heads for head in heads}
    return replace(style, heads={"h": heads, "g": groups})


def say_size(example: Example, kept: list[str] | None, gradients: bool) -> None:
    """Say beforehand how long a large run takes and how much memory; refuse what cannot be had."""
    from ..memory import size_text, too_large
    from ..trace.size import size_of_run

    size = size_of_run(example.config, example.parameters, example.batch, kept, gradients)
    if (reason := too_large(size.to_come)) is not None:
        raise UsageError(f"the run would take {reason}; keep less with --stage or --record")
    seconds = size.seconds() if size.work > 1e8 else 0.0
    if seconds > SLOW or size.kept > MUCH:
        print(
            f"numtx: about {seconds:.0f} s and {size_text(size.parameters + size.to_come)} "
            f"of memory (parameters {size_text(size.parameters)}, stages {size_text(size.kept)}); "
            "--stage keeps a part",
            file=sys.stderr,
        )


SLOW, MUCH = 2.0, 1 << 28  # seconds; bytes
