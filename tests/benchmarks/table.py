"""How fast numtx is beside its peers: one row for each kind of work.

    python tests/benchmarks/table.py [--quick] [NAME ...]

Both sides of a row compute the same numbers, which is checked first, then are timed in turn, in one
process, on one thread. ratio: times faster than the peer, the median over the rounds; spread: its
quartiles; took: the processor's time of one call. A row whose peer is not installed is skipped.
NAME selects the rows whose names begin with it; --quick runs every row once with the smallest
sizes, which says nothing of its times.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import traceback
from pathlib import Path
from statistics import median, quantiles

from rows import DifferentNumbersError, Row, all_rows
from timing import Figures

HERE = Path(__file__).resolve().parent
PATHS = (HERE.parents[1], HERE.parent)
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
CHILD = "NUMTX_BENCHMARKS_CHILD"
HEAD = ("row", "work", "peer", "ratio", "spread", "numtx took", "peer took", "aim")
FIGURES = (6, 13, 11, 11, 4)  # how wide the columns behind the peer's are


def restarted(arguments: list[str]) -> int:
    """This command in a child in which no library has started threads."""
    paths = [*map(str, PATHS), os.environ.get("PYTHONPATH", "")]
    variables = {
        **os.environ, **ONE_THREAD, CHILD: "1", "HF_HUB_OFFLINE": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
    }  # fmt: skip
    return subprocess.call([sys.executable, __file__, *arguments], env=variables)


def told(found: Figures) -> list[str]:
    """ratio, spread, numtx, peer"""
    ratios = list(found.ratios)
    low, _, high = quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
    sides = [f"{x:.4g} {found.unit}" for x in (found.ours, found.theirs)]
    return [f"{median(ratios):.2f}", f"{low:.2f} - {high:.2f}", *sides]


class Table:
    """Lines of aligned columns, each printed when it is known."""

    def __init__(self, rows: dict[str, Row]) -> None:
        first = [HEAD[:3], *((name, row.work, row.peer) for name, row in rows.items())]
        self.widths = [*(max(map(len, column)) for column in zip(*first, strict=True)), *FIGURES]
        self.line(*HEAD)
        print("-+-".join("-" * width for width in self.widths))

    def line(self, *cells: str) -> None:
        print(" | ".join(map(str.ljust, cells, self.widths)).rstrip(), flush=True)


def run(rows: dict[str, Row], quick: bool) -> int:
    """Print the table; 1 where a row failed."""
    table, below, failed = Table(rows), [], []
    for name, row in rows.items():
        if lacking := row.lacks():
            table.line(name, row.work, row.peer, f"skipped: {lacking} is not installed")
            continue
        try:
            found = row.make(quick).measure(quick)
        except DifferentNumbersError as error:
            failed.append(name)
            table.line(name, row.work, row.peer, f"FAILED: {error}")
        except Exception:
            failed.append(name)
            table.line(name, row.work, row.peer, "FAILED: as standard error says")
            traceback.print_exc()
        else:
            aim = "" if row.aim is None else f"{row.aim:g}"
            table.line(name, row.work, row.peer, *told(found), aim)
            if median(found.ratios) < 1:
                below.append(name)
    if below and not quick:
        print(f"slower than the peer: {', '.join(below)}")
    if failed:
        print(f"failed: {', '.join(failed)}")
    return bool(failed)


def main() -> int:
    lines = __doc__.splitlines()
    parser = argparse.ArgumentParser(description=lines[0])
    parser.add_argument("--quick", action="store_true", help="each row once, with small sizes")
    parser.add_argument("names", nargs="*", metavar="NAME", help="rows that begin so; none: all")
    given = parser.parse_args()
    if CHILD not in os.environ:
        return restarted(sys.argv[1:])
    rows = all_rows()
    if given.names:
        for start in given.names:
            if not any(name.startswith(start) for name in rows):
                parser.error(f"{start}: no row begins so; there are {', '.join(rows)}")
        rows = {n: row for n, row in rows.items() if n.startswith(tuple(given.names))}
    return run(rows, given.quick)


if __name__ == "__main__":
    sys.exit(main())
