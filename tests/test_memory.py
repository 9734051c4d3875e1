"""What memory there is, and what is refused for it."""

from __future__ import annotations

import pytest

from numtx import memory


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (3_240_000_000, "3.2 GB"),
        (10**19, "10.0 EB"), (10**400, "more than 1000 EB"),
    ],
)  # fmt: skip
def test_sizes_as_people_say_them(size, text):
    assert memory.size_text(size) == text


def test_what_is_free_decides(monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: 5000)
    assert memory.too_large(5000) is None
    assert memory.too_large(5001) == "5.0 kB of memory, and 5.0 kB are free"
    monkeypatch.setattr(memory, "available_memory", lambda: None)
    assert memory.too_large(10**30) is None


def test_where_the_system_does_not_say_what_is_free(monkeypatch, tmp_path):
    given = tmp_path / "meminfo"
    given.write_text("MemTotal:  9 kB\nMemAvailable:       7 kB\n")
    monkeypatch.setattr(memory, "_MEMINFO", given)
    assert memory.available_memory() == 7 * 1024
    given.write_text("MemTotal:  9 kB\n")
    monkeypatch.setattr(memory.os, "sysconf", {"SC_PHYS_PAGES": 3, "SC_PAGE_SIZE": 4}.get)
    assert memory.available_memory() == 12
    given.unlink()
    assert memory.available_memory() is None
