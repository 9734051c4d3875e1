"""`python -m numtx` is `numtx`: the door of both, which answers Ctrl-C from the first import on."""

from __future__ import annotations

import os
import sys

INTERRUPTED = 130


def main() -> int:
    """Run the command line; returns the exit code."""
    try:
        from .cli import main as command

        code = command()
    except KeyboardInterrupt:  # while `cli` was being imported
        print("numtx: interrupted", file=sys.stderr)
        code = INTERRUPTED
    if code == INTERRUPTED:
        # An interrupt within an import leaves a mark by which Python would die of the signal.
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)
    return code


if __name__ == "__main__":
    raise SystemExit(main())
