"""The peak of memory of two programs, each in a process of its own.

`peaks.py MODULE:MAKE LENGTH` calls the program that MAKE builds for a length, and prints what it
returned and how far the resident memory rose above what it was before, in MiB. One for a short
length has run by then: libraries and their work space are loaded. Needs Linux' /proc.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from rows import same
from timing import Figures

SHORT = 16


@dataclass(frozen=True)
class Peaks:
    """Both sides as `module:make`; the aim's ratio is the peer's peak over numtx's."""

    ours: str
    theirs: str
    length: int

    def measure(self, quick: bool) -> Figures:
        ratios, found = [], ([], [])
        for _ in range(1 if quick else 3):
            ours, theirs = (child(side, self.length) for side in (self.ours, self.theirs))
            same(ours[0], theirs[0])
            ratios.append(theirs[1] / ours[1])
            for kept, one in zip(found, (ours, theirs), strict=True):
                kept.append(one[1])
        ours, theirs = (sorted(one)[len(one) // 2] for one in found)
        return Figures(ours, theirs, ratios, "MiB")


def child(side: str, length: int) -> tuple[float, float]:
    """What one side returned, and its peak in MiB."""
    command = [sys.executable, __file__, side, str(length)]
    told = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    number, peak = json.loads(told)
    return number, peak


def resident(kind: str) -> float:
    """VmRSS, what is resident now, or VmHWM, the most since `forget`, in MiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(kind):
            return int(line.split()[1]) / 1024
    raise LookupError(kind)


def forget() -> None:
    """Let the peak begin at what is resident now."""
    Path("/proc/self/clear_refs").write_text("5")


def main(side: str, length: int) -> None:
    module, _, name = side.partition(":")
    make = getattr(importlib.import_module(module), name)
    make(SHORT)()
    program = make(length)
    forget()
    before = resident("VmRSS")
    number = program()
    print(json.dumps([number, resident("VmHWM") - before]))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
