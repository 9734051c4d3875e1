"""Heat: readable, in line, and only where the terminal has the colours."""

from __future__ import annotations

import re

import pytest

from numtx.cli import main
from numtx.show.paint import ABOVE, BELOW, BLACK, WHITE, Painter, contrast

HOT = Painter(on=True, hot=True)


def test_contrast_is_that_of_the_standard() -> None:
    assert contrast(BLACK, WHITE) == contrast(WHITE, BLACK) == pytest.approx(21.0)
    assert contrast(196, WHITE) == pytest.approx(3.998, abs=1e-3)  # red on white


@pytest.mark.parametrize("share", [n / 10 for n in range(-10, 11)])
def test_numbers_can_be_read_on_every_ground(share):
    found = re.fullmatch(r"\x1b\[38;5;(\d+);48;5;(\d+)m1\.0\x1b\[0m", HOT.heat("1.0", share))
    if abs(share) < 0.1 + 1e-9:
        assert found is None and HOT.heat("1.0", share) == "1.0"
        return
    ink, ground = int(found[1]), int(found[2])
    assert contrast(ink, ground) >= 4.5
    assert ground in (BELOW if share < 0 else ABOVE)
    assert HOT.heat("1.0", -share) != HOT.heat("1.0", share)


def test_none_without_colours_and_none_of_what_has_no_size() -> None:
    assert Painter(on=True).heat("1", 1.0) == "1"
    assert HOT.heat("nan", float("nan")) == "nan" and HOT.heat("inf", float("inf")) == "inf"


@pytest.mark.parametrize(
    ("environment", "choice", "hot"),
    [
        ({"TERM": "xterm-256color"}, "always", True),
        ({"TERM": "xterm", "COLORTERM": "truecolor"}, "always", True),
        ({"TERM": "xterm"}, "always", False),
        ({"TERM": "xterm-256color"}, "never", False),
        ({"TERM": "xterm-256color"}, "auto", False),  # no terminal
    ],
)
def test_heat_changes_no_column(environment, choice, hot, capsys, monkeypatch):
    for name in ("COLORTERM", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, text in environment.items():
        monkeypatch.setenv(name, text)
    texts = []
    for color in ("never", choice):
        stages = [part for name in ("*scores", "*mask", "logits") for part in ("--stage", name)]
        assert main(["trace", "cat", *stages, "--color", color]) == 0
        texts.append(capsys.readouterr().out)
    assert re.sub(r"\x1b\[[\d;]*m", "", texts[1]) == texts[0]
    assert (";48;5;" in texts[1]) == hot
    assert not re.search(r";48;5;\d+m(?:\.|0|1|-inf)\x1b", texts[1])  # masks, what is masked
