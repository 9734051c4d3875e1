"""A pager such as git's: on a terminal, what is longer than the screen is shown by `less`."""

from __future__ import annotations

import io
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

VARIABLES = ("NUMTX_PAGER", "PAGER")  # the first that is set
# -F: what fits on the screen is left there; -R: colours; -X: the screen is not cleared at the end.
DEFAULT, OPTIONS = "less", "FRX"


def pager_command() -> list[str] | None:
    """The command of the pager; None where there is to be none: no terminal, a dumb one, an empty
    variable or `cat`, or a program that is not installed."""
    if not (sys.stdout.isatty() and sys.stdin.isatty()) or os.environ.get("TERM") == "dumb":
        return None
    said = next((os.environ[name] for name in VARIABLES if name in os.environ), DEFAULT)
    try:
        command = shlex.split(said)
    except ValueError:  # a quotation mark without its other
        return None
    if not command or command == ["cat"] or shutil.which(command[0]) is None:
        return None
    return command


class Screen(io.TextIOBase):
    """Standard output until there is more than fits on the terminal; from then on a pager."""

    def __init__(
        self, terminal: TextIO, command: list[str], begin: Callable[[], None] = lambda: None
    ) -> None:
        self.terminal, self.command, self.begin = terminal, command, begin
        self.pager: subprocess.Popen[str] | None = None
        self.waiting, self.room = list[str](), shutil.get_terminal_size().lines - 1

    def isatty(self) -> bool:
        return True  # as the pager's own output is

    def write(self, text: str) -> int:
        if self.pager is not None:
            assert self.pager.stdin is not None
            return self.pager.stdin.write(text)
        self.waiting.append(text)
        self.room -= text.count("\n")
        if self.room < 0:
            self.begin()
            self.pager = subprocess.Popen(
                self.command, stdin=subprocess.PIPE, encoding="utf-8", errors="backslashreplace",
                env={"LESS": OPTIONS, "LESSCHARSET": "utf-8", **os.environ},
            )  # fmt: skip
            waiting, self.waiting = "".join(self.waiting), []
            self.write(waiting)
        return len(text)

    def flush(self) -> None:
        """What has been said is to be seen now, as before something that takes long."""
        if self.pager is None:
            self.terminal.write("".join(self.waiting))
            self.terminal.flush()
            self.waiting = []

    def finish(self) -> None:
        """Show what is left, and wait until the reader has left the pager."""
        if self.pager is None:
            self.flush()
            return
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the pager's
        assert self.pager.stdin is not None
        with suppress(BrokenPipeError):
            self.pager.stdin.close()
        self.pager.wait()
        signal.signal(signal.SIGINT, before)


@contextmanager
def paged(wanted: bool = True, begin: Callable[[], None] = lambda: None) -> Iterator[None]:
    """What is printed within goes through the pager where it is longer than the screen; `begin` is
    called when it is. To leave the pager early, by its key or by Ctrl-C, ends what is within, and
    is no error."""
    command = pager_command() if wanted else None
    if command is None:
        yield
        return
    terminal = sys.stdout
    screen = Screen(terminal, command, begin)
    sys.stdout = screen
    try:
        yield
    except (BrokenPipeError, KeyboardInterrupt):
        if screen.pager is None:
            raise
    finally:
        sys.stdout = terminal
        screen.finish()
