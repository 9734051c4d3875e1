"""What if: cells of a run held at other values, and what that changes downstream."""

from __future__ import annotations

import json
import re
import tokenize
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import FileError, StageError, nearest, reason
from ..files import NpzFile
from ..shapes import Array
from ..strict_json import RefusedJSONError, parse
from ..tap import Pin
from .trace import Trace


class Change(NamedTuple):
    """What a pin did to one stage: how many cells changed of how many, and by how much at most;
    the same for its gradient (None where the runs have none)."""

    name: str
    of: int
    cells: int
    largest: float
    gradient_cells: int | None
    gradient_largest: float
    pinned: int


def read_settings(texts: Sequence[str], trace: Trace) -> dict[str, Pin]:
    """Pins from settings such as `NAME=FILE`, `NAME[2,1]=0.25` and `NAME[2]=[0.1,0.9]`; later
    ones win. Shapes, and the cells that stay as they are, come from the trace.

    Raises `StageError` or `FileError` for a setting that fits no stage.
    """
    pins: dict[str, Pin] = {}
    for text in texts:
        name, index, given = _parse(text, trace)
        array = trace[name]
        where = np.zeros(array.shape, bool)
        value = array.copy()
        if name in pins:
            where, value = pins[name].where.copy(), pins[name].value.copy()
        given = _typed(text, given, array)
        place = _place(text, index, given.shape, array.shape)
        where[place] = True
        value[place] = given.reshape(value[place].shape)
        pins[name] = Pin(where, value)
    return pins


def merge_pins(own: Mapping[str, Pin], more: Mapping[str, Pin]) -> dict[str, Pin]:
    """Pins of a run and further ones; a cell that both hold goes to the latter."""
    merged = dict(own)
    for name, pin in more.items():
        if name in own:
            mine = own[name]
            shape = pin.where.shape
            where, value = mine.where.reshape(shape), mine.value.reshape(shape)
            merged[name] = Pin(pin.where | where, np.where(pin.where, pin.value, value))
        else:
            merged[name] = pin
    return merged


def changes(before: Trace, after: Trace) -> list[Change]:
    """What differs between two runs of the same model on the same batch, in computing order."""
    found = []
    for name in before:
        cells, largest = _changed(before[name], after[name])
        gradient_cells, gradient_largest = None, 0.0
        if name in before.gradients and name in after.gradients:
            gradient_cells, gradient_largest = _changed(before.grad(name), after.grad(name))
        pinned = int(after.pins[name].sum()) if name in after.pins else 0
        if cells or gradient_cells:
            found.append(
                Change(
                    name, before[name].size, cells, largest, gradient_cells, gradient_largest,
                    pinned,
                )
            )  # fmt: skip
    return found


def _changed(a: Array, b: Array) -> tuple[int, float]:
    a, b = a.astype(np.float64), b.astype(np.float64)
    differs = (a != b) & ~(np.isnan(a) & np.isnan(b))
    if not differs.any():
        return 0, 0.0
    return int(differs.sum()), float(np.abs(a[differs] - b[differs]).max())


def _parse(text: str, trace: Trace) -> tuple[str, tuple[int, ...], Array]:
    match = re.fullmatch(r"\s*([^\[\]=]+?)\s*(?:\[([0-9,\s]*)\])?\s*=(.*)", text, re.DOTALL)
    if match is None:
        raise StageError(
            f"--set {text[:60]!r}: write NAME=FILE, NAME[i,j]=NUMBER or NAME[i]=[NUMBER,...]"
        )
    name = match[1]
    if name.startswith("parameters/"):
        raise StageError(f"--set {name}: stages are set; for other parameters use --parameters")
    if name not in trace:
        raise StageError(f"--set {name!r}: no such stage; {nearest(name, trace)}")
    index = tuple(int(part) for part in (match[2] or "").split(",") if part.strip())
    return name, index, _given(text, name, match[3].strip())


def _given(text: str, name: str, value: str) -> Array:
    """The value of a setting: JSON, or a file of JSON or of NumPy's."""
    try:
        return _array(text, parse(value))
    except RefusedJSONError as error:
        raise StageError(f"--set {text[:60]!r}: {error}") from None
    except json.JSONDecodeError:
        pass
    path = Path(value)
    if path.suffix == ".npz":
        with NpzFile(path) as file:
            names = list(file.headers)
            if name not in names and len(names) != 1:
                raise FileError(f"{path}: has {len(names)} arrays and none is called {name!r}")
            return _numbers(path, file.read(name if name in names else names[0]))
    try:
        if path.suffix == ".npy":
            return _numbers(path, np.load(path, allow_pickle=False))
        return _array(text, parse(path.read_bytes()))
    except FileNotFoundError:
        raise FileError(f"--set {name}: {value!r} is no number, no list and no file") from None
    except (OSError, ValueError, EOFError, SyntaxError, tokenize.TokenError) as error:
        raise FileError(f"{path}: cannot be read as .npy, .npz or JSON: {reason(error)}") from None


def _numbers(path: Path, array: Array) -> Array:
    """An array of a file, of plain numbers without NaN."""
    with np.errstate(over="ignore"):
        wrong = array.dtype.kind not in "fiub" or bool(np.isnan(array.astype(np.float64)).any())
    if wrong:
        raise FileError(f"{path}: has {array.dtype}, or NaN; give numbers (fiub) without NaN")
    return array


def _array(text: str, value: Any) -> Array:
    """JSON as an array; infinities may be the strings "-inf" and "inf"."""
    try:
        array = np.array(value)
        if array.dtype.kind == "U":
            array = array.astype(np.float64)
    except ValueError:
        array = np.array(None)
    if array.dtype.kind not in "fiub" or not array.size:
        raise StageError(f"--set {text[:60]!r}: a number or rows of numbers of one length")
    return array


def _typed(text: str, given: Array, array: Array) -> Array:
    """The value in the stage's type; a fraction for a token id is an error."""
    if array.dtype.kind == "f":
        return given.astype(array.dtype)
    if array.dtype.kind == "b" and np.isin(given, (0, 1)).all():
        return given.astype(bool)
    if array.dtype.kind == "i" and given.dtype.kind in "iu":
        return given.astype(array.dtype)
    needed = "0 or 1" if array.dtype.kind == "b" else "whole numbers"
    raise StageError(f"--set {text[:60]!r}: the stage is {array.dtype}; it takes {needed}")


def _place(
    text: str, index: tuple[int, ...], given: tuple[int, ...], shape: tuple[int, ...]
) -> tuple[int, ...]:
    """The full index of what is set; leading axes of size one may be left out on both sides."""
    for left_out in range(len(shape) - len(index) + 1):
        rest = shape[left_out + len(index) :]
        fits = given == rest or _bare(given) == _bare(rest)
        inside = all(i < n for i, n in zip(index, shape[left_out:], strict=False))
        if shape[:left_out] == (1,) * left_out and fits and inside:
            return (0,) * left_out + index
    raise StageError(
        f"--set {text[:60]!r}: the stage has shape {shape}; index {list(index)} with a value of "
        f"shape {given} does not fit it (leading axes of size one may be left out)"
    )


def _bare(shape: tuple[int, ...]) -> tuple[int, ...]:
    while shape and shape[0] == 1:
        shape = shape[1:]
    return shape
