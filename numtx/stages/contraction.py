"""The walk of a contraction through its operands, over plain numbers."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..shapes import parse
from .cells import Cells
from .resolve import Stage

if TYPE_CHECKING:
    from .oracle import Oracle


def _coefficients(axes: Sequence[str], cells: Cells, sizes: Mapping[str, int]) -> dict[str, int]:
    """How far the flat place of an operand's cell moves when a letter goes up by one."""
    found = {}
    for axis, step in zip(axes, cells.strides, strict=True):
        for letter in reversed(axis):
            found[letter] = step
            step *= sizes[letter]
    return found


class Contraction:
    """How a stage's specification walks through its operands: worked out once a stage."""

    def __init__(self, oracle: Oracle, stage: Stage) -> None:
        specification = parse(stage.specification)
        self.sizes = oracle.sizes(stage)
        self.result = specification.result
        self.operands = [oracle.cells(name) for name in stage.inputs]
        self.steps = [
            _coefficients(axes, cells, self.sizes)
            for axes, cells in zip(specification.operands, self.operands, strict=False)
        ]
        self.is_context = stage.leaf.name in ("context", "latent_context")
        free = {letter for axis in self.result for letter in axis}
        if "h" in free:
            free.add("g")
        letters = sorted({letter for steps in self.steps[:2] for letter in steps} - free)
        ranges = [range(self.sizes[letter]) for letter in letters]
        # For every term of the sum, how far each operand moves from its first place.
        self.terms = [
            tuple(
                sum(steps.get(x, 0) * n for x, n in zip(letters, numbers, strict=True))
                for steps in self.steps[:2]
            )
            for numbers in itertools.product(*ranges)
        ]

    def starts(self, index: tuple[int, ...]) -> list[int]:
        """The first place of each operand for a cell of the result."""
        bound: dict[str, int] = {}
        for axis, number in zip(self.result, index, strict=True):
            for letter in reversed(axis):
                number, bound[letter] = divmod(number, self.sizes[letter])
        if "h" in bound and "g" not in bound:
            bound["g"] = bound["h"] // (self.sizes["h"] // self.sizes["g"])
        return [
            sum(step * bound.get(letter, 0) for letter, step in steps.items())
            for steps in self.steps
        ]
