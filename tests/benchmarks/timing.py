"""Two programs timed in turn, in one run, so that they share its weather."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import NamedTuple

Program = Callable[[], object]

# A timing of so many seconds is told from the clock's own noise; a row takes about so many.
SHORTEST, ROW = 2e-3, 5.0
FEWEST, MOST = 3, 300


class Figures(NamedTuple):
    """What one row found: each side's median, and the ratio peer / numtx of every round."""

    ours: float
    theirs: float
    ratios: Sequence[float]
    unit: str = "ms"


def seconds(program: Program, calls: int = 1) -> float:
    """The processor's time of one call, over so many: what others do meanwhile is not in it."""
    start = time.process_time()
    for _ in range(calls):
        program()
    return (time.process_time() - start) / calls


def interleaved(ours: Program, theirs: Program, quick: bool) -> Figures:
    """Every round times each program once, every other round in reverse order.

    Both have run before. A ratio is taken within its round. Rounds and calls follow from how
    long a call takes; quick: one of one.
    """
    calls = rounds = 1
    programs = (ours, theirs)
    if not quick:
        both = [seconds(program) for program in programs]
        calls = math.ceil(SHORTEST / min(both))
        rounds = min(MOST, max(FEWEST, int(ROW / (calls * sum(both)))))
    times: tuple[list[float], list[float]] = ([], [])
    gc.collect()
    gc.disable()
    for turn in range(rounds):
        for side in (0, 1) if turn % 2 else (1, 0):
            times[side].append(seconds(programs[side], calls))
        if turn % 16 == 15:
            gc.collect()
    gc.enable()
    a, b = times
    ratios = [theirs / ours for ours, theirs in zip(a, b, strict=True)]
    return Figures(1e3 * median(a), 1e3 * median(b), ratios)
