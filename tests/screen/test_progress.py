"""Progress: after two seconds, on a terminal alone, with the time left, and gone at the end."""

from __future__ import annotations

import io
import sys
import time
from types import SimpleNamespace

import pytest
from session import Session

from numtx.screen import progress as module
from numtx.screen.progress import CLEAR, Progress
from numtx.show.grid import display_width


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_time_left_follows_from_the_share():
    one = Progress("numtx laws", lang="en")
    one.begun = 100.0
    assert one.line(105.0) == "numtx laws  5 s"
    one.at("4/10 K3", 3, 10)
    one.first = 102.0, 0.1
    assert one.line(112.0) == "4/10 K3  12 s  30%  35 s left"
    one.lang = "zh"
    assert one.line(112.0) == "4/10 K3  已 12 秒  30%  还需 35 秒"
    one.at("another", 0, 5)
    assert one.line(113.0) == "another  已 13 秒"
    one.at("天气 " * 50, 1, 5)
    assert display_width(one.line(200.0)) < 80


def test_items_and_steps_tell_where_they_are():
    one = Progress("x", lang="en")
    seen = [(item, one.what, one.share) for item in one.over("abcd", str.upper)]
    assert seen[2] == ("c", "3/4 C", 0.5)
    one.steps(10)(SimpleNamespace(step=4, loss=1.25))
    assert (one.what, one.share) == ("step 4/10  loss 1.250000", 0.4)


def test_the_line_gives_way_and_is_cleared(monkeypatch):
    terminal = Terminal()  # both streams are on it
    for name, value in (("stdout", terminal), ("stderr", terminal)):
        monkeypatch.setattr(sys, name, value)
    monkeypatch.setattr(module, "PATIENCE", 0.0)
    monkeypatch.setattr(module, "EVERY", 0.001)
    with Progress("work") as one:
        assert one.on
        while "work" not in terminal.getvalue():
            time.sleep(0.001)
        print("a result")
        one.stop()
        print("another")
    text = terminal.getvalue()
    assert CLEAR + "a result\n" in text and text.endswith("another\n")
    assert text.rpartition("work")[2].startswith("  0 s" + CLEAR)
    assert sys.stdout is terminal


@pytest.mark.parametrize("wanted", [True, False])
def test_nothing_where_nobody_waits(wanted, monkeypatch, capsys):
    monkeypatch.setattr(module, "PATIENCE", 0.0)
    with Progress("work", wanted=wanted) as one:
        assert not one.on
        one.at("more", 1, 2)
    assert capsys.readouterr() == ("", "")


@pytest.mark.heavy
def test_training_shows_its_steps_and_leaves_no_trace():
    session = Session("train", "weather", "--steps", "20000", "--lang", "en", "--no-pager")
    shown = session.until("s left")
    assert "numtx train weather" in shown and "/20000  loss" in shown
    session.send("\x03")
    assert session.end() == 130
    assert session.seen.rpartition(CLEAR.strip("\r"))[2] == "^Cnumtx: interrupted\n" or (
        session.seen.endswith("numtx: interrupted\n")
    )
