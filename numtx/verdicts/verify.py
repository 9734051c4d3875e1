"""`numtx verify`: a trace file recomputed cell by cell."""

from __future__ import annotations

import argparse
from typing import Any

from ..arguments.options import add_lang, whole


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "verify",
        help="recompute every stage of a trace file from its recorded inputs",
        description="Recompute every stage and every gradient of a trace file from its recorded "
        "inputs, in plain Python, and name the cells that do not follow. Large traces are "
        "sampled: the first, the last, the largest cell and others drawn by --seed.",
    )
    parser.set_defaults(run=run)
    add_lang(parser)
    parser.add_argument("file", metavar="FILE", help="a trace (numtx trace --npz FILE)")
    parser.add_argument(
        "--budget", type=whole(1), default=1_000_000, metavar="N",
        help="cells to read before cells are sampled (default 1000000, about five seconds)",
    )  # fmt: skip
    parser.add_argument("--all", action="store_true", help="check every cell, however many")
    parser.add_argument("--seed", type=whole(0), default=0, metavar="N", help="default 0")


def run(args: argparse.Namespace) -> int:
    from ..check.verify import verify
    from ..trace.files import load_trace

    trace = load_trace(args.file)
    report = verify(trace, None if args.all else args.budget, args.seed)
    args.code = 1 if report.wrong else 0
    for finding in report.wrong:
        print(finding)
    values = sum(1 for finding in report.findings if finding.kind == "value")
    cells = sum(finding.cells for finding in report.findings)
    of = sum(finding.of for finding in report.findings)
    amount = f"every cell ({cells:,})" if cells == of else f"{cells:,} of {of:,} cells"
    if cells != of:
        amount += f" ({report.share:.2g} of all, sampled; --all takes every cell)"
    print(f"checked: {values} stages, {len(report.findings) - values} gradients; {amount}")
    if report.skipped:
        print(f"not checked: {folded(report.skipped)}")
    missing = [name for name in trace.graph.stages if name not in trace]
    if missing:
        print(f"not in the file: {folded(missing)}")
    verdict = f"{len(report.wrong)} arrays do not follow from their inputs"
    what = "what was checked" if report.skipped or missing else "everything"
    print(verdict if report.wrong else f"right: {what} follows from its recorded inputs")
    return int(args.code)


def folded(names: list[str], most: int = 8) -> str:
    """Some names, and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
