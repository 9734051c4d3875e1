"""Which known mistake of a backward pass makes a gradient of a file out of the gradients before it.

The first gradient that differs, in the order of the backward pass, is the sum of what the stages
that read it pass back. A mistake is one share lost, counted twice or made wrongly; where the file
leaves out gradients between, it is followed through them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import chain, islice
from typing import NamedTuple, TypeAlias

import numpy as np

from ..oracle.oracle import Oracle
from ..shapes import Array
from ..slips import SLIPS
from ..slips.passed import passed
from ..slips.slip import Back
from ..stages.graph import Graph, Stage
from ..stages.leaf import Text
from .diagnose import Found, error_of, general

# Cells of stages through which one mistake is followed, and of what a stage reads: where there are
# more, no mistake is tried.
MOST_CELLS, MOST_READ = 400_000, 4_000_000
MOST_FOLLOWED = 10_000_000  # through all layers, of all mistakes together that are in every layer
MOST_BETWEEN = 60  # stages left out, in which a mistake is sought
NOTHING = 1e-9  # of a change: what is less is the rounding of zeros


Place: TypeAlias = tuple[str, int]  # a stage, and which of its inputs takes the wrong share


class Fault(NamedTuple):
    """A mistake: its words, where it is made, and what it changes in the share of an input (None:
    nothing)."""

    text: Text
    places: tuple[Place, ...]
    change: Callable[[Back], Array | None]

    @property
    def kind(self) -> str:
        """Its words, with the leaf for the stage that they name."""
        name = self.places[0][0]
        return self.text.en.replace(name, name.rpartition(".")[2])

    @property
    def found(self) -> Found:
        return Found(self.text.en, tuple(name for name, _ in self.places), self.text.zh)


@dataclass(frozen=True, eq=False)
class GradientCase:
    """The first gradient that differs: `name` is a stage or `parameters/NAME`.

    arrays     values of stages and parameters, which are right
    reference  the right gradients
    known      of which stages and parameters the file has gradients that are equal
    got        the gradient of the file
    later      the next gradients that differ, as the file has them
    terms      of a gradient, the size of what is summed in it
    """

    graph: Graph
    name: str
    arrays: Mapping[str, Array]
    reference: Mapping[str, Array]
    known: Collection[str]
    got: Array
    tolerance: float
    later: Mapping[str, Array] = field(default_factory=dict)
    terms: Callable[[str], float] = lambda name: 0.0
    _small: dict[str, bool] = field(default_factory=dict)

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

    @cached_property
    def oracle(self) -> Oracle:
        return Oracle(self.graph, self.arrays, float(np.finfo(np.float64).eps))

    def back(self, stage: Stage, operand: int, change: Array | float = 0.0) -> Back:
        """A stage with its right gradient, or with one that an earlier mistake has changed."""
        return Back(self.graph, stage, self.arrays, self.reference[stage.name] + change, operand)

    def followed(self, fault: Fault, targets: Collection[str]) -> dict[str, Array]:
        """What a mistake changes in the gradients that it leads to."""
        changes: dict[str, Array] = {}
        read = {s.name for name in targets for s in self.graph.consumers.get(name, ())}
        left, cells = read & set(self.reference), 0
        for stage in reversed(list(self.graph)):
            if not left or cells > MOST_CELLS:
                break
            if stage.name not in self.reference:
                continue
            change, shares = changes.get(stage.name), {}
            wrong = [operand for name, operand in fault.places if name == stage.name]
            if change is None and not wrong:
                left.discard(stage.name)
                continue
            if not self.is_small(stage):
                break  # what it changes would be missing from all that comes after
            cells += self.reference[stage.name].size
            left.discard(stage.name)
            if change is not None:
                shares = passed(self.oracle, stage, change, self.arrays)
            for operand in wrong:
                source = stage.inputs[operand]
                extra = fault.change(self.back(stage, operand, 0.0 if change is None else change))
                if extra is not None:
                    shares[source] = shares.get(source, 0.0) + extra
            for name, share in shares.items():
                if name in self.reference:
                    changes[name] = changes.get(name, 0.0) + share
        return changes

    def explained(self, fault: Fault) -> bool:
        """Whether a mistake makes the gradient of the file."""
        changes = self.followed(fault, [self.name])
        if self.name not in changes:
            return False
        right, wrong = self.expected, self.expected + changes[self.name]
        if not self.got.any():  # rounding is not to be told from 0 by the size of 0
            wrong = np.where(np.abs(wrong) > 10.0 * self.tolerance * _largest(right), wrong, 0.0)
        return error_of(wrong, self.got) <= min(
            10.0 * self.tolerance, 0.05 * error_of(right, self.got)
        )

    def spares(self, fault: Fault) -> bool:
        """Whether a mistake leaves the gradients that are as they should be."""
        changes = self.followed(fault, self.known)
        felt = NOTHING * max(map(_largest, changes.values()), default=0.0)
        return not any(
            size > felt and size > 10.0 * self.tolerance * self.size(name)
            for name in changes.keys() & set(self.known)
            for size in [_largest(changes[name])]
        )

    def size(self, name: str) -> float:
        return max(_largest(self.reference[name]), self.terms(name))

    def explains_of_later(self, fault: Fault) -> int:
        """How many of the next gradients follow from it too."""
        changes = self.followed(fault, self.later)
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
        made = [fault for fault in _once(case) if case.explained(fault)]
        found = [fault for fault in made if case.spares(fault)]
        counts = [case.explains_of_later(fault) for fault in found]
        if max(counts, default=0) < len(case.later) or not found:
            fitting = {(fault.places[0], fault.kind) for fault in made}
            cells = sum(case.reference[s.name].size for s in case.graph if s.name in case.reference)
            every = islice(_everywhere(case, fitting), MOST_FOLLOWED // cells)
            more = [fault for fault in every if case.explained(fault) and case.spares(fault)]
            found, counts = [*found, *more], [*counts, *map(case.explains_of_later, more)]
        found = [f for f, count in zip(found, counts, strict=True) if count == max(counts)]
        if found:
            return list(dict.fromkeys(fault.found for fault in found))
        if not case.got.any() and case.expected.any():
            return [Found("no gradient comes back", (case.name,), "没有梯度传回来")]
        return list(general(case.expected, case.got, case.name, case.tolerance))


def _places(case: GradientCase) -> Iterator[tuple[Stage, int]]:
    """Where a mistake may have been made, the nearest first: stages, and which of their inputs
    takes a wrong share."""
    inside = {stage.name for stage in case.between}
    for stage in case.between:
        for operand, source in enumerate(stage.inputs):
            leads = source == case.name or (source in inside and source not in case.known)
            if leads and source in case.reference:
                yield stage, operand


def _once(case: GradientCase) -> Iterator[Fault]:
    """Each mistake in turn, made in one place."""
    for stage, operand in _places(case):
        back = case.back(stage, operand)
        right = back.right()
        for text, share in (*_paths(case, back, stage.name), *_slips(back)):
            extra = share - right
            yield Fault(text, ((stage.name, operand),), partial(_same, extra))


def _same(extra: Array, back: Back) -> Array:
    return extra


def _everywhere(case: GradientCase, fitting: Collection[tuple[Place, str]]) -> Iterator[Fault]:
    """Each mistake made in all stages of a kind at once: one in the code of a layer is made in
    every layer.

    fitting  those that make the gradient of the file where they are made once: where but one stage
             of a kind leads to that, no others can
    """
    kinds: dict[tuple[str, int], list[Stage]] = {}
    for stage, operand in _places(case):
        for kind in _kinds(stage):
            kinds.setdefault((kind, operand), []).append(stage)
    tried: set[tuple[Place, ...]] = set()
    for (kind, operand), near in kinds.items():
        every = [s for s in case.graph if kind in _kinds(s) and operand < len(s.inputs)]
        places = tuple((s.name, operand) for s in every if s.name in case.reference)
        alone = near[0].inputs[operand].startswith("parameters/") and len(near) == 1
        if len(places) > 1 and not alone and places not in tried:
            tried.add(places)
            leaf, back = near[0].leaf.name, case.back(near[0], operand)
            for text, _ in (*_paths(case, back, leaf), *_slips(back)):
                if len(near) == 1 and ((near[0].name, operand), text.en) not in fitting:
                    continue

                def again(b: Back, en: str = text.en, leaf: str = leaf) -> Array | None:
                    forms = chain(_paths(case, b, leaf), _slips(b))
                    share = next((share for text, share in forms if text.en == en), None)
                    return None if share is None else share - b.right()

                yield Fault(text, places, again)


def _kinds(stage: Stage) -> set[str]:
    """What the code of a stage may have in common with that of others."""
    return {f"@{stage.operation}", stage.leaf.name, ".".join(stage.name.split(".")[-2:])}


def _slips(back: Back) -> Iterator[tuple[Text, Array]]:
    for one in SLIPS:
        yield from one.forms(back)


def _paths(case: GradientCase, back: Back, name: str) -> Iterator[tuple[Text, Array]]:
    """What a stage passes back where it is one of several that do, lost, or counted twice."""
    stage, source = back.stage, back.stage.inputs[back.operand]
    readers = [s.name for s in case.graph.consumers[source] if s.name in case.reference]
    if len(readers) == 1 and stage.inputs.count(source) == 1:
        if sum(name in case.reference for name in stage.inputs) > 1:
            lost = Text(f"没有传给 {source}", f"nothing passed back to {source}")
            yield lost, np.zeros_like(back.x)
        return
    right = back.right()
    yield Text(f"少了经 {name} 的一路", f"the path through {name} lost"), np.zeros_like(right)
    yield (
        Text(f"经 {name} 的一路算了两次", f"the path through {name} counted twice"),
        2.0 * right,
    )
    if len(readers) > 2:
        only = Text(f"只有经 {name} 的一路", f"the path through {name} alone")
        yield only, 2.0 * right - case.reference[source]
