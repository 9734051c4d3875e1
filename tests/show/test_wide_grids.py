"""Grids of more rows and columns than are shown at once, as text, in a notebook and on the page:
every cell in its own place; and a zero that is no masked one."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from html import unescape

import numpy as np
import pytest

from numtx import Batch, Config, record
from numtx.models import parameters_of
from numtx.page.page import Heading
from numtx.page.report import trace_report
from numtx.show.grid import Grid, display_width, grid_text
from numtx.show.numbers import fixed
from numtx.show.stage_grid import Marks, Panel, StageGrids, Style
from numtx.show.trace_text import trace_text
from numtx.show.walk import walk
from numtx.stages.catalogue import Text
from numtx.trace.trace import Trace

LENGTH = 45
CONFIG = Config(
    model="decoder-only", width=6, heads=2, decoder_layers=1, hidden=39, vocabulary=41, window=34
)
IDS = (7 * np.arange(LENGTH) % 41)[None]
WORDS = [f"w{n}" for n in range(41)]
TRACE = record(
    CONFIG, parameters_of(CONFIG, 3), Batch(IDS, labels=(IDS + 1) % 41), vocabulary=WORDS,
    tokens={"decoder": [[WORDS[i] for i in IDS[0]]], "labels": [["l"] * LENGTH]},
)  # fmt: skip
PLACE = "decoder.0.self_attention"
WIDE = [f"{PLACE}.weights", "decoder.0.feed_forward.hidden", "logits", f"{PLACE}.keys"]


def shown(name: str, full: bool) -> tuple[list[int], list[int]]:
    """Which rows and columns: all, or those of the corners where there are more than 32."""
    rows, columns = TRACE[name].shape[-2:]
    if full:
        return list(range(rows)), list(range(columns))
    few = [list(range(n)) if n <= 6 else [0, 1, 2, n - 3, n - 2, n - 1] for n in (rows, columns)]
    return few[0], few[1]


def expected(name: str, matrix: np.ndarray, i: int, j: int, head: tuple[int, ...]) -> str:
    hidden = name.endswith("weights") and not TRACE[f"{PLACE}.mask"][(*head, i, j)]
    return "." if hidden else fixed(float(matrix[i, j]), 2)


def label(name: str, axis: int, n: int) -> str:
    if axis == 0 or name.endswith("weights"):
        return f"{n} {WORDS[IDS[0, n]]}"
    return {"hidden": f"f{n}", "logits": f"{n} w{n}", "keys": f"d{n}"}[name.rpartition(".")[2]]


@pytest.mark.parametrize("width", [40, 80, 333])
def test_panels_of_a_wide_grid_give_every_cell_once_and_in_order(width: int) -> None:
    columns = [f"c{j}" for j in range(70)]
    cells = [[f"{i}.{j:03d}" for j in range(70)] for i in range(3)]
    text = grid_text(Grid(["r0", "r1", "r2"], columns, cells, ["| a", "", "| b"]), width)
    assert max(display_width(line) for line in text.split("\n")) <= width
    panels = [panel.split("\n") for panel in text.split("\n\n")]
    assert len(panels) == {40: 15, 80: 7, 333: 2}[width]
    assert [head for panel in panels for head in panel[0].split()] == columns
    for i in range(3):
        lines = [panel[i + 1].split("|")[0].split() for panel in panels]
        assert [line[0] for line in lines] == [f"r{i}"] * len(panels)
        assert [cell for line in lines for cell in line[1:]] == cells[i]
    assert [line.rstrip()[-3:] for line in panels[-1][1:]] == ["| a", "069", "| b"]
    assert not any("|" in line for panel in panels[:-1] for line in panel)


def panels_of(trace: Trace, name: str, style: Style) -> Iterator[Panel]:
    """What text, notebook and page make their grids of."""
    (found,) = walk(trace, style, [name])
    return StageGrids(trace.tokens, WORDS, style).panels(found.stage, found.value, 2, found.marks)


@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("name", WIDE)
def test_every_cell_and_label_stands_in_its_place(name: str, full: bool) -> None:
    """In the grid that text and notebook are made of, and in the table of the page."""
    style = Style(full=full)
    rows, columns = shown(name, full)
    found = [panel.grid(full)[1] for panel in panels_of(TRACE, name, style)]
    page = trace_report(TRACE, Heading(Text("", "")), style, [name])
    tables = re.findall(rf'<table[^>]*data-of="{name}"[^>]*>.*?</table>', page, re.S)
    matrices = TRACE[name].reshape(-1, *TRACE[name].shape[-2:])
    assert len(found) == len(tables) == len(matrices)
    for k, (matrix, grid, table) in enumerate(zip(matrices, found, tables, strict=True)):
        head = (0, k)
        heads = [label(name, 1, j) for j in columns]
        labels = [label(name, 0, i) for i in rows]
        cells = [[expected(name, matrix, i, j, head) for j in columns] for i in rows]
        assert [h for h in grid.columns if h != "..."] == heads
        assert [r for r in grid.rows if r != "..."] == labels
        lines = [line for line in grid.cells if set(line) != {"..."}]
        assert [[cell for cell in line if cell != "..."] for line in lines] == cells
        notes = [f"| sum 1.00  max {label(name, 1, int(matrix[i].argmax()))}" for i in rows]
        if name.endswith("weights"):
            assert [note for note in grid.notes if note] == notes
            told = re.findall(r'<td class="note">(.*?)</td>', table)
            assert [f"| {unescape(note)}" for note in told] == notes
        gap = len(columns) < matrix.shape[1]
        assert grid.columns.count("...") == gap and all(line[3] == "..." for line in lines if gap)
        heads_html = re.findall(r'<th scope="col">(.*?)</th>', table)
        assert list(map(unescape, heads_html)) == heads
        body = re.findall(r'<tr><th scope="row">(.*?)</th>(.*?)</tr>', table, re.S)
        body = [(row, line) for row, line in body if row != "..."]
        assert [unescape(row) for row, _ in body] == labels
        for (_, line), wanted in zip(body, cells, strict=True):
            texts = re.findall(r"<td(?: class=\w+)?>(.*?)</td>", line)
            assert [text for text in texts if text != "..."] == wanted


def test_a_large_array_is_shown_by_its_corners_in_every_form() -> None:
    style = Style()
    assert not StageGrids({}, None, style).fits(np.zeros((2, 33)))
    assert not StageGrids({}, None, style).fits(np.zeros((33, 2)))
    assert StageGrids({}, None, style).fits(np.zeros((40, 32, 32)))
    text = "\n".join(trace_text(TRACE, style, [f"{PLACE}.weights"]))
    html = TRACE.stage(f"{PLACE}.weights")._repr_html_()
    assert all(f"float64[1,2,{LENGTH},{LENGTH}]" in shown for shown in (text, html))
    assert html.count("...") > 20


@pytest.mark.parametrize("zero", [0.0, 1e-9, -0.0])
def test_an_allowed_weight_of_0_is_no_masked_one(zero: float) -> None:
    """`.` is what the mask hides, whatever its number; a 0 that it allows is a number."""
    name = f"{PLACE}.weights"
    weights = TRACE[name].copy()
    weights[0, 0, 2, 1] = zero
    trace = dataclasses.replace(TRACE, values={**TRACE.values, name: weights})
    stage, grids = trace.graph[name], StageGrids(trace.tokens, WORDS, Style())
    _, grid = next(panels_of(trace, name, Style())).grid(False)
    assert (grid.cells[2][1], grid.cells[0][1], grid.cells[1][2]) == ("0.00", ".", ".")
    page = trace_report(trace, Heading(Text("", "")), Style(), [name])
    row = re.findall(r'<tr><th scope="row">2 .*?</tr>', page)[0]
    texts = re.findall(r"<td( class=\w+)?>(.*?)</td>", row)
    assert texts[1] == ("", "0.00") and texts[-2][0] == " class=x" and texts[-2][1] == "."
    scores = f"{PLACE}.masked_scores"
    _, grid = next(panels_of(trace, scores, Style())).grid(False)
    assert grid.cells[0][1] == "-inf"
    mask = np.array([[True, False]])
    for number, text in ((0.0, "."), (0.5, "."), (1.0, ".")):
        cell = grids.cell(stage, np.array([[0.0, number]]), 0, 1, 2, Marks(mask))
        assert cell == text
    assert grids.cell(stage, np.zeros((1, 2)), 0, 0, 2, Marks(mask)) == "0.00"
    assert grids.cell(stage, np.zeros((1, 2)), 0, 0, 2, Marks(mask, zero="0")) == "0"
