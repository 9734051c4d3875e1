"""Colour on a terminal, or none."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Painter:
    """Puts text between escape sequences where colour is on."""

    on: bool

    def bold(self, text: str) -> str:
        return f"\x1b[1m{text}\x1b[0m" if self.on else text

    def dim(self, text: str) -> str:
        return f"\x1b[2m{text}\x1b[0m" if self.on else text


PLAIN = Painter(on=False)
