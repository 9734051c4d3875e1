"""Which known mistake makes the numbers of a file out of the file's own inputs."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ..fitting.precision import FLOAT64, content
from ..mistakes.at import FEWEST, At, can_fit
from ..mistakes.cause import Cause
from ..mistakes_of_positions import CAUSES
from ..recompute import layered, recompute
from ..shapes import Array
from ..stages.graph import Graph, Stage
from ..stages.leaf import Text
from .targets import tiers
from .words_zh import cause_zh

ELSEWHERE = Text(
    "不在这一阶段：它由文件自己的输入正确得出；错误在更前面，小到在容差之内",
    "not in this stage: it follows rightly from the file's own inputs; the mistake lies before "
    "them, and is within the tolerance there",
)
GIVEN = Text(
    "不在这一阶段：它由文件自己的输入正确得出，而其中不同的是 {}",
    "not in this stage: it follows rightly from the file's own inputs, of which these differ: {}",
)
MOST_CELLS = 20_000_000  # of stages missing in the file, through which a mistake is followed
MOST_WORK = 1_000_000_000  # cells that are recomputed in all

Form: TypeAlias = tuple[str, int]  # a mistake's name, and the number among those of the name
Mend: TypeAlias = Callable[[Stage, Mapping[str, Array]], Array | None]


class Found(NamedTuple):
    """A mistake that reproduces the numbers, and the stages that it was made in."""

    cause: str
    stages: tuple[str, ...]
    zh: str = ""  # the cause in Chinese; empty: put together from phrases

    def __str__(self) -> str:
        return f"{self.cause}, in {', '.join(self.stages)}" if self.stages else self.cause

    def in_chinese(self) -> str:
        """The same in Chinese."""
        where = f"，在 {', '.join(self.stages)}" if self.stages else ""
        return (self.zh or cause_zh(self.cause)) + where


class Once(dict[str, Array]):
    """Arrays by name, each of which is read once."""

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        super().__init__()
        self.arrays = arrays

    def __missing__(self, name: str) -> Array:
        self[name] = self.arrays[name]
        return self[name]

    def __contains__(self, name: object) -> bool:
        return name in self.arrays


class Case:
    """The stage to be explained, and where its inputs are to be had: the file's own arrays
    first, those of the reference where the file has none."""

    def __init__(
        self,
        graph: Graph,
        stage: Stage,
        own: Mapping[str, Array],
        reference: Mapping[str, Array],
        tolerance: float,
    ) -> None:
        self.graph, self.stage, self.tolerance = graph, stage, tolerance
        self.own, self.reference = own, reference
        self.got = own[stage.name]
        self.arrays = Once(layered(own, reference))
        self.cells = 0  # that were recomputed so far

    @cached_property
    def has_nan(self) -> bool:
        return self.got.dtype.kind == "f" and bool(np.isnan(self.got).any())

    def hides(self, x: Array) -> bool:
        """Whether a NaN stands in an array that numtx could hide and others do not."""
        return self.has_nan and bool(np.isnan(x).any())

    def as_others(self, stage: Stage, selective: bool) -> Stage:
        """The stage, without what hides a NaN behind a factor of 0."""
        if selective or "selective" not in stage.attributes:
            return stage
        rest = {name: x for name, x in stage.attributes.items() if name != "selective"}
        return stage._replace(attributes=rest)

    @cached_property
    def before(self) -> list[Stage]:
        """Stages before this one that the file has nothing of, in computing order."""
        names: set[str] = set()
        cells = 0
        front = [self.stage.name]
        while front and cells < MOST_CELLS:
            for name in self.graph[front.pop(0)].inputs:
                fresh = name in self.graph and name not in self.own and name not in names
                if fresh and name in self.reference:
                    names.add(name)
                    front.append(name)
                    cells += self.reference[name].size
        return [stage for stage in self.graph if stage.name in names]

    def at(self, stage: Stage, changed: Mapping[str, Array]) -> At:
        """A stage as a mistake finds it, after changes of what leads to it."""
        arrays = layered(changed, self.arrays) if changed else self.arrays
        return At(self.graph, stage, arrays, self.arrays[stage.name])

    def followed(self, changed: Mapping[str, Array], mend: Mend | None = None) -> Array | None:
        """The stage after changes of what leads to it, everything between computed rightly;
        `mend` may put another value in place of a stage's."""
        values = dict(changed)
        arrays, selective = layered(values, self.arrays), not any(map(self.hides, values.values()))
        for stage in (*self.before, self.stage) if changed else (self.stage,):
            is_last = stage.name == self.stage.name
            touched = not values.keys().isdisjoint(stage.inputs)
            if stage.name in values:
                continue
            try:
                found = None if mend is None else mend(stage, values)
                if found is None and not (is_last or touched):
                    continue
                if found is None:
                    found = recompute(self.graph, self.as_others(stage, selective), arrays)
            except (ValueError, IndexError, KeyError):  # shapes that do not go together
                return None
            self.cells += found.size
            values[stage.name] = found
            selective = selective and not self.hides(found)
        return values[self.stage.name]


