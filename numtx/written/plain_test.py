"""A plain test of what one law found: the calls of its smallest example, and what must hold."""

from __future__ import annotations

import re
from collections.abc import Iterator
from textwrap import wrap
from typing import Any

import numpy as np

from ..calls import CallFailed, Done, placed
from ..laws.law import Compared, Law, LawBroken
from ..shapes import Array
from ..subjects.subject import LOGITS, Memory, Subject
from .calls import UnstatedError

WIDTH, MOST = 100, 8  # columns of a line, and places that are compared
STATES = ("fork", "truncate", "reorder", "reset")  # what gives a state
Place = tuple[int, int, int]  # the number of a call, a row, a token


class PlainTest:
    """The test, and what it needs: `used`, the methods, and whether a mask is ever given."""

    def __init__(self, law: Law, example: LawBroken | CallFailed, own: Subject) -> None:
        """Raises `UnstatedError` where plain calls cannot say it."""
        if own.kind != LOGITS:
            raise UnstatedError("it asks more than calls of a model of ids")
        self.law, self.calls = law, example.calls
        self.used = {done.call.method for done in self.calls}
        self.masked = any(done.call.given.get("mask") is not None for done in self.calls)
        self.lines: list[str] = []
        self.literals: dict[str, str] = {}  # names of what was assigned, by its kind and text
        self.states: dict[int, str] = {}  # names, by the state's own number
        holds = list(_holds(example))
        compared = {int(n) for line in holds for n in re.findall(r"out_(\d+)", line)}
        for number, done in enumerate(self.calls):
            self._call(number, done, number in compared)
        if isinstance(example, LawBroken) and example.compared is None:
            self.lines[-1] = f"assert {self.lines[-1]} == {example.expected}"
        self.lines += holds

    def text(self, name: str) -> str:
        """The function."""
        said = wrap(f"{self.law.name}: {self.law.statement}.", WIDTH - 10)
        said = [f'"""{said[0]}', *said[1:]]
        said[-1:] = [f'{said[-1]}"""'] if len(said) == 1 else [said[-1], '"""']
        lines = [*said, *self.lines]
        return _renumbered(f"def {name}():\n" + "".join(f"    {line}\n" for line in lines))

    def _call(self, number: int, done: Done, is_compared: bool) -> None:
        """The line of a call; what it gives has a name if it is needed again."""
        method, given = done.call
        words = [self._word(method, n, value) for n, value in given.items() if value is not None]
        call = f"{method}({', '.join(words)})"
        state = None
        if done.found is not None:
            state = done.found[1] if method == "step" else done.found if method in STATES else None
        later = any(one.call.given.get("state") is state for one in self.calls[number + 1 :])
        if state is not None and later:
            self.states[id(state)] = name = f"state_{number}"
            out = f"out_{number}" if is_compared else "_"
            self.lines.append(f"{out}, {name} = {call}" if method == "step" else f"{name} = {call}")
        elif is_compared:
            self.lines.append(f"out_{number} = {call}" + ("[0]" if method == "step" else ""))
        else:
            self.lines.append(call)

    def _word(self, method: str, name: str, value: Any) -> str:
        """An argument."""
        if name == "state":
            if id(value) not in self.states:
                raise UnstatedError(f"{method} was given a state that no call gave")
            return self.states[id(value)]
        if isinstance(value, Memory):
            return f"memory=({self._array('memory', value.ids)}, {self._array('seen', value.mask)})"
        if isinstance(value, np.ndarray):
            return ("mask=" if name == "mask" else "") + self._array(name, value)
        if isinstance(value, list | tuple):
            return repr([int(one) for one in value])
        if isinstance(value, int | np.integer):
            return f"{name}={int(value)}"
        raise UnstatedError(f"{method} was given {name}, {type(value).__name__}")

    def _array(self, kind: str, array: Array) -> str:
        """The name of an array of whole numbers, which is assigned once."""
        rows = [repr(row) for row in np.asarray(array, dtype=np.int64).tolist()]
        key = f"{kind} {rows}"
        if key not in self.literals:
            self.literals[key] = f"{kind}_{len(self.literals)}"
            self.lines += _assigned(self.literals[key], rows)
        return self.literals[key]


def _assigned(name: str, rows: list[str]) -> list[str]:
    """Rows of numbers on one line, or a row a line; long rows filled."""
    line = f"{name} = [{', '.join(rows)}]"
    if len(line) <= WIDTH - 4:
        return [line]
    if max(map(len, rows)) <= WIDTH - 9:
        return [f"{name} = [", *(f"    {row}," for row in rows), "]"]
    filled = [part for row in rows for part in wrap(f"{row},", WIDTH - 8)]
    return [f"{name} = [", *(f"    {part}" for part in filled), "]  # fmt: skip"]


def _holds(example: LawBroken | CallFailed) -> Iterator[str]:
    """Lines that say what must hold; none where the last call is to say it."""
    if isinstance(example, CallFailed):
        return
    compared = example.compared
    if compared is None:
        last = example.calls[-1].call.method
        if last != "lengths" or not isinstance(example.expected, list):
            raise UnstatedError("it compares more than what single calls gave")
        return
    both = [(_places(one), _places(other)) for one, other in compared.pairs]
    if compared.alike:
        yield from (line for one, other in both for line in _agreeing(one, other, compared))
        return
    for number in range(min(MOST, len(both[0][0]))):
        pairs = (f"({_at(other[number])}, {_at(one[number])})" for one, other in both)
        yield f"differ([{', '.join(pairs)}], {compared.limit:.2e})"


def _places(logits: Array) -> list[Place]:
    """Of each row of numbers, where it stood."""
    origin = getattr(logits, "origin", None)
    if origin is None:
        raise UnstatedError("it compares what was computed from logits")
    return [placed(int(one)) for one in np.asarray(origin).reshape(len(logits), -1)[:, 0]]


def _agreeing(one: list[Place], other: list[Place], compared: Compared) -> list[str]:
    """Places that follow one another in both, as slices."""
    lines, start = [], 0
    for n in range(1, len(one) + 1):
        goes_on = n < len(one) and all(
            side[n] == (*side[n - 1][:2], side[n - 1][2] + 1) for side in (one, other)
        )
        if not goes_on:
            got, expected = (_at(side[start], n - start) for side in (other, one))
            lines.append(f"agree({got}, {expected}, {compared.limit:.2e})")
            start = n
    return lines[:MOST]


def _at(place: Place, count: int = 1) -> str:
    call, row, token = place
    return f"out_{call}[{row}, {token if count == 1 else f'{token}:{token + count}'}]"


NAMES = r"\b(out|state|ids|mask|memory|seen|documents)_\d+\b"


def _renumbered(text: str) -> str:
    """Names numbered as they come: the first of a kind has no number, the next is the second."""
    new: dict[str, str] = {}
    for found in re.finditer(NAMES, text):
        kind = found[1]
        count = sum(name.startswith(f"{kind}_") for name in new)
        new.setdefault(found[0], f"{kind}_{count + 1}" if count else kind)
    return re.sub(NAMES, lambda found: new[found[0]], text)
