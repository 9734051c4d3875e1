"""One stage as text: heading, formula, shapes, grid, and one line of why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..shapes import Array
from ..stages.resolve import Stage
from .grid import Grid, clean, corners, grid_text, matrices
from .headings import say, shape_arithmetic
from .numbers import MASKED, cell, decimals_for, summary
from .paint import PLAIN, Painter

LARGEST = 32  # rows or columns that are printed without --full
CORNER = 6  # rows or columns shown of a larger array


@dataclass(frozen=True)
class Style:
    """How to print."""

    precision: int = 2
    lang: str = "both"
    width: int = 80
    full: bool = False
    row: int | None = None  # of the batch; None: all
    painter: Painter = PLAIN


class StagePrinter:
    """Prints the stages of one run.

    shapes      of every stage and parameter, for the shape arithmetic
    tokens      side -> the tokens of each row, with `labels` among them
    vocabulary  names of the logits' columns
    """

    def __init__(
        self,
        shapes: Mapping[str, Sequence[int]],
        tokens: Mapping[str, Sequence[Sequence[str]]],
        vocabulary: Sequence[str] | None,
        style: Style,
    ) -> None:
        self.shapes = shapes
        self.tokens = tokens
        self.vocabulary = vocabulary
        self.style = style

    def stage(
        self,
        number: int,
        stage: Stage,
        array: Array,
        mask: Array | None = None,
        pinned: Array | None = None,
    ) -> str:
        """A stage with its number in computing order. Cells where `mask` is False are shown
        as masked; cells where `pinned` is True are marked."""
        leaf = stage.leaf.name
        head = f"[{number}] {leaf}"
        shapes = shape_arithmetic(stage, self.shapes)
        if array.size == 1:
            shapes = ""
        title = say(stage.leaf.title, self.style.lang)
        parts = [part for part in (head, title, stage.formula, shapes) if part]
        lines = [self.style.painter.bold("   ".join(parts))]
        lines.append(self.array(stage, array, mask, pinned, self.style.precision))
        lines.append(f"why: {say(stage.leaf.why, self.style.lang)}")
        return "\n".join(lines)

    def gradient(self, stage: Stage, gradient: Array) -> str:
        """The gradient at a stage."""
        decimals = decimals_for(gradient, self.style.precision)
        name = stage.name
        head = f"gradient  d loss / d {name}"
        if decimals > self.style.precision:
            head += f"   shown to {decimals} decimals"
        return "\n".join(
            [
                self.style.painter.bold(head),
                self.array(stage, gradient, None, None, decimals, zero="0"),
            ]
        )

    def array(
        self,
        stage: Stage,
        array: Array,
        mask: Array | None,
        pinned: Array | None,
        decimals: int,
        zero: str = "",
    ) -> str:
        """The grids of an array, one for each row of the batch and each head. An exact zero
        is shown as `zero` where that is given."""
        if array.ndim == 0:
            return f"  {stage.name} = {cell(array.item(), max(decimals, 4))}"
        blocks = []
        axes = stage.axes
        if len(axes) == 2:  # one number a token: a row of the batch is a row of the grid
            return self.per_token(stage, array, decimals, pinned)
        if stage.operation == "allowed":  # the same for every head
            array = array[:, :1]
            pinned = None if pinned is None else pinned[:, :1]
        if not self.fits(array):
            blocks.append(summary(array))
        masks = None if mask is None else matrices(mask)
        pins = None if pinned is None else matrices(pinned)
        for k, (place, matrix) in enumerate(matrices(array)):
            if self.style.row is not None and place[0] != self.style.row:
                continue
            title = self.place_title(axes, array.shape, place)
            seen = None if masks is None else masks[k][1]
            held = None if pins is None else pins[k][1]
            grid = self.matrix_grid(stage, place, matrix, seen, held, decimals, zero)
            blocks.append((title + "\n" if title else "") + grid_text(grid, self.style.width))
        return "\n".join(blocks)

    def fits(self, array: Array) -> bool:
        return self.style.full or max(array.shape[-2:]) <= LARGEST

    def place_title(self, axes: Sequence[str], shape: Sequence[int], place: Sequence[int]) -> str:
        names = {"b": "row", "h": "head", "g": "key/value head"}
        return ", ".join(
            f"{names[axis]} {i}"
            for axis, size, i in zip(axes, shape, place, strict=False)
            if size > 1
        )

    def per_token(self, stage: Stage, array: Array, decimals: int, pinned: Array | None) -> str:
        side = stage.sides["t"]
        blocks = []
        for row in range(array.shape[0]):
            if self.style.row not in (None, row):
                continue
            names = self.token_labels(side, row, array.shape[1])
            ignored = self.tokens.get("labels", [[]] * array.shape[0])[row]
            cells = []
            for t, x in enumerate(array[row].tolist()):
                text = cell(x, decimals)
                if stage.leaf.name in ("labels", "loss.per_token") and ignored[t : t + 1] == ["."]:
                    text = MASKED
                if pinned is not None and pinned[row, t]:
                    text += "*"
                cells.append(text)
            label = f"row {row}" if array.shape[0] > 1 else ""
            body, rows = [cells], [label]
            if stage.leaf.name == "labels":
                body.append([clean(name) for name in self.tokens["labels"][row]])
                rows.append("")
            blocks.append(grid_text(Grid(rows, names, body), self.style.width))
        return "\n".join(blocks)

    def token_labels(self, side: str, row: int, length: int) -> list[str]:
        """`2 天`, `3 天`: position and token."""
        names = self.tokens.get(side)
        if names is None:
            return [str(i) for i in range(length)]
        return [f"{i} {clean(name)}" for i, name in enumerate(names[row])]

    def axis_labels(self, stage: Stage, axis: str, row: int, length: int) -> list[str]:
        if axis in stage.sides:
            return self.token_labels(stage.sides[axis], row, length)
        if axis == "v" and self.vocabulary is not None and len(self.vocabulary) == length:
            return [f"{i} {clean(name)}" for i, name in enumerate(self.vocabulary)]
        letter = {"f": "f", "v": ""}.get(axis, "d")
        return [f"{letter}{i}" for i in range(length)]

    def matrix_grid(
        self,
        stage: Stage,
        place: Sequence[int],
        matrix: Array,
        mask: Array | None,
        pinned: Array | None,
        decimals: int,
        zero: str,
    ) -> Grid:
        axes, row = stage.axes, place[0]
        most = max(matrix.shape) if self.fits(matrix) else CORNER
        rows, row_gap = corners(matrix.shape[0], most)
        columns, column_gap = corners(matrix.shape[1], most)
        row_labels = self.axis_labels(stage, axes[-2], row, matrix.shape[0])
        column_labels = self.axis_labels(stage, axes[-1], row, matrix.shape[1])
        painter = self.style.painter
        body = []
        for i in rows:
            cells = []
            for j in columns:
                hidden = mask is not None and not mask[i, j]
                if hidden and stage.leaf.name != "masked_scores":
                    text = painter.dim(MASKED)
                else:
                    text = cell(matrix[i, j].item(), decimals)
                    if zero and matrix[i, j] == 0.0:
                        text = zero
                    if hidden or (text == "0" and matrix.dtype.kind == "b"):
                        text = painter.dim(text)
                if pinned is not None and pinned[i, j]:
                    text += "*"
                cells.append(text)
            body.append(cells)
        notes = self.notes(stage, matrix, rows, column_labels, decimals)
        labels = [row_labels[i] for i in rows]
        heads = [column_labels[j] for j in columns]
        if column_gap is not None:
            heads.insert(column_gap + 1, "...")
            for cells in body:
                cells.insert(column_gap + 1, "...")
        if row_gap is not None:
            labels.insert(row_gap + 1, "...")
            body.insert(row_gap + 1, ["..."] * len(heads))
            if notes:
                notes.insert(row_gap + 1, "")
        return Grid(labels, heads, body, notes)

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


def rounding_rule(precision: int, dtype: str) -> str:
    """What a reader needs to know of the digits."""
    return (
        f"shown to {precision} decimal{'s' * (precision != 1)}, computed in {dtype}; rounded for display only, "
        f"'{MASKED}' = masked, exactly 0"
    )
