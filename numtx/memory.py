"""How much memory there is, and how much is too much to ask for."""

from __future__ import annotations

import os
import re
from pathlib import Path

_MEMINFO = Path("/proc/meminfo")


def available_memory() -> int | None:
    """Bytes that a process can still have; None where the system does not say."""
    try:
        match = re.search(r"^MemAvailable:\s*(\d+) kB", _MEMINFO.read_text(), re.MULTILINE)
        if match is not None:
            return int(match[1]) * 1024
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError):  # no Linux, and no POSIX
        return None


def too_large(size: int) -> str | None:
    """What to say of so many bytes where there are fewer; None where they fit."""
    available = available_memory()
    if available is None or size <= available:
        return None
    return f"{size_text(size)} of memory, and {size_text(available)} are free"


def size_text(size: int) -> str:
    """Bytes as people say them: 512 bytes, 3.2 GB."""
    if size >= 1000**7:
        return "more than 1000 EB"
    for unit, power in (("EB", 6), ("PB", 5), ("TB", 4), ("GB", 3), ("MB", 2), ("kB", 1)):
        if size >= 1000**power:
            return f"{size / 1000**power:.1f} {unit}"
    return f"{size} bytes"
