"""`numtx trace --set`: what a stage was beside what it is, with the cells that changed marked."""

from __future__ import annotations

import re

import pytest
import terminal
from widths import out_of_line, too_wide

from numtx.examples.registry import load_example

PLACE = "decoder.0.self_attention"
SET = ["--set", f"{PLACE}.values[0,0,2,1]=0.25", "--lang", "en"]


def printed(capsys, monkeypatch, stage: str, width: int, *more: str) -> str:
    monkeypatch.setenv("COLUMNS", str(width))
    code, out, err = terminal.run(capsys, "trace", "cat", *SET, "--stage", stage, *more)
    assert (code, err) == (0, "") and too_wide(out, width) == []
    part = out.partition(f"] {stage.rpartition('.')[2]} ")[2]
    assert part and not list(out_of_line(part))
    return part


@pytest.mark.parametrize("width", [80, 30])
def test_the_cells_that_changed_are_marked(width, capsys, monkeypatch):
    example = load_example("cat")
    before = example.trace()
    pins = {f"{PLACE}.values": {(0, 0, 2, 1): 0.25}}
    after = example.trace(pins={name: pin_of(before, name, cells) for name, cells in pins.items()})
    out = printed(capsys, monkeypatch, f"{PLACE}.context", width)
    beside = "before             now (! = changed)" in re.sub(" {2,}", " " * 13, out)
    assert beside == (width == 80)
    name = f"{PLACE}.context"
    cells = re.findall(r"(-?\d\.\d\d)(!?)(?=\s)", out)
    was, now = (trace[name].reshape(10, 2) for trace in (before, after))
    assert sum(mark == "!" for _, mark in cells) == int((was != now).sum()) > 0
    if width == 80:
        lines = [re.findall(r"(-?\d\.\d\d)(!?)", line) for line in out.splitlines()]
        rows = [line for line in lines if len(line) == 4]
        assert len(rows) == 10
        for row, a, b in zip(rows, was, now, strict=True):
            assert [text for text, _ in row] == [f"{x:.2f}" for x in (*a, *b)]
            assert [mark == "!" for _, mark in row] == [False, False, *(a != b)]


def pin_of(trace, name, cells):
    from numtx.trace.what_if import read_settings

    (cell, value), *_ = cells.items()
    where = ",".join(map(str, cell))
    return read_settings([f"{name}[{where}]={value}"], trace)[name]


def test_what_is_as_it_was_stands_alone_and_a_held_cell_has_its_own_mark(capsys, monkeypatch):
    assert "before" not in printed(capsys, monkeypatch, f"{PLACE}.keys", 80)
    out = printed(capsys, monkeypatch, f"{PLACE}.values", 80)
    assert "before" in out and "0.25*" in out and "!" not in out.partition("changed)")[2]
    out = printed(capsys, monkeypatch, f"{PLACE}.queries", 80, "--gradients")
    value, gradient = out.split("gradient  d loss")
    assert "before" not in value and "before" in gradient and "!" in gradient
