"""A field of a configuration, declared by one statement: its kind, bounds, words, what to draw.

    window: int | None = whole("Attention", "how far it reaches", (None, 1, 3), default=None)

What reads a field is the check of a value, the docstring of the configuration, `numtx init
--fields` and the random models of `numtx.testing`. Which fields go together is not its affair:
that is the table of rules.
"""

from __future__ import annotations

import dataclasses
import inspect
import sys
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass
from types import MappingProxyType
from typing import (
    Any,
    Literal,
    NamedTuple,
    NoReturn,
    Protocol,
    TypeAlias,
    TypeVar,
    dataclass_transform,
    get_args,
)

from .errors import ConfigError, nearest

Section = Literal["Sizes", "Wiring", "Attention", "Positions", "Embedding, feed-forward, output"]
T = TypeVar("T")


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
        return value if value in self.values else _refuse(name, value, self.text())

    def text(self) -> str:
        return "one of " + ", ".join("null" if v is None else repr(v) for v in self.values)


@dataclass(frozen=True)
class Whole:
    """A whole number, and no boolean."""

    least: int

    def check(self, name: str, value: Any) -> Any:
        fits = type(value) is int and value >= self.least
        return value if fits else _refuse(name, value, self.text())

    def text(self) -> str:
        return f"a whole number of at least {self.least}"


@dataclass(frozen=True)
class Number:
    """A finite number, at least `least`, above `above` and below `below`, where these are given."""

    least: float | None = None
    above: float | None = None
    below: float | None = None

    def check(self, name: str, value: Any) -> Any:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not abs(value) <= sys.float_info.max:  # holds for no NaN, no huge int
            _refuse(name, value, "a finite number")
        if (
            (self.least is not None and value < self.least)
            or (self.above is not None and value <= self.above)
            or (self.below is not None and value >= self.below)
        ):
            _refuse(name, value, self.bounds())
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
        return value if type(value) is bool else _refuse(name, value, self.text())

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
            _refuse(name, value, "true, false or a list of names")
        for item in value:
            if item not in self.known:
                raise ConfigError(
                    f"config: {name} names {item!r}; {nearest(str(item), self.known)}"
                )
        return tuple(item for item in self.known if item in value)

    def text(self) -> str:
        return f"true, false or a list of names: {', '.join(self.known)}"


def _refuse(name: str, value: Any, takes: str) -> NoReturn:
    raise ConfigError(f"config: {name} is {value!r}; it is {takes}")


@dataclass(frozen=True)
class AnyOf:
    """To draw: any part of the names, in any order."""

    names: tuple[str, ...]


Only: TypeAlias = tuple[str, tuple[Any, ...]] | None


@dataclass(frozen=True)
class Field:
    """All that is known of one field.

    words  what it means, for the docstring
    draw   values that random models take, the plainest first; `AnyOf` stands for its parts
    only   another field, and its values (none: all but None) under which this one may differ
           from its default
    layers whether it may differ by layer: a list is then one value a layer, and repeats where the
           layers are more
    """

    kind: Kind
    section: Section
    words: str
    draw: tuple[Any, ...]
    default: Any = MISSING
    only: Only = None
    layers: bool = False

    def __post_init__(self) -> None:
        if self.section not in get_args(Section):
            raise TypeError(f"section {self.section!r}; it is one of {get_args(Section)}")

    @property
    def needed(self) -> bool:
        """Whether there is no default."""
        return self.default is MISSING

    @property
    def optional(self) -> bool:
        """Whether None is taken where the kind does not take it: it is if it is the default."""
        return self.default is None

    def check(self, name: str, value: Any) -> Any:
        """The value in its canonical form; `ConfigError` for one that the field does not take."""
        if self.layers and isinstance(value, tuple | list):
            return self._pattern(name, tuple(value))
        return None if value is None and self.optional else self.kind.check(name, value)

    def _pattern(self, name: str, values: tuple[Any, ...]) -> Any:
        """One value a layer; where all are alike, that value itself."""
        if not values:
            raise ConfigError(f"config: {name} is an empty list; it has one value a layer")
        for value in values:
            if isinstance(value, tuple | list):
                raise ConfigError(f"config: {name} is {value!r} in a layer; it is {self.text()}")
            self.check(name, value)
        return values[0] if len(set(values)) == 1 else values

    def text(self) -> str:
        """What is taken, in JSON's words."""
        null = self.optional and not isinstance(self.kind, Choice)
        layers = "; or a list, one a layer, repeated" if self.layers else ""
        return self.kind.text() + (", or null" if null else "") + layers


# The statements that declare a field.


def choice(
    section: Section, words: str, values: tuple[str | None, ...], *, default: Any = MISSING,
    only: Only = None, layers: tuple[Any, ...] = (),
) -> Any:  # fmt: skip
    """A field of one of the values; each of them is drawn.

    layers  patterns to draw where it may differ by layer
    """
    plainest = (*sorted(values, key=lambda value: value is not None), *layers)
    return _declare(Choice(values), section, words, plainest, default, only)


