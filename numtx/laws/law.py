"""A law: what it says, what it asks of a subject, and how it reports that it is broken."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from ..calls import Done
from ..errors import SubjectError, nearest
from ..shapes import Array
from ..small_repr import small_repr
from ..subjects.kinds import ATTENTION, CHOOSER
from ..subjects.logits import COARSE, eps_of, on_one_line
from ..subjects.subject import LOGITS, NUMTX, SHORT, Memory, Subject
from .exactness import ROUNDINGS, row_independence
from .strategies import PADDINGS, padding_masks, patterned

Draw = Callable[[st.SearchStrategy[Any]], Any]
# subject, generator, number of hidden tokens -> a function: how many of them are replaced by
# another id -> results that none of them may move; None where it cannot be asked
Hidden = Callable[[Any, np.random.Generator, int], Callable[[int], Array] | None]
seeds = st.integers(0, 2**16)


class Compared(NamedTuple):
    """What a broken law compared, as far as it is rows of logits that calls gave.

    pairs  each [N, V] and [N, V], the N places that were wrong
    limit  how far apart they may lie; where they are to differ, how far at least, in some pair
    """

    pairs: list[tuple[Array, Array]]
    limit: float
    alike: bool = True


class LawBroken(AssertionError):  # noqa: N818 (a law is broken; that is its name)
    """A law that does not hold: the example, the positions that differ, expected and got."""

    def __init__(
        self,
        what: str,
        example: dict[str, Any],
        where: Sequence[tuple[int, ...]] | None = None,
        expected: object = None,
        got: object = None,
        compared: Compared | None = None,
    ) -> None:
        super().__init__(what)
        self.compared = compared
        self.calls: tuple[Done, ...] = ()  # that the example made, where they are kept
        self.what, self.example, self.where = what, example, list(where or [])
        self.expected, self.got = expected, got
        self.law: Law | None = None

    def __str__(self) -> str:
        lines = [self.what]
        if self.law is not None:
            lines = [f"{self.law.name} broken: {self.law.statement}", f"  {self.what}"]
        for name, value in self.example.items():
            lines.append(f"  {name}: {on_one_line(value)}")
        if self.where:
            shown = "  ".join(f"[{','.join(map(str, place))}]" for place in self.where[:8])
            more = f"  and {len(self.where) - 8} more" if len(self.where) > 8 else ""
            lines.append(f"  positions that differ [row,token]: {shown}{more}")
        if self.expected is not None or self.got is not None:
            lines += [
                f"  expected: {on_one_line(self.expected)}",
                f"  got:      {on_one_line(self.got)}",
            ]
        return "\n".join(lines)


@small_repr()
class Law(NamedTuple):
    """A property that every right model has.

    name       such as K1
    statement  what holds, precisely (statement_zh: the same in Chinese)
    exact      asked bit for bit of numtx; of others, too, where `everywhere`
    needs      the capabilities that it uses
    run        tries one drawn example: True where it exercised the law, False where there was
               nothing to see; raises `LawBroken`
    cost       an example counts for so many
    once       of an operation by itself, whatever the model: numtx is asked it of one model
    hidden     the same question with so many hidden tokens replaced, all of the same id: a leak
               grows with them, rounding does not; where the law holds `everywhere`
    """

    name: str
    statement: str
    statement_zh: str
    exact: bool
    everywhere: bool
    needs: frozenset[str]
    run: Callable[[Any, Draw], bool]
    cost: int = 1
    hidden: Hidden | None = None
    once: bool = False


LAWS: dict[str, Law] = {}  # of models of ids
# Of all kinds of subjects.
KINDS: dict[str, dict[str, Law]] = {LOGITS: LAWS, ATTENTION: {}, CHOOSER: {}}


def law(
    name: str,
    statement: str,
    zh: str,
    *needs: str,
    exact: bool = False,
    everywhere: bool = False,
    cost: int = 1,
    kind: str = LOGITS,
    hidden: Hidden | None = None,
    once: bool = False,
) -> Callable[[Callable[[Any, Draw], bool]], Callable[[Any, Draw], bool]]:
    """Enter a function into the table of laws."""

    def enter(run: Callable[[Any, Draw], bool]) -> Callable[[Any, Draw], bool]:
        needed = frozenset(needs or (LOGITS,))
        table = KINDS[kind]
        assert name not in table
        table[name] = Law(name, statement, zh, exact, everywhere, needed, run, cost, hidden, once)
        return run

    return enter


def law_of(name: str, kind: str | None = None) -> Law:
    """A law by its name: of a kind of subjects, or of any."""
    known = {one: law for table in KINDS.values() for one, law in table.items()}
    if kind is not None and name in KINDS[kind]:
        return KINDS[kind][name]
    if name not in known:
        raise SubjectError(f"law {name!r} does not exist; {nearest(name, known)}")
    return known[name]


# What the laws compare with.


def tolerance_of(subject: Subject, like: Array) -> float:
    """How far two results of one computation may lie apart, relative to their largest number."""
    if subject.tolerance is not None:
        return subject.tolerance
    eps = eps_of(like)
    return 1e-10 if eps < 1e-12 else 1e-4 if eps < 1e-5 else 3e-2 if eps < 1e-3 else LARGE


def rounding(like: Array, count: float, size: float = 1.0) -> float:
    """So many roundings of a number of this size, in the type of an array."""
    return count * eps_of(like) * max(1.0, size)


def expect(
    subject: Subject,
    what: str,
    expected: Array,
    got: Array,
    example: dict[str, Any],
    *,
    exact: bool = False,
    real: Array | None = None,
    at: tuple[int, int] = (0, 0),
) -> None:
    """Raise `LawBroken` unless two results are equal: bit for bit, or within the tolerance.

    exact          bit for bit, of a subject and on a machine that can be; of a subject that
                   counts `roundings`, a difference of a few is counted there
    expected, got  [B, T, ...]; `got` may hold the last tokens only
    real           [B, T], the tokens whose results count
    at             where in the whole input [0,0] of `expected` stands
    """
    count = got.shape[1] if got.ndim > 1 else 0
    if count and count < expected.shape[1]:
        at = (at[0], at[1] + expected.shape[1] - count)
        expected = expected[:, -count:]
        real = None if real is None else real[:, -count:]
    if expected.shape != got.shape:
        raise LawBroken(f"{what}: the shapes differ", example, None, expected.shape, got.shape)
    if exact and subject.exact and row_independence().contents:
        wrong = expected != got  # NaN is never right
        limit = 0.0
    else:
        finite = np.abs(expected[np.isfinite(expected)])
        floor = 1.0 if NUMTX in subject.capabilities else 1e-30  # numtx is tried at unit gain
        scale = max(float(finite.max(initial=0.0)), floor)
        limit = tolerance_of(subject, got) * scale
        with np.errstate(invalid="ignore"):
            wrong = ~((np.abs(expected - got) <= limit) | (expected == got))
    if real is not None:
        wrong &= real.reshape(real.shape + (1,) * (wrong.ndim - real.ndim))
    if not wrong.any():
        return
    places = sorted({tuple(int(i) for i in place[:2]) for place in np.argwhere(wrong)})
    with np.errstate(invalid="ignore"):
        difference = np.abs(np.where(wrong, expected - got, 0.0))
    size = float(difference.max()) if np.isfinite(difference).all() else float("nan")
    if limit == 0.0 and subject.roundings is not None:
        roundings = in_roundings(expected, got, real)
        if roundings <= ROUNDINGS:
            subject.roundings.append((size, roundings))
            return
    told = f"{what} (largest difference {size:.3g}, allowed {limit:.3g})"
    first = places[0]
    shown = [(place[0] + at[0], *(i + at[1] for i in place[1:])) for place in places]
    index = tuple(np.transpose(places))
    within = limit or _least(expected if real is None else expected[real], ROUNDINGS)
    compared = Compared([(expected[index], got[index])], within)
    raise LawBroken(told, example, shown, expected[first], got[first], compared)


def in_roundings(before: Array, after: Array, real: Array | None = None) -> float:
    """The largest difference, in eps of its type times the largest number; of real tokens."""
    if real is not None:
        before, after = before[real], after[real]
    if not before.size or before.dtype.kind != "f":
        return 0.0
    scale = float(np.abs(before).max()) * eps_of(before)
    size = float(np.abs(after - before).max())
    return size / scale if scale else (np.inf if size else 0.0)


def expect_true(
    holds: Any,
    what: str,
    example: dict[str, Any],
    got: object = None,
    expected: object = "see above",
) -> None:
    """Raise `LawBroken` unless a condition holds."""
    if not holds:
        raise LawBroken(what, example, None, None if got is None else expected, got)


ROUNDED = 4.0  # roundings that are no move
LARGE = 0.1  # of the largest number: a move, however coarse the type


def moved(before: Array, after: Array, roundings: float = ROUNDED) -> Array:
    """[B, T], whether a result moved by more than so many roundings."""
    found: Array = np.abs(after - before).max(-1) > _least(before, roundings)
    return found


def _least(before: Array, roundings: float) -> float:
    relative = min(roundings * eps_of(before), LARGE)
    return relative * float(np.abs(before).max(initial=0.0))


def unmoved(
    what: str,
    example: dict[str, Any],
    before: Array,
    after: Sequence[Array],
    where: Array,
    *,
    roundings: float = ROUNDED,
    each: bool = False,
) -> bool:
    """Raise `LawBroken`: nothing moved at these places, [B, T], where something should have.

    In types of so few digits that an effect may be lost in them, nothing was seen: False.

    each  something should have at every place, so that places are named
    """
    if eps_of(before) > COARSE:
        return False
    pairs = [(before[where], one[where]) for one in after]
    compared = Compared(pairs, _least(before, roundings), alike=False)
    if not each:
        raise LawBroken(what, example, compared=compared)
    places = [(int(b), int(q)) for b, q in np.argwhere(where)]
    raise LawBroken(what, example, places, "a change", "none", compared)


# What the laws draw.


def draw_rows(subject: Subject, draw: Draw, least: int = 1, most: int = 3) -> int:
    """How many rows an input has."""
    return subject.fixed_rows or int(draw(st.integers(least, most)))


def draw_ids(
    subject: Subject, draw: Draw, least: int = 1, rows: int | None = None, near: bool = False
) -> Array:
    """Random token ids [B, T]; Hypothesis draws the sizes, the seed, and how tokens repeat.

    near  no longer than `longest`: an effect may be lost over longer ways
    """
    count = subject.fixed_rows or (draw(st.integers(1, 3)) if rows is None else rows)
    most = subject.longest if near else subject.far
    lengths = st.integers(least, max(least, min(most, subject.longest)))
    if subject.longest > 2 * SHORT:  # short ones are quicker to try, and show most
        lengths = st.integers(least, max(least, SHORT)) | lengths
    if most > subject.longest and draw(st.booleans()):
        lengths = st.integers(least, most)
    length = draw(lengths)
    generator = np.random.default_rng(draw(seeds))
    ids: Array = generator.integers(0, subject.vocabulary_size, (count, length))
    if NUMTX in subject.capabilities:  # a law of its own asks numtx of shared prefixes
        return ids
    return patterned(ids, subject.vocabulary_size, draw)


def draw_mask(subject: Subject, draw: Draw, rows: int, length: int) -> Array:
    """[B, T], True at real tokens: the paddings that the subject takes."""
    kinds = ("none", *(kind for kind in subject.paddings if kind in PADDINGS))
    mask: Array = draw(padding_masks(rows, length, kinds))
    return mask


def alone(
    subject: Subject, ids: Array, mask: Array | None = None, memory: Memory | None = None
) -> Array:
    """The logits [1, T, V] of one row [1, T]: among copies of itself, where rows are fixed."""
    rows = subject.fixed_rows or 1
    if rows > 1:
        ids, mask = ids.repeat(rows, 0), None if mask is None else mask.repeat(rows, 0)
        if memory is not None:
            memory = Memory(memory.ids.repeat(rows, 0), memory.mask.repeat(rows, 0))
    return subject.logits(ids, mask, memory)[:1]


def other_ids(subject: Subject, draw: Draw, ids: Array) -> Array:
    """For every id another one."""
    steps = np.random.default_rng(draw(seeds)).integers(1, subject.vocabulary_size, ids.shape)
    other: Array = (ids + steps) % subject.vocabulary_size
    return other
