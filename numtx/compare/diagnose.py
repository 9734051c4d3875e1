"""Which known mistake makes the numbers of a file out of the file's own inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import NamedTuple, TypeAlias

import numpy as np

from ..mistakes import CAUSES
from ..mistakes.at import At, can_fit, layered, recompute
from ..mistakes.cause import Cause
from ..shapes import Array
from ..stages.graph import Graph, Stage

MOST_CELLS = 20_000_000  # of stages missing in the file, through which a mistake is followed


Mend: TypeAlias = Callable[[Stage, Mapping[str, Array]], Array | None]


class Found(NamedTuple):
    """A mistake that reproduces the numbers, and the stages that it was made in."""

    cause: str
    stages: tuple[str, ...]
    zh: str = ""  # the cause in Chinese; empty: put together from phrases

    def __str__(self) -> str:
        return f"{self.cause}, in {', '.join(self.stages)}" if self.stages else self.cause

    def in_chinese(self) -> str:
        """The same in Chinese, where its words are at hand."""
        where = f"，在 {', '.join(self.stages)}" if self.stages else ""
        return f"{self.zh}{where}" if self.zh else ""


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

    @cached_property
    def arrays(self) -> Mapping[str, Array]:
        """The file's own arrays, and those of the reference behind them."""
        return layered(self.own, self.reference)

    def value(self, name: str) -> Array:
        return self.arrays[name]

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
        return At(self.graph, stage, layered(changed, self.arrays), self.value(stage.name))

    def followed(self, changed: Mapping[str, Array], mend: Mend | None = None) -> Array | None:
        """The stage after changes of what leads to it, everything between computed rightly;
        `mend` may put another value in place of a stage's."""
        values = dict(changed)
        arrays = layered(values, self.arrays)
        for stage in (*self.before, self.stage) if changed else (self.stage,):
            is_last = stage.name == self.stage.name
            touched = any(name in values for name in stage.inputs)
            if stage.name in values:
                continue
            found = None if mend is None else mend(stage, values)
            if found is None and not (is_last or touched):
                continue
            if found is None:
                if any(name not in arrays for name in stage.inputs):
                    return None
                try:
                    found = recompute(self.graph, stage, arrays)
                except (ValueError, IndexError):  # shapes that do not go together
                    return None
            values[stage.name] = found
        return values[self.stage.name]


def diagnose(case: Case) -> list[Found]:
    """Every known mistake that, made in the stage or in a stage before it that the file leaves
    out, reproduces the file's numbers. Empty where none does."""
    with np.errstate(all="ignore"):
        right = error_of(case.followed({}), case.got)
        if right <= case.tolerance:
            return [Found("nothing: it follows rightly from the file's own inputs", ())]
        found: dict[str, Found] = {}
        for targets in _targets(case):
            for cause in CAUSES:
                if not all(cause.applies_to(stage) for stage in targets):
                    continue
                for name, array in _with(case, cause, targets):
                    error = error_of(array, case.got)
                    if error <= 10.0 * case.tolerance and error < 0.05 * right:
                        found.setdefault(name, Found(name, tuple(s.name for s in targets)))
        if found:
            return list(found.values())
        return list(general(case.followed({}), case.got, case.stage.name, case.tolerance))


def _targets(case: Case) -> Iterator[tuple[Stage, ...]]:
    """The stage, each stage missing before it, and all those of one kind at once: a mistake in
    the code of a layer is made in every layer."""
    yield (case.stage,)
    for stage in reversed(case.before):
        yield (stage,)
    kinds: dict[str, list[Stage]] = {}
    for stage in (*case.before, case.stage):
        whole = stage.operation in ("rotate", "norm")
        kinds.setdefault(stage.operation if whole else stage.leaf.name, []).append(stage)
    yield from (tuple(stages) for stages in kinds.values() if len(stages) > 1)


def _with(
    case: Case, cause: Cause, targets: tuple[Stage, ...]
) -> Iterator[tuple[str, Array | None]]:
    """The stage as it comes out with a mistake in all the targets, for each form of it."""
    later = {stage.name for stage in targets[1:]}
    for name, array in _forms(cause, case.at(targets[0], {})):

        def again(stage: Stage, values: Mapping[str, Array], name: str = name) -> Array | None:
            if stage.name not in later:
                return None
            return dict(_forms(cause, case.at(stage, values))).get(name)

        yield name, case.followed({targets[0].name: array}, again)


def _forms(cause: Cause, at: At) -> Iterator[tuple[str, Array]]:
    """The forms of a mistake, up to one whose shapes do not go together."""
    try:
        yield from cause.candidates(at)
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

    error, enough = error_of(right, got), can_fit(right)
    for name, bits in (("float32", 24), ("float16", 11), ("bfloat16", 8)):
        if enough and error < 64.0 * 2.0**-bits and np.array_equal(got, _rounded(got, name)):
            yield found(f"按 {name} 计算；别无错误", f"computed in {name}; nothing else is wrong")
            return
    finite = np.isfinite(got) & np.isfinite(right) & (np.abs(right) > 0.1 * np.abs(right).max())
    if enough and finite.any():
        factor = float(np.median(got[finite] / right[finite]))
        if error_of(right * factor, got) <= 10.0 * tolerance:
            yield found(
                f"每个数都是应有的 {factor:.6g} 倍",
                f"every number is {factor:.6g} times what it should be",
            )
    for axis, zh, en in (
        (0, "批的行", "rows of the batch"),
        (got.ndim - 2, "词元", "tokens"),
        (got.ndim - 1, "列", "columns"),
    ):
        if 0 <= axis < got.ndim and got.shape[axis] > 1:
            if error_of(np.flip(right, axis), got) <= 10.0 * tolerance:
                yield found(f"{zh}的次序反了", f"{en} in reverse order")
            for by in (1, -1):
                if error_of(np.roll(right, by, axis), got) <= 10.0 * tolerance:
                    yield found(f"{zh}移动了 {by}", f"{en} moved by {by}")


def _rounded(x: Array, kind: str) -> Array:
    """The numbers as they are in a smaller type."""
    if kind != "bfloat16":
        return x.astype(kind).astype(x.dtype)
    bits = x.astype(np.float32).view(np.uint32)
    return (bits & np.uint32(0xFFFF0000)).view(np.float32).astype(x.dtype)
