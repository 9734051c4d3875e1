"""The oracle against the recorded run."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from samples import WEATHER, config_of, random_parameters, run_of, some, weather_batch

from numtx import Batch, Config, NumtxError, Pin
from numtx.check.verify import verify
from numtx.decoding import record_generation
from numtx.errors import StageError
from numtx.models import MODELS as LIST
from numtx.models import parameters_of
from numtx.trace.trace import Trace, record

MODELS = some(2, __name__, always=["weather"])
LARGE = [
    name
    for name, model in LIST.items()
    if model.length > 32 or model.fields["vocabulary"] > 256 or model.config().decoder_layers > 3
]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", MODELS)
def test_every_stage_and_gradient_is_recomputed(name, dtype):
    trace = run_of(name, dtype)
    report = verify(trace, budget=None)
    assert report.ok, "\n".join(map(str, report.wrong))
    values = [f.name for f in report.findings if f.kind == "value"]
    gradients = {f.name for f in report.findings if f.kind == "gradient"}
    assert values == list(trace.values)
    # Every gradient but those of what a run ends in: they are given.
    ends = {"loss" if trace.config.head is not None else "encoder.output", "pooler.output"}
    assert gradients == set(trace.gradients) - ends
    assert all(f.cells == trace[f.name].size for f in report.findings if f.kind == "value")


@pytest.mark.parametrize("name", MODELS)
def test_catalogue_and_stages_are_equal_both_ways(name):
    trace = run_of(name)
    assert list(trace.values) == [stage.name for stage in trace.graph]
    lengths = {side: trace[f"{side}.tokens"].shape[1] for side in trace.config.sides}
    rows = 1 if name == "weather" else 2
    for stage in trace.graph:
        assert trace.graph.shape(stage.name, rows, lengths) == trace[stage.name].shape, stage.name
    floats = {n for n in trace if trace[n].dtype.kind == "f"} - {"probabilities"}
    parameters = {f"parameters/{n}" for n in trace.parameters}
    assert set(trace.gradients) == floats | parameters
    for stage in floats:
        assert trace.grad(stage).shape == trace[stage].shape


@pytest.mark.parametrize("name", MODELS)
def test_the_type_is_kept_through_every_stage(name):
    trace = run_of(name, "float32")
    for stage in trace:
        assert trace[stage].dtype in (np.float32, np.int64, np.bool_), stage
    assert {array.dtype for array in trace.gradients.values()} == {np.dtype(np.float32)}


def test_the_first_encoder_stages_of_the_design():
    names = list(run_of("weather"))
    assert names[:5] == [
        f"encoder.{x}" for x in ["tokens", "embedding", "positions", "input", "mask"]
    ]
    attention = (
        "queries keys values products scores mask masked_scores weights context output residual "
        "norm"
    )
    assert names[5:17] == [f"encoder.0.self_attention.{x}" for x in attention.split()]
    feed = "hidden activation output residual norm"
    assert names[17:22] == [f"encoder.0.feed_forward.{x}" for x in feed.split()]
    assert names[-6:] == [
        "labels", "logits", "log_probabilities", "probabilities", "loss.per_token", "loss",
    ]  # fmt: skip


def tampered(trace: Trace, field: str, name: str, cell: tuple[int, ...], by: float) -> Trace:
    arrays = dict(getattr(trace, field))
    array = arrays[name].copy()
    array[cell] = array[cell] + by if array.dtype.kind == "f" else ~array[cell]
    arrays[name] = array
    return dataclasses.replace(trace, **{field: arrays})


TRACES = {dtype: run_of("weather", dtype) for dtype in ("float64", "float32")}
WEATHER_TRACE = TRACES["float64"]


FLOATS = [n for n in WEATHER_TRACE if WEATHER_TRACE[n].dtype.kind != "i"]


@pytest.mark.parametrize("name", some(6, __name__, FLOATS))
def test_a_changed_cell_is_found_and_named(name):
    if name.endswith(("coder.mask",)):
        return  # given from outside: nothing to recompute
    value = WEATHER_TRACE[name]
    cell = tuple(size - 1 for size in value.shape)
    changed = tampered(WEATHER_TRACE, "values", name, cell, 1e-9)
    first = next(f for f in verify(changed).wrong if f.kind == "value")
    assert (first.name, first.cell) == (name, cell)
    assert f"value of {name}[{','.join(map(str, cell))}]" in str(first)
    assert "\n" not in str(first)


@pytest.mark.parametrize("name", ["logits", "decoder.1.cross_attention.keys", "encoder.embedding",
                                  "parameters/embedding", "parameters/output.w",
                                  "encoder.0.self_attention.scores"])  # fmt: skip
def test_a_changed_gradient_is_found_and_named(name):
    cell = (0,) * WEATHER_TRACE.grad(name).ndim
    changed = tampered(WEATHER_TRACE, "gradients", name, cell, 1e-9)
    wrong = {(f.name, f.kind): f for f in verify(changed).wrong}
    assert wrong[name, "gradient"].cell == cell
    assert wrong[name, "gradient"].got == pytest.approx(WEATHER_TRACE.grad(name)[cell] + 1e-9)


def by_hand(trace: Trace) -> dict[tuple[str, str], np.ndarray]:
    """Bounds of some arrays from the formula itself: a sum of two is rounded once; of a
    contraction each product is rounded, and each sum, and once more that with the bias."""
    w = {name: np.abs(array) for name, array in trace.parameters.items()}
    x, dy = np.abs(trace["decoder.output"]), np.abs(trace.grad("logits"))
    place = "encoder.0.feed_forward"
    return {
        ("values", "encoder.1.self_attention.residual"): np.abs(
            trace["encoder.1.self_attention.residual"]
        ),
        ("values", f"{place}.hidden"): 2.0
        * np.abs(trace["encoder.0.self_attention.norm"])
        @ w[f"{place}.w_in"]
        + w[f"{place}.b_in"],
        ("values", "logits"): 2.0 * x @ w["output.w"],
        ("gradients", f"{place}.activation"): 2.0
        * np.abs(trace.grad(f"{place}.output"))
        @ w[f"{place}.w_out"].T,
        ("gradients", "parameters/output.w"): 2.0 * np.einsum("btd,btv->dv", x, dy),
    }


def largest(array: np.ndarray) -> tuple[int, ...]:
    size = np.where(np.isfinite(array), np.abs(array), 0.0)
    return tuple(int(i) for i in np.unravel_index(size.argmax(), array.shape))


WHOLE_AND_SAMPLED = pytest.mark.parametrize(
    ("dtype", "budget"), [("float64", None), ("float32", 5_000)]
)


@WHOLE_AND_SAMPLED
@pytest.mark.parametrize(("share", "ok"), [(0.5, True), (2.0, False)])
def test_eight_roundings_of_the_bound_are_tolerated_and_no_more(share, ok, dtype, budget):
    trace, moved = TRACES[dtype], TRACES[dtype]
    bounds = by_hand(trace)
    for (field, name), bound in bounds.items():
        cell = largest(getattr(trace, field)[name])
        by = share * 8.0 * float(np.finfo(dtype).eps) * float(bound[cell])
        moved = tampered(moved, field, name, cell, by)
    found = {(f"{f.kind}s", f.name): f for f in verify(moved, budget).findings}
    for field, name in bounds:
        assert found[field, name].ok == ok, name
        if not ok:
            assert found[field, name].worst == pytest.approx(share, abs=0.5)


@WHOLE_AND_SAMPLED
def test_some_thousand_roundings_are_too_many_in_any_array(dtype, budget):
    """The largest cell of every value and gradient moved, each by a share of its own: every array
    is held to what it was made from."""
    trace, eps = TRACES[dtype], float(np.finfo(dtype).eps)
    moved: dict[str, dict] = {"values": dict(trace.values), "gradients": dict(trace.gradients)}
    for field, arrays in moved.items():
        for number, (name, array) in enumerate(arrays.items()):
            if array.dtype.kind == "f" and (field, name) != ("gradients", "loss"):
                arrays[name] = array.copy()
                arrays[name][largest(array)] *= 1.0 + 1000.0 * (2 + number % 7) * eps
    report = verify(dataclasses.replace(trace, **moved), budget)
    floats = [f for f in report.findings if isinstance(f.got, float)]
    assert len(floats) > 150 and not report.skipped
    assert [f"{f.kind} of {f.name}" for f in floats if f.ok] == []


@pytest.mark.parametrize("budget", [None, 5_000])
def test_a_gradient_that_must_be_0_throughout(budget):
    """Where every consumer is pinned nothing comes back, and nothing may stand there."""
    place = "decoder.0.self_attention"
    pins = {f"{place}.weights": WEATHER_TRACE[f"{place}.weights"]}
    changed = trace = run_of("weather", pins=pins)
    assert verify(trace, budget).ok
    leaves = ("masked_scores", "scores", "products", "queries", "keys")
    names = [*(f"{place}.{leaf}" for leaf in leaves), f"parameters/{place}.w_k"]
    for row, name in enumerate(names):
        gradient = trace.grad(name)
        assert not gradient.any()
        cell = (*(0,) * (gradient.ndim - 2), row % 4, 0)
        changed = tampered(changed, "gradients", name, cell, 1e-200)
    assert set(names) <= {f.name for f in verify(changed, budget).wrong if f.kind == "gradient"}


@pytest.mark.parametrize("budget", [None, 5_000])
def test_pins_of_some_cells_whole_and_sampled(budget):
    """What is pinned is as it stands; a cell beside it is not excused, nor what comes back."""
    names = [
        "encoder.0.self_attention.weights", "encoder.1.self_attention.norm",
        "decoder.0.self_attention.queries", "decoder.0.cross_attention.output",
        "decoder.1.self_attention.masked_scores",
    ]  # fmt: skip
    pins = {}
    for name in names:
        where = np.zeros(WEATHER_TRACE[name].shape, bool)
        where[..., 2, :2] = True
        pins[name] = Pin(where, np.full(where.shape, 7.0))
    changed = trace = run_of("weather", pins=pins)
    report = verify(trace, budget)
    assert report.ok, "\n".join(map(str, report.wrong))
    wanted = set()
    for name in names:
        for field in ("values", "gradients"):
            cell = (*(0,) * (trace[name].ndim - 2), 3, 1)
            changed = tampered(changed, field, name, cell, 1e9)
            wanted.add((name, field.removesuffix("s")))
    assert wanted <= {(f.name, f.kind) for f in verify(changed, budget).wrong}


def test_nan_where_a_number_belongs_is_wrong():
    changed = tampered(WEATHER_TRACE, "values", "logits", (0, 2, 3), np.nan)
    wrong = verify(changed).wrong
    assert wrong[0].name == "logits" and wrong[0].worst == np.inf


def test_a_trace_with_pins_is_recomputed_around_them():
    name = "decoder.0.self_attention.weights"
    value = WEATHER_TRACE[name]
    where = np.zeros(value.shape, bool)
    where[..., 2, :] = True
    trace = run_of("weather", pins={name: Pin(where, np.full(value.shape, 0.25))})
    assert (trace[name][..., 2, :] == 0.25).all()
    assert (trace[name][..., 1, :] == value[..., 1, :]).all()
    assert verify(trace).ok
    assert list(trace.pins) == [name]
    assert trace.grad(name)[where].any()
    assert not trace.grad("decoder.0.self_attention.masked_scores")[..., 2, :].any()


@pytest.mark.parametrize("name", ["encoder.mask", "decoder.mask"])
def test_a_pinned_mask_reaches_every_attention_that_reads_it(name):
    mask = np.ones((1, 7), bool)
    mask[0, 1] = False
    trace = run_of("weather", pins={name: mask})
    assert verify(trace).ok, "\n".join(map(str, verify(trace).wrong))


def test_a_pinned_attention_mask():
    name = "encoder.1.self_attention.mask"
    mask = np.eye(7, dtype=bool)
    mask[3] = False  # a query that may attend to nothing
    trace = run_of("weather", pins={name: mask})
    assert verify(trace).ok, "\n".join(map(str, verify(trace).wrong))
    assert not trace["encoder.1.self_attention.weights"][..., 3, :].any()
    assert not trace["encoder.1.self_attention.context"][..., 3, :].any()
    assert not trace.grad("encoder.1.self_attention.scores")[..., 3, :].any()


@pytest.mark.parametrize("name", ["encoder.tokens", "labels"])
def test_pinned_ids(name):
    trace = run_of("weather", pins={name: np.array([[1, 2, 3, 4, 5, 6, 7]])})
    assert verify(trace).ok, "\n".join(map(str, verify(trace).wrong))


def test_a_run_without_labels_or_gradients():
    config = Config(**WEATHER)
    fields = weather_batch()
    del fields["labels"]
    trace = record(config, random_parameters(config, 3), Batch(**fields))
    assert not trace.gradients and "loss" not in trace
    assert list(trace.values) == [stage.name for stage in trace.graph]
    assert verify(trace).ok
    cotangent = np.random.default_rng(0).standard_normal((1, 7, 10))
    trace = record(config, random_parameters(config, 3), Batch(**fields), cotangent=cotangent)
    assert verify(trace).ok and (trace.grad("logits") == cotangent).all()


def test_errors_of_a_trace():
    with pytest.raises(StageError, match=r"stage 'logit' is not in this trace; did you mean"):
        WEATHER_TRACE["logit"]
    with pytest.raises(NumtxError, match="no gradient of 'probabilities'"):
        WEATHER_TRACE.grad("probabilities")
    with pytest.raises(StageError, match=r"'no\.such' does not exist"):
        WEATHER_TRACE.graph["no.such"]


def test_a_large_trace_is_sampled():
    trace = run_of("encoder-decoder")
    whole = verify(trace)
    part = verify(trace, budget=20_000, seed=1)
    assert whole.share == 1.0 and 0.0 < part.share < 0.9 and part.ok
    assert [f.name for f in part.findings if f.kind == "value"] == list(trace.values)
    assert all(3 <= f.cells <= f.of or f.cells == f.of for f in part.findings if f.kind == "value")
    assert {f.name for f in part.findings if f.kind == "gradient"} <= set(trace.gradients)
    assert verify(trace, budget=20_000, seed=1) == part
    assert verify(trace, budget=None) == whole == trace.verify()


def test_what_is_too_large_for_the_budget_is_named():
    report = verify(run_of("encoder-decoder"), budget=60)
    assert report.ok and any(name.startswith("grad/") for name in report.skipped)


@pytest.mark.parametrize("kind", ["value", "gradient"])
@pytest.mark.parametrize("budget", [None, 20_000])
def test_a_tampered_cell_is_found_and_named(kind, budget):
    """Sampled or not, the largest cell is always looked at."""
    trace = run_of("encoder-decoder")
    name = "decoder.1.self_attention.queries"
    array = trace[name] if kind == "value" else trace.grad(name)
    index = tuple(int(i) for i in np.unravel_index(np.abs(array).argmax(), array.shape))
    wrong = array.copy()
    wrong[index] *= 1.0 + 1e-9
    field = "values" if kind == "value" else "gradients"
    tampered = dataclasses.replace(trace, **{field: {**getattr(trace, field), name: wrong}})
    report = verify(tampered, budget=budget)
    assert not report.ok
    found = next(f for f in report.wrong if f.name == name and f.kind == kind)
    assert found.cell == index and found.got == wrong[index]
    assert f"{kind} of {name}[{','.join(map(str, index))}]: expected " in str(found)


@pytest.mark.parametrize("name", MODELS)
def test_sampled_gradients_agree_with_the_whole_check(name):
    """Two ways to a gradient: passed on by every cell, and gathered by one."""
    report = verify(run_of(name), budget=60_000)
    assert report.ok, "\n".join(map(str, report.wrong))


@pytest.mark.parametrize("name", some(2, __name__, LARGE))
def test_large_models_follow_from_their_inputs_whole_and_step_by_step(name):
    """Deep, of many words, or of long rows far out, whatever is drawn: sampled."""
    trace = run_of(name)
    report = verify(trace, budget=20_000)
    assert report.ok, "\n".join(map(str, report.wrong))
    config = config_of(name)
    ids = [trace[f"{side}.tokens"][:, :3] for side in config.sides]
    own, prompt = random_parameters(config, 3), Batch(*ids)
    steps = record_generation(config, own, prompt, max_new_tokens=3)[1]
    report = verify(steps, budget=20_000)
    assert report.ok, "\n".join(map(str, report.wrong))


def test_the_roundings_of_a_long_row_do_not_add_up():
    """A gradient that reaches a cell by hundreds of ways, almost all of them alike."""
    config = config_of("decoder, many words")
    ids = [[261, 195, 156], [82, 94, 12], [23, 5, 53]]
    labels = [[1, 25, 83], [-100, -100, 274], [239, 298, -100]]
    report = verify(record(config, parameters_of(config, 7), Batch(ids, labels=labels)), None)
    assert report.ok, "\n".join(map(str, report.wrong))


def test_an_array_without_its_inputs_is_skipped():
    trace = run_of("weather")
    values = {n: a for n, a in trace.values.items() if n != "decoder.0.self_attention.keys"}
    report = verify(dataclasses.replace(trace, values=values))
    place = "decoder.0.self_attention"
    assert report.ok, "\n".join(map(str, report.wrong))
    assert report.skipped[0] == f"{place}.products"
    assert f"grad/{place}.queries" in report.skipped and "grad/logits" not in report.skipped
