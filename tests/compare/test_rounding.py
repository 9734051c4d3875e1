"""What two right runs may differ by in the precision that their numbers have."""

from __future__ import annotations

import numpy as np
import pytest
from samples import VARIANTS, ragged_batch, random_parameters, some

from numtx import Batch, Config
from numtx.compare.choices import as_good
from numtx.compare.compare import compare
from numtx.compare.comparison import Comparison
from numtx.compare.rounding import Rounder, _apart, _sizes, roundings
from numtx.compare.sides import Side
from numtx.compare.weighing import Weighing
from numtx.diagnosis.diagnose import Case, diagnose
from numtx.fitting.precision import BFLOAT16, FLOAT16, FLOAT32
from numtx.model import backward, forward
from numtx.tap import NO_TAP, Recorder
from numtx.trace.again import batch_of
from numtx.trace.trace import Trace, record


def test_rounding_goes_to_a_neighbour_and_keeps_the_mean():
    tap = Rounder(NO_TAP, BFLOAT16, np.random.default_rng(0))
    x = np.full(20_000, 1.0 + 0.3 * 2.0**-7)
    rounded = tap.rounded(x)
    assert set(rounded.tolist()) == {1.0, 1.0 + 2.0**-7}
    assert abs((rounded > 1.0).mean() - 0.3) < 0.02
    kept = np.array([1.5, -3.0, 0.0, np.inf, -np.inf])
    assert np.array_equal(tap.rounded(kept), kept)
    whole = np.arange(3)
    assert tap.rounded(whole) is whole


@pytest.mark.parametrize("model", VARIANTS)
def test_a_trace_knows_its_batch(model):
    config = Config(**VARIANTS[model])
    parameters = random_parameters(config, 3)
    trace = record(config, parameters, Batch(**ragged_batch(config, 4)))
    again = record(config, parameters, batch_of(trace))
    assert list(again) == list(trace)
    for name in trace:
        assert np.array_equal(again[name], trace[name]), name


class Nearest(Rounder):
    """Rounds to the nearest, as machines do."""

    def at(self, scope):
        return Nearest(self.tap.at(scope), self.precision, self.generator)

    def rounded(self, x):
        if x.dtype.kind != "f":
            return x
        finite = np.isfinite(x)
        steps = self.precision.steps(np.where(finite, x, 0.0))
        return np.where(finite, np.rint(x / steps) * steps, x)


def run_in(trace: Trace, precision) -> dict:
    """The run of a trace, its parameters, stages and gradients rounded to the nearest."""
    recorder = Recorder()
    tap = Nearest(recorder, precision, np.random.default_rng(0))
    parameters = {name: tap.rounded(array) for name, array in trace.parameters.items()}
    _, context = forward(trace.config, parameters, batch_of(trace), tap)
    gradients = backward(context, 1.0, tap) if trace.gradients else {}
    return {
        **recorder.values,
        **{f"grad/{name}": array for name, array in recorder.gradients.items()},
        **{f"grad/parameters/{name}": tap.rounded(array) for name, array in gradients.items()},
    }


def held(trace: Trace, arrays: dict) -> Comparison:
    return compare(Side("A", trace.arrays | grads(trace), trace), Side("B", arrays, None))


def grads(trace: Trace) -> dict:
    return {f"grad/{name}": array for name, array in trace.gradients.items()}


def traced(model: str) -> Trace:
    config = Config(**{**VARIANTS[model], "dtype": "float64"})
    return record(config, random_parameters(config, 3), Batch(**ragged_batch(config, 4)))


FEW = some(2, "test_a_right_run_in_a_coarser_format_is_rounding")


@pytest.mark.parametrize("precision", [FLOAT32, FLOAT16, BFLOAT16], ids=lambda one: one.name)
@pytest.mark.parametrize("model", FEW)
def test_a_right_run_in_a_coarser_format_is_rounding(model, precision):
    trace = traced(model)
    found = held(trace, run_in(trace, precision))
    assert found.verdict == "rounding", (found.first, found.causes)
    assert found.compared > 20


@pytest.mark.parametrize("model", FEW)
def test_a_thousandth_is_no_rounding_of_float32(model):
    """At any stage: the first that differs is the one that was changed."""
    trace = traced(model)
    arrays = run_in(trace, FLOAT32)
    draw = np.random.default_rng(0)
    sizes = roundings(trace, FLOAT32)
    # Where softmax and norms turn little into much, the tolerance is more, and the report says so.
    names = [n for n in arrays if arrays[n].dtype.kind == "f" and 0.0 < sizes.get(n, 0.0) < 5e-4]
    assert len(names) > 0.8 * sum(array.dtype.kind == "f" for array in arrays.values())
    for name in draw.choice(names, 3, replace=False):
        noise = 1.0 + 2e-3 * draw.standard_normal(arrays[name].shape)
        changed = {**arrays, name: (arrays[name] * noise).astype(np.float32)}
        found = held(trace, changed)
        assert found.verdict == "different", name
        assert found.first is not None and found.first.name == name


