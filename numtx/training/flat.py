"""One flat buffer behind all parameters, so that an update is a dozen calls of NumPy."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from ..config import Config
from ..parameters import parameter_shapes
from ..shapes import Array


def pack(config: Config, arrays: Mapping[str, Array], out: Array | None = None) -> Array:
    """Parameters or gradients as one vector [N], in the order of `parameter_shapes`."""
    parts = [arrays[name] for name in parameter_shapes(config)]
    packed: Array = np.concatenate(parts, axis=None, out=out)  # each of them flat
    return packed


def unpack(config: Config, vector: Array) -> dict[str, Array]:
    """Views into a vector [N], one under each parameter's name: who writes one writes both."""
    views: dict[str, Array] = {}
    start = 0
    for name, shape in parameter_shapes(config).items():
        size = math.prod(shape)
        views[name] = vector[start : start + size].reshape(shape)
        start += size
    return views