def whole(
    section: Section, words: str, draw: tuple[Any, ...], *, least: int = 1,
    default: Any = MISSING, only: Only = None,
) -> Any:  # fmt: skip
    """A field of a whole number; None is taken where it is the default. It may differ by layer
    where a pattern, a tuple, is to be drawn."""
    return _declare(Whole(least), section, words, draw, default, only)


def number(
    section: Section, words: str, draw: tuple[Any, ...], *, least: float | None = None,
    above: float | None = None, below: float | None = None, default: Any = MISSING,
) -> Any:  # fmt: skip
    """A field of a finite number; None is taken where it is the default. It may differ by layer
    where a pattern, a tuple, is to be drawn."""
    return _declare(Number(least, above, below), section, words, draw, default)


def flag(section: Section, words: str, *, default: Any = MISSING, only: Only = None) -> Any:
    """A field of true or false; both are drawn."""
    plainest = default is True
    return _declare(Flag(), section, words, (plainest, not plainest), default, only)


def places(section: Section, words: str, known: tuple[str, ...], *, default: Any = MISSING) -> Any:
    """A field of true, false or some of the known places; all of these are drawn."""
    return _declare(Places(known), section, words, (False, True, AnyOf(known)), default)


def _declare(
    kind: Kind, section: Section, words: str, draw: tuple[Any, ...], default: Any,
    only: Only = None,
) -> Any:  # fmt: skip
    layers = any(isinstance(value, tuple) for value in draw)
    field = Field(kind, section, words, draw, default, only, layers)
    return dataclasses.field(default=default, metadata={"field": field})


# What is read from them.


class Rule(NamedTuple):
    """A condition that every configuration meets, and what to say of one that does not."""

    holds: Callable[[Any], bool]
    message: Callable[[Any], str]


def rules_of(cls: type[Any]) -> tuple[Rule, ...]:
    """What follows from `only`: a field has its default, or the other field one of the values;
    and from `layers`: no list is longer than the deepest stack (`depth`)."""

    def rule(name: str, default: Any, other: str, values: tuple[Any, ...]) -> Rule:
        def holds(config: Any) -> bool:
            if getattr(config, name) == default:
                return True
            got = getattr(config, other)
            every = got if isinstance(got, tuple) else (got,)  # by layer: one that has it is enough
            return any(one in values if values else one is not None for one in every)

        allowed = " or ".join(map(repr, values)) if values else "given"
        return Rule(
            holds,
            lambda c: (
                f"{name} {getattr(c, name)!r} is for models with {other} {allowed}; "
                f"here {other} is {getattr(c, other)!r}"
            ),
        )

    def by_layer(name: str) -> Rule:
        def size(config: Any) -> int:
            value = getattr(config, name)
            return len(value) if isinstance(value, tuple) else 1

        return Rule(
            lambda c: size(c) == 1 or size(c) <= c.depth,
            lambda c: (
                f"{name} has {size(c)} values and no stack more than {c.depth} layers; give one "
                "a layer, or a few that repeat"
            ),
        )

    found = fields_of(cls).items()
    return (
        *(rule(name, f.default, *f.only) for name, f in found if f.only is not None),
        *(by_layer(name) for name, f in found if f.layers),
    )


_FIELDS: dict[type[Any], Mapping[str, Field]] = {}  # found once for each class


def fields_of(cls: type[Any]) -> Mapping[str, Field]:
    """The fields of a configuration in order of declaration."""
    if cls not in _FIELDS:
        found = {field.name: field.metadata["field"] for field in dataclasses.fields(cls)}
        _FIELDS[cls] = MappingProxyType(found)
    return _FIELDS[cls]


@dataclass_transform(
    kw_only_default=True,
    frozen_default=True,
    field_specifiers=(choice, whole, number, flag, places),
)
def configuration(cls: type[T]) -> type[T]:
    """A class decorator: a frozen dataclass whose docstring lists its fields at `{fields}`."""
    made = dataclass(frozen=True, kw_only=True)(cls)
    made.__doc__ = inspect.cleandoc(made.__doc__ or "").replace("{fields}", words_of(made))
    return made


def words_of(cls: type[Any]) -> str:
    """Name and words of every field, section by section."""
    lines = []
    for section in get_args(Section):
        lines.append(section)
        for name, field in fields_of(cls).items():
            if field.section == section:
                lines += _columns(f"    {name:<21} ", field.words)
    return "\n".join(lines)


def values_of(cls: type[Any]) -> str:
    """Name, default and what is taken of every field."""
    lines = []
    for name, field in fields_of(cls).items():
        default = "(needed)" if field.needed else repr(field.default)
        lines += _columns(f"    {name:<21} {default:<17} ", field.text())
    return "\n".join(lines)


def _columns(head: str, text: str) -> list[str]:
    return textwrap.wrap(
        text, 96, initial_indent=head, subsequent_indent=" " * len(head),
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
