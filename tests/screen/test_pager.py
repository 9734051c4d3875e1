"""The pager: on a terminal alone, for what is longer than the screen; leaving it is no error."""

from __future__ import annotations

import io
import shutil
import sys

import pytest
from session import Session

from numtx.examples.registry import load_example
from numtx.screen import pager
from numtx.screen.pager import Screen, paged, pager_command
from numtx.trace.files import save_trace

NEED_LESS = pytest.mark.skipif(shutil.which("less") is None, reason="there is no less")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("environment", "command"),
    [
        ({}, ["less"]),
        ({"PAGER": "more -s"}, ["more", "-s"]),
        ({"PAGER": "more", "NUMTX_PAGER": "less -S"}, ["less", "-S"]),
        ({"NUMTX_PAGER": ""}, None),
        ({"NUMTX_PAGER": "cat"}, None),
        ({"NUMTX_PAGER": "no-such-program-at-all"}, None),
        ({"NUMTX_PAGER": "'"}, None),
        ({"TERM": "dumb"}, None),
    ],
)
def test_which_pager(environment, command, monkeypatch):
    for name in ("PAGER", "NUMTX_PAGER"):
        monkeypatch.delenv(name, raising=False)
    for name, text in {"TERM": "xterm", **environment}.items():
        monkeypatch.setenv(name, text)
    found = None if "no-such" in environment.get("NUMTX_PAGER", "") else "/bin/x"
    monkeypatch.setattr(pager.shutil, "which", lambda name: found)
    assert pager_command() is None  # no terminal
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setattr(sys, "stdin", Terminal())
    assert pager_command() == command


def test_what_fits_the_screen_or_is_to_be_seen_at_once_needs_no_pager(monkeypatch):
    monkeypatch.setenv("LINES", "5")
    terminal = Terminal()
    screen = Screen(terminal, ["no-such-program-at-all"])
    screen.write("a\nb\n")
    assert terminal.getvalue() == ""
    screen.flush()
    screen.write("c\nd\n")
    screen.finish()
    assert terminal.getvalue() == "a\nb\nc\nd\n" and screen.pager is None
    with pytest.raises(FileNotFoundError):
        screen.write("e\n")
    with paged(wanted=False):
        print("plain")


@NEED_LESS
@pytest.mark.parametrize("keys", ["q", pytest.param("\x03", marks=pytest.mark.heavy)])
def test_leaving_early_is_no_error(keys):
    """By the pager's key, or by Ctrl-C, after which the pager waits for its key."""
    session = Session("stages", "weather")
    session.until("encoder.input")
    session.send(keys)
    assert session.end("q") == 0
    assert "decoder" not in session.seen and "Traceback" not in session.seen


@pytest.mark.heavy
@NEED_LESS
def test_more_than_a_pipe_holds_and_a_verdict_that_stands(tmp_path):
    session = Session("trace", "translation", "--gradients")
    session.until("Encoder: ")
    session.send("q")
    assert session.end() == 0 and "Traceback" not in session.seen
    for seed in (0, 1):
        save_trace(load_example("weather", seed=seed).trace(), tmp_path / f"{seed}.npz")
    files = [str(tmp_path / f"{seed}.npz") for seed in (0, 1)]
    session = Session("compare", *files, "--full", NUMTX_PAGER="true")
    assert session.end() == 1 and "Traceback" not in session.seen


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("args", "env"), [(["--no-pager"], {}), ([], {"TERM": "dumb"}), ([], {"PAGER": "cat"})]
)
def test_without_a_pager_everything_is_shown_at_once(args, env):
    session = Session("stages", "weather", *args, **env)
    assert session.end() == 0
    assert "loss.per_token" in session.seen


@pytest.mark.heavy
def test_the_pager_gets_colours_and_every_line():
    session = Session("trace", "cat", "--precision", "3", NUMTX_PAGER="sed s/^/P:/")
    assert session.end() == 0
    lines = session.seen.rstrip("\n").split("\n")
    assert all(line.startswith("P:") for line in lines) and "\x1b[1m" in session.seen
