"""Which known mistake of a backward pass makes a gradient of a file out of the gradients before it.

The first gradient that differs, in the order of the backward pass, is the sum of what the stages
that read it pass back. A mistake is one share lost, counted twice or made wrongly; where the file
leaves out gradients between, it is followed through them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ..oracle.gradients import Sums, pass_on
from ..oracle.oracle import Oracle
from ..shapes import Array
from ..slips import SLIPS
from ..slips.slip import Back
from ..stages.graph import Graph, Stage
from ..stages.leaf import Text
from .diagnose import Found, error_of, general

# Cells of stages through which one mistake is followed, and of what a stage reads: where there are
# more, no mistake is tried.
MOST_CELLS, MOST_READ = 400_000, 4_000_000
MOST_BETWEEN = 60  # stages left out, in which a mistake is sought
NOTHING = 1e-9  # of a change: what is less is the rounding of zeros


@dataclass(frozen=True, eq=False)
class GradientCase:
    """The first gradient that differs: `name` is a stage or `parameters/NAME`.

    arrays     values of stages and parameters, which are right
    reference  the right gradients
    known      of which stages and parameters the file has gradients that are equal
    got        the gradient of the file
    later      the next gradients that differ, as the file has them
    """

    graph: Graph
    name: str
    arrays: Mapping[str, Array]
    reference: Mapping[str, Array]
    known: Collection[str]
    got: Array
    tolerance: float
    later: Mapping[str, Array] = field(default_factory=dict)
    _small: dict[str, bool] = field(default_factory=dict)

    @cached_property
    def oracle(self) -> Oracle:
        """One for all mistakes that are tried: what it has read it keeps."""
        return Oracle(self.graph, self.arrays, float(np.finfo(np.float64).eps))

    @property
    def expected(self) -> Array:
        return self.reference[self.name]

    @cached_property
    def between(self) -> list[Stage]:
        """Stages that pass something back to `name`, through none of which the file has the
        gradient; the nearest first."""
        found: dict[str, Stage] = {}
        front, cells = [self.name], 0
        while front and cells < MOST_CELLS and len(found) < MOST_BETWEEN:
            for stage in self.graph.consumers.get(front.pop(0), ()):
                if stage.name in found or stage.name not in self.reference:
                    continue
                if not self.is_small(stage):
                    continue
                found[stage.name] = stage
                if stage.name not in self.known:
                    front.append(stage.name)
                    cells += self.reference[stage.name].size
        return list(found.values())

    def is_small(self, stage: Stage) -> bool:
        """Whether what a stage passes back can be made many times."""
        if stage.name not in self._small:
            read = max(self.arrays[name].size for name in stage.inputs)
            few = self.reference[stage.name].size <= MOST_CELLS and read <= MOST_READ
            self._small[stage.name] = few
        return self._small[stage.name]

    def back(self, stage: Stage, operand: int) -> Back:
        return Back(self.graph, stage, self.arrays, self.reference[stage.name], operand)

    def followed(self, source: str, change: Array, targets: Collection[str]) -> dict[str, Array]:
        """What a change of the gradient at `source` changes in those that it leads to."""
        changes, left, cells = {source: change.astype(np.float64)}, set(targets) - {source}, 0
        for stage in reversed(list(self.graph)):
            if not left or cells > MOST_CELLS:
                break
            if stage.name not in changes or stage.name not in self.reference:
                continue
            if not self.is_small(stage):
                break  # what it changes would be missing from all that comes after
            sums = {n: Sums(self.oracle.cells(n).flat.size) for n in dict.fromkeys(stage.inputs)}
            pass_on(self.oracle, stage, changes[stage.name].reshape(-1), sums)
            cells += changes[stage.name].size
            left.discard(stage.name)
            for name, reached in sums.items():
                if name in self.reference:
                    passed = reached.total.reshape(self.arrays[name].shape)
                    changes[name] = changes.get(name, 0.0) + passed
        return changes

    def explained(self, source: str, change: Array) -> bool:
        """Whether a change makes the gradient of the file, and none that it has as it should be."""
        changes = self.followed(source, change, [self.name])
        if self.name not in changes:
            return False
        right, wrong = self.expected, self.expected + changes[self.name]
        if error_of(wrong, self.got) > min(10.0 * self.tolerance, 0.05 * error_of(right, self.got)):
            return False
        felt = NOTHING * _largest(change)
        return not any(
            size > felt and size > 10.0 * self.tolerance * _largest(self.reference[name])
            for name in changes.keys() & set(self.known)
            for size in [_largest(changes[name])]
        )

    def explains_of_later(self, source: str, change: Array) -> int:
        """How many of the next gradients follow from it too."""
        changes = self.followed(source, change, self.later)
        return sum(
            error_of(self.reference[name] + changes[name], got) <= 10.0 * self.tolerance
            for name, got in self.later.items()
            if name in changes
        )


def _largest(x: Array) -> float:
    return float(np.abs(x).max(initial=0.0))


def diagnose_gradient(case: GradientCase) -> list[Found]:
    """Every known mistake that makes the file's gradient; empty where none does. Of several those
    that explain most of what comes later."""
    with np.errstate(all="ignore"):
        found = {
            (text.en, place): (Found(text.en, (place,), text.zh), source, change)
            for text, place, source, change in _candidates(case)
            if case.explained(source, change)
        }
        if len(found) > 1:
            counts = {key: case.explains_of_later(x, dx) for key, (_, x, dx) in found.items()}
            found = {key: found[key] for key in found if counts[key] == max(counts.values())}
        if found:
            return [one for one, _, _ in found.values()]
        if not case.got.any() and case.expected.any():
            return [Found("no gradient comes back", (case.name,), "没有梯度传回来")]
        return list(general(case.expected, case.got, case.name, case.tolerance))


def _candidates(case: GradientCase) -> Iterator[tuple[Text, str, str, Array]]:
    """Each mistake in turn: its name, the stage whose backward it is, and what it changes where."""
    inside = {stage.name for stage in case.between}
    for stage in case.between:
        for operand, source in enumerate(stage.inputs):
            leads = source == case.name or (source in inside and source not in case.known)
            if not leads or source not in case.reference:
                continue
            back = case.back(stage, operand)
            right = back.right()
            for text, share in _shares(case, back, right):
                yield text, stage.name, source, share - right


def _shares(case: GradientCase, back: Back, right: Array) -> Iterator[tuple[Text, Array]]:
    """What a stage passes back, in each wrong form."""
    source, place = back.stage.inputs[back.operand], back.stage.name
    others = [s.name for s in case.graph.consumers[source] if s.name in case.reference]
    if len(others) > 1 or back.stage.inputs.count(source) > 1:
        yield Text(f"少了经 {place} 的一路", f"the path through {place} lost"), np.zeros_like(right)
        yield (
            Text(f"经 {place} 的一路算了两次", f"the path through {place} counted twice"),
            2.0 * right,
        )
    for one in SLIPS:
        yield from one.forms(back)
