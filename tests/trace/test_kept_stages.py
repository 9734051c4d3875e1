"""A run of which some stages are kept: the same numbers, and memory that follows."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from samples import MODELS, config_of, ragged_batch, random_parameters, some

from numtx import Batch, Config, Recorder, forward, initialise, load_trace, record
from numtx.errors import StageError
from numtx.show.stage_grid import Style
from numtx.show.trace_text import trace_text
from numtx.trace.files import save_trace
from numtx.trace.size import size_of_run


@pytest.mark.parametrize("name", some(4, __name__, MODELS))
def test_they_are_those_of_the_whole_run_with_what_they_read(name, tmp_path):
    config = config_of(name)
    parameters, batch = random_parameters(config), Batch(**ragged_batch(config))
    whole = record(config, parameters, batch)
    patterns = ["*.0.self_attention.*", "*.output", "*mask"]
    part = record(config, parameters, batch, stages=patterns)
    wanted = set(whole.graph.select(patterns)) | {f"{side}.tokens" for side in config.sides}
    assert set(part) == (wanted | {"labels"}) & set(whole)
    assert part.tokens == whole.tokens
    for stage in part:
        assert np.array_equal(part[stage], whole[stage], equal_nan=True), stage
    assert {*part.gradients} == {*whole.gradients} & (
        wanted | {f"parameters/{name}" for name in part.parameters}
    )
    for stage, gradient in part.gradients.items():
        assert np.array_equal(gradient, whole.gradients[stage]), stage
    read = {source for stage in part.graph if stage.name in part for source in stage.inputs}
    assert {f"parameters/{name}" for name in part.parameters} == {
        name for name in read if name.startswith("parameters/")
    }
    save_trace(part, tmp_path / "part.npz")
    found = load_trace(tmp_path / "part.npz").verify()
    assert found.ok and found.findings
    assert set(found.skipped) < {*part, *(f"grad/{name}" for name in part.gradients)}


@pytest.mark.parametrize("name", some(1, __name__, MODELS))
def test_a_stage_alone_is_printed_as_among_all(name):
    config = config_of(name)
    parameters, batch = random_parameters(config), Batch(**ragged_batch(config))
    whole, style = record(config, parameters, batch), Style(lang="en")
    for stage in whole:
        part = record(config, parameters, batch, stages=[stage])
        assert stage in part and len(part.values) < len(whole.values)
        printed = list(trace_text(part, style, [stage], True))
        assert printed == list(trace_text(whole, style, [stage], True)), stage


def test_a_pattern_that_matches_nothing_is_an_error():
    config = config_of("decoder, deep")
    with pytest.raises(StageError, match="matches no stage"):
        record(
            config,
            random_parameters(config),
            Batch(**ragged_batch(config)),
            stages=["decoder.*.query"],
        )


def test_a_pinned_stage_is_kept():
    config = config_of("decoder, deep")
    parameters, batch = random_parameters(config), Batch(**ragged_batch(config))
    name = "decoder.1.self_attention.scores"
    held = np.zeros_like(record(config, parameters, batch)[name])
    whole = record(config, parameters, batch, pins={name: held})
    part = record(config, parameters, batch, pins={name: held}, stages=["logits"])
    assert np.array_equal(part["logits"], whole["logits"])
    assert np.array_equal(part[name], held) and (part.grad(name) == whole.grad(name)).all()


def peak(run: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_follows_what_is_asked_for():
    config = Config(
        model="decoder-only", width=64, decoder_layers=6, heads=4, hidden=256, vocabulary=500,
        norm_place="pre", dtype="float32",
    )  # fmt: skip
    parameters, batch = initialise(config), Batch(np.arange(256)[None])
    own = sum(array.nbytes for array in parameters.values())
    plain = peak(lambda: forward(config, parameters, batch, keep=False))
    name = "decoder.5.self_attention.weights"
    part = peak(lambda: record(config, parameters, batch, gradients=False, stages=[name]))
    whole = peak(lambda: forward(config, parameters, batch, Recorder()))
    assert own + part < 0.5 * (own + whole)
    size = size_of_run(config, parameters, batch, [name])
    kept = record(config, parameters, batch, gradients=False, stages=[name])
    assert size.kept == pytest.approx(sum(a.nbytes for a in kept.values.values()), rel=0.01)
    assert part < 1.2 * size.to_come + plain
    assert size_of_run(config, parameters, batch).kept > 10 * size.kept
