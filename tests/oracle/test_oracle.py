"""The oracle by itself: its partial derivatives are those of its own values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from samples import config_of, ragged_batch, random_parameters, some

from numtx import Batch
from numtx.arithmetic.cells import Cells
from numtx.oracle.oracle import Oracle
from numtx.trace.trace import record

ALL = some(2, __name__, always=["weather"])


@pytest.mark.parametrize("name", ALL)
def test_partial_derivatives_are_those_of_the_values(name):
    """For a few cells of every stage: each cell that was read is moved, the value follows."""
    config = config_of(name)
    trace = record(config, random_parameters(config, 3), Batch(**ragged_batch(config, 4)))
    generator = np.random.default_rng(0)
    h = 1e-6
    checked = set()
    for stage in trace.graph:
        if stage.operation in ("given", "allowed"):
            continue
        value = trace[stage.name]
        index = tuple(int(generator.integers(0, size)) for size in value.shape)
        cell = trace.oracle().cell(stage.name, index)
        partials: dict[tuple[str, int], float] = {}
        for read in cell.reads:
            key = read.source, read.offset
            partials[key] = partials.get(key, 0.0) + read.partial
        for (source, offset), partial in partials.items():
            array = trace.arrays[source]
            assert array.ravel()[offset] == next(
                r.value for r in cell.reads if (r.source, r.offset) == (source, offset)
            )
            if array.dtype.kind != "f" or not np.isfinite(array.ravel()[offset]):
                assert partial == 0.0
                continue
            around = []
            for step in (h, -h):
                moved = array.copy()
                moved.ravel()[offset] += step
                oracle = Oracle(trace.graph, {**trace.arrays, source: moved}, 2.0**-52)
                around.append(float(oracle.cell(stage.name, index).value))
            if any(map(math.isinf, around)):
                continue
            slope = (around[0] - around[1]) / (2.0 * h)
            assert partial == pytest.approx(slope, rel=1e-6, abs=1e-7), (stage.name, source)
            checked.add(stage.operation)
    wanted = {"contract", "softmax", "scale"}
    if config.head is not None:
        wanted |= {"log_softmax", "exp", "mean" if config.loss_reduction == "mean" else "total"}
    assert wanted <= checked


@pytest.mark.parametrize("name", ALL)
def test_what_a_cell_reads_stands_among_the_stage_s_inputs(name):
    config = config_of(name)
    trace = record(config, random_parameters(config, 3), Batch(**ragged_batch(config, 4)))
    seen: set[str] = set()
    for stage in trace.graph:
        for source in stage.inputs:
            assert source in seen or source.startswith(("parameters/", "inputs/")), stage.name
            assert source in trace.arrays
        seen.add(stage.name)
        cell = trace.oracle().cell(stage.name, (0,) * trace[stage.name].ndim)
        assert {read.source for read in cell.reads} <= set(stage.inputs), stage.name
        assert cell.magnitude >= 0.0 and all(read.size >= 0.0 for read in cell.reads)


def test_cells_walk_as_numpy_does():
    array = np.arange(24.0).reshape(2, 3, 4)
    cells = Cells("x", array)
    for index in np.ndindex(array.shape):
        offset = cells.offset(index)
        assert cells.value(offset) == array[index]
        assert cells.index(offset) == index
    assert Cells("scalar", np.array(3.0)).value(0) == 3.0
    assert cells.value(np.array([0, 23])).tolist() == [0.0, 23.0]
