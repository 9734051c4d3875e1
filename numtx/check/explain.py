"""How a cell of a recorded run came about: its arithmetic, and that of what it was made from."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np

from ..errors import StageError, nearest
from ..explaining.explanation import Equation, Explanation, Expression, Many, shown_index
from ..explaining.writing import arithmetic, cells_of, near
from ..oracle.gradients import Reader, consumers
from ..oracle.oracle import Oracle
from ..shapes import Array
from ..trace.trace import Trace

LIMIT = 60  # explanations of one cell, unless more are asked for


class Address(NamedTuple):
    """A cell: a stage, or `parameters/NAME`, and its full index."""

    name: str
    cell: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.name}[{','.join(map(str, self.cell))}]"


def find_cells(trace: Trace, text: str) -> list[Address]:
    """The cells that an address names: `NAME[4,1]`, where leading axes of size one may be left
    out; `NAME` alone for a single number; `NAME[pinned]` for all pinned cells of a stage.

    Raises `StageError` for an address that names no cell.
    """
    match = re.fullmatch(r"([^\[\]]+)(?:\[([^\[\]]*)\])?", text.strip())
    if match is None:
        raise StageError(f"address {text!r}: write a stage and an index, such as 'logits[4,1]'")
    name, inside = match[1].strip(), match[2]
    array = array_of(trace, name)
    if inside is not None and inside.strip() == "pinned":
        if name not in trace.pins:
            raise StageError(f"address {text!r}: no cell of {name} is pinned")
        places = np.argwhere(trace.pins[name]).tolist()
        return [Address(name, tuple(place)) for place in places]
    try:
        given = tuple(int(part) for part in (inside or "").split(",") if inside)
    except ValueError:
        raise StageError(
            f"address {text!r}: an index is whole numbers with commas, such as [4,1]"
        ) from None
    missing = array.ndim - len(given)
    if missing < 0 or any(length != 1 for length in array.shape[:missing]):
        raise StageError(
            f"address {text!r}: {name} has shape {array.shape}, and {len(given)} numbers do not "
            "name a cell of it (leading axes of size one may be left out)"
        )
    index = (0,) * missing + given
    for axis, (i, length) in enumerate(zip(index, array.shape, strict=True)):
        if not 0 <= i < length:
            raise StageError(
                f"address {text!r}: {i} on axis {axis} of {name}, which goes from 0 to "
                f"{length - 1} (shape {array.shape})"
            )
    return [Address(name, index)]


def array_of(trace: Trace, name: str) -> Array:
    """A stage's value, or a parameter; an error names what is like it."""
    if name not in trace.arrays:
        raise StageError(f"stage {name!r} is not in this trace; {nearest(name, trace.arrays)}")
    return trace.arrays[name]


def explain(
    trace: Trace, name: str, index: tuple[int, ...], depth: int = 1, limit: int = LIMIT
) -> Explanation:
    """The arithmetic of a cell, and of the cells that it was made from, `depth` stages back.

    A cell made from one other (scores from products) brings that along whatever the depth.
    """
    return _Explainer(trace, limit).value(name, index, depth)


def explain_gradient(
    trace: Trace, name: str, index: tuple[int, ...], depth: int = 1, limit: int = LIMIT
) -> Explanation:
    """The gradient at a cell: the sum over its consumers of their gradient times the partial
    derivative, and the gradients that it is made from, `depth` stages on."""
    trace.grad(name)  # an error where there is none
    return _Explainer(trace, limit).gradient(name, index, depth)


