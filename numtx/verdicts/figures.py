"""`numtx figures`: the ledger of the documents' figures and claims, computed."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..arguments.options import add_style, style_of
from ..arguments.source import read_text
from ..errors import UsageError
from ..strict_json import read_json

if TYPE_CHECKING:
    from ..examples.ledger.rows import Result
    from ..show.stage_grid import Style

# In a checkout, where the tests keep what every verdict should be.
EXPECTED = Path(__file__).parents[2] / "tests" / "examples" / "expected_verdicts.json"


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "figures",
        help="the documents figure by figure: reproduced, contradicted, impossible, ...",
        description="Recompute every figure, shape, sequence and claim of the five documents. "
        "Verdicts are computed in each run. They are compared with an expectation: that of "
        "--expect, or in a checkout that of the tests; exit code 1 if one has changed.",
    )
    parser.set_defaults(run=run)
    parser.add_argument(
        "--document", action="append", default=[], metavar="N", help="000 to 004 (repeatable)"
    )
    parser.add_argument(
        "--verdict", action="append", default=[], metavar="NAME",
        help="reproduced, rounding, contradicted, attainable, impossible or definition",
    )  # fmt: skip
    parser.add_argument("--figure", metavar="ID", help="one row at length, with its stages")
    parser.add_argument("--summary", action="store_true", help="only the counts")
    parser.add_argument(
        "--json", metavar="FILE", help="write the rows as JSON (-: standard output)"
    )
    parser.add_argument("--expect", metavar="FILE", help="expected verdicts (JSON: id to verdict)")
    parser.add_argument(
        "--search", action="store_true", help="repeat the searches for parameters (a minute)"
    )
    add_style(parser)


def run(args: argparse.Namespace) -> int:
    from ..examples.ledger import ledger
    from ..examples.ledger.rows import changes
    from ..examples.ledger.rows import run as run_rows
    from ..files import target

    style = style_of(args)
    wanted = [ledger.check_verdict(name) for name in args.verdict]
    if args.search:
        return _search()
    rows = [ledger.row_of(args.figure)] if args.figure else ledger.rows_of(args.document)
    expected = _expected(args.expect)
    if args.json not in (None, "-"):
        target(args.json)  # what cannot be written is said before the work
    results = run_rows(rows)
    shown = [r for r in results if not wanted or r.outcome.verdict in wanted]
    if args.json is not None:
        _write_json(shown, args.json)
    if args.json != "-":
        if args.figure:
            print("\n".join(_at_length(results[0], style)))
        elif not args.summary:
            print("\n".join(_table(shown, style)))
        if not args.figure:
            print(summary_text(shown, style.width))
        if args.json is not None:
            print(f"\nwritten: {args.json}")
    if expected is None:
        return 0
    names = {row.id for row in rows}
    whole = len(rows) == len(ledger.ROWS)
    changed = changes(results, {k: v for k, v in expected.items() if whole or k in names})
    for line in changed:
        print(f"numtx: verdict changed: {line}", file=sys.stderr)
    return 1 if changed else 0


def summary_text(results: Iterable[Result], width: int = 80) -> str:
    """Counts by document and verdict."""
    from ..examples.ledger.rows import summary
    from ..show.grid import Grid, grid_text

    heads, table = summary(results)
    rows, cells = [row[0] for row in table], [row[1:] for row in table]
    return grid_text(Grid(rows, heads[1:], cells), width)


def _table(results: Iterable[Result], style: Style) -> Iterator[str]:
    """Three columns: id, verdict, and what is stated, computed and to be said, in lines."""
    from ..show.grid import display_width
    from ..show.wrap import wrap

    results = list(results)
    name = max((len(r.row.id) for r in results), default=0)
    indent = name + 2 + 12 + 2
    section = None
    for result in results:
        row, outcome = result.row, result.outcome
        if (row.document, row.section) != section:
            section = row.document, row.section
            line = f"== {row.document}   {row.section} "
            yield ""
            yield style.painter.bold(line + "=" * max(2, style.width - display_width(line)))
        texts = [row.stated]
        if outcome.computed not in ("-", "yes"):
            texts.append(f"computed: {outcome.computed}")
        if result.reason:
            texts.append(result.reason)
        wide, most = max(20, style.width - indent), None if style.full else 3
        lines = [line for text in texts for line in wrap(text, wide, most)]
        for i, line in enumerate(lines):
            head = f"{row.id:{name}}  {outcome.verdict:12}  " if i == 0 else " " * indent
            yield (head + line).rstrip()


def _at_length(result: Result, style: Style) -> Iterator[str]:
    """One row with everything, and the stages behind it."""
    from ..examples.ledger.runs import trace as trace_of
    from ..show.trace_text import trace_text
    from ..show.wrap import wrap

    row, outcome = result.row, result.outcome
    yield style.painter.bold(f"{row.id}   document {row.document}, {row.section}")
    for head, text in (
        ("stated", row.stated),
        ("computed", outcome.computed),
        ("verdict", outcome.verdict),
        ("reason", result.reason),
        ("lines", row.at),
    ):
        if text and text != "-":
            lines = wrap(text, max(20, style.width - 10))
            yield f"{head:10}{lines[0]}"
            yield from (" " * 10 + line for line in lines[1:])
    if row.stages:
        name, *stages = row.stages
        trace = row.trace() if row.trace is not None else trace_of(name)
        yield ""
        found = "parameters of the row's witness" if row.trace is not None else "example"
        yield f"behind it: {name} ({found}), {', '.join(stages)}"
        for block in trace_text(trace, style, stages):
            yield ""
            yield block


def _write_json(results: Iterable[Result], path: str) -> None:
    from ..files import write_text

    text = json.dumps([r.to_dict() for r in results], ensure_ascii=False, indent=1)
    if path == "-":
        print(text)
        return
    write_text(path, text + "\n")


def _expected(path: str | None) -> Mapping[str, str] | None:
    """The expected verdicts: of a file, or of the tests where they are at hand."""
    if path is None:
        if not EXPECTED.is_file():
            return None
        path = str(EXPECTED)
    found = read_json(read_text(path), f"--expect {path}", UsageError)
    if not isinstance(found, dict) or not all(isinstance(v, str) for v in found.values()):
        raise UsageError(f"--expect {path}: an object of ids and verdicts is needed")
    return found


def _search() -> int:
    """Repeat the searches; say how near they come, and whether they give what is kept."""
    import numpy as np

    from ..examples.cat import HIDDEN
    from ..examples.ledger import d004
    from ..examples.ledger.search import search_norm
    from ..examples.story import search_story, story

    gain, bias, worst = search_norm(np.array(HIDDEN), 0.05, seed=d004.SEED)
    far = max(np.abs(gain - d004.GAIN).max(), np.abs(bias - d004.BIAS).max())
    print(f"004.hidden   gain and bias   {_found(worst, far)}")
    found, story_worst = search_story()
    kept = story().parameters
    far = max(float(np.abs(array - kept[name]).max()) for name, array in found.items())
    count = sum(array.size for array in found.values())
    print(f"003.story    {count} parameters   {_found(story_worst, far)}")
    return 0 if max(worst, story_worst) <= 1 else 1


def _found(worst: float, far: float) -> str:
    return (
        f"largest distance {worst:.3f} half printed units (1 or less is within), "
        f"largest difference to what is kept {far:.2g}"
    )
