"""`numtx compare`: where two runs part, and the known mistake that explains it."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..arguments.options import add_lang, whole
from ..arguments.source import read_text
from ..errors import UsageError
from ..strict_json import read_json

if TYPE_CHECKING:
    from ..compare.compare import Comparison, Difference, Side

LISTED = 8  # names in a list, without --full
ROWS = 30  # stages in the table of how a difference grows, without --full


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "compare",
        help="find where another implementation's run parts from a trace, and why",
        description="Hold a file of arrays against a trace: the first stage in computing order "
        "that differs, its worst cells, how the difference grows, and the known mistake that "
        "reproduces it. The second file may be any .npz, with the stages it has, in float32, "
        "with heads side by side, without the batch axis. Exit code 1 where they differ.",
    )
    parser.set_defaults(run=run)
    add_lang(parser)
    parser.add_argument("first", metavar="A", help="a trace (numtx trace --npz A)")
    parser.add_argument("second", metavar="B", help="another trace, or arrays of your own")
    parser.add_argument(
        "--map", metavar="FILE", help='names of arrays in B, as JSON: {"their name": "stage"}'
    )
    parser.add_argument(
        "--tolerance", type=_tolerance, metavar="X",
        help="relative to the size of the terms (default 1e-10; where one side is float32, 2e-5)",
    )  # fmt: skip
    parser.add_argument("--full", action="store_true", help="list every stage, equal ones too")
    parser.add_argument(
        "--cells", type=whole(1), default=5, metavar="N", help="worst cells to show (default 5)"
    )


def run(args: argparse.Namespace) -> int:
    from ..compare.compare import compare, read_side

    names = _names(args.map)
    first, second = read_side(args.first), read_side(args.second, names)
    found = compare(first, second, args.tolerance)
    args.code = 0 if found.equal else 1
    for line in report(found, first, second, args.full, args.cells):
        print(line)
    return int(args.code)


def report(found: Comparison, first: Side, second: Side, full: bool, cells: int) -> Iterator[str]:
    """The comparison in lines."""
    from ..compare.compare import with_hint
    from ..show.grid import table_text
    from ..show.numbers import amount

    for name, (a, b) in found.config.items():
        yield f"configuration: {name} is {a!r} in {first.name}, {b!r} in {second.name}"
    wrong = [d for d in found.parameters if not d.equal]
    if wrong:
        yield f"{len(wrong)} parameters differ; what follows may follow from that"
        rows = [["parameter", "cells", "largest difference", ""]]
        rows += [[d.name, f"{d.differing} of {d.cells}", amount(d.largest), d.note] for d in wrong]
        yield table_text(rows, "lrrl", "  ")
    if found.first is None:
        share = f"{found.compared} of {found.of}" if found.compared < found.of else f"{found.of}"
        if not wrong:
            yield f"equal: {share} arrays, within the tolerance ({_tolerance_text(found)})"
    else:
        yield from _first(found, found.first, first, cells)
        yield from _growth(found, full)
    for names, where in ((found.only_first, first.name), (found.only_second, second.name)):
        if names:
            yield f"not compared, only in {where}: {_listed(names, full)}"
    for names, where, missing in (
        (found.unknown_first, first.name, found.only_second),
        (found.unknown, second.name, found.only_first),
    ):
        if names:
            hinted = [with_hint(n, missing) for n in (names if full else names[:LISTED])]
            listed = _listed(hinted + names[len(hinted) :], full)
            yield f"not compared, no stage (--map gives names), in {where}: {listed}"


def _first(found: Comparison, worst: Difference, first: Side, most: int) -> Iterator[str]:
    """The first stage that differs, its cells, and its cause."""
    from ..show.cell_text import Names
    from ..show.grid import table_text
    from ..show.numbers import amount, number

    before = [d.name for d in found.values if d.equal]
    yield f"first difference: {worst.name}" + (f"   ({worst.note})" if worst.note else "")
    if not worst.fits:
        yield f"cause: not looked for, as the shapes do not fit; {len(before)} stages are equal"
        return
    yield (
        f"{worst.differing} of {worst.cells} cells differ, "
        f"by {amount(worst.largest)} at most, "
        f"{amount(worst.relative)} times the tolerance ({_tolerance_text(found)}); "
        f"{len(before)} stages are equal"
    )
    rows = [["cell", "", "expected", "got", "difference"]]
    names = None if first.trace is None else Names(first.trace)
    name = worst.name.removeprefix("grad/")
    for pair in worst.worst[:most]:
        label, where = "", "[" + ",".join(map(str, pair.cell)) + "]"
        if names is not None and len(names.shapes.get(name, ())) == len(pair.cell):
            label = names.label(name, pair.cell)
        apart = abs(float(pair.got) - float(pair.expected))
        rows.append(
            [where, label, number(pair.expected), number(pair.got),
             "nan" if math.isnan(apart) else amount(apart)]
        )  # fmt: skip
    if len(rows) > 1:
        yield table_text(rows, "llrrr", "  ")
    if worst.name.startswith("grad/"):
        yield f"cause: {_cause_of_gradient(found)}"
    elif first.trace is None:
        yield f"cause: not looked for, as {first.name} is no trace of numtx (give the trace first)"
    elif not found.causes:
        yield "cause: no known mistake reproduces these numbers"
    for cause in found.causes:
        yield f"cause: {cause}"
    if len(found.causes) > 1:
        yield "(each of these reproduces the numbers)"


def _cause_of_gradient(found: Comparison) -> str:
    """What a wrong gradient says of the pass that it was made in."""
    if any(not d.equal for d in found.parameters):
        return "not looked for, as the parameters differ"
    if not found.values:
        return "not looked for, as no value is in both files"
    return "every value compared is equal, so the mistake is in the backward pass"


def _growth(found: Comparison, full: bool) -> Iterator[str]:
    from ..show.grid import table_text
    from ..show.numbers import amount

    everything = [*found.values, *found.gradients]
    start = next(i for i, d in enumerate(everything) if not d.equal)
    shown = everything if full else everything[start:][:ROWS]
    rows = [["stage", "cells that differ", "largest difference", "in tolerances", ""]]
    rows += [
        [
            d.name,
            f"{d.differing} of {d.cells}",
            amount(d.largest),
            amount(d.relative),
            d.note,
        ]
        for d in shown
    ]
    yield "from there on:" if not full else "all stages:"
    yield table_text(rows, "lrrrl", "  ")
    if not full and len(everything) - start > ROWS:
        yield f"  and {len(everything) - start - ROWS} more; --full lists all"


def _listed(names: list[str], full: bool) -> str:
    if full or len(names) <= LISTED:
        return ", ".join(names)
    return ", ".join(names[:LISTED]) + f" and {len(names) - LISTED} more"


def _tolerance_text(found: Comparison) -> str:
    if found.tolerance == "by type":
        return "1e-10 of the terms, 2e-5 in float32"
    return f"{found.tolerance} of the terms"


def _tolerance(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0.0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 up")
    return number


def _names(path: str | None) -> dict[str, str] | None:
    if path is None:
        return None
    names = read_json(read_text(path), f"--map {path}", UsageError)
    if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
        raise UsageError(f'--map {path}: an object is needed, {{"their name": "stage", ...}}')
    return names
