"""The ledger run once for all tests, with the modules of numtx that each row runs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numtx
from numtx.documents.ledger import ROWS
from numtx.documents.row import Result
from numtx.documents.runs import Kept
from numtx.training import loop

LOOP = loop.__file__
HOME = str(Path(numtx.__file__).parent) + "/"
# What every row passes through, or reads as data: to run these alone is to run nothing.
ASIDE = ("documents", "examples", "errors", "shapes", "small_repr", "vocabulary", "strict_json")


@cache
def module_of(file: str) -> str:
    """'ops.norm' for a module of numtx that computes, 'training' for its rooms taken whole."""
    if not file.startswith(HOME):
        return ""
    parts = file.removeprefix(HOME).removesuffix(".py").split("/")
    if parts[0] in ASIDE:
        return ""
    return parts[0] if parts[0] in ("training", "cache") else ".".join(parts)


@contextmanager
def watched() -> Iterator[set[str]]:
    """The modules of numtx in which functions are called meanwhile."""
    seen: set[str] = set()

    def watch(frame: Any, event: str, argument: Any) -> None:
        file = frame.f_code.co_filename  # of a Python function: it is called once a call
        files.add(file)
        if file == LOOP:  # thousands of calls that tell nothing more
            sys.settrace(None)

    files: set[str] = set()
    before = sys.gettrace()
    sys.settrace(watch)
    try:
        yield seen
    finally:
        sys.settrace(before)
        seen |= set(map(module_of, files)) - {""}


@cache
def _all() -> tuple[dict[str, Result], dict[str, set[str]]]:
    """Every row run in turn. What is kept between rows counts for each that asks for it."""
    kept: dict[Any, set[str]] = {}
    open_runs: list[set[str]] = []
    plain = Kept.__call__

    def call(self: Any, *args: Any, **options: Any) -> Any:
        own = args, tuple(sorted(options.items()))
        key = id(self), *own
        if key not in kept:
            self.found.pop(own, None)  # an earlier test may have run it
            with watched() as seen:
                open_runs.append(seen)
                plain(self, *args, **options)
                open_runs.pop()
            kept[key] = seen
        for outer in open_runs:
            outer |= kept[key]
        return plain(self, *args, **options)

    results, rooms = {}, {}
    Kept.__call__ = call  # type: ignore[method-assign]
    try:
        for row in ROWS:
            with watched() as seen:
                open_runs.append(seen)
                results[row.id] = row.run()
                open_runs.pop()
            rooms[row.id] = seen
    finally:
        Kept.__call__ = plain  # type: ignore[method-assign]
    return results, rooms


def results() -> dict[str, Result]:
    """Every row's result by its id."""
    return _all()[0]


def rooms() -> dict[str, set[str]]:
    """The modules of numtx that each row runs."""
    return _all()[1]
