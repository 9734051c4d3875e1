"""Stages chosen by globs and by numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase

from .errors import StageError, nearest


def select(names: Sequence[str], patterns: Sequence[str] | None) -> list[str]:
    """The stages that match any of the patterns, in order; all without patterns. A pattern is a
    glob, a number in computing order, from 1 on, or a span of numbers such as 2-40.

    Raises `StageError` for a pattern that matches none.
    """
    if not patterns:
        return list(names)
    found = {name for pattern in patterns for name in _matching(names, pattern)}
    return [name for name in names if name in found]


def _matching(names: Sequence[str], pattern: str) -> Sequence[str]:
    span = re.fullmatch(r"([0-9]{1,9})(?:-([0-9]{1,9}))?", pattern)
    if span is not None:
        first, last = int(span[1]), int(span[2] or span[1])
        if not 1 <= first <= last <= len(names):
            raise StageError(f"--stage {pattern!r}: the stages have numbers from 1 to {len(names)}")
        return names[first - 1 : last]
    found = [name for name in names if fnmatchcase(name, pattern)]
    if not found:
        raise StageError(f"--stage {pattern!r} matches no stage; {nearest(pattern, names)}")
    return found
