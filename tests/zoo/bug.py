"""What a planted bug is."""

from __future__ import annotations

from typing import NamedTuple


class Bug(NamedTuple):
    """A bug that people really write, as a change of one place in the source.

    module      below numtx; `old`, which occurs exactly once in it, becomes `new`
    checks      names of the checks that must speak (others may, too)
    laws        names of the laws that must speak
    equivalent  why nothing can tell the change from the original, in a line; "" where it can
    """

    name: str
    module: str
    old: str
    new: str
    checks: str = ""
    laws: str = ""
    equivalent: str = ""

    @property
    def change(self) -> tuple[str, str, str]:
        return self.module, self.old, self.new
