"""How far a long computation is: one line on a terminal's standard error, cleared at the end."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TextIO, TypeVar, cast

Item = TypeVar("Item")
PATIENCE, EVERY = 2.0, 0.25  # seconds before the line is first shown, and between two of them
CLEAR = "\r\x1b[K"


class Progress:
    """What is being done, for how long, and where its size is known how long it still takes.

    Nothing is shown in the first two seconds, nor where standard error is no terminal. What is
    printed while it runs comes first: the line gives way to it.
    """

    def __init__(self, what: str, wanted: bool = True, lang: str = "en") -> None:
        self.what, self.lang, self.share = what, lang, 0.0
        self.on = wanted and sys.stderr.isatty()
        self.begun, self.shown = time.monotonic(), False
        self.first = self.begun, 0.0  # when the task was first spoken of, and its share then
        self.lock, self.ended = threading.RLock(), threading.Event()
        self.streams = sys.stdout, sys.stderr

    def __enter__(self) -> Progress:
        if self.on:
            given = (cast(TextIO, Giving(stream, self.hide)) for stream in self.streams)
            sys.stdout, sys.stderr = given
            threading.Thread(target=self._run, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()
        if self.on:
            sys.stdout, sys.stderr = self.streams

    def at(self, what: str, done: float = 0.0, of: float = 1.0) -> None:
        """Say what is being done, and how much of it is."""
        share = done / of if of else 0.0
        with self.lock:
            if not self.share or share < self.share:  # a new task
                self.first = time.monotonic(), share
            self.what, self.share = what, share

    def over(self, items: Sequence[Item], name: Callable[[Item], str]) -> Iterator[Item]:
        """The items one after the other, each told by its name."""
        for number, item in enumerate(items):
            self.at(f"{number + 1}/{len(items)} {name(item)}", number, len(items))
            yield item

    def steps(self, of: int) -> Callable[[Any], None]:
        """For the steps of a training, as `on_step`."""
        return lambda step: self.at(
            f"{self._say('步', 'step')} {step.step}/{of}  "
            f"{self._say('损失', 'loss')} {step.loss:.6f}", step.step, of,
        )  # fmt: skip

    def stop(self) -> None:
        """Show nothing more."""
        self.ended.set()
        self.hide()

    def hide(self) -> None:
        """Clear the line, for other text."""
        with self.lock:
            if self.shown:
                print(CLEAR, end="", file=self.streams[1], flush=True)
            self.shown = False

    def line(self, now: float) -> str:
        """What is shown at a time."""
        from ..show.wrap import columns, wrap

        seconds = now - self.begun
        text = f"{self.what}  {self._say(f'已 {seconds:.0f} 秒', f'{seconds:.0f} s')}"
        start, share = self.first
        if share < self.share <= 1.0:
            left = (now - start) * (1.0 - self.share) / (self.share - share)
            text += f"  {self.share:.0%}"
            text += self._say(f"  还需 {left:.0f} 秒", f"  {left:.0f} s left")
        return wrap(text, columns() - 1, most=1)[0]

    def _say(self, zh: str, en: str) -> str:
        return zh if self.lang == "zh" else en  # `show.headings` would load NumPy

    def _run(self) -> None:
        while not self.ended.wait(EVERY):
            now = time.monotonic()
            with self.lock:
                if now - self.begun >= PATIENCE and not self.ended.is_set():
                    print(CLEAR + self.line(now), end="", file=self.streams[1], flush=True)
                    self.shown = True


class Giving:
    """A stream of the command's, for which the line of progress makes room."""

    def __init__(self, terminal: TextIO, hide: Callable[[], None]) -> None:
        self.terminal, self.hide = terminal, hide

    def write(self, text: str) -> int:
        self.hide()
        return self.terminal.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.terminal, name)