def diagnose(case: Case, progress: Callable[[float], None] | None = None) -> list[Found]:
    """Every known mistake that, made in the stage or in stages before it that the file leaves
    out, reproduces the file's numbers. Empty where none does. progress: called with the
    share of them that was tried."""
    with np.errstate(all="ignore"):
        right = case.followed({})
        error = error_of(right, case.got)
        if error <= case.tolerance:
            return _elsewhere(case)
        limit = min(10.0 * case.tolerance, 0.05 * error)
        found = _closest(_explaining(case, limit, progress), case.tolerance)
        if found:
            return _of_siblings(case, found) if len(found) > 1 else found
        return list(general(right, case.got, case.stage.name, case.tolerance))


def _elsewhere(case: Case) -> list[Found]:
    """Why a stage differs that follows from the file's own inputs: from what its run was given, or
    from stages before it. Nothing is said of a stage of another shape, or that reads no other."""
    if case.got.shape != case.reference[case.stage.name].shape:
        return []
    read = dict.fromkeys(n for s in (*case.before, case.stage) for n in s.inputs)
    given = [
        name
        for name in read
        if name not in case.graph and name in case.own and name in case.reference
        and error_of(case.reference[name], case.own[name]) > case.tolerance
    ]  # fmt: skip
    if given:
        names = ", ".join(given)
        return [Found(GIVEN.en.format(names), (), GIVEN.zh.format(names))]
    computed = any(name in case.graph for name in case.stage.inputs)
    return [Found(ELSEWHERE.en, (), ELSEWHERE.zh)] if computed else []


def _explaining(
    case: Case, limit: float, progress: Callable[[float], None] | None
) -> Iterator[tuple[float, Found]]:
    """The mistakes that reproduce the numbers, and how near they come. Where one does, others are
    sought in the stages beside it alone."""
    near: set[str] = set()
    places = list(itertools.chain.from_iterable(tiers(case.stage, case.before)))
    for number, targets in enumerate(places):
        if progress is not None:
            progress(max(number / len(places), case.cells / MOST_WORK))
        if near and near.isdisjoint(stage.name for stage in targets):
            continue
        for cause in CAUSES:
            if all(cause.applies_to(stage) for stage in targets):
                for name, array, made in _with(case, cause, targets):
                    error = error_of(array, case.got)
                    if error <= limit:
                        yield error, Found(name, tuple(made))
                        for one in targets:
                            after = case.graph.consumers.get(one.name, ())
                            near.update((one.name, *one.inputs, *(s.name for s in after)))
                    if case.cells > MOST_WORK:
                        return


def _closest(found: Iterable[tuple[float, Found]], tolerance: float) -> list[Found]:
    """Those that come as near as any, once by each name, in the order of their search: what is a
    hundred times farther off is another mistake with nearly the same numbers."""
    every = list(found)
    least: dict[str, float] = {}
    for error, one in every:
        least[one.cause] = min(error, least.get(one.cause, math.inf))
    near = max(100.0 * min(least.values(), default=0.0), 1e-3 * tolerance)
    kept = {one.cause: one for error, one in reversed(every) if error == least[one.cause] <= near}
    return [kept[cause] for cause in least if cause in kept]


def _of_siblings(case: Case, found: list[Found]) -> list[Found]:
    """Those of several that explain most of what else is wrong in the sublayer: queries, keys and
    values may come from one slip."""
    place = case.stage.name.rpartition(".")[0]
    beside = [s for s in case.graph if s.name in case.own and s.name.rpartition(".")[0] == place]
    counts = dict.fromkeys([one.cause for one in found], 0)
    for stage in beside:
        got = case.own[stage.name]
        at = case.at(stage, {})
        if stage.name == case.stage.name or error_of(at.again(), got) <= case.tolerance:
            continue
        for cause in CAUSES:
            if cause.applies_to(stage):
                for (name, _), make in _forms(cause, at):
                    if name in counts and error_of(make(), got) <= 10.0 * case.tolerance:
                        counts[name] += 1
    return [one for one in found if counts[one.cause] == max(counts.values())]


