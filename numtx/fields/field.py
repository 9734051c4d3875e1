"""A field of a configuration, declared by one statement: its kind, bounds, words, what to draw.

    window: int | None = whole("Attention", "how far it reaches", (None, 1, 3), default=None)

What reads a field is the check of a value, the docstring of the configuration, `numtx init
--fields` and the random models of `numtx.testing`. Which fields go together is not its affair:
that is the table of rules.
"""

from __future__ import annotations

import dataclasses
import inspect
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass
from types import MappingProxyType
from typing import (
    Any,
    ClassVar,
    Literal,
    NamedTuple,
    TypeAlias,
    TypeVar,
    dataclass_transform,
    get_args,
)

from ..errors import ConfigError, nearest
from .kinds import Choice, Flag, Kind, Number, Numbers, Places, Record, Whole

Section = Literal["Sizes", "Wiring", "Attention", "Positions", "Embedding, feed-forward, output"]
T = TypeVar("T")


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
        if self.differs(value):
            return self._pattern(name, tuple(value))
        return None if value is None and self.optional else self.kind.check(name, value)

    def differs(self, value: Any) -> bool:
        """Whether a value is a list of one a layer; a list of names alone is one value."""
        listed = self.layers and isinstance(value, tuple | list)
        return listed and not (self._places and all(isinstance(one, str) for one in value))

    @property
    def _places(self) -> bool:
        return isinstance(self.kind, Places)

    def _pattern(self, name: str, values: tuple[Any, ...]) -> Any:
        """One value a layer; where all are alike, that value itself."""
        if not values:
            raise ConfigError(f"config: {name} is an empty list; it has one value a layer")
        found = []
        for value in values:
            if isinstance(value, tuple | list) and not self._places:
                raise ConfigError(f"config: {name} is {value!r} in a layer; it is {self.text()}")
            own = self._places and isinstance(value, tuple | list)
            found.append(self.kind.check(name, value) if own else self.check(name, value))
        return found[0] if len(set(found)) == 1 else tuple(found)

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
    most: int | None = None, default: Any = MISSING, only: Only = None,
) -> Any:  # fmt: skip
    """A field of a whole number; None is taken where it is the default. It may differ by layer
    where a pattern, a tuple, is to be drawn."""
    return _declare(Whole(least, most), section, words, draw, default, only)


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


def places(
    section: Section, words: str, known: tuple[str, ...], *, default: Any = MISSING,
    layers: tuple[Any, ...] = (),
) -> Any:  # fmt: skip
    """A field of true, false or some of the known places; all of these are drawn.

    layers  patterns to draw where it may differ by layer
    """
    return _declare(Places(known), section, words, (False, True, AnyOf(known), *layers), default)


def _declare(
    kind: Kind, section: Section, words: str, draw: tuple[Any, ...], default: Any,
    only: Only = None, by_layer: bool = True,
) -> Any:  # fmt: skip
    layers = by_layer and any(isinstance(value, tuple) for value in draw)
    field = Field(kind, section, words, draw, default, only, layers)
    return dataclasses.field(default=default, metadata={"field": field})


def numbers(
    section: Section, words: str, draw: tuple[tuple[float, ...], ...], *, above: float
) -> Any:
    """A field of a list of numbers."""
    return _declare(Numbers(above), section, words, draw, MISSING, by_layer=False)


def record(
    section: Section, words: str, kinds: Mapping[str, type[Part]], draw: tuple[Any, ...], *,
    default: Any = MISSING, only: Only = None,
) -> Any:  # fmt: skip
    """A field of one of several records; None is taken where it is the default. It may differ by
    layer where a tuple is to be drawn."""
    return _declare(Record(kinds), section, words, draw, default, only)


# What is read from them.


class Part:
    """A record that is the value of a field, declared as a configuration is."""

    kind: ClassVar[str]

    def __post_init__(self) -> None:
        for name, field in fields_of(type(self)).items():
            object.__setattr__(self, name, field.check(self._of(name), getattr(self, name)))

    def hold(self, holds: bool, message: str) -> None:
        """Raise `ConfigError` where something does not hold between its fields."""
        if not holds:
            raise ConfigError(f"config: {self.kind}: {message}")

    @classmethod
    def _of(cls, name: str) -> str:
        return f"{cls.kind} {name}"

    @classmethod
    def from_dict(cls, place: str, values: Mapping[str, Any]) -> Part:
        """A record from JSON values; unknown and missing names are errors."""
        own = {name: value for name, value in values.items() if name != "kind"}
        return from_names(cls, own, f"config: {place}")

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain JSON values."""
        own = {name: plain(getattr(self, name)) for name in fields_of(type(self))}
        return {"kind": self.kind, **own}


def from_names(cls: type[T], values: Mapping[str, Any], place: str) -> T:
    """An object of these fields; unknown and missing names are errors."""
    known = fields_of(cls)
    for name in values:
        if name not in known:
            raise ConfigError(f"{place}: unknown field {name!r}; {nearest(name, known)}")
    for name, field in known.items():
        if field.needed and name not in values:
            raise ConfigError(f"{place}: field {name!r} is missing; it has no default")
    return cls(**values)


def plain(value: Any) -> Any:
    """A value of a field in JSON's terms."""
    if isinstance(value, tuple):
        return [plain(one) for one in value]
    return value.to_dict() if isinstance(value, Part) else value


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

    def by_layer(name: str, field: Field) -> Rule:
        def size(config: Any) -> int:
            value = getattr(config, name)
            return len(value) if field.differs(value) else 1

        return Rule(
            lambda c: size(c) == 1 or size(c) <= c.depth,
            lambda c: (
                f"{name} has {size(c)} values with encoder_layers {c.encoder_layers} and "
                f"decoder_layers {c.decoder_layers}; give one a layer, or a few that repeat"
            ),
        )

    found = fields_of(cls).items()
    return (
        *(rule(name, f.default, *f.only) for name, f in found if f.only is not None),
        *(by_layer(name, f) for name, f in found if f.layers),
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
    field_specifiers=(choice, whole, number, flag, places, numbers, record),
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
