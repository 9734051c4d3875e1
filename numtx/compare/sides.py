"""The two sides of a comparison: a trace, and arrays of another implementation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from ..errors import TraceError, nearest
from ..files import NpzFile
from ..mistakes.at import layered
from ..shapes import Array
from ..small_repr import small_repr
from ..trace.files import arrays_of, open_trace
from ..trace.trace import Trace


@small_repr()
class Side(NamedTuple):
    """One side of a comparison: arrays by name, and the trace where the file is one.

    is_file  whether `name` is the path of a file
    """

    name: str
    arrays: Mapping[str, Array]
    trace: Trace | None
    is_file: bool = False


def read_side(path: str | Path, names: Mapping[str, str] | None = None) -> Side:
    """A side from a file: a trace, or any `.npz` of arrays; `names` renames its arrays."""
    file = NpzFile(path)  # stays open: an array is read when it is compared
    trace = open_trace(file) if "meta" in file.headers and not names else None
    headers = {name: header for name, header in file.headers.items() if name != "meta"}
    for theirs in names or {}:
        if theirs not in headers:
            raise TraceError(f"{path}: --map names {theirs!r}; {nearest(theirs, headers)}")
    renamed: dict[str, str] = {}
    for theirs, header in headers.items():
        name = (names or {}).get(theirs, theirs)
        if name in renamed:
            raise TraceError(f"{path}: two arrays are called {name!r} after --map")
        if header.dtype.kind not in "fiub":
            raise TraceError(f"{path}: {theirs!r} is {header.dtype}; numbers are needed")
        renamed[name] = theirs
    arrays: Mapping[str, Array] = file.arrays(renamed)
    return Side(str(path), arrays if trace is None else layered(arrays, trace.inputs), trace, True)


def side_of(trace: Trace, name: str) -> Side:
    """A side from a run that is in no file."""
    return Side(name, layered(arrays_of(trace), trace.inputs), trace)
