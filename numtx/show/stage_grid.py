"""The one walk over an array that text, notebook and page share: its matrices with labels, cells
and notes, whole or their corners."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..shapes import AXES, Array
from ..stages.catalogue import Text
from ..stages.graph import Stage
from .grid import Grid, clean, corners
from .headings import pick
from .numbers import MASKED, cell
from .paint import PLAIN, Painter

LARGEST = 32  # rows or columns that are shown without --full
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
    last: int | None = None  # rows of the last tokens only; None: of all
    heads: Mapping[str, Collection[int]] | None = None  # by axis, h and g; None: all
    top: int | None = None  # the largest of the logits; None: as any array


class Marks(NamedTuple):
    """What is to be marked in a stage: cells that are not allowed, cells that are pinned, how an
    exact zero is written (empty: as any number), and cells that are not what they were."""

    mask: Array | None = None
    pinned: Array | None = None
    zero: str = ""
    changed: Array | None = None

    def at(self, place: tuple[int, ...]) -> Marks:
        """Those of one matrix."""
        mask, pinned, changed = (
            None if array is None else array[place]
            for array in (self.mask, self.pinned, self.changed)
        )
        return Marks(mask, pinned, self.zero, changed)

    def sign(self, cell: int | tuple[int, int]) -> str:
        """What stands behind a number: `*` pinned, `!` changed."""
        if self.pinned is not None and self.pinned[cell]:
            return "*"
        return "" if self.changed is None else " !"[int(self.changed[cell])]


NO_MARKS = Marks()
_NO_TITLE = Text("", "")


class Panel(NamedTuple):
    """One matrix of an array, or one line of it where there is one number a token.

    place  its leading indices: a row of the batch, a head; `title` says them where there are
           several
    text   (i, j) -> the text of a cell
    note   i -> what stands right of a row
    mask   True where a cell is not hidden; None: none is
    foot   a second line, under the first: the names of labels
    line   a single row, which has no index of its own
    first  the first token that is shown, where only the last are
    """

    place: tuple[int, ...]
    title: Text
    matrix: Array
    rows: Sequence[str]
    columns: Sequence[str]
    text: Callable[[int, int], str]
    note: Callable[[int], str] | None = None
    mask: Array | None = None
    foot: Sequence[str] = ()
    line: bool = False
    first: int = 0

    def shown(self, full: bool) -> tuple[list[int | None], list[int | None]]:
        """Which rows and columns are shown; None where some are left out."""
        rows, columns = self.matrix.shape
        skipped = [0, self.first] if self.line else [self.first, 0]
        sizes = rows - skipped[0], columns - skipped[1]
        most = max(sizes) if full or max(sizes) <= LARGEST else CORNER
        down, across = (
            [None if i is None else i + start for i in corners(size, most)]
            for size, start in zip(sizes, skipped, strict=True)
        )
        return down, across

    def grid(self, full: bool, lang: str = "en") -> tuple[str, Grid]:
        """As text: its title, and a grid. A line is shown whole, with its title as label."""
        title = pick(lang, *self.title)
        rows, columns = self.shown(full or self.line)
        cells = [
            ["..." if i is None or j is None else self.text(i, j) for j in columns] for i in rows
        ]
        notes = ["" if i is None or self.note is None else self.note(i) for i in rows]
        heads = ["..." if j is None else self.columns[j] for j in columns]
        if self.line:
            lines = [*cells, self.foot] if self.foot else cells
            return "", Grid([title, ""][: len(lines)], heads, lines)
        labels = ["..." if i is None else self.rows[i] for i in rows]
        return title, Grid(labels, heads, cells, () if self.note is None else notes)


class StageGrids:
    """Makes the panels of the stages of one run.

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
        """Whether an array is shown whole, as far as its rows are asked for."""
        rows = min(array.shape[-2], self.style.last or array.shape[-2])
        return self.style.full or max(rows, array.shape[-1]) <= LARGEST

    def panels(
        self, stage: Stage, array: Array, decimals: int, marks: Marks = NO_MARKS
    ) -> Iterator[Panel]:
        """A panel for each row of the batch and each head; the array has axes."""
        line = len(stage.axes) == 2  # one number a token
        if stage.operation == "allowed":  # the same for every head
            array = array[:, :1]
        for place in np.ndindex(array.shape[: 1 if line else -2]):
            if self.style.row not in (None, place[0]) or not self.wanted(stage, array, place):
                continue
            make = self.line if line else self.matrix
            panel = make(stage, place[0], array[place], decimals, marks.at(place))
            parts = [
                tuple(words.format(i) for words in AXES[axis].panel or ())
                for axis, size, i in zip(stage.axes, array.shape, place, strict=False)
                if size > 1
            ]
            title = Text("，".join(zh for zh, _ in parts), ", ".join(en for _, en in parts))
            first = 0
            if self.style.last is not None and stage.axes[-1 if line else -2] in stage.sides:
                first = max(0, array.shape[-1 if line else -2] - self.style.last)
            yield panel._replace(place=place, title=title, first=first)

    def wanted(self, stage: Stage, array: Array, place: tuple[int, ...]) -> bool:
        """Whether a head is to be shown; one that stands for all is."""
        heads = self.style.heads or {}
        return all(
            axis not in heads or size == 1 or i in heads[axis]
            for axis, size, i in zip(stage.axes, array.shape, place, strict=False)
        )

    def line(self, stage: Stage, row: int, array: Array, decimals: int, marks: Marks) -> Panel:
        """One number a token; ignored labels and their losses are shown as masked."""
        length, leaf = len(array), stage.leaf.name
        names = self.tokens["labels"][row] if "labels" in self.tokens else [""] * length
        mask = None
        if leaf in ("labels", "loss.per_token"):
            mask = np.array([[name != MASKED for name in names]])

        def text(i: int, j: int) -> str:
            hidden = mask is not None and not mask[0, j]
            return (MASKED if hidden else cell(array[j].item(), decimals)) + marks.sign(j)

        foot: Sequence[str] = ()
        if leaf == "labels" and self.vocabulary is not None:
            foot = [clean(name) for name in names]
        heads = self.token_labels(stage.sides[stage.axes[-1]], row, length)
        return Panel((), _NO_TITLE, array[None], [""], heads, text, None, mask, foot, line=True)

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
        label = AXES[axis].label if axis in AXES else "d"
        return [f"{label}{i}" for i in range(length)]

    def matrix(self, stage: Stage, row: int, matrix: Array, decimals: int, marks: Marks) -> Panel:
        """A matrix; rows of weights and of probabilities show their sum and largest entry."""
        rows = self.axis_labels(stage, stage.axes[-2], row, matrix.shape[0])
        columns = self.axis_labels(stage, stage.axes[-1], row, matrix.shape[1])
        lang, largest = self.style.lang, self.largest(matrix)

        def text(i: int, j: int) -> str:
            return self.cell(stage, matrix, i, j, decimals, marks, largest)

        def note(i: int) -> str:
            total = float(np.add.reduce(matrix[i]))
            if total == 0.0:
                return pick(lang, "| 和 0  什么也看不到", "| sum 0  sees nothing")
            rest = f"  {pick(lang, '汇', 'sink')} {cell(1.0 - total, decimals)}"
            sink = rest if len(stage.inputs) > 1 else ""
            largest = f"{pick(lang, '最大', 'max')} {columns[int(np.argmax(matrix[i]))]}"
            return f"| {pick(lang, '和', 'sum')} {cell(total, decimals)}{sink}  {largest}"

        # A mask hides where it is False, but its own cells are written as 0.
        mask = matrix if stage.operation == "allowed" else marks.mask
        notes = note if stage.leaf.name in ("weights", "probabilities") else None
        return Panel((), _NO_TITLE, matrix, rows, columns, text, notes, mask)

    def largest(self, matrix: Array) -> float:
        """What heat is measured by: the largest finite number; 0 where there is to be none."""
        if not self.style.painter.hot or matrix.dtype.kind != "f":
            return 0.0
        return float(np.abs(matrix[np.isfinite(matrix)]).max(initial=0.0))

    def cell(
        self,
        stage: Stage,
        matrix: Array,
        i: int,
        j: int,
        decimals: int,
        marks: Marks,
        largest: float = 0.0,
    ) -> str:
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
        elif largest:
            text = self.style.painter.heat(text, number / largest)
        return text + marks.sign((i, j))
