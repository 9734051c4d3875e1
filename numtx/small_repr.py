"""Short texts of objects, for `repr` and `print`: what there is, not every number of it."""

from __future__ import annotations

import dataclasses
import itertools
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from typing import Any, TypeVar

WIDTH, LINES = 160, 5
ROOM = 70  # columns for the value of one field
FEW = 12  # items that may be shown one by one

T = TypeVar("T")


def small_repr(*names: str) -> Callable[[type[T]], type[T]]:
    """A class decorator: `repr` is `Name(field=value, ...)` with every value in brief, of at
    most 5 lines of 160 columns. Fields of a dataclass that have their default are left out.

    names  attributes and properties to show; none: the fields of a NamedTuple or a dataclass,
           or the public attributes of another object
    """

    def text(self: object) -> str:
        pairs = ((n, getattr(self, n)) for n in names) if names else _fields(self)
        parts = [f"{name}={brief(value)}" for name, value in pairs]
        lines = textwrap.wrap(
            f"{type(self).__name__}({', '.join(parts)})", WIDTH, subsequent_indent="    ",
            max_lines=LINES, placeholder=" ...)", break_on_hyphens=False,
        )  # fmt: skip
        return "\n".join(lines)

    def decorate(cls: type[T]) -> type[T]:
        cls.__repr__ = text  # type: ignore[method-assign]
        return cls

    return decorate


def in_notebook(cls: type[T]) -> type[T]:
    """A class decorator: a notebook shows its objects as tables with heat, in place of `repr`."""

    def html(self: object) -> str:
        from .notebook.shown import html_of  # which stands above all that it shows

        return html_of(self)

    cls._repr_html_ = html  # type: ignore[attr-defined]
    return cls


def brief(value: object, room: int = ROOM) -> str:
    """A value in about `room` columns: arrays as `float64(2,5) [-4.1, 7.5]`, long lists by their
    beginning and length, objects by their class."""
    if isinstance(value, type) or callable(value):
        return getattr(value, "__name__", type(value).__name__)
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return _array(value)
    if isinstance(value, str):
        return _cut(repr(value[: 2 * room]), room)
    if _is_object(value):
        return f"{type(value).__name__}(...)"
    if isinstance(value, Mapping):
        return _items(value, "{}", room)
    if isinstance(value, Set):
        return _items(value, "{}", room)
    if isinstance(value, Sequence):
        return _items(value, "()" if isinstance(value, tuple) else "[]", room)
    try:
        return _cut(" ".join(repr(value).split()), room)
    except ValueError:  # a whole number of thousands of digits
        return type(value).__name__


def _array(value: Any) -> str:
    head = f"{value.dtype}({','.join(map(str, value.shape))})"
    if not value.size or value.dtype.kind not in "biuf":
        return head
    if value.dtype.kind == "b":
        return f"{head} {int(value.sum())} True"
    ends = [f"{x:.6g}" for x in (value.min(), value.max())]
    return f"{head} {ends[0]}" if value.size == 1 else f"{head} [{', '.join(ends)}]"


def _items(values: Any, brackets: str, room: int) -> str:
    """Items as long as there is room, and how many there are."""
    shown: list[str] = []
    for item in itertools.islice(values, FEW):
        text = brief(item, room // 2)
        if isinstance(values, Mapping):
            text += f": {brief(values[item], room // 2)}"
        if _is_object(item) and text in shown:  # another one of the kind
            break
        if shown and sum(map(len, shown)) + 2 * len(shown) + len(text) > room:
            break
        shown.append(text)
    if len(shown) < len(values):
        shown.append(f"... {len(values)} in all")
    elif len(shown) == 1 and brackets == "()":
        shown[0] += ","
    return f"{brackets[0]}{', '.join(shown)}{brackets[1]}"


def _is_object(value: object) -> bool:
    """Whether it has a text of its own, rather than being a plain value or container."""
    own = type(value).__module__.partition(".")[0] == __name__.partition(".")[0]
    return own or dataclasses.is_dataclass(value) or hasattr(value, "_fields")


def _fields(value: Any) -> Iterator[tuple[str, object]]:
    if hasattr(value, "_fields"):
        for name in value._fields:
            yield name, getattr(value, name)
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            found = getattr(value, field.name)
            factory = field.default_factory is not dataclasses.MISSING
            if not (_is_default(found, field.default) or (factory and not found)):
                yield field.name, found
    else:
        slots = (getattr(kind, "__slots__", ()) for kind in type(value).__mro__)
        for name in dict.fromkeys([*itertools.chain(*slots), *getattr(value, "__dict__", ())]):
            if not name.startswith("_") and hasattr(value, name):
                yield name, getattr(value, name)


def _is_default(value: object, default: object) -> bool:
    plain = isinstance(value, bool | int | float | str | tuple)
    return value is default or (plain and type(value) is type(default) and value == default)


def _cut(text: str, room: int) -> str:
    return text if len(text) <= room else f"{text[:room]}..."
