"""`numtx trace --step`: where lines of input lead to, and what stays on top."""

from __future__ import annotations

import io
import re
import sys

import pytest
from session import Session

from numtx.cli import main

ORDER = ["encoder.tokens", "decoder.tokens", "labels", "encoder.embedding"]  # as the acts have it


def run(capsys, monkeypatch, lines: str, *args: str) -> tuple[int, list[str], str]:
    """Exit code, the pages that were shown, and all that was printed."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(lines))
    code = main(["trace", *args, "--step", "--lang", "en"])
    out, err = capsys.readouterr()
    assert err == ""
    return code, re.findall(r"^\[(\d+)\]", out, re.M), out


@pytest.mark.parametrize(
    ("lines", "pages"),
    [
        ("", "1"),
        ("\n\n\n", "1 41 105 2"),
        ("\n\nb\nb\nb\n", "1 41 105 41 1"),
        ("5\n\n", "1 5 6"),
        ("encoder.0.self_attention.weights\nweights\nweights\n", "1 13 30 53"),
        ("decoder.*.norm\nq\n\n", "1 57"),
        ("loss\nweights\n", "1 110 13"),
        ("loss\n\n\nb\n", "1 110 109"),
        ("nonsense\n?\n999\n2\n", "1 2"),
    ],
)
def test_lines_lead_to_stages(lines, pages, capsys, monkeypatch):
    code, found, _ = run(capsys, monkeypatch, lines)
    assert code == 0 and found == pages.split()


def test_what_is_under_discussion_stays_on_top(capsys, monkeypatch):
    _, _, out = run(capsys, monkeypatch, "weights\nb\n")
    pages = out.split("weather: ")[1:]
    assert len(pages) == 3
    for page in pages:
        assert "encoder: 今 3  天 4  天 4  气 5  很 6  好 7  <eos> 2\n" in page
    assert "act 2: the encoder: self-attention\n== encoder.0.self_attention" in pages[1]
    assert "given by the document" not in out and "12/110" in pages[2]


def test_what_cannot_be_done_is_one_line(capsys, monkeypatch):
    _, _, out = run(capsys, monkeypatch, "wieghts\nxyzzy\nb\nloss\n\n")
    for line in (
        "no stage 'wieghts'; perhaps weights", "no stage 'xyzzy'; numtx stages lists them",
        "this is the first stage", "this is the last stage",
    ):  # fmt: skip
        assert f"\n{line}\n" in out


def test_a_part_of_a_model_of_ones_own_with_gradients(capsys, monkeypatch):
    _, found, out = run(
        capsys, monkeypatch, "\n\n", "cat", "--stage", "logits", "--stage", "loss", "--gradients"
    )
    assert len(found) == 2 and "gradient  d loss / d logits" in out


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["--step", "--act", "2"], "--act does not go with --step"),
        (["weather", "--step", "cat"], "a number is for memory"),
        (["--step", "0"], "'0' is not a whole number from 1 up"),
    ],
)
def test_what_does_not_go_together(args, told, capsys):
    try:
        code = main(["trace", *args])
    except SystemExit as stop:  # argparse's own way out
        code = int(stop.code or 0)
    out, err = capsys.readouterr()
    assert (code, out) == (2, "") and told in err and err.count("\n") == 1


def test_an_example_behind_the_option_and_the_number_of_memory(capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("q\n"))
    assert main(["trace", "--step", "cat"]) == 0
    assert capsys.readouterr().out.startswith("cat: ")
    assert main(["trace", "memory", "--step", "2", "--quiet"]) == 0
    assert capsys.readouterr().out.startswith("memory: ")


def test_on_a_terminal_a_long_stage_has_several_screens():
    session = Session("trace", "--step", "--lang", "en", "--gradients", rows=16)
    session.until("1/110")
    session.send("logits\n")
    first = session.until("(1/5)")
    assert "\x1b[2J\x1b[H" in first and "[106] logits" in first
    session.send("\n")
    second = session.until("(2/5)")
    assert "weather: " in second and "[106]" not in second
    session.send("q\n")
    assert session.end() == 0
    assert "Traceback" not in session.seen
