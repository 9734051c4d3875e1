"""Two runs held against each other, wherever they are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from ..checkpoints.folder import layout_of
from ..checkpoints.sides import understood
from ..compare.compare import compare
from ..compare.comparison import Comparison
from ..compare.sides import Side, read_side, side_of
from ..errors import UsageError
from ..trace.trace import Trace

Run: TypeAlias = Trace | Mapping[str, Any] | str | Path


def compare_runs(
    first: Run,
    second: Run,
    tolerance: float | None = None,
    *,
    names: Mapping[str, str] | None = None,
    layout: str | None = None,
) -> Comparison:
    """Hold a second run against a first: what differs first in computing order, and why.

    first      a trace, or a file of one
    second     a trace, arrays by name, or a file or folder of arrays (.npz, safetensors, .npy)
    tolerance  relative, for every array; None: 1e-10 of the terms, or what rounding does in the
               precision of the numbers
    names      what arrays of the second mean: their name -> stage
    layout     the family whose names the second has, by model_type; None: found out

    The result has `verdict`, `first`, `causes` and every `Difference`; `to_text` prints it. Raises
    `TraceError` where the two have nothing in common, `FileError` for a file that is none.
    """
    left = _side(first, "the first", None)
    right = _side(second, "the second", names)
    if layout is not None:
        layout = layout_of(layout, "layout").name
    return compare(left, understood(right, left, layout), tolerance)


def _side(run: Run, name: str, names: Mapping[str, str] | None) -> Side:
    if isinstance(run, str | Path):
        return read_side(run, names)
    if isinstance(run, Trace):
        if names:
            raise UsageError("names are for arrays of your own; a trace has those of its stages")
        return side_of(run, name)
    if not isinstance(run, Mapping):
        raise UsageError(
            f"{name} run is {type(run).__name__}; it should be a trace, arrays by name, or a path"
        )
    arrays = {(names or {}).get(key, key): np.asarray(array) for key, array in run.items()}
    for key, array in arrays.items():
        if array.dtype.kind not in "fiub":
            raise UsageError(f"{name}: {key!r} is {array.dtype}; numbers are needed")
    return Side(name, arrays, None)
