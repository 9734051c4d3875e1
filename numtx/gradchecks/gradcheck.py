"""`numtx gradcheck`: gradients beside central differences."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from ..arguments.options import add_lang, whole
from ..arguments.source import add_source, example_of
from ..errors import UsageError
from ..show.wrap import tell
from .own import add_options, is_own
from .own import run as run_own

if TYPE_CHECKING:
    from ..check.gradcheck import GradientReport


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "gradcheck",
        help="check gradients by central differences: a model, a stage, an operation, your own",
        description="Compare the gradient of every parameter (or stage, or operation, or of a "
        "backward pass of your own) with central differences in float64. Exit code 1 where one is "
        "wrong.",
    )
    parser.set_defaults(run=run)
    add_lang(parser)
    add_source(parser)
    parser.add_argument(
        "--stage", action="append", metavar="GLOB",
        help="stages that match, in place of the parameters (repeatable)",
    )  # fmt: skip
    parser.add_argument(
        "--operation", metavar="NAME", help="one of numtx's operations, or all; no model is run"
    )
    parser.add_argument(
        "--samples", type=whole(0), metavar="N",
        help="cells tried of each array, beside a random direction (default 20; 0: every cell, the "
        "default for a backward pass of your own)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print one JSON object instead")
    add_options(parser)


def run(args: argparse.Namespace) -> int:
    if is_own(args):
        return run_own(args)
    for name in ("shapes", "inputs", "backward"):
        if getattr(args, name) is not None:
            raise UsageError(f"--{name} is for a backward pass of your own; give MODULE:OBJECT")
    samples = (20 if args.samples is None else args.samples) or None
    if args.operation is not None:
        return report(_check_operations(args, samples), args)
    from ..check.gradcheck import check_model, check_stages, with_gradient

    example = example_of(args)
    model = example.config, example.parameters, example.batch
    if args.stage is None:
        return report(check_model(*model, samples=samples, seed=args.seed), args)
    from ..trace.trace import stages_of

    matching = stages_of(example.config, example.batch).select(args.stage)
    known = set(with_gradient(*model))
    stages = [name for name in matching if name in known]
    if not stages:
        raise UsageError(f"--stage {args.stage[0]!r}: no stage that matches has a gradient")
    return report(check_stages(*model, stages, samples=samples, seed=args.seed), args)


def _check_operations(args: argparse.Namespace, samples: int | None) -> GradientReport:
    from ..check.gradcheck import GradientReport
    from ..check.operations import check_own_operation, operations

    for name in ("example", "text", "config", "folder", "stage", "parameters"):
        if getattr(args, name) is not None:
            raise UsageError(f"--operation runs no model; leave out {name}")
    if ":" in args.operation:
        raise UsageError(
            f"--operation is one of numtx's; for a backward pass of your own: numtx gradcheck "
            f"{args.operation}"
        )
    names = list(operations()) if args.operation == "all" else [args.operation]
    return GradientReport(
        [
            comparison._replace(name=f"{name}.{comparison.name}")
            for name in names
            for comparison in check_own_operation(name, samples=samples, seed=args.seed).comparisons
        ]
    )


def report(report: GradientReport, args: argparse.Namespace) -> int:
    """One line an array, then the verdict."""
    from .as_json import as_json

    lang = args.lang
    if args.json:
        print(as_json(report))
        return 0 if report.ok else 1
    from ..show.headings import below, pick
    from ..show.table import table_text

    zh, en = (
        "误差：最大的差，以容差为单位",
        "error: the largest difference, in units of the tolerance",
    )
    tell(below(lang, zh, en) + "\n")
    wrong = pick(lang, "错", "WRONG")
    rows = [["array", "cells", "error", ""] if lang != "zh" else ["数组", "格", "误差", ""]]
    rows += [
        [one.name, str(one.cells), f"{one.worst:.2g}", "" if one.ok else wrong]
        for one in report.comparisons
    ]
    tell(table_text(rows, "lrrl"))
    tell("")
    if report.kinks:
        tell(below(
            lang,
            f"有 {report.kinks} 个数离没有斜率之处（如 relu 的 0）太近，差商可能不准；换 --seed",
            f"{report.kinks} numbers lie so near to where there is no slope (a relu at 0) that "
            "the differences may be off; another --seed moves them",
        ))  # fmt: skip
    if report.ok:
        number = len(report.comparisons)
        tell(pick(lang, f"正确：{number} 个数组", f"ok: {number} arrays"))
        return 0
    worst = report.worst
    tell(f"wrong: {worst}" if lang != "zh" else (
        f"错：{worst.name} 的梯度，差商给出 {worst.numeric:.10g}，反向传播给出 "
        f"{worst.analytic:.10g}（容差的 {worst.worst:.3g} 倍）"
    ))  # fmt: skip
    return 1
