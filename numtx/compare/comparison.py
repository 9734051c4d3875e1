"""What came of a comparison: the differences, the first of them, and what explains it."""

from __future__ import annotations

from typing import NamedTuple

from ..small_repr import small_repr
from .diagnose import Found


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
    """

    name: str
    cells: int
    differing: int
    largest: float
    relative: float
    worst: tuple[CellPair, ...]
    note: str = ""

    @property
    def equal(self) -> bool:
        return self.differing == 0

    @property
    def fits(self) -> bool:
        """Whether the two were brought into one shape, so that cells could be compared."""
        return self.equal or bool(self.worst)


@small_repr("equal", "first", "causes", "parameters", "values", "gradients", "unknown")
class Comparison(NamedTuple):
    """All arrays that both sides have, in computing order; gradients backwards.

    tolerance   name of type -> relative tolerance, or the one that was given
    only_first, only_second  stages, parameters and gradients that one side leaves out
    unknown_first, unknown   arrays of the first and of the second side that are none of these
    config      fields of the configuration that differ: name -> (first, second)
    causes      known mistakes that reproduce the first stage that differs
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
    tolerance: str

    @property
    def first(self) -> Difference | None:
        """The first stage that differs, in computing order; else the first gradient."""
        return next((d for d in (*self.values, *self.gradients) if not d.equal), None)

    @property
    def equal(self) -> bool:
        """Whether all that both sides have is equal; see `compared` and `of`."""
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
