"""The two sides of a comparison: a trace, and arrays of another implementation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from ..array_files import open_arrays
from ..errors import TraceError, nearest
from ..parameters import parameter_shapes
from ..recompute import layered
from ..shapes import Array
from ..small_repr import small_repr
from ..stages.leaf import Text
from ..trace.files import arrays_of, open_trace
from ..trace.trace import Trace


@small_repr()
class Side(NamedTuple):
    """One side of a comparison: arrays by name, and the trace where the file is one.

    is_file  whether `name` is the path of a file
    notes    what is to be said of its names
    spelled  names that it could have, to look for what is meant by one that is not known
    """

    name: str
    arrays: Mapping[str, Array]
    trace: Trace | None
    notes: tuple[Text, ...] = ()
    spelled: tuple[str, ...] = ()
    is_file: bool = False

    def is_own(self, name: str) -> bool:
        """Whether the model of a trace has an array of this name, which is no misspelt one then."""
        bare = name.removeprefix("grad/")
        if self.trace is None:
            return False
        names = parameter_shapes(self.trace.config)
        return bare in self.trace.graph or bare.removeprefix("parameters/") in names


def read_side(path: str | Path, names: Mapping[str, str] | None = None) -> Side:
    """A side from a file: a trace, or any file or folder of arrays; `names` renames its arrays."""
    file = open_arrays(path)  # stays open: an array is read when it is compared
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
    return Side(
        str(path), arrays if trace is None else layered(arrays, trace.inputs), trace, is_file=True
    )


def side_of(trace: Trace, name: str) -> Side:
    """A side from a run that is in no file."""
    return Side(name, layered(arrays_of(trace), trace.inputs), trace)
