"""How a verdict follows from what is stated and what is computed.

Each judge holds stated data and a computation. Nothing here knows which verdict a row should
have: it is worked out whenever the ledger runs.

    reproduced     computed, and equal at the printed precision
    rounding       differs only by how it was rounded or cut
    contradicted   the document's own inputs, another passage or a theorem give something else
    attainable     an illustration, and parameters were run whose forward pass gives it
    impossible     an illustration that an argument excludes, for every value that prints so
    definition     a convention or an input, or a fact about other systems with its source
    open           none of these was shown (no row of the ledger should be open)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from ...shapes import Array

VERDICTS = (
    "reproduced", "rounding", "contradicted", "attainable", "impossible", "definition", "open",
)  # fmt: skip
_SLACK = 1e-9  # a value exactly between two printed ones may go either way


class Outcome(NamedTuple):
    """A verdict, what was computed (text), and what the judge itself has to say of it."""

    verdict: str
    computed: str
    reason: str


class Judge(Protocol):
    """Stated data with a computation."""

    @property
    def stated(self) -> Any: ...

    def judge(self) -> Outcome: ...


# An argument says why a stated illustration cannot be, for every value within half a printed
# unit of it; None where it does not apply.
Argument = Callable[[Array, float], str | None]


def rounding_of(stated: float, computed: float, decimals: int) -> str:
    """How a printed number came from a computed one: rounded, cut, raised or off."""
    unit = 10.0**-decimals
    if abs(stated - computed) <= unit / 2 + _SLACK:
        return "rounded"
    if abs(math.trunc(computed / unit + math.copysign(_SLACK, computed)) * unit - stated) < _SLACK:
        return "cut"
    away = math.copysign(math.ceil(abs(computed) / unit - _SLACK) * unit, computed)
    return "raised" if abs(away - stated) < _SLACK else "off"


@dataclass(frozen=True)
class Figures:
    """Printed numbers against computed ones, entry by entry."""

    stated: Any
    compute: Callable[[], Any]
    decimals: int = 2

    def judge(self) -> Outcome:
        stated, computed = np.asarray(self.stated, float), np.asarray(self.compute(), float)
        if stated.shape != computed.shape:
            reason = f"shape {show(stated.shape)} stated, {show(computed.shape)} computed"
            return Outcome("contradicted", numbers(computed, self.decimals), reason)
        how = [
            rounding_of(s, c, self.decimals)
            for s, c in zip(stated.flat, computed.flat, strict=True)
        ]
        text = numbers(computed, self.decimals)
        if "off" in how:
            off, far = how.count("off"), float(np.abs(stated - computed).max())
            which = "the number differs" if stated.size == 1 else f"{off} of {len(how)} differ"
            return Outcome("contradicted", text, f"{which}, by up to {far:.{self.decimals + 1}f}")
        odd = [
            f"{_place(index, stated)}{c:.{self.decimals + 2}f} {kind} to {s:.{self.decimals}f}"
            for (index, s), c, kind in zip(np.ndenumerate(stated), computed.flat, how, strict=True)
            if kind != "rounded"
        ]
        if odd:
            return Outcome("rounding", text, "; ".join(odd))
        return Outcome("reproduced", text, "equal at the printed precision")


@dataclass(frozen=True)
class Same:
    """Data that is equal or not: shapes, sequences, counts, orders, truth values."""

    stated: Any
    compute: Callable[[], Any]

    def judge(self) -> Outcome:
        computed = self.compute()
        equal = bool(plain(self.stated) == plain(computed))
        return Outcome("reproduced" if equal else "contradicted", show(computed), "")


@dataclass(frozen=True)
class Claim:
    """A statement in words: stated is what it says of the run; the run gives its own answer and
    the numbers behind it."""

    stated: Any
    run: Callable[[], tuple[Any, str]]

    def judge(self) -> Outcome:
        found, why = self.run()
        equal = bool(plain(self.stated) == plain(found))
        return Outcome("reproduced" if equal else "contradicted", show(found), why)


@dataclass(frozen=True)
class Illustration:
    """Numbers without inputs: impossible where an argument excludes them, attainable where the
    witness's forward pass gives them, both for every value that prints as stated.

    witness  stated -> the cells of a run of numtx that should print so; None where there is none
    """

    stated: Any
    witness: Callable[[Array], Any] | None
    arguments: Sequence[Argument] = ()
    decimals: int = 2

    def judge(self) -> Outcome:
        stated, half = np.asarray(self.stated, float), 0.5 * 10.0**-self.decimals
        for argument in self.arguments:
            reason = argument(stated, half)
            if reason is not None:
                return Outcome("impossible", "-", reason)
        if self.witness is None:
            return Outcome("open", "-", "no argument excludes it and no witness is known")
        run = np.asarray(self.witness(stated), float)
        text = numbers(run, self.decimals + 2)
        if run.shape == stated.shape and np.all(np.abs(run - stated) <= half + _SLACK):
            return Outcome("attainable", text, "numtx's forward pass gives it")
        return Outcome("open", text, "the witness gives something else")


@dataclass(frozen=True)
class Possible:
    """A statement that some run may show: the witness returns whether it does."""

    stated: Any
    witness: Callable[[Any], tuple[bool, str]]
    argument: Callable[[Any], str | None] = lambda stated: None

    def judge(self) -> Outcome:
        reason = self.argument(self.stated)
        if reason is not None:
            return Outcome("impossible", "-", reason)
        shown, text = self.witness(self.stated)
        return Outcome("attainable" if shown else "open", text, "shown by an example")


@dataclass(frozen=True)
class Given:
    """An input or a convention. Where numtx takes it over, what it takes is compared."""

    stated: Any
    source: str
    taken: Callable[[], Any] | None = None

    def judge(self) -> Outcome:
        if self.taken is None:
            return Outcome("definition", "-", self.source)
        taken = self.taken()
        if plain(self.stated) == plain(taken):
            return Outcome("definition", show(taken), self.source)
        return Outcome("contradicted", show(taken), "numtx runs with something else")


def plain(value: Any) -> Any:
    """Arrays, tuples and sets as nested lists, so that they can be compared."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, set | frozenset):
        return sorted(map(plain, value))
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def show(value: Any) -> str:
    """Data as short text."""
    value = plain(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        tight = all(isinstance(item, int) for item in value)  # a shape, or ids
        return f"[{(',' if tight else ', ').join(show(item) for item in value)}]"
    return str(value)


def numbers(values: Any, decimals: int) -> str:
    """Numbers with so many decimals; rows apart."""
    array = np.asarray(values, float)
    if array.ndim == 0:
        return f"{float(array):.{decimals}f}"
    if array.ndim == 1:
        return " ".join(f"{x:.{decimals}f}" for x in array)
    return " / ".join(numbers(row, decimals) for row in array)


def _place(index: tuple[int, ...], stated: Array) -> str:
    return f"[{','.join(map(str, index))}] " if stated.ndim else ""
