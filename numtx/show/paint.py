"""Colour on a terminal, or none."""

from __future__ import annotations

from dataclasses import dataclass

# Of the 256 colours of a terminal, the backgrounds of numbers below 0 and above it, in steps.
BELOW, ABOVE = (189, 153, 111, 69, 27), (224, 217, 210, 203, 196)
BLACK, WHITE = 16, 231


@dataclass(frozen=True)
class Painter:
    """Puts text between escape sequences where colour is on, and heat where 256 colours are."""

    on: bool
    hot: bool = False

    def bold(self, text: str) -> str:
        """Line by line: a pager forgets at the end of a line."""
        return "\n".join(f"\x1b[1m{t}\x1b[0m" for t in text.split("\n")) if self.on else text

    def dim(self, text: str) -> str:
        return f"\x1b[2m{text}\x1b[0m" if self.on else text

    def heat(self, text: str, share: float) -> str:
        """A number on a background that says how large it is: share of the largest, -1 to 1."""
        step = round(abs(share) * len(ABOVE)) if self.hot and abs(share) <= 1.0 else 0
        if not step:
            return text
        ground = (BELOW if share < 0 else ABOVE)[step - 1]
        ink = max((BLACK, WHITE), key=lambda colour: contrast(colour, ground))
        return f"\x1b[38;5;{ink};48;5;{ground}m{text}\x1b[0m"


def contrast(first: int, second: int) -> float:
    """The contrast of two of the 256 colours: (L1 + 0.05) / (L2 + 0.05), L the relative luminance
    of sRGB; 1 to 21. Source: WCAG 2.2."""
    dark, light = sorted(map(_luminance, (first, second)))
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: int) -> float:
    """Of one of the colours 16 to 231, a cube of 6 x 6 x 6."""
    parts = ((colour - 16) // 36, (colour - 16) // 6 % 6, (colour - 16) % 6)
    shares = [(0 if n == 0 else 55 + 40 * n) / 255 for n in parts]
    linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
    return sum(w * x for w, x in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


PLAIN = Painter(on=False)
