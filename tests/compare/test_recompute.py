"""What `compare` recomputes is right where there is no mistake, and each mistake changes it."""

from __future__ import annotations

import numpy as np
import pytest
from samples import (
    GENERATING,
    MODELS,
    config_of,
    ragged_batch,
    random_parameters,
    some,
    weather_batch,
)

from numtx import Batch
from numtx.check.explain import explain
from numtx.compare.at import recompute
from numtx.compare.causes import CAUSES
from numtx.compare.diagnose import Case, error_of
from numtx.decoding import record_generation
from numtx.trace.trace import Trace, record


def run(name: str) -> Trace:
    config = config_of(name)
    fields = weather_batch() if name == "weather" else ragged_batch(config, 4, "left")
    return record(config, random_parameters(config, 3), Batch(**fields))


def generation(name: str) -> Trace:
    config = config_of(name)
    prompt = {"ids": [[1, 2, 3], [4, 5, 6]]}
    if len(config.sides) == 2:
        prompt["decoder_ids"] = [[1, 2], [3, 4]]
    parameters = random_parameters(config, 3)
    return record_generation(config, parameters, Batch(**prompt), max_new_tokens=2)[1]


def assert_recomputed(trace: Trace) -> None:
    farthest = max(a.max() for name, a in trace.inputs.items() if name.endswith("positions"))
    room = 1e-13 + np.finfo(float).eps * farthest  # an angle is as near as it is large
    for stage in trace.graph:
        if stage.operation != "given":
            found = recompute(trace.graph, stage, trace.arrays)
            assert error_of(found, trace[stage.name]) < room, stage.name
            assert error_of(found, trace.oracle().plain(stage)) < room, stage.name  # FORWARDS


@pytest.mark.parametrize("name", some(8, __name__, always=["weather"]))
def test_every_stage(name):
    assert_recomputed(run(name))


generating = pytest.mark.parametrize("name", some(4, __name__, GENERATING))


@generating
def test_every_stage_of_a_generation(name):
    trace = generation(name)
    assert any(stage.operation == "append" for stage in trace.graph)
    assert_recomputed(trace)


@generating
def test_cells_of_a_generation_are_explained(name):
    trace = generation(name)
    for stage in trace.graph:
        cell = tuple(length - 1 for length in trace[stage.name].shape)
        explanation = explain(trace, stage.name, cell)
        assert explanation.value == trace[stage.name][cell]
        if explanation.steps:
            assert float(explanation.steps[-1].value) == pytest.approx(
                float(explanation.value), rel=1e-11, abs=1e-12
            )


def test_every_cause_says_something_somewhere():
    """Each entry of the table makes, in some model, other numbers than the right ones."""
    silent = set(range(len(CAUSES)))
    for name in ["weather", *MODELS]:
        if not silent:
            break
        trace = run(name)
        for stage in trace.graph:
            for k in sorted(silent):
                if stage.operation == "given" or not CAUSES[k].applies_to(stage):
                    continue
                case = Case(trace.graph, stage, dict(trace.values), trace.arrays, 1e-10)
                with np.errstate(all="ignore"):
                    try:
                        forms = list(CAUSES[k].candidates(case.at(stage, {})))
                    except (ValueError, IndexError, KeyError):
                        continue
                    if any(error_of(array, trace[stage.name]) > 1e-9 for _, array in forms):
                        silent.discard(k)
    assert not silent, [CAUSES[k].name for k in sorted(silent)]
