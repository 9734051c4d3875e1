"""`numtx stages`: the stages of an example with shapes and formulas."""

from __future__ import annotations

import argparse
from typing import Any

from ..arguments.json_output import add_json
from ..arguments.options import add_style, style_of
from ..arguments.source import add_source, example_of


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "stages",
        help="list the stages of an example with shapes and formulas",
        description="List the stages of an example in order of computation.",
    )
    add_json(parser, run)
    add_source(parser)
    parser.add_argument(
        "--stage", action="append", metavar="GLOB", help="only stages that match (repeatable)"
    )
    add_style(parser)


def run(args: argparse.Namespace) -> int:
    from ..batch import check_batch
    from ..show.chinese import chinese
    from ..show.headings import say
    from ..show.layers import layer_text
    from ..show.numbers import shape_text
    from ..show.table import table_text
    from ..trace.trace import stages_of

    style = style_of(args)
    example = example_of(args)
    graph = stages_of(example.config, example.batch)
    inputs = check_batch(example.config, example.batch)
    lengths, count = inputs.lengths, len(next(iter(inputs.sides.values())).ids)
    print(layer_text(example.config, style.lang, style.width), end="")
    heads = ["", "stage", "shape", "formula", "title"]
    rows = [["", "阶段", "形状", "公式", "名称"] if style.lang == "zh" else heads]
    numbers = {name: i + 1 for i, name in enumerate(graph.stages)}
    args.result = []
    for name in graph.select(args.stage):
        stage = graph[name]
        title = say(stage.leaf.title, style.lang)
        shape = shape_text(graph.shape(name, count, lengths))
        args.result.append({
            "number": numbers[name], "name": name, "shape": graph.shape(name, count, lengths),
            "formula": stage.formula, "title": stage.leaf.title, "operation": stage.operation,
            "inputs": stage.inputs,
        })  # fmt: skip
        rows.append([str(numbers[name]), name, shape, chinese(stage.formula, style.lang), title])
    print(table_text(rows, "rllll", width=style.width))
    return 0