def test_float32_on_the_way_of_a_float64_file():
    """Numbers in float64 that have passed through float32 somewhere: rounding, if no mistake."""
    trace = traced("decoder, rotary, grouped, gated")
    hidden = {n: a for n, a in run_in(trace, FLOAT32).items() if n in ("logits", "loss")}
    hidden = {name: array * (1.0 + 2.0**-40) for name, array in hidden.items()}  # and scaled since
    found = held(trace, hidden)
    assert found.verdict == "rounding" and found.first is None
    assert {d.precision for d in found.values} == {"float32"}


def test_a_given_tolerance_is_the_only_one():
    trace = traced("decoder, deep")
    arrays = run_in(trace, FLOAT32)
    first = Side("A", trace.arrays, trace)
    assert compare(first, Side("B", arrays, None), 0.5).verdict == "equal"
    strict = compare(first, Side("B", arrays, None), 1e-12)
    assert strict.verdict == "different"


@pytest.mark.parametrize("precision", [FLOAT32, FLOAT16, BFLOAT16], ids=lambda one: one.name)
def test_a_tolerance_too_strict_for_a_format_names_the_format(precision):
    trace = traced("decoder, deep")
    tap = Nearest(NO_TAP, precision, np.random.default_rng(0))
    first, logits = Side("A", trace.arrays, trace), tap.rounded(trace["logits"])
    found = compare(first, Side("B", {**trace.values, "logits": logits}, None), 1e-12)
    assert [c.cause for c in found.causes] == [
        f"computed in {precision.name}; nothing else is wrong"
    ]


def test_infinities_and_nan_are_counted():
    trace = traced("decoder, deep")
    logits = trace["logits"].copy()
    logits[0, 0, :3], logits[1, 2, 1] = np.nan, -np.inf
    first = held(trace, {**trace.values, "logits": logits}).first
    assert first is not None and (first.nans, first.infinities) == (3, 1)
    name = "decoder.0.self_attention.masked_scores"  # most of its cells should be -inf
    scores = trace[name].copy()
    assert np.isinf(scores).sum() > 3
    scores[0, 0, -1, 0] = np.nan
    scores[0, 0, -1, -1] = -np.inf
    first = held(trace, {**trace.values, name: scores}).first
    assert first is not None and (first.nans, first.infinities) == (1, 1)


def test_the_numbers_of_another_stage_are_known():
    trace = traced("encoder, segments, embedding norm")  # its logits are capped
    found = held(trace, {**trace.values, "logits": trace["capped_logits"]})
    assert found.first is not None and found.first.name == "logits"
    assert [c.cause for c in found.causes] == [
        "these are the numbers of capped_logits; --map gives it its name"
    ]
    changed = trace["capped_logits"].copy()
    changed[0, 0, 0] += 1e-3
    assert held(trace, {**trace.values, "logits": changed}).causes == []
    # A mask, whose cells are True, is not what numbers that are not 0 were meant for.
    place = "encoder.0.self_attention"
    changed = trace[f"{place}.scores"].copy()
    changed[0, 0, 0, 0] += 1e-3
    assert held(trace, {**trace.values, f"{place}.scores": changed}).causes == []


def test_what_follows_from_its_inputs_has_its_mistake_before_them():
    trace = traced("decoder, deep")
    place = "decoder.0.self_attention"
    weights = trace[f"{place}.weights"] * 1.001
    own = {f"{place}.weights": weights, f"{place}.context": weights @ trace[f"{place}.values"]}
    case = Case(trace.graph, trace.graph[f"{place}.context"], own, trace.arrays, 1e-10)
    (found,) = diagnose(case)
    assert found.cause.startswith("not in this stage: ") and found.stages == ()
    assert found.in_chinese().startswith("不在这一阶段：")


def test_another_choice_of_experts_that_rounding_explains_is_none_that_is_wrong():
    """Two experts all but alike: either may be chosen in float32, and what follows is undecided.
    An expert far behind is a mistake, and so is another choice by a tolerance that was given."""
    config = Config(**{**VARIANTS["decoder, experts after a dense layer, grouped, window"]})
    parameters = random_parameters(config, 3)
    router = parameters["decoder.1.feed_forward.router.w"].copy()
    router[:, 1] = router[:, 0] * (1.0 + 1e-9)
    parameters["decoder.1.feed_forward.router.w"] = router
    trace = record(config, parameters, Batch(**ragged_batch(config, 4)))
    name = "decoder.1.feed_forward.router.chosen"
    chosen = trace[name]
    twins = np.select([chosen == 0, chosen == 1], [1, 0], chosen)
    assert not np.array_equal(twins, chosen)
    after = "decoder.1.feed_forward.output"
    arrays = {**run_in(trace, FLOAT32), name: twins, after: trace[after] + 100.0}
    back = "grad/decoder.0.self_attention.output"  # every gradient comes from there
    arrays[back] = arrays[back] + 100.0
    found = held(trace, arrays)
    assert found.verdict == "rounding", found.first
    blind = {d.name for d in found.values if d.tolerance == np.inf}
    assert {name, after} <= blind and "decoder.0.feed_forward.output" not in blind
    assert held(trace, {**trace.values, name: twins}).verdict == "rounding"
    others = sorted({*range(trace[name.replace("chosen", "scores")].shape[-1])} - {0, 1})
    far = np.where(np.isin(chosen, others), chosen, others[0])
    assert held(trace, {**arrays, name: far}).first.name == name
    sides = Side("A", trace.arrays, trace), Side("B", {name: twins}, None)
    assert compare(*sides, 1e-10).verdict == "different"


