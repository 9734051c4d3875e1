"""Every operation is one record, and all that is made of it agrees with it."""

from __future__ import annotations

import ast
import inspect
import math
from pathlib import Path

import numpy as np
import pytest
from samples import (
    GENERATING,
    all_leaves,
    generation_of,
    run_of,
    some,
)

import numtx.oracle
from numtx.arithmetic.derivatives import backward, forward
from numtx.config.output import ACTIVATIONS as CHOICES
from numtx.formulas.rows import Rows
from numtx.models import MODELS
from numtx.oracle.gradients import Sums, consumers, gather, pass_on
from numtx.oracle.operations import ACTIVATIONS, OPERATIONS


def test_every_operation_of_the_catalogue_has_a_record():
    """And nothing else has one; the page's list is held against it in tests/page."""
    assert {leaf.operation for leaf in all_leaves().values()} == set(OPERATIONS)
    for name, operation in OPERATIONS.items():
        assert inspect.getdoc(operation.formula), name


def test_every_activation_has_a_formula():
    assert set(ACTIVATIONS) == set(CHOICES)


def test_an_operation_without_a_record_is_an_error():
    trace = run_of("bare")
    stage = trace.graph["encoder.output"]
    odd = stage._replace(leaf=stage.leaf._replace(operation="polish"))
    for use in (trace.oracle().plain, trace.oracle().reads, trace.oracle().rows):
        with pytest.raises(KeyError, match="polish"):
            use(odd)


def test_the_oracle_shares_no_code_with_the_operations_of_the_model():
    """Nor do the numbers that it computes with."""
    home = Path(numtx.__file__).parent
    rooms = ("oracle", "formulas", "arithmetic")
    for file in [file for room in rooms for file in (home / room).glob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert not (node.module or "").startswith("ops"), file.name
                known = node.module in (None, "shapes", "errors", "small_repr", "stages.graph")
                own = (node.module or "").split(".")[0] in rooms and file.parent.name != rooms[-1]
                assert node.level < 2 or known or own, (file.name, node.module)


@pytest.mark.parametrize("name", some(2, f"{__name__} generation", GENERATING))
def test_one_cell_some_rows_and_a_whole_stage_of_a_generation_are_one(name):
    assert_one(generation_of(name))


@pytest.mark.parametrize("name", some(3, __name__))
def test_one_cell_some_rows_and_a_whole_stage_are_one(name):
    assert_one(run_of(name))


def assert_one(trace):
    """The formula over single numbers, over arrays of them, over plain arrays; of a contraction
    its fast paths: the same values, the same bounds."""
    oracle = trace.oracle()
    draw = np.random.default_rng(0)
    for stage in trace.graph:
        shape = trace[stage.name].shape
        values, bounds = oracle.recomputed(stage)
        plain = oracle.plain(stage).reshape(-1)
        size = math.prod(shape)
        offsets = np.unique(draw.integers(0, size, 7))
        some, off = oracle.recomputed(stage, offsets)
        for k, offset in enumerate(offsets.tolist()):
            index = tuple(int(i) for i in np.unravel_index(offset, shape)) if shape else ()
            cell = oracle.cell(stage.name, index)
            room = 4 * np.finfo(float).eps * cell.magnitude
            for value in (values[offset], plain[offset], some[k]):
                assert value == cell.value or abs(value - cell.value) <= room, (stage.name, index)
            assert bounds[offset] == pytest.approx(cell.magnitude, rel=1e-9, abs=1e-300)
            assert off[k] == pytest.approx(cell.magnitude, rel=1e-9, abs=1e-300)


@pytest.mark.parametrize("name", some(2, __name__))
def test_gradients_passed_on_gathered_and_of_one_cell_are_one(name):
    """Backwards from a whole stage, backwards to some cells, forwards from one cell."""
    trace = run_of(name)
    oracle = trace.oracle()
    sums: dict[str, Sums] = {}
    for stage in trace.graph:
        if stage.name in trace.gradients:
            for source in stage.inputs:
                sums.setdefault(source, Sums(oracle.cells(source).flat.size))
            pass_on(oracle, stage, trace.grad(stage.name).reshape(-1), sums)
    draw = np.random.default_rng(0)

    def flat(consumer):
        return trace.grad(consumer).reshape(-1)

    for source, whole in sums.items():
        if source not in trace.gradients:
            continue
        shape = trace.arrays[source].shape
        offsets = np.unique(draw.integers(0, whole.total.size, 4))
        readers = [s for s in trace.graph.consumers[source] if s.name in trace.gradients]
        some = gather(oracle, source, offsets, flat, readers)
        np.testing.assert_allclose(some.total, whole.total[offsets], rtol=1e-10, atol=1e-13)
        np.testing.assert_allclose(some.bound, whole.bound[offsets], rtol=1e-9, atol=1e-300)
        for offset, total in zip(offsets.tolist(), some.total.tolist(), strict=True):
            index = tuple(int(i) for i in np.unravel_index(offset, shape))
            one = sum(
                trace.grad(reader.stage.name)[reader.cell] * reader.partial
                for reader in consumers(oracle, source, index)
                if reader.stage.name in trace.gradients
            )
            assert one == pytest.approx(total, rel=1e-9, abs=1e-13), (source, index)


@pytest.mark.parametrize("operation", [n for n, o in OPERATIONS.items() if o.by_row])
def test_forwards_and_backwards_are_one(operation):
    """d(each cell of a row) / d(one cell that it reads), either way."""
    trace = next(
        run
        for run in map(run_of, ("decoder, latents, rotary, smoothed", *MODELS))
        if any(s.operation == operation for s in run.graph)
    )
    stage = next(s for s in trace.graph if s.operation == operation)
    oracle = trace.oracle()
    numbers = oracle.row(stage, (0,) * trace[stage.name].ndim)
    leaves = {share.number.leaf for share in backward([(n, 1.0) for n in numbers])}
    assert len(leaves) > 1
    table = [{s.number.leaf: s.gradient for s in backward([(n, 1.0)])} for n in numbers]
    for leaf in leaves:
        for row, slope in zip(table, forward(numbers, *leaf), strict=True):
            assert slope == pytest.approx(row.get(leaf, 0.0), rel=1e-12, abs=1e-15)


def test_what_is_not_taken_adds_nothing():
    """Infinities behind a factor of 0 leave values, bounds and gradients as they are."""
    trace = run_of("decoder, rotary, grouped, gated")
    name = "decoder.0.feed_forward.gate"
    values = dict(trace.arrays)
    values[name] = np.full_like(values[name], -800.0)  # exp(800) overflows, x * sigmoid(x) is 0
    oracle = type(trace.oracle())(trace.graph, values, 2.0**-52)
    stage = trace.graph["decoder.0.feed_forward.activation"]
    cell = oracle.cell(stage.name, (0, 0, 0))
    assert cell.value == 0.0 and math.isfinite(cell.magnitude)
    assert all(read.partial == 0.0 for read in cell.reads)
    whole, bounds = oracle.recomputed(stage)
    assert not whole.any() and np.isfinite(bounds).all()


def test_a_formula_on_plain_numbers_remembers_nothing():
    trace = run_of("bare")
    stage = trace.graph["encoder.0.self_attention.weights"]
    rows = Rows(trace.oracle(), stage, (0, 1, 2), remembers=False)
    cells = OPERATIONS["softmax"].formula(rows)
    np.testing.assert_allclose(cells, trace[stage.name][0, 1, 2], rtol=1e-14)
    assert not any(hasattr(cell, "parents") for cell in cells)
