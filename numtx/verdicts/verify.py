"""`numtx verify`: a trace file recomputed cell by cell."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..arguments.json_output import add_json
from ..arguments.options import add_lang, whole
from ..arguments.source import add_run, own_run
from ..show.wrap import tell

if TYPE_CHECKING:
    from ..check.verify import Verification


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "verify",
        help="recompute every stage of a trace file from its recorded inputs",
        description="Recompute every stage and every gradient of a trace file from its recorded "
        "inputs, in plain Python, and name the cells that do not follow. Large traces are "
        "sampled: the first, the last, the largest cell and others drawn by --seed.",
    )
    add_json(parser, run)
    add_lang(parser)
    parser.add_argument("file", nargs="?", metavar="FILE", help="a trace (numtx trace --npz FILE)")
    parser.add_argument(
        "--budget", type=whole(1), default=1_000_000, metavar="N",
        help="cells to read before cells are sampled (default 1000000, about five seconds)",
    )  # fmt: skip
    parser.add_argument("--all", action="store_true", help="check every cell, however many")
    parser.add_argument("--seed", type=whole(0), default=0, metavar="N", help="default 0")
    add_run(parser)


def run(args: argparse.Namespace) -> int:
    from ..check.verify import verify
    from ..trace.files import load_trace

    trace = own_run(args, args.file) or load_trace(args.file)
    report = verify(trace, None if args.all else args.budget, args.seed)
    args.code = 1 if report.wrong else 0
    args.result = {
        "verdict": "wrong" if report.wrong else "right",
        "share": report.share,
        "wrong": report.wrong,
        "checked": report.findings,
        "skipped": report.skipped,
        "missing": report.missing,
    }
    for line in report_text(report, args.lang):
        tell(line)
    return int(args.code)


def report_text(report: Verification, lang: str) -> Iterator[str]:
    """What was wrong, what was checked and what was not, and the verdict."""
    from ..show.headings import below, pick

    for finding in report.wrong:
        yield (
            str(finding)
            if lang != "zh"
            else (
                f"{finding.name} [{','.join(map(str, finding.cell))}]"
                f"{'（梯度）' if finding.kind == 'gradient' else ''}：应为 {finding.expected!r}，"
                f"记录的是 {finding.got!r}（容差的 {finding.worst:.3g} 倍）"
            )
        )
    values = sum(1 for finding in report.findings if finding.kind == "value")
    gradients = len(report.findings) - values
    cells = sum(finding.cells for finding in report.findings)
    of = sum(finding.of for finding in report.findings)
    zh, en = f"每一格（{cells:,}）", f"every cell ({cells:,})"
    if cells != of:
        zh = f"{of:,} 格中的 {cells:,} 格（全部的 {report.share:.2g}，抽样；--all 取每一格）"
        en = f"{cells:,} of {of:,} cells ({report.share:.2g} of all, sampled; "
        en += "--all takes every cell)"
    zh = f"查过：{values} 个阶段，{gradients} 个梯度；{zh}"
    yield below(lang, zh, f"checked: {values} stages, {gradients} gradients; {en}")
    missing = report.missing
    if report.skipped:
        yield f"{pick(lang, '没有查', 'not checked')}: {folded(report.skipped, lang)}"
    if missing:
        yield f"{pick(lang, '文件里没有', 'not in the file')}: {folded(missing, lang)}"
    if report.wrong:
        number = len(report.wrong)
        zh = f"{number} 个数组不能由它们的输入得出"
        one = "1 array does not follow from its inputs"
        yield below(
            lang, zh, one if number == 1 else f"{number} arrays do not follow from their inputs"
        )
    elif report.skipped or missing:
        en = "right: what was checked follows from its recorded inputs"
        yield below(lang, "正确：查过的都能由记录的输入得出", en)
    else:
        en = "right: everything follows from its recorded inputs"
        yield below(lang, "正确：全部都能由记录的输入得出", en)


def folded(names: list[str], lang: str, most: int = 8) -> str:
    """Some names, and how many more there are."""
    from ..show.headings import pick

    more, shown = len(names) - most, ", ".join(names[:most])
    return shown + (pick(lang, f" 另有 {more} 个", f" and {more} more") if more > 0 else "")