def test_gradients_are_rounded_on_their_way():
    recorder = Recorder()
    tap = Rounder(recorder, BFLOAT16, np.random.default_rng(0)).at("place")
    numbers = np.random.default_rng(1).standard_normal(20)
    assert BFLOAT16.has(tap("x", numbers)).all()
    assert BFLOAT16.has(tap.grad("x", numbers)).all()
    assert BFLOAT16.has(recorder.values["place.x"]).all()
    assert BFLOAT16.has(recorder.gradients["place.x"]).all()


@pytest.mark.parametrize("start", ["loss", "logits"])
def test_the_backward_pass_starts_from_what_it_started_from(start):
    """A gradient a thousand times as large is rounded alike."""
    config = Config(**VARIANTS["decoder, deep"])
    fields = ragged_batch(config, 4)
    labels = fields.pop("labels")
    shape = (*labels.shape, config.vocabulary)
    draw = np.random.default_rng(0).standard_normal(shape)
    batch = Batch(**fields, labels=labels if start == "loss" else None)
    sizes = [
        roundings(
            record(
                config, random_parameters(config, 3), batch,
                cotangent=factor if start == "loss" else factor * draw,
            ),
            FLOAT32,
        )
        for factor in (1.0, 1000.0)
    ]  # fmt: skip
    names = [n for n, size in sizes[0].items() if n.startswith("grad/") and 0.0 < size < 1e-3]
    assert len(names) > 50
    assert all(sizes[1][name] < 2.0 * sizes[0][name] for name in names)


def test_there_is_room_for_angles_that_are_made_in_float32():
    """An angle far out has lost as many digits as its position has: angle, and so its cosine."""
    config = Config(**VARIANTS["decoder, rotary, grouped, gated"])
    far = 4000
    batch = Batch([[1, 2, 3]], positions=[[far - 2, far - 1, far]])
    trace = record(config, random_parameters(config, 3), batch)
    speeds = 10000.0 ** -np.linspace(0.0, 0.9, 64)
    angles = (np.float32(far) * speeds.astype(np.float32)).astype(np.float64)
    lost = np.abs(np.cos(angles) - np.cos(far * speeds)).max()
    room = Weighing(trace, None).least(FLOAT32)
    near = record(config, random_parameters(config, 3), Batch([[1, 2, 3]]))
    assert Weighing(near, None).least(FLOAT32) < lost < room


def test_a_choice_is_weighed_with_its_correction():
    config = Config(**VARIANTS["decoder, latents, experts in groups, shared ones"])
    trace = record(config, random_parameters(config, 3), Batch(**ragged_batch(config, 4)))
    stage = next(s for s in trace.graph if s.operation == "choose")
    assert len(stage.inputs) == 2
    scores = sum(trace.arrays[name] for name in stage.inputs)
    chosen = trace[stage.name].copy()
    right = int(chosen[0, 0, 0])
    other = (right + 1) % scores.shape[-1]
    chosen[0, 0, 0] = other
    gap = abs(scores[0, 0, right] - scores[0, 0, other])
    size = max(abs(scores[0, 0, right]), np.sqrt(np.mean(scores**2)))
    assert as_good(trace, stage, chosen, 1.001 * gap / size)
    assert not as_good(trace, stage, chosen, 0.999 * gap / size)
    chosen[0, 0, 0] = scores.shape[-1]
    assert not as_good(trace, stage, chosen, np.inf)


def test_differences_of_runs_are_those_of_cells_that_are_finite_in_both():
    """Of 3, 4 and 0 the root mean square is 2.9: the 0 differs by 0.29 relative to that."""
    right = np.array([3.0, 4.0, 0.0, -np.inf, np.nan, 1e9])
    got = np.array([3.0, 4.0, 1.0, -np.inf, 0.0, np.nan])
    mean, most = _apart(right[:3], got[:3], _sizes(right[:3]))
    assert most == pytest.approx(1.0 / np.sqrt(25.0 / 3.0)) and mean == pytest.approx(most**2 / 3)
    mean, most = _apart(right, got, _sizes(right))
    assert 0.0 < mean < most < 1e-8  # the largest number counts for the size, its NaN for nothing
    assert _apart(right[3:5], got[3:5], _sizes(right[3:5])) == (0.0, 0.0)
    assert _apart(np.array(2.0), np.array(3.0), _sizes(np.array(2.0))) == (0.25, 0.5)
