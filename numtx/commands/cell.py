"""`numtx cell`: the arithmetic of one cell with its numbers."""

from __future__ import annotations

import argparse
import shlex
from typing import TYPE_CHECKING, Any

from ..arguments.json_output import add_json
from ..arguments.options import add_style, style_of, whole
from ..arguments.saved import is_saved
from ..arguments.source import add_source, example_of
from ..errors import UsageError
from ..show.wrap import tell

if TYPE_CHECKING:
    from ..trace.trace import Trace


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "cell",
        help="explain one cell: its arithmetic with the numbers",
        description="Write out the arithmetic of one cell, such as "
        "'decoder.0.self_attention.scores[4,1]', of an example, a model of your own or a trace "
        "file. Leading axes of size one may be left out; NAME[pinned] takes every pinned cell; "
        "parameters/NAME[i,j] is a parameter. Options stand after the cell.",
    )
    add_json(parser, run)
    add_source(parser)
    parser.add_argument(
        "cell", nargs="?", metavar="CELL", help="the cell (with one argument: of weather)"
    )
    parser.add_argument(
        "--depth", type=whole(1), default=1, metavar="N", help="follow back N stages (default 1)"
    )
    parser.add_argument(
        "--gradient", action="store_true",
        help="the gradient: the sum over its consumers of gradient times partial derivative",
    )  # fmt: skip
    parser.add_argument(
        "--limit", type=whole(1), default=60, metavar="N",
        help="explain at most N cells (default 60)",
    )  # fmt: skip
    add_style(parser)


def run(args: argparse.Namespace) -> int:
    from ..formats.results import arithmetic_of
    from ..interface.cells import explain, explained_text

    style = style_of(args)
    trace = trace_of(args)
    found = explain(
        trace, args.cell, gradient=args.gradient, depth=args.depth, limit=args.limit
    )  # fmt: skip
    args.result = [arithmetic_of(one) for one in found.cells]
    tell("\n\n".join(explained_text(found, style)), width=style.width)
    return 0


def trace_of(args: argparse.Namespace) -> Trace:
    """The run that a cell is of: a trace file, or what the options of `add_source` name."""
    if args.cell is None:  # one argument only: the cell
        from ..examples.registry import EXAMPLES

        if args.example is None or args.example in EXAMPLES or is_saved(args):
            of = shlex.quote(args.example or "weather")
            raise UsageError(f"which cell? for example: numtx cell {of} 'logits[4,1]'")
        args.cell, args.example = args.example, None
    if args.example is not None and args.example.endswith(".npz"):
        from ..trace.files import load_trace

        trace = load_trace(args.example)
        if args.gradient and not trace.gradients:
            raise UsageError(f"{args.example}: {trace.without_gradients}")
        return trace
    example = example_of(args)
    if args.gradient and example.batch.labels is None:
        raise UsageError("--gradient needs a loss: give --labels")
    return example.trace(gradients=args.gradient)
