"""What arrays without a known name may be: the stages of their shape with the nearest numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

import numpy as np

from ..shapes import Array
from ..trace.trace import Trace
from .fit import fit

TRIED: Final = 5  # arrays
LARGEST: Final = 1_000_000  # numbers of an array that is tried


def suggested(arrays: Mapping[str, Array], trace: Trace) -> str:
    """A text for `--map` that names the first arrays after the stages that they are nearest to;
    empty where no shape fits."""
    found: dict[str, str] = {}
    for theirs in list(arrays)[:TRIED]:
        x = arrays[theirs]
        if x.dtype.kind != "f" or not 1 < x.size <= LARGEST:
            continue
        far = {}
        for name, expected in trace.values.items():
            if name in found.values() or expected.dtype.kind != "f":
                continue
            stage = trace.graph[name]
            fitted = fit(x, expected, stage.axes, stage.leaf.name)
            if fitted is not None:
                far[name] = apart(fitted.array, fitted.expected)
        if far:
            found[theirs] = min(far, key=far.__getitem__)
    return json.dumps(found, ensure_ascii=False) if found else ""


def apart(a: Array, b: Array) -> float:
    """How far, in sizes of the second; cells that are not finite in both count as equal."""
    both = np.isfinite(a) & np.isfinite(b)
    size = float(np.abs(b[both]).max(initial=0.0)) or 1.0
    return float(np.abs(a[both] - b[both]).max(initial=0.0)) / size