class _Explainer:
    """Walks through a run from one cell; no cell is explained twice."""

    def __init__(self, trace: Trace, limit: int) -> None:
        self.trace = trace
        self.oracle: Oracle = trace.oracle()
        self.left = limit
        self.seen: set[tuple[str, int]] = set()

    def value(
        self, name: str, index: tuple[int, ...], depth: int, inline: bool = False
    ) -> Explanation:
        trace, cells = self.trace, self.oracle.cells(name)
        offset = cells.offset(index)
        self.seen.add((name, offset))
        recorded = cells.value(offset)
        if name not in trace.graph:
            kind = "a parameter" if name.startswith("parameters/") else "a count of the input"
            return Explanation(name, index, "value", recorded, "", (), (f"{kind}: given",))
        stage = trace.graph[name]
        pinned = name in trace.pins and bool(trace.pins[name][index])
        missing = [source for source in stage.inputs if source not in trace.arrays]
        if missing:
            note = f"cannot be recomputed: {', '.join(missing)} was not recorded"
            return Explanation(name, index, "value", recorded, stage.formula, (), (note,), pinned)
        steps, notes = arithmetic(self.oracle, stage, index)
        onward = [key for key in cells_of(steps) if key[0] in trace.graph]
        floats = [x for x in onward if trace[x[0]].dtype.kind == "f"]
        sources: list[Explanation] = []
        if depth > 1:
            sources = self.follow(onward, depth - 1)
        elif len(floats) == 1:
            sources = self.follow(floats, depth, inline=True)
        return Explanation(
            name, index, "value", recorded, stage.formula, steps, notes, pinned, tuple(sources),
            inline,
        )  # fmt: skip

    def follow(
        self, onward: list[tuple[str, int]], depth: int, inline: bool = False
    ) -> list[Explanation]:
        fresh = self.fresh(onward)
        return [
            self.value(source, self.oracle.cells(source).index(offset), depth, inline)
            for source, offset in fresh
        ]

    def fresh(self, onward: list[tuple[str, int]]) -> list[tuple[str, int]]:
        """Cells that nothing has explained yet, as many as may still be; they are now taken."""
        found = [key for key in onward if key not in self.seen][: max(self.left, 0)]
        self.seen.update(found)
        self.left -= len(found)
        return found

    def gradient(self, name: str, index: tuple[int, ...], depth: int) -> Explanation:
        trace = self.trace
        recorded = trace.grad(name)[index].item()
        self.seen.add((name, self.oracle.cells(name).offset(index)))
        groups: dict[str, list[Reader]] = {}
        for share in consumers(self.oracle, name, index):
            if share.stage.name in trace.gradients and not self.is_pinned(share):
                groups.setdefault(share.stage.name, []).append(share)
        notes: list[str] = []
        missing = [
            stage.name
            for stage in trace.graph.consumers.get(name, ())
            if stage.name in trace and not self.oracle.has(stage)
        ]
        if missing:
            notes.append(
                f"inputs of {', '.join(missing)} were not recorded: their share is left out"
            )
        steps: list[Equation] = []
        for number, (consumer, shares) in enumerate(groups.items(), 1):
            steps.append(self.share_step(f"s{number}", name, consumer, shares, notes))
        if not groups:
            if not trace.graph.consumers.get(name):
                notes.append("the backward pass starts here")
            else:
                notes.append("nothing that has a gradient depends on this cell: it is exactly 0")
                steps.append(Equation("", "no consumer", (("0.0",),), 0.0))
        elif len(steps) == 1:
            steps[0] = steps[0]._replace(left="")
        else:
            total = sum(step.value for step in steps)
            names: tuple[Expression, ...] = tuple((step.left,) for step in steps)
            steps.append(Equation("", "all consumers", ((Many(names),),), total))
        sources = []
        if depth > 1:
            onward = [
                (consumer, self.oracle.cells(consumer).offset(share.cell))
                for consumer, shares in groups.items()
                for share in shares
                if share.partial and trace.grad(consumer)[share.cell]
            ]
            for consumer, offset in self.fresh(onward):
                place = self.oracle.cells(consumer).index(offset)
                sources.append(self.gradient(consumer, place, depth - 1))
        pinned = name in trace.pins and bool(trace.pins[name][index])
        formula = "sum over consumers of gradient * partial derivative"
        return Explanation(
            name, index, "gradient", recorded, formula, tuple(steps), tuple(notes), pinned,
            tuple(sources),
        )  # fmt: skip

    def is_pinned(self, share: Reader) -> bool:
        pins = self.trace.pins.get(share.stage.name)
        return pins is not None and bool(pins[share.cell])

    def share_step(
        self, left: str, name: str, consumer: str, shares: list[Reader], notes: list[str]
    ) -> Equation:
        """What reaches a cell through one stage."""
        gradient = self.trace.grad(consumer)
        pairs = [(gradient[share.cell].item(), share.partial) for share in shares]
        terms: tuple[Expression, ...] = tuple((g, "*", p) for g, p in pairs if g and p)
        if len(terms) < len(pairs):
            notes.append(
                f"{near(consumer, name)}: {len(pairs) - len(terms)} of {len(pairs)} shares are 0"
            )
        where = shown_index(gradient.shape, shares[0].cell)
        if len(shares) > 1:
            where += f" and {len(shares) - 1} more"
        partial = f"d {near(consumer, name).rpartition('.')[2]} / d {name.rpartition('.')[2]}"
        symbols = f"{near(consumer, name)}{where}: gradient * {partial}"
        if not terms:
            return Equation(left, symbols, (("0.0",),), 0.0)
        products: tuple[Expression, ...] = tuple((g * p,) for g, p in pairs if g and p)
        value = sum(g * p for g, p in pairs)
        return Equation(left, symbols, ((Many(terms),), (Many(products),)), value)
