"""`numtx stages`: the stages of an example with shapes and formulas."""

from __future__ import annotations

import argparse
from typing import Any

from ..arguments.options import add_style, style_of
from ..arguments.source import add_source, example_of


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "stages",
        help="list the stages of an example with shapes and formulas",
        description="List the stages of an example in order of computation.",
    )
    parser.set_defaults(run=run)
    add_source(parser)
    parser.add_argument(
        "--stage", action="append", metavar="GLOB", help="only stages that match (repeatable)"
    )
    add_style(parser)


def run(args: argparse.Namespace) -> int:
    from ..show.grid import table_text
    from ..show.headings import say
    from ..show.numbers import shape_text

    style = style_of(args)
    trace = example_of(args).trace(gradients=False)
    rows = [["", "stage", "shape", "formula", "title"]]
    numbers = {name: i + 1 for i, name in enumerate(trace.graph.stages)}
    for name in trace.graph.select(args.stage):
        stage = trace.graph[name]
        title = say(stage.leaf.title, style.lang)
        shape = shape_text(trace[name].shape)
        rows.append([str(numbers[name]), name, shape, stage.formula, title])
    print(table_text(rows, "rllll"))
    return 0
