"""The command line on a terminal of the test's own: what it shows, keys, and its exit code."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import termios
import time

from children import become


class Session:
    """`numtx ARGS` behind a pseudo-terminal of 80 columns."""

    def __init__(self, *args: str, rows: int = 24, columns: int = 80, **env: str) -> None:
        self.seen = ""
        self.child, self.terminal = pty.fork()
        if self.child == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            become("-m", "numtx", *args, **{"TERM": "xterm", **env})

    def until(self, text: str, patience: float = 40.0) -> str:
        """What is shown from now on up to a text."""
        end = time.monotonic() + patience
        start = len(self.seen)
        while text not in self.seen[start:]:
            assert time.monotonic() < end, f"no {text!r} in {self.seen[start:]!r}"
            assert self._read(), f"ended without {text!r}: {self.seen[start:]!r}"
        return self.seen[start:]

    def send(self, keys: str) -> None:
        os.write(self.terminal, keys.encode())

    def end(self, key: str = "") -> int:
        """The exit code, after everything that is still shown; a key is pressed until then."""
        while self._read(key):
            pass
        os.close(self.terminal)
        return os.waitstatus_to_exitcode(os.waitpid(self.child, 0)[1])

    def _read(self, key: str = "") -> bool:
        for _ in range(80):
            if select.select([self.terminal], [], [], 0.5)[0]:
                break
            self.send(key)
        else:
            os.kill(self.child, 9)
            raise AssertionError(f"nothing more is shown after {self.seen[-500:]!r}")
        try:
            found = os.read(self.terminal, 65536)
        except OSError:  # the other side is closed
            found = b""
        self.seen += found.decode(errors="replace").replace("\r", "")
        return bool(found)
