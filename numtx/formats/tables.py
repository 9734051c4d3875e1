"""A trace as CSV files, one a stage, for a spreadsheet or a data frame."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..files import make_folder, write_text
from ..shapes import AXES, Array
from ..show.headings import on_one_line
from ..show.stage_grid import StageGrids, Style
from ..show.walk import walk
from ..stages.graph import Stage
from ..trace.trace import Trace

INDEX = "stages.csv"
HEAD = ["number", "stage", "shape", "formula", "title", "file"]


def write_csv(
    trace: Trace,
    folder: str | Path,
    stages: list[str] | None = None,
    gradients: bool = False,
    lang: str = "en",
) -> list[str]:
    """Write each stage's array to `STAGE.csv` in a folder, its gradient to `grad.STAGE.csv`, and
    a list of them, with number, shape, formula and title, to `stages.csv`. Returns the names.

    The last axis stands across; in front of the numbers the places along the others have a column
    each, and tokens one more. Numbers have all digits, and what is not finite is inf, -inf, nan;
    a byte order mark lets spreadsheets read tokens as UTF-8. Files that a list which stood there
    before names, and that are not written again, are removed.

    Raises `FileError` where the folder cannot be made or a file cannot be written.
    """
    path = make_folder(folder)
    before = _listed(path / INDEX)
    style = Style(lang=lang, full=True)
    grids = StageGrids(trace.tokens, trace.vocabulary, style)
    listed: list[list[Any]] = [HEAD]
    for shown in walk(trace, style, stages):
        stage, name = shown.stage, shown.stage.name
        title, arrays = on_one_line(stage.leaf.title, lang), {name: shown.value}
        if gradients and shown.gradient is not None:
            arrays[f"grad/{name}"] = shown.gradient[0]
        for what, array in arrays.items():
            file = _file_of(what)
            _write(path / file, _rows(stage, array, grids))
            shape = "x".join(map(str, array.shape))
            formula = stage.formula if what == name else f"d loss / d {name}"
            listed.append([shown.number, what, shape, formula, title, file])
    _write(path / INDEX, iter(listed))
    files = [row[-1] for row in listed[1:]]
    for name in before - {INDEX, *files}:
        (path / name).unlink()
    return files


def _listed(index: Path) -> set[str]:
    """The files beside a list of `write_csv` that it names: as their stages are called, no path."""
    try:
        with index.open(encoding="utf-8-sig", newline="") as file:
            head, *rows = csv.reader(file)
        if head != HEAD or any(len(row) != len(HEAD) for row in rows):
            return set()
        own = {name for _, stage, *_, name in rows if name == _file_of(stage)}
        return {n for n in own if Path(n).name == n and index.with_name(n).is_file()}
    except (OSError, ValueError, csv.Error):  # no list, or none of ours
        return set()


def _file_of(what: str) -> str:
    return f"{what.replace('/', '.')}.csv"


def _write(path: Path, rows: Iterator[list[Any]]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    write_text(path, f"\ufeff{text.getvalue()}")


def _rows(stage: Stage, array: Array, grids: StageGrids) -> Iterator[list[Any]]:
    """The head, and a row for each place along all axes but the last."""
    if array.ndim == 0:
        yield ["value"]
        yield [array.item()]
        return
    *places, across = stage.axes
    heads: list[str] = []
    for axis in places:
        heads += [_word(axis), *(["token"] if axis in stage.sides else [])]
    length = array.shape[-1]
    one = across not in stage.sides or array.shape[0] == 1  # rows of the batch have other tokens
    columns = (
        grids.axis_labels(stage, across, 0, length) if one else [str(j) for j in range(length)]
    )
    yield [*heads, *columns]
    for place in np.ndindex(array.shape[:-1]):
        row: list[Any] = []
        for axis, i in zip(places, place, strict=True):
            row.append(i)
            if axis in stage.sides:
                row.append(_token(grids, stage.sides[axis], place[0], i))
        yield [*row, *array[place].tolist()]


def _word(axis: str) -> str:
    return AXES[axis].name if axis in AXES else axis


def _token(grids: StageGrids, side: str, row: int, position: int) -> str:
    names = grids.tokens.get(side)
    return "" if names is None else names[row][position]
