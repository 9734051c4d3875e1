"""`numtx trace`: run an example and print every stage."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from .options import add_style, style_of, whole

if TYPE_CHECKING:
    from ..examples.example import Example
    from ..render.stage_text import Style
    from ..trace.trace import Trace


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "trace",
        help="print a run stage by stage: values, and gradients with --gradients",
        description="Run an example and print every stage, from the token ids to the loss.",
    )
    parser.set_defaults(run=run)
    parser.add_argument("example", nargs="?", default="weather", help="default: weather")
    parser.add_argument(
        "--stage", action="append", metavar="GLOB",
        help="only stages that match, such as 'decoder.0.self_attention.*' (repeatable)",
    )  # fmt: skip
    parser.add_argument("--gradients", action="store_true", help="print each stage's gradient too")
    parser.add_argument("--seed", type=whole(0), default=0, metavar="N", help="default 0")
    parser.add_argument("--npz", metavar="FILE", help="write the trace to a file")
    add_style(parser)


def run(args: argparse.Namespace) -> int:
    from ..examples.registry import load_example
    from ..trace.files import save_trace
    from ..trace.text import select, trace_text

    style = style_of(args)
    example = load_example(args.example, seed=args.seed)
    trace = example.trace()
    stages = select(trace.graph, args.stage)
    if args.npz:
        save_trace(trace, args.npz)
    print(header(example, trace, style))
    for block in trace_text(trace, style, stages, args.gradients):
        print()
        print(block)
    if args.npz:
        print(f"\nwritten: {args.npz}")
    return 0


def header(example: Example, trace: Trace, style: Style) -> str:
    """What is run, what the document gives, and what was chosen."""
    from ..render.headings import say
    from ..render.stage_text import rounding_rule

    lang = style.lang
    lines = [f"numtx {example.name}: {say(example.title, lang)}   (document {example.source})"]
    for heading, texts in (("given", example.given), ("chosen", example.chosen)):
        lines.append(
            {"given": "given by the document 文中给出:", "chosen": "chosen here 自行设定:"}[heading]
        )
        lines.extend(f"  - {say(text, lang)}" for text in texts)
    lines.append(rounding_rule(style.precision, trace.config.dtype))
    return "\n".join(lines)
