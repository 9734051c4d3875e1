"""The grids of a stage: which cells, labels and notes are shown, before they become text or
HTML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..shapes import Array
from ..stages.graph import Stage
from .grid import Grid, clean, corners, matrices
from .numbers import MASKED, cell
from .paint import PLAIN, Painter

LARGEST = 32  # rows or columns that are shown without --full
CORNER = 6  # rows or columns shown of a larger array
_PLACES = {"b": "row", "h": "head", "g": "key/value head"}


@dataclass(frozen=True)
class Style:
    """How to print."""

    precision: int = 2
    lang: str = "both"
    width: int = 80
    full: bool = False
    row: int | None = None  # of the batch; None: all
    painter: Painter = PLAIN


class Marks(NamedTuple):
    """What is to be marked in a stage: cells that are not allowed, cells that are pinned, and
    how an exact zero is written (empty: as any number)."""

    mask: Array | None = None
    pinned: Array | None = None
    zero: str = ""


NO_MARKS = Marks()


class StageGrids:
    """Makes the grids of the stages of one run.

    tokens      side -> the tokens of each row, with `labels` among them
    vocabulary  names of the logits' columns
    """

    def __init__(
        self,
        tokens: Mapping[str, Sequence[Sequence[str]]],
        vocabulary: Sequence[str] | None,
        style: Style,
    ) -> None:
        self.tokens = tokens
        self.vocabulary = vocabulary
        self.style = style

    def fits(self, array: Array) -> bool:
        """Whether an array is shown whole."""
        return self.style.full or max(array.shape[-2:]) <= LARGEST

    def grids(
        self, stage: Stage, array: Array, decimals: int, marks: Marks = NO_MARKS
    ) -> Iterator[tuple[str, Grid]]:
        """A title and a grid for each row of the batch and each head; the array has axes."""
        if len(stage.axes) == 2:  # one number a token
            yield from self.per_token(stage, array, decimals, marks)
            return
        if stage.operation == "allowed":  # the same for every head
            array = array[:, :1]
            if marks.pinned is not None:
                marks = marks._replace(pinned=marks.pinned[:, :1])
        masks = None if marks.mask is None else matrices(marks.mask)
        pins = None if marks.pinned is None else matrices(marks.pinned)
        for k, (place, matrix) in enumerate(matrices(array)):
            if self.style.row is not None and place[0] != self.style.row:
                continue
            title = ", ".join(
                f"{_PLACES[axis]} {i}"
                for axis, size, i in zip(stage.axes, array.shape, place, strict=False)
                if size > 1
            )
            here = Marks(
                None if masks is None else masks[k][1],
                None if pins is None else pins[k][1],
                marks.zero,
            )
            yield title, self.matrix(stage, place[0], matrix, decimals, here)

    def per_token(
        self, stage: Stage, array: Array, decimals: int, marks: Marks
    ) -> Iterator[tuple[str, Grid]]:
        """One line a row of the batch; ignored labels and their losses are shown as masked."""
        side, rows = stage.sides[stage.axes[-1]], array.shape[0]
        labelled = stage.leaf.name in ("labels", "loss.per_token")
        for row in range(rows):
            if self.style.row not in (None, row):
                continue
            heads = self.token_labels(side, row, array.shape[1])
            names = self.tokens.get("labels", [[""] * array.shape[1]] * rows)[row]
            cells = []
            for t, x in enumerate(array[row].tolist()):
                text = MASKED if labelled and names[t] == MASKED else cell(x, decimals)
                if marks.pinned is not None and marks.pinned[row, t]:
                    text += "*"
                cells.append(text)
            body, labels = [cells], [f"row {row}" if rows > 1 else ""]
            if stage.leaf.name == "labels" and self.vocabulary is not None:
                body.append([clean(name) for name in names])
                labels.append("")
            yield "", Grid(labels, heads, body)

    def token_labels(self, side: str, row: int, length: int) -> list[str]:
        """`2 天`, `3 天`: position and token."""
        names = self.tokens.get(side)
        if names is None:
            return [str(i) for i in range(length)]
        return [f"{i} {clean(name)}" for i, name in enumerate(names[row])]

    def axis_labels(self, stage: Stage, axis: str, row: int, length: int) -> list[str]:
        """Labels along an axis: tokens, words of the vocabulary, or numbered components."""
        if axis in stage.sides:
            return self.token_labels(stage.sides[axis], row, length)
        if axis == "v" and self.vocabulary is not None and len(self.vocabulary) == length:
            return [f"{i} {clean(name)}" for i, name in enumerate(self.vocabulary)]
        letter = {"f": "f", "v": ""}.get(axis, "d")
        return [f"{letter}{i}" for i in range(length)]

    def matrix(self, stage: Stage, row: int, matrix: Array, decimals: int, marks: Marks) -> Grid:
        """The grid of one matrix: all of it, or its corners."""
        most = max(matrix.shape) if self.fits(matrix) else CORNER
        rows, row_gap = corners(matrix.shape[0], most)
        columns, column_gap = corners(matrix.shape[1], most)
        row_labels = self.axis_labels(stage, stage.axes[-2], row, matrix.shape[0])
        column_labels = self.axis_labels(stage, stage.axes[-1], row, matrix.shape[1])
        body = [[self.cell(stage, matrix, i, j, decimals, marks) for j in columns] for i in rows]
        notes = self.notes(stage, matrix, rows, column_labels, decimals)
        labels = [row_labels[i] for i in rows]
        heads = [column_labels[j] for j in columns]
        if column_gap is not None:
            for line in (heads, *body):
                line.insert(column_gap + 1, "...")
        if row_gap is not None:
            labels.insert(row_gap + 1, "...")
            body.insert(row_gap + 1, ["..."] * len(heads))
            if notes:
                notes.insert(row_gap + 1, "")
        return Grid(labels, heads, body, notes)

    def cell(self, stage: Stage, matrix: Array, i: int, j: int, decimals: int, marks: Marks) -> str:
        """One cell; a masked one is `.` (in masked_scores the -inf that it is)."""
        number = matrix[i, j].item()
        hidden = marks.mask is not None and not marks.mask[i, j]
        if hidden and stage.leaf.name != "masked_scores":
            text = MASKED
        elif marks.zero and number == 0:
            text = marks.zero
        else:
            text = cell(number, decimals)
        if hidden or number is False:
            text = self.style.painter.dim(text)
        if marks.pinned is not None and marks.pinned[i, j]:
            text += "*"
        return text

    def notes(
        self,
        stage: Stage,
        matrix: Array,
        rows: Sequence[int],
        labels: Sequence[str],
        decimals: int,
    ) -> list[str]:
        """Rows of weights and of probabilities show their sum and their largest entry."""
        if stage.leaf.name not in ("weights", "probabilities"):
            return []
        notes = []
        for i in rows:
            total = float(np.add.reduce(matrix[i]))
            if total == 0.0:
                notes.append("| sum 0  sees nothing")
            else:
                best = labels[int(np.argmax(matrix[i]))]
                notes.append(f"| sum {cell(total, decimals)}  max {best}")
        return notes
