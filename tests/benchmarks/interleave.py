"""Timing programs against each other: interleaved in one run, so that they share its weather.

A benchmark takes the names of its parts (all, where none is named), and `--quick`: the same
programs and comparisons with the smallest amount of work, which says nothing of their times.
"""

from __future__ import annotations

import gc
import statistics
import sys
import time
from collections.abc import Callable

QUICK = "--quick" in sys.argv[1:]
PARTS = [word for word in sys.argv[1:] if word != "--quick"]


def ratios(
    programs: dict[str, Callable[[], object]], rounds: int, calls: int = 1
) -> dict[str, tuple[float, float]]:
    """Program -> (seconds a call, time in multiples of the first program's).

    Every round times each program once (so many calls of it), every other round in reverse
    order. Both numbers are medians over the rounds; a ratio is taken within its round.
    """
    if QUICK:
        rounds = calls = 1
    for program in programs.values():  # warm caches and lazy imports
        program()
        program()
    names = list(programs)
    times: dict[str, list[float]] = {name: [] for name in names}
    gc.collect()
    gc.disable()
    for turn in range(rounds):
        for name in names if turn % 2 else reversed(names):
            program = programs[name]
            start = time.perf_counter()
            for _ in range(calls):
                program()
            times[name].append((time.perf_counter() - start) / calls)
        if turn % 16 == 15:
            gc.collect()
    gc.enable()
    base = times[names[0]]
    return {
        name: (
            statistics.median(own),
            statistics.median(a / b for a, b in zip(own, base, strict=True)),
        )
        for name, own in times.items()
    }


def report(title: str, found: dict[str, tuple[float, float]], aim: str) -> None:
    """Print the times and, for all but the first program, the ratio to it."""
    print(f"{title} (aim: {aim})")
    for number, (name, (seconds, ratio)) in enumerate(found.items()):
        beside = f"   {ratio:6.3f} x" if number else ""
        print(f"  {name:<24} {1e3 * seconds:10.3f} ms{beside}")
