"""`numtx figures`: the ledger of the documents' figures and claims, computed."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..arguments.options import add_style, check_outputs, put_text, style_of
from ..arguments.source import read_text
from ..errors import UsageError
from ..show.wrap import tell
from ..strict_json import read_json

if TYPE_CHECKING:
    from ..documents.row import Result

# In a checkout, where the tests keep what every verdict should be.
EXPECTED = Path(__file__).parents[2] / "tests" / "documents" / "expected_verdicts.json"


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
    parser.add_argument(
        "--html", metavar="FILE", help="write them as one page for a browser (-: standard output)"
    )
    parser.add_argument("--expect", metavar="FILE", help="expected verdicts (JSON: id to verdict)")
    parser.add_argument(
        "--search", action="store_true", help="repeat the searches for parameters (a minute)"
    )
    add_style(parser)


def run(args: argparse.Namespace) -> int:
    from ..documents import ledger, text
    from ..documents.row import changes, check_verdict
    from ..documents.row import run as run_rows
    from ..reports.ledger import figure_page, ledger_page
    from ..show.headings import pick

    style = style_of(args)
    wanted = [check_verdict(name) for name in args.verdict]
    if args.search:
        return _search()
    rows = [ledger.row_of(args.figure)] if args.figure else ledger.rows_of(args.document)
    expected = _expected(args.expect)
    check_outputs((args.json, args.html), (args.expect,))
    results = run_rows(args.progress.over(rows, lambda row: row.id))
    shown = [r for r in results if not wanted or r.verdict in wanted]
    if args.json is not None:
        _write_json(shown, args.json, style.lang)
    if args.html is not None:
        page = figure_page(results[0], style.lang) if args.figure else None
        put_text(args.html, page or ledger_page(shown, style.lang))
    if args.figure:
        tell("\n".join(text.at_length(results[0], style)), width=style.width)
    elif not args.summary:
        tell("\n".join(text.ledger_text(shown, style)), width=style.width)
    if not args.figure:
        print(f"\n{text.summary_text(shown, style)}".lstrip("\n" if args.summary else ""))
    for path in (args.json, args.html):
        if path is not None:
            tell(f"\n{pick(style.lang, '已写入', 'written')}: {path}", width=style.width)
    if expected is None:
        return 0
    names = {row.id for row in rows}
    whole = len(rows) == len(ledger.ROWS)
    changed = changes(results, {k: v for k, v in expected.items() if whole or k in names})
    for line in changed:
        print(f"numtx: verdict changed: {line}", file=sys.stderr)
    return 1 if changed else 0


def _write_json(results: Iterable[Result], path: str, lang: str) -> None:
    text = json.dumps([r.to_dict(lang) for r in results], ensure_ascii=False, indent=1)
    put_text(path, text + "\n")


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

    from ..documents import d004
    from ..examples.cat import HIDDEN
    from ..examples.search import search_norm
    from ..examples.story import search_story, story

    gain, bias, worst = search_norm(np.array(HIDDEN), 0.05, seed=d004.SEED)
    far = max(np.abs(gain - d004.GAIN).max(), np.abs(bias - d004.BIAS).max())
    tell(f"004.hidden   gain and bias   {_found(worst, far)}")
    found, story_worst = search_story()
    kept = story().parameters
    far = max(float(np.abs(array - kept[name]).max()) for name, array in found.items())
    count = sum(array.size for array in found.values())
    tell(f"003.story    {count} parameters   {_found(story_worst, far)}")
    return 0 if max(worst, story_worst) <= 1 else 1


def _found(worst: float, far: float) -> str:
    return (
        f"largest distance {worst:.3f} half printed units (1 or less is within), "
        f"largest difference to what is kept {far:.2g}"
    )
