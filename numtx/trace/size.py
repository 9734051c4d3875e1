"""How large a recorded run is, and about how long it takes, before it is made."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import NamedTuple

import numpy as np

from ..batch import Batch, check_batch
from ..config import Config
from ..shapes import Array
from .trace import kept_stages, stages_of

TRIAL = 384  # rows and columns of the product that tells how fast this machine is


class RunSize(NamedTuple):
    """Bytes of a run, and its work.

    parameters  bytes that are there already
    kept        bytes of the stages that are kept, and of their gradients
    working     bytes that the largest layer needs beside them, or all layers where a backward
                pass reads them
    work        multiplications and additions of its products
    dtype       in which type
    """

    parameters: int
    kept: int
    working: int
    work: float
    dtype: str

    @property
    def to_come(self) -> int:
        """Bytes that the run asks for."""
        return self.kept + self.working

    def seconds(self) -> float:
        """About how long it takes, at the speed of one product that is tried."""
        a = np.ones((TRIAL, TRIAL), self.dtype)
        a @ a  # the first wakes the threads
        start = perf_counter()
        a @ a
        return self.work / (2.0 * TRIAL**3) * max(perf_counter() - start, 1e-9)


def size_of_run(
    config: Config,
    parameters: Mapping[str, Array],
    batch: Batch,
    stages: Sequence[str] | None = None,
    gradients: bool = False,
) -> RunSize:
    """The size of `record` with the same arguments; no stage is computed.

    Each token takes a multiplication and an addition a parameter, and each query one for every
    component of every key and value; a backward pass takes twice as much.
    """
    inputs, graph = check_batch(config, batch), stages_of(config, batch)
    rows = next(iter(inputs.sides.values())).ids.shape[0]
    lengths = inputs.lengths
    size = np.dtype(config.dtype).itemsize
    keep = None if stages is None else kept_stages(config, batch, stages)
    kept = every = 0
    places: dict[str, int] = {}
    for name, stage in graph.stages.items():
        count = math.prod(graph.shape(name, rows, lengths))
        count *= 1 if stage.operation == "allowed" else size  # truth values
        every += count
        kept += count if keep is None or name in keep else 0
        place = ".".join(name.split(".")[:3])
        places[place] = places.get(place, 0) + count
    owned = sum(array.nbytes for array in parameters.values())
    weights = sum(array.size for array in parameters.values() if array.ndim > 1)
    work = 2.0 * rows * max(lengths.values()) * weights
    for name, stage in graph.stages.items():
        if stage.leaf.name in ("products", "context"):
            work += 2.0 * config.d_k * math.prod(graph.shape(name, rows, lengths))
    if not gradients:
        return RunSize(owned, kept, max(places.values()), work, config.dtype)
    return RunSize(owned, 2 * kept, every + owned, 3 * work, config.dtype)
