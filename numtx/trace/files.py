"""A trace in a file: `.npz`, readable with plain NumPy.

A stage's value stands under its name, its gradient under `grad/NAME`, parameters under
`parameters/NAME` (their gradients under `grad/parameters/NAME`), and `meta` is the UTF-8
text of a JSON object as a uint8 array.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..config import Config
from ..errors import ConfigError, TraceError
from ..files import ArrayFile, LazyArrays, NpzFile, write_npz
from ..shapes import AXIS_NAMES, Array
from ..strict_json import read_json
from .trace import Trace

FORMAT = 1


def save_trace(trace: Trace, path: str | Path) -> None:
    """Write a trace to a file, as `files.writing` does."""
    arrays = arrays_of(trace)
    text = json.dumps(_meta(trace), ensure_ascii=False, allow_nan=False)
    arrays["meta"] = np.frombuffer(text.encode(), np.uint8)
    write_npz(path, arrays)


def arrays_of(trace: Trace) -> dict[str, Array]:
    """The arrays of a trace by the names that they have in a file."""
    arrays: dict[str, Array] = dict(trace.values)
    arrays.update({f"parameters/{name}": array for name, array in trace.parameters.items()})
    arrays.update({f"grad/{name}": array for name, array in trace.gradients.items()})
    return arrays


def load_trace(path: str | Path) -> Trace:
    """Read a trace that `save_trace` wrote. Raises `FileError` or `TraceError`."""
    with NpzFile(path) as file:
        names = _names(file)
        return _trace(file, {part: dict(file.arrays(own)) for part, own in names.items()})


def open_trace(file: ArrayFile) -> Trace:
    """The same of a file that stays open: each array is read when it is asked for."""
    return _trace(file, {part: file.arrays(own) for part, own in _names(file).items()})


def _names(file: ArrayFile) -> dict[str, dict[str, str]]:
    """What stands in a trace file: gradients, parameters and values, by their own names."""
    found: dict[str, dict[str, str]] = {"grad/": {}, "parameters/": {}, "": {}}
    for name in file.headers:
        prefix = next(part for part in found if name.startswith(part))
        found[prefix][name.removeprefix(prefix)] = name
    found[""].pop("meta", None)
    return found


def _trace(file: ArrayFile, parts: Mapping[str, Mapping[str, Array]]) -> Trace:
    path = file.path
    if "meta" not in file.headers:
        raise TraceError(f"{path}: has no `meta`, so it is arrays but not a trace of numtx")
    meta = _read_meta(path, file.read("meta"))
    values = parts[""]
    try:
        config = Config.from_dict(meta["config"])
        order = [name for name in meta["stages"] if name in values]
        inputs = {
            f"inputs/{name}": np.array(rows, np.int64) for name, rows in meta["inputs"].items()
        }
        pins = {n: _unpack(file.headers[n].shape, cells) for n, cells in meta["pins"].items()}
        tokens, vocabulary = meta["tokens"], meta["vocabulary"]
        phases, cached = tuple(meta["phases"]), bool(meta["cached"])
        outside, vectors = tuple(meta.get("outside", ())), tuple(meta.get("vectors", ()))
    except ConfigError as error:
        raise TraceError(f"{path}: {error}") from None
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise TraceError(f"{path}: `meta` lacks or garbles {error}") from None
    if isinstance(values, LazyArrays):
        values = file.arrays({name: name for name in order})
    else:
        values = {name: values[name] for name in order}
    return Trace(
        config, values, parts["grad/"], parts["parameters/"], inputs, tokens, vocabulary, pins,
        phases, cached, outside, vectors,
    )  # fmt: skip


def _meta(trace: Trace) -> dict[str, Any]:
    graph = trace.graph
    return {
        "format": FORMAT,
        "config": trace.config.to_dict(),
        "tokens": trace.tokens,
        "vocabulary": trace.vocabulary,
        "inputs": {n.removeprefix("inputs/"): a.tolist() for n, a in trace.inputs.items()},
        "phases": list(trace.phases),
        "cached": trace.cached,
        "outside": list(trace.outside),
        "vectors": list(trace.vectors),
        "stages": list(trace.values),
        "axes": {
            name: [AXIS_NAMES.get(axis, axis) for axis in graph[name].axes] for name in trace.values
        },
        # Which stack's tokens label an axis: {"query": "decoder", "key": "encoder"}.
        "labels": {
            name: {AXIS_NAMES[axis]: side for axis, side in graph[name].sides.items()}
            for name in trace.values
        },
        "pins": {name: np.flatnonzero(where).tolist() for name, where in trace.pins.items()},
    }


def _read_meta(path: str, array: Array) -> dict[str, Any]:
    if array.dtype.kind not in "iu":
        raise TraceError(f"{path}: `meta` is {array.dtype}; it should be UTF-8 bytes (uint8)")
    meta = read_json(array.astype(np.uint8).tobytes(), f"{path}: `meta`", TraceError)
    if not isinstance(meta, dict) or meta.get("format") != FORMAT:
        got = meta.get("format") if isinstance(meta, dict) else type(meta).__name__
        raise TraceError(
            f"{path}: trace format {got!r}; this numtx reads format {FORMAT}: trace it again"
        )
    return meta


def _unpack(shape: tuple[int, ...], cells: list[int]) -> Array:
    where = np.zeros(shape, bool)
    where.flat[cells] = True
    return where
