"""The kinds of values that a field of a configuration takes, and what each says of a wrong one."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from ..errors import ConfigError, nearest

if TYPE_CHECKING:
    from .field import Part


class Kind(Protocol):
    """What values a field takes."""

    def check(self, name: str, value: Any) -> Any:
        """The value in its canonical form; `ConfigError` for one of another kind."""

    def text(self) -> str:
        """What is taken, to follow "it is"."""


@dataclass(frozen=True)
class Choice:
    """One of a few words; None among them is the absence of the mechanism."""

    values: tuple[str | None, ...]

    def check(self, name: str, value: Any) -> Any:
        return value if value in self.values else refuse(name, value, self.text())

    def text(self) -> str:
        return "one of " + ", ".join("null" if v is None else repr(v) for v in self.values)


@dataclass(frozen=True)
class Whole:
    """A whole number, and no boolean."""

    least: int
    most: int | None = None

    def check(self, name: str, value: Any) -> Any:
        fits = type(value) is int and value >= self.least
        fits = fits and (self.most is None or value <= self.most)
        return value if fits else refuse(name, value, self.text())

    def text(self) -> str:
        most = "" if self.most is None else f" and at most {self.most}"
        return f"a whole number of at least {self.least}{most}"


@dataclass(frozen=True)
class Number:
    """A finite number, at least `least`, above `above` and below `below`, where these are given."""

    least: float | None = None
    above: float | None = None
    below: float | None = None

    def check(self, name: str, value: Any) -> Any:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not abs(value) <= sys.float_info.max:  # holds for no NaN, no huge int
            refuse(name, value, "a finite number")
        if (
            (self.least is not None and value < self.least)
            or (self.above is not None and value <= self.above)
            or (self.below is not None and value >= self.below)
        ):
            refuse(name, value, self.bounds())
        return value

    def bounds(self) -> str:
        if self.least is not None and self.above is None and self.below is None:
            return f"{self.least:g} or above"
        ends = {"at least": self.least, "above": self.above, "below": self.below}
        return " and ".join(f"{word} {end:g}" for word, end in ends.items() if end is not None)

    def text(self) -> str:
        return f"a finite number, {self.bounds()}" if self.bounds() else "a finite number"


@dataclass(frozen=True)
class Flag:
    """True or false."""

    def check(self, name: str, value: Any) -> Any:
        return value if type(value) is bool else refuse(name, value, self.text())

    def text(self) -> str:
        return "true or false"


@dataclass(frozen=True)
class Places:
    """Where a mechanism stands: everywhere (true), nowhere (false) or in some of the places."""

    known: tuple[str, ...]

    def check(self, name: str, value: Any) -> Any:
        """True and False stay; a list is put into the canonical order."""
        if isinstance(value, bool):
            return value
        if not isinstance(value, tuple | list):
            refuse(name, value, "true, false or a list of names")
        for item in value:
            if item not in self.known:
                raise ConfigError(
                    f"config: {name} names {item!r}; {nearest(str(item), self.known)}"
                )
        return tuple(item for item in self.known if item in value)

    def text(self) -> str:
        return f"true, false or a list of names: {', '.join(self.known)}"


@dataclass(frozen=True)
class Numbers:
    """A list of finite numbers, all above `above`."""

    above: float

    def check(self, name: str, value: Any) -> tuple[float, ...]:
        if not isinstance(value, tuple | list) or not value:
            refuse(name, value, self.text())
        return tuple(Number(above=self.above).check(name, one) for one in value)

    def text(self) -> str:
        return f"a list of finite numbers, above {self.above:g}"


@dataclass(frozen=True)
class Record:
    """One of several records, each with a `kind` and fields of its own."""

    kinds: Mapping[str, type[Part]]

    def check(self, name: str, value: Any) -> Any:
        """A record as it is; an object of the same names, as JSON has it, as a record."""
        if isinstance(value, tuple(self.kinds.values())):
            return value
        if not isinstance(value, Mapping) or value.get("kind") not in self.kinds:
            refuse(name, value, self.text())
        return self.kinds[value["kind"]].from_dict(name, value)

    def text(self) -> str:
        return f"an object whose kind is one of {', '.join(map(repr, self.kinds))}"


def refuse(name: str, value: Any, takes: str) -> NoReturn:
    raise ConfigError(f"config: {name} is {value!r}; it is {takes}")
