"""What came of a comparison: the differences, the first of them, and what explains it."""

from __future__ import annotations

import math
from typing import NamedTuple

from ..diagnosis.diagnose import Found
from ..small_repr import in_notebook, small_repr
from .sides import Side
from .weighing import TOLERANCE


class CellPair(NamedTuple):
    cell: tuple[int, ...]
    expected: float
    got: float


@small_repr()
class Difference(NamedTuple):
    """Two arrays of one name.

    differing  how many cells differ beyond the tolerance, of `cells`
    largest    the largest difference, and `relative` the same in units of the tolerance
    worst      the worst cells, the worst first
    note       what was done to the second array to bring it into shape, or why it cannot be
    tolerance  relative to the numbers; infinite where rounding has chosen other experts
    precision  of the numbers of the second side, whatever the type of the array
    nans, infinities  how many cells are so and should not be
    """

    name: str
    cells: int
    differing: int
    largest: float
    relative: float
    worst: tuple[CellPair, ...]
    note: str = ""
    tolerance: float = 0.0
    precision: str = "float64"
    nans: int = 0
    infinities: int = 0

    @property
    def equal(self) -> bool:
        return self.differing == 0

    @property
    def fits(self) -> bool:
        """Whether the two were brought into one shape, so that cells could be compared."""
        return self.equal or bool(self.worst)


@in_notebook
@small_repr("equal", "first", "causes", "parameters", "values", "gradients", "unknown")
class Comparison(NamedTuple):
    """All arrays that both sides have, in computing order; gradients backwards.

    tolerance   the one that was given for all arrays; None: each had its own
    only_first, only_second  stages, parameters and gradients that one side leaves out
    unknown_first, unknown   arrays of the first and of the second side that are none of these
    config      fields of the configuration that differ: name -> (first, second)
    causes      known mistakes that reproduce the first stage that differs
    sides       what was held against what
    """

    parameters: list[Difference]
    values: list[Difference]
    gradients: list[Difference]
    only_first: list[str]
    only_second: list[str]
    unknown_first: list[str]
    unknown: list[str]
    config: dict[str, tuple[object, object]]
    causes: list[Found]
    tolerance: float | None
    sides: tuple[Side, Side]

    @property
    def first(self) -> Difference | None:
        """The first stage that differs, in computing order; else the first gradient."""
        return next((d for d in (*self.values, *self.gradients) if not d.equal), None)

    @property
    def verdict(self) -> str:
        """equal; rounding, where something differs by no more than its precision explains; or
        different. Of all that both sides have: see `compared` and `of`."""
        if not self.equal:
            return "different"
        everything = (*self.parameters, *self.values, *self.gradients)
        coarse = any(
            math.isinf(d.tolerance) or d.relative * d.tolerance > TOLERANCE for d in everything
        )
        return "rounding" if coarse and self.tolerance is None else "equal"

    @property
    def equal(self) -> bool:
        """Whether nothing differs by more than rounding does."""
        return all(d.equal for d in (*self.parameters, *self.values, *self.gradients))

    @property
    def compared(self) -> int:
        """How many arrays were compared."""
        return len(self.parameters) + len(self.values) + len(self.gradients)

    @property
    def of(self) -> int:
        """How many arrays there are in the two sides together."""
        unknown = {*self.unknown_first, *self.unknown}
        return self.compared + len(self.only_first) + len(self.only_second) + len(unknown)