def _with(
    case: Case, cause: Cause, targets: tuple[Stage, ...]
) -> Iterator[tuple[str, Array | None, list[str]]]:
    """The stage as it comes out with a mistake in all the targets, for each form of it, and the
    targets that have the form."""
    seen: set[Form] = set()
    kinds: list[tuple[str, Mapping[str, Any]]] = []
    for k, target in enumerate(targets):
        later = {stage.name for stage in targets[k + 1 :]}
        if (target.leaf.name, target.attributes) in kinds:  # has the forms of one before it
            continue
        kinds.append((target.leaf.name, target.attributes))
        for form, make in _forms(cause, case.at(target, {})):
            if form in seen:
                continue
            seen.add(form)
            mend = Mending(case, cause, form, later, [target.name])
            yield form[0], case.followed({target.name: make()}, mend), mend.made


@dataclass(frozen=True)
class Mending:
    """What makes a form of a mistake in each of some stages, and where it did."""

    case: Case
    cause: Cause
    form: Form
    targets: Collection[str]
    made: list[str]

    def __call__(self, stage: Stage, values: Mapping[str, Array]) -> Array | None:
        if stage.name not in self.targets:
            return None
        for form, make in _forms(self.cause, self.case.at(stage, values)):
            if form == self.form:
                self.made.append(stage.name)
                return make()
        return None


def _forms(cause: Cause, at: At) -> Iterator[tuple[Form, Callable[[], Array]]]:
    """The forms of a mistake, up to one whose shapes do not go together."""
    counts: Counter[str] = Counter()
    try:
        for name, make in cause.forms(at):
            counts[name] += 1
            yield (name, counts[name]), make
    except (ValueError, IndexError, KeyError):
        return


def error_of(candidate: Array | None, got: Array) -> float:
    """The largest difference, relative to the size of the numbers; inf where shapes or
    infinities differ."""
    if candidate is None:
        return np.inf
    if candidate.shape != got.shape:
        try:
            candidate = np.broadcast_to(candidate, got.shape)
        except ValueError:
            return np.inf
    if got.dtype.kind == "b" or candidate.dtype.kind == "b":
        return 0.0 if np.array_equal(candidate.astype(bool), got.astype(bool)) else np.inf
    a, b = candidate.astype(np.float64), got.astype(np.float64)
    finite = np.isfinite(b)
    same = np.where(finite, np.isfinite(a), (a == b) | (np.isnan(a) & np.isnan(b)))
    if not same.all():
        return np.inf
    if not finite.any():
        return 0.0
    size = np.maximum(np.abs(b[finite]), np.sqrt(np.mean(b[finite] ** 2)) + 1e-300)
    return float((np.abs(a[finite] - b[finite]) / size).max())


def general(right: Array | None, got: Array, place: str, tolerance: float) -> Iterator[Found]:
    """What may happen to any stage or gradient: precision, a factor, another order."""
    if right is None or got.dtype.kind != "f" or right.shape != got.shape:
        return

    def found(zh: str, en: str) -> Found:
        return Found(en, (place,), zh)

    error, enough, limit = error_of(right, got), can_fit(right), 10.0 * tolerance
    held = content(got, right)
    if enough and held is not FLOAT64 and error < 64.0 * held.unit:
        en = f"computed in {held.name}; nothing else is wrong"
        yield found(f"按 {held.name} 计算；别无错误", en)
        return
    finite = np.isfinite(got) & np.isfinite(right) & (np.abs(right) > 0.1 * np.abs(right).max())
    if enough and finite.any():
        factor = float(np.median(got[finite] / right[finite]))
        if error_of(right * factor, got) <= limit:
            yield found(
                f"每个数都是应有的 {factor:.6g} 倍",
                f"every number is {factor:.6g} times what it should be",
            )
    kept = finite & (got != 0.0)
    if enough and (got == 0.0).any() and np.count_nonzero(kept) >= FEWEST:
        factor = float(np.median(got[kept] / right[kept]))
        if factor > 1.0 and error_of(np.where(got == 0.0, 0.0, factor * right), got) <= limit:
            share = 1.0 - 1.0 / factor
            yield found(
                f"留着 dropout：有的为 0，其余是应有的 1 / (1 - {share:.3g}) 倍",
                f"dropout left on: some are 0, the others 1 / (1 - {share:.3g}) times",
            )
    for axis, zh, en in (
        (0, "批的行", "rows of the batch"),
        (got.ndim - 2, "词元", "tokens"),
        (got.ndim - 1, "列", "columns"),
    ):
        if 0 <= axis < got.ndim and got.shape[axis] > 1:
            if error_of(np.flip(right, axis), got) <= limit:
                yield found(f"{zh}的次序反了", f"{en} in reverse order")
            for by in (1, -1):
                if error_of(np.roll(right, by, axis), got) <= limit:
                    yield found(f"{zh}移动了 {by}", f"{en} moved by {by}")
