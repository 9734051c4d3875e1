"""Names of others for stages, parameters and gradients: those of a state dict of transformers, of
its modules, and of what its models give out; found in the tables of the layouts."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, NamedTuple

from ..config import Config
from ..errors import CheckpointError, NumtxError, nearest
from ..families import LAYOUTS
from ..files import LazyArrays
from ..layouts.layout import SINUSOID, Entry, Layout, Row
from ..layouts.modules import Output, stages_of_modules
from ..parameters import parameter_shapes
from ..shapes import Array
from ..stages.resolve import resolve

GRADIENT: Final = re.compile(r"(?:(?:grads?|gradients?)[./])?(.*?)(\.grad)?")
WRAPPED: Final = re.compile(r"(?:module\.|_orig_mod\.)*(?:parameters/)?")
SAVED: Final = re.compile(r"\.(output|out)")  # what people add to the path of a module


class Source(NamedTuple):
    """Where an array of numtx comes from: arrays of the file, and what each is in its layout."""

    theirs: tuple[str, ...]
    what: tuple[Entry | Output, ...]

    @property
    def reading(self) -> tuple[object, ...]:
        """How it is read: two layouts that say the same here are alike."""
        return tuple((w.row.how, w.stored) if isinstance(w, Entry) else w for w in self.what)


@dataclass(frozen=True)
class Names:
    """The names of a file in one layout, for one configuration."""

    config: Config
    layout: Layout
    found: dict[str, Source] = field(default_factory=dict)  # by the names of numtx
    twice: dict[str, str] = field(default_factory=dict)  # theirs, and what another gives already
    beside: list[str] = field(default_factory=list)  # modules and tensors that are no part of numtx
    unknown: list[str] = field(default_factory=list)

    @cached_property
    def known(self) -> list[str]:
        """The names that this layout has for the configuration, to look for what is meant."""
        entries = self.layout.entries(self.config, whole=False)
        return [*entries, *stages_of_modules(self.config, self.layout).outputs]

    def nearest(self, name: str) -> str:
        """A hint for a name that is not known."""
        return nearest(name, self.known)

    def arrays(self, read: Callable[[str], Array]) -> LazyArrays:
        """The arrays by the names of numtx, each read when it is asked for."""
        return LazyArrays(self.found, lambda name: self._array(read, name))

    def _array(self, read: Callable[[str], Array], name: str) -> Array:
        parts: dict[str, Array] = {}
        bare = name.removeprefix("grad/").removeprefix("parameters/")
        for theirs, what in zip(*self.found[name], strict=True):
            x = read(theirs)
            if isinstance(what, Output):
                return _cut(what, x)[bare]
            if x.shape != what.stored:  # of another shape it is said to be, as it is
                return x.T if what.row.how == "transposed" and x.ndim == 2 else x
            what.into(parts, x, str(x.dtype), self.config.heads)
        return parts[bare]


def _cut(output: Output, x: Array) -> dict[str, Array]:
    """The stages in what a module gave, whose last axes may be apart; whole, where they do not
    fit."""
    width, last = sum(output.widths), 1
    if len(output.stages) == 1:
        return output.split(x)
    for axis in reversed(range(x.ndim)):
        last *= x.shape[axis]
        if last == width:
            return output.split(x.reshape(*x.shape[:axis], width))
    return dict.fromkeys(output.stages, x)


def names_of(file: Collection[str], config: Config, layout: str | None = None) -> Names | None:
    """What the names of a file are, in the layout that knows most of them; None: in none.

    layout  the only one to try

    Raises `CheckpointError` where two layouts know as many and do not read them alike.
    """
    tables = LAYOUTS.values() if layout is None else [LAYOUTS[layout]]
    some = _of_each_form(file)
    every = [_names(some, config, table.of(some), whole=False) for table in tables]
    most = max(len(some) - len(names.unknown) for names in every)
    best = [names for names in every if len(some) - len(names.unknown) == most]
    if not most:
        return None
    fitting = [names for names in best if _fits(names.layout, config)] or best
    first = fitting[0]
    for other in fitting[1:]:
        for name in {**first.found, **other.found}:
            one, two = first.found.get(name), other.found.get(name)
            if one is None or two is None or (one.theirs, one.reading) != (two.theirs, two.reading):
                theirs = (one or two or Source(("",), ())).theirs[0]
                raise CheckpointError(
                    f"its names are those of {first.layout.name} and of {other.layout.name}, which "
                    f"do not read {theirs!r} alike; choose one with --layout"
                )
    found = _names(file, config, first.layout.of(file))
    return found if len(found.unknown) < len(file) else None


def _of_each_form(file: Collection[str]) -> list[str]:
    """The first and the last of the names that differ in their numbers alone: all of a large file
    need not be looked up in every layout."""
    forms = {re.sub(r"\d+", "0", name): name for name in file}
    first = {re.sub(r"\d+", "0", name): name for name in reversed([*file])}
    return list(dict.fromkeys((*first.values(), *forms.values())))


def _fits(layout: Layout, config: Config) -> bool:
    try:
        layout.write_fields(config)
    except NumtxError:
        return False
    return True


def why_not(file: Collection[str], config: Config) -> str:
    """Of names that no layout knows for this configuration: the layout whose they look like, and
    why its models have another; empty where they look like none."""
    best, most = None, 0
    for layout in LAYOUTS.values():
        forms = [row.theirs for row in (*layout.rows, *layout.stacked)]
        text = "|".join(map(_pattern, (*forms, *layout.modules)))
        known = sum(re.fullmatch(text, name) is not None for name in file)
        best, most = (layout, known) if known > most else (best, most)
    if best is None:
        return ""
    try:
        best.write_fields(config)
    except NumtxError as error:
        return str(error)
    return f"it has more layers than the configuration, or other ones, for a {best.name}"


def _pattern(form: str) -> str:
    text = re.escape(form.removesuffix(".weight").removesuffix(".bias"))
    for name, what in (("i", r"\d+"), ("e", r"\d+"), ("side", "(encoder|decoder)")):
        text = text.replace(re.escape(f"{{{name}}}"), what)
    return f"{text}(\\.(weight|bias|grad|weight\\.grad|bias\\.grad))?"


def _names(file: Collection[str], config: Config, layout: Layout, whole: bool = True) -> Names:
    """The names in one layout; whole: experts of a stack count where all of them are there."""
    names = Names(config, layout)
    entries, modules = layout.entries(config, whole=False), stages_of_modules(config, layout)
    shapes = parameter_shapes(config)
    parts: dict[str, list[tuple[str, Entry]]] = {}
    copies: dict[str, str] = {}
    for theirs in file:
        bare, grad = bare_name(theirs)
        kind, place = layout.place(bare, entries)
        output = modules.of(bare) or modules.of(SAVED.sub("", bare))
        if kind == "mapped":
            for own in entries[place].shapes:
                parts.setdefault(f"{grad}parameters/{own}", []).append((theirs, entries[place]))
        elif output is not None:
            stages = [grad + stage for stage in output.stages]
            if names.found.keys().isdisjoint(stages):
                names.found.update(dict.fromkeys(stages, Source((theirs,), (output,))))
            else:
                names.twice[theirs] = stages[0]
        elif kind == "copy" and layout.copies[place] != SINUSOID:
            own = layout.copies[place]
            own = own if own in shapes else f"decoder.{own}"  # of two vocabularies
            copies[theirs] = f"{grad}parameters/{own}"
        elif kind in ("carried", "outside") or modules.gives_none(bare):
            names.beside.append(theirs)
        elif kind not in ("copy", "skipped"):
            names.unknown.append(theirs)
    for name, every in parts.items():
        stack = every[0][1].expert is not None
        if whole and stack and len(every) < shapes[name.rpartition("parameters/")[2]][0]:
            names.unknown.extend(theirs for theirs, _ in every)
        else:
            names.found[name] = Source(*map(tuple, zip(*every, strict=True)))
    for theirs, name in copies.items():
        own = name.rpartition("parameters/")[2]
        if name in names.found or own not in shapes:
            names.twice[theirs] = name
        else:
            entry = Entry(Row(theirs, (own,)), shapes[own], {own: shapes[own]})
            names.found[name] = Source((theirs,), (entry,))
    return names


def bare_name(theirs: str) -> tuple[str, str]:
    """A name without what says that it is a gradient, and `grad/` where it is one."""
    match = GRADIENT.fullmatch(theirs)
    assert match is not None
    bare = WRAPPED.sub("", match[1], count=1)
    return bare, "grad/" if theirs != match[1] else ""


def names_given(config: Config) -> dict[str, str]:
    """What models of transformers give out beside the logits, hidden states and weights, by the
    names that people save it under: `attentions.0` or `attentions_0`."""
    return dict(_given(config))


def _given(config: Config) -> Iterator[tuple[str, str]]:
    for side in config.sides:
        last = [name for name in resolve(config).stages if name.startswith(f"{side}.")]
        kinds = [("", "self"), ("cross_", "cross")] if side == "decoder" else [("", "self")]
        before = f"{side}_" if len(config.sides) > 1 else ""
        for i in range(config.layers(side)):
            for word, kind in kinds:
                theirs = f"{word or before}attentions"
                weights = f"{side}.{i}.{kind}_attention.weights"
                if weights in last:
                    yield from ((f"{theirs}{mark}", weights) for mark in (f".{i}", f"_{i}"))
            block = [name for name in last if name.startswith(f"{side}.{i}.")][-1]
            state = f"{side}.output" if i == config.layers(side) - 1 else block
            for mark in (f".{i + 1}", f"_{i + 1}"):
                yield f"{before}hidden_states{mark}", state
        yield from ((f"{before}hidden_states{mark}", f"{side}.input") for mark in (".0", "_0"))
        yield f"{before}last_hidden_state", f"{side}.output"
    yield "last_hidden_state", f"{config.sides[-1]}.output"
