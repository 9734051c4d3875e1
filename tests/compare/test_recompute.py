"""What `compare` recomputes is right where there is no mistake, and each mistake changes it."""

from __future__ import annotations

import numpy as np
import pytest
from samples import (
    GENERATING,
    MODELS,
    generation_of,
    run_of,
    some,
)

from numtx.check.explain import explain
from numtx.diagnosis.diagnose import Case, diagnose, error_of
from numtx.mistakes.cause import CAUSES, Cause
from numtx.recompute import recompute
from numtx.stages.graph import Stage
from numtx.trace.trace import Trace


def assert_recomputed(trace: Trace) -> None:
    farthest = max(a.max() for name, a in trace.inputs.items() if name.endswith("positions"))
    room = 1e-13 + np.finfo(float).eps * farthest  # an angle is as near as it is large
    for stage in trace.graph:
        if stage.operation != "given":
            found = recompute(trace.graph, stage, trace.arrays)
            assert error_of(found, trace[stage.name]) < room, stage.name
            assert error_of(found, trace.oracle().plain(stage)) < room, stage.name  # FORWARDS


@pytest.mark.parametrize("name", some(4, __name__, always=["weather"]))
def test_every_stage(name):
    assert_recomputed(run_of(name))


generating = pytest.mark.parametrize("name", some(2, __name__, GENERATING))


@generating
def test_every_stage_of_a_generation(name):
    trace = generation_of(name)
    assert any(stage.operation == "append" for stage in trace.graph)
    assert_recomputed(trace)


@generating
def test_cells_of_a_generation_are_explained(name):
    trace = generation_of(name)
    for stage in trace.graph:
        cell = tuple(length - 1 for length in trace[stage.name].shape)
        explanation = explain(trace, stage.name, cell)
        assert explanation.value == trace[stage.name][cell]
        if explanation.steps:
            assert float(explanation.steps[-1].value) == pytest.approx(
                float(explanation.value), rel=1e-11, abs=1e-12
            )


def named(trace: Trace, stage: Stage, cause: Cause) -> bool:
    """Whether a form of a mistake makes other numbers than the right ones; then it is named."""
    case = Case(trace.graph, stage, dict(trace.values), trace.arrays, 1e-10)
    try:
        for name, array in cause.candidates(case.at(stage, {})):
            if array.shape == trace[stage.name].shape and error_of(array, trace[stage.name]) > 1e-6:
                own = {**trace.values, stage.name: array}
                found = diagnose(Case(trace.graph, stage, own, trace.arrays, 1e-10))
                assert name in [one.cause for one in found], (name, stage.name, found)
                return True
    except (ValueError, IndexError, KeyError):
        pass
    return False


def test_every_cause_is_named_somewhere():
    """Each entry of the table makes, in some model, other numbers than the right ones."""
    silent = list(CAUSES)
    for name in ["weather", *MODELS]:
        if not silent:
            break
        trace = run_of(name)
        for stage in trace.graph:
            for cause in list(silent):
                if stage.operation != "given" and cause.applies_to(stage):
                    with np.errstate(all="ignore"):
                        if named(trace, stage, cause):
                            silent.remove(cause)
    assert not silent, [cause.name.en for cause in silent]
