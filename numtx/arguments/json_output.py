"""`--json FILE` of a command whose result is not a file already."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial

from .options import check_outputs, put_text

Run = Callable[[argparse.Namespace], int]


def add_json(parser: argparse.ArgumentParser, run: Run) -> None:
    """Sets what a command runs, and gives it the option; `run` leaves a result in `args.result`."""
    parser.add_argument(
        "--json", metavar="FILE", help="write the result as JSON (-: to standard output, alone)"
    )
    parser.set_defaults(run=partial(_run, run))


def _run(run: Run, args: argparse.Namespace) -> int:
    check_outputs((args.json,))
    code = run(args)
    if args.json is not None:
        from ..formats.plain import json_text

        put_text(args.json, json_text(args.result))
    return code
