"""A side of a comparison whose arrays have names of others: found in the tables of the layouts."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from ..compare.sides import Side
from ..config import Config
from ..errors import CheckpointError, TraceError
from ..files import LazyArrays
from ..fitting.fit import fit
from ..fitting.suggest import apart, suggested
from ..parameters import parameter_shapes
from ..shapes import Array
from ..stages.leaf import Text
from ..trace.trace import Trace
from .names import Names, bare_name, names_given, names_of, why_not


def understood(side: Side, first: Side, layout: str | None = None) -> Side:
    """A side whose arrays have the names of numtx, where they are known by others.

    first   the trace that it is held against; where it is none, names stay as they are
    layout  the family whose names they are, where that is known

    Raises `TraceError` where nothing in it is known.
    """
    if side.trace is not None or first.trace is None:
        return side
    own, twice, others = _own_names(side, first.trace)
    names = _in_layout(side, others, first.trace.config, layout)
    if not own and names is None:
        raise TraceError(_unknown(side, first, others))
    raw = side.arrays.__getitem__
    found = {name: {theirs: partial(raw, theirs)} for name, theirs in own.items()}
    notes: list[Text] = []
    spelled: tuple[str, ...] = ()
    if names is not None:
        family, known = names.layout.name, names.arrays(raw)
        for name, source in names.found.items():
            found.setdefault(name, {})[source.theirs[0]] = partial(known.__getitem__, name)
        twice, others, spelled = {**twice, **names.twice}, names.unknown, tuple(names.known)
        others = [*others, *names.beside]
        zh, en = f"名字按 {family} 的读", f"names read as those of {family}"
        notes.append(Text(f"{side.name}：{zh}", f"{side.name}: {en}"))
    for theirs, name in twice.items():
        if name:
            found.setdefault(name, {})[theirs] = partial(raw, theirs)
    readers: dict[str, Callable[[], Array]] = {name: partial(raw, name) for name in others}
    for name, every in found.items():
        readers[name], told = _one_of(name, every, first.trace)
        notes += [Text(*(f"{side.name}: {text}" for text in pair)) for pair in told]
    arrays = LazyArrays(readers, lambda name: readers[name]())
    return side._replace(arrays=arrays, notes=tuple(notes), spelled=spelled)


def _one_of(
    name: str, every: Mapping[str, Callable[[], Array]], trace: Trace
) -> tuple[Callable[[], Array], list[Text]]:
    """Of several arrays for a name, by what they are called, the one that is farthest off, and
    what to say where they are not the same."""
    (first, read), *others = every.items()
    told = []
    for theirs, other in others:
        if _same(read(), other()):
            continue
        zh = f"{first} 和 {theirs} 都是 {name}，但数不同；比较的是差得更远的"
        en = f"{first} and {theirs} are both {name}, with other numbers; the one that is farther "
        told.append(Text(zh, f"{en}off is compared"))
        if _apart(other(), name, trace) > _apart(read(), name, trace):
            read = other
    return read, told


def _own_names(side: Side, trace: Trace) -> tuple[dict[str, str], dict[str, str], list[str]]:
    """The names of numtx with theirs; what says another once more; the names that are none of
    numtx's, nor what its models of transformers give out."""
    given, shapes = names_given(trace.config), parameter_shapes(trace.config)
    known = {*trace.graph.stages, *(f"parameters/{name}" for name in shapes)}
    own: dict[str, str] = {}
    others, twice = [], {}
    for theirs in side.arrays:
        bare, grad = bare_name(theirs)
        name = bare if bare in known else given.get(bare, f"parameters/{bare}")
        if theirs.startswith("inputs/") or theirs.removeprefix("grad/") in known:
            own[theirs] = theirs
        elif name not in known:
            others.append(theirs)
        elif grad + name in side.arrays or grad + name in own:
            twice[theirs] = grad + name
        else:
            own[grad + name] = theirs
    if any(name.startswith("parameters/") and name != theirs for name, theirs in own.items()):
        for name in [name for name in own if name in shapes]:  # a stage's too, as of embeddings
            if side.arrays[own[name]].shape == shapes[name] != trace.values[name].shape:
                own[f"parameters/{name}"] = own.pop(name)
    return own, twice, others


def _in_layout(side: Side, others: list[str], config: Config, layout: str | None) -> Names | None:
    try:
        found = names_of(others, config, layout) if others else None
        return names_of(others, config) if others and found is None and layout else found
    except CheckpointError as error:
        raise TraceError(f"{side.name}: {error}") from None


def _apart(x: Array, name: str, trace: Trace) -> float:
    """How far an array is from that of a trace; infinitely, where their shapes do not fit."""
    bare = name.removeprefix("grad/")
    held = trace.parameters if name.startswith("parameters/") else trace.values
    held = trace.gradients if bare != name else held
    expected = held.get(bare.removeprefix("parameters/") if held is trace.parameters else bare)
    if expected is None:
        return 0.0
    axes, leaf = ((trace.graph[bare].axes, bare.rpartition(".")[2]) if bare in trace.graph
                  else ((), ""))  # fmt: skip
    fitted = fit(x, expected, axes, leaf)
    return math.inf if fitted is None else apart(fitted.array, fitted.expected)


def _same(a: Array, b: Array) -> bool:
    return a.size == b.size and np.array_equal(a.ravel(), b.ravel(), equal_nan=True)


def _unknown(side: Side, first: Side, others: list[str]) -> str:
    """Why nothing can be compared, and what to do."""
    assert first.trace is not None
    told = f"{side.name}: has no stage of {first.name}; it has {', '.join(others[:5]) or 'nothing'}"
    why = why_not(others, first.trace.config)
    if why:
        return f"{told}: {why}"
    found = suggested(side.arrays, first.trace)
    return f"{told}: --map gives them names" + (f", such as {found}" if found else "")
