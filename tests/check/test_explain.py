"""The explained arithmetic evaluates to what was recorded, for every stage of every example."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from samples import run_of, some

from numtx import Pin, load_example
from numtx.check.explain import explain, explain_gradient, find_cells
from numtx.errors import StageError
from numtx.examples.registry import EXAMPLES
from numtx.explaining.explanation import Explanation, evaluate, exact, written
from numtx.trace.trace import Trace

# Names that the printed arithmetic uses, given anew here.
MATHEMATICS = {
    "exp": lambda x: math.exp(min(x, 700.0)), "sqrt": math.sqrt, "log": math.log,
    "tanh": math.tanh, "erfc": math.erfc, "sin": math.sin, "cos": math.cos, "abs": abs,
    "inf": math.inf, "pi": math.pi, "max": max,
}  # fmt: skip


def some_cells(shape: tuple[int, ...], most: int, seed: int) -> list[tuple[int, ...]]:
    count = math.prod(shape)
    draw = np.random.default_rng(seed)
    chosen = range(count) if count <= most else [0, count - 1, *draw.integers(0, count, most - 2)]
    return [tuple(int(i) for i in np.unravel_index(k, shape)) for k in chosen]


def as_printed(explanation: Explanation) -> list[list[object]]:
    """Every form of every step, its text at full precision evaluated by Python."""
    names: dict[str, object] = {}
    found = []
    for step in explanation.steps:
        values = []
        for form in step.forms:
            text = written(form, exact).replace("max(", "largest_of(")
            largest = {"largest_of": lambda *x: max(x)}
            values.append(eval(text, {**MATHEMATICS, **largest, **names}))
        names[step.left] = values[0]
        found.append(values)
    return found


def assert_evaluates(trace: Trace, name: str, cell: tuple[int, ...]) -> int:
    """Every form of every step is its value, and the last is the recorded cell."""
    oracle = trace.oracle_once
    explanation = explain(trace, name, cell)
    recorded = trace.arrays[name][cell].item()
    assert explanation.value == recorded or math.isnan(recorded)
    if not explanation.steps:
        return 0
    magnitude = 0.0
    if name in trace.graph and trace.graph[name].operation != "given":
        recomputed = oracle.cell(name, cell)
        magnitude = recomputed.magnitude
    tolerance = 8 * oracle.eps * magnitude + 1e-300
    printed = as_printed(explanation)
    for step, values in zip(explanation.steps, printed, strict=True):
        for value in values:
            assert float(value) == pytest.approx(float(step.value), rel=1e-12, abs=1e-14), (
                name,
                cell,
                step.left,
            )
    expected = recorded
    if explanation.pinned:
        expected = recomputed.value
    for value in (*printed[-1], *evaluate(explanation.steps)[-1]):
        if math.isinf(expected):
            assert value == expected
        else:
            assert abs(value - expected) <= tolerance, (name, cell, value, expected)
    return 1


def with_oracle(trace: Trace) -> Trace:
    object.__setattr__(trace, "oracle_once", trace.oracle())
    return trace


@pytest.mark.parametrize("name", some(2, __name__, sorted(EXAMPLES)))
def test_every_stage_of_every_example(name):
    trace = with_oracle(load_example(name).trace())
    most = 2 if name == "memory" else 9
    for number, stage in enumerate(trace):
        done = [
            assert_evaluates(trace, stage, c) for c in some_cells(trace[stage].shape, most, number)
        ]
        assert any(done) == (trace.graph[stage].operation != "given"), stage


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", some(2, __name__))
def test_every_stage_of_every_variant(name, dtype):
    trace = with_oracle(run_of(name, dtype))
    for number, stage in enumerate(trace):
        for cell in some_cells(trace[stage].shape, 7, number):
            assert_evaluates(trace, stage, cell)


def assert_gradient(trace: Trace, name: str, cell: tuple[int, ...]) -> None:
    explanation = explain_gradient(trace, name, cell)
    recorded = trace.grad(name)[cell].item()
    assert explanation.kind == "gradient" and explanation.value == recorded
    for values in as_printed(explanation)[-1:]:
        for value in values:
            assert value == pytest.approx(recorded, rel=1e-9, abs=1e-12), (name, cell)


@pytest.mark.parametrize("name", some(2, __name__, always=["weather"]))
def test_every_gradient_is_the_sum_over_its_consumers(name):
    trace = load_example("weather").trace() if name == "weather" else run_of(name)
    for number, source in enumerate(trace.gradients):
        if source != "loss":
            for cell in some_cells(trace.gradients[source].shape, 5, number):
                assert_gradient(trace, source, cell)


def test_the_gradient_of_the_loss_is_where_it_starts():
    explanation = explain_gradient(load_example("weather").trace(), "loss", ())
    assert explanation.value == 1.0 and explanation.notes == ("the backward pass starts here",)


def test_a_wrong_number_is_seen():
    """The check above can fail: a tampered stage does not follow from its arithmetic."""
    trace = load_example("weather").trace()
    name = "decoder.0.self_attention.scores"
    wrong = trace[name].copy()
    wrong[0, 0, 4, 1] += 1e-9
    values = {**trace.values, name: wrong}
    tampered = with_oracle(dataclasses.replace(trace, values=values))
    with pytest.raises(AssertionError):
        assert_evaluates(tampered, name, (0, 0, 4, 1))


def test_following_back():
    trace = load_example("weather").trace()
    name = "decoder.0.self_attention.scores"
    one = explain(trace, name, (0, 0, 4, 1))
    assert [s.name.rpartition(".")[2] for s in one.sources] == ["products"] and one.sources[
        0
    ].inline
    assert one.sources[0].sources == ()
    two = explain(trace, name, (0, 0, 4, 1), depth=3)
    products = two.sources[0]
    assert not products.inline
    assert {s.name.rpartition(".")[2] for s in products.sources} == {"queries", "keys"}
    assert {s.cell[2] for s in products.sources} == {4, 1}
    few = explain(trace, name, (0, 0, 4, 1), depth=9, limit=5)

    def count(explanation: Explanation) -> int:
        return 1 + sum(map(count, explanation.sources))

    assert count(few) == 6


def test_following_a_gradient_on():
    trace = load_example("weather").trace()
    name = "decoder.0.self_attention.residual"
    explanation = explain_gradient(trace, name, (0, 4, 1), depth=2)
    assert {s.name for s in explanation.sources} == {"decoder.0.self_attention.norm"}
    assert {s.kind for s in explanation.sources} == {"gradient"}
    assert len(explanation.sources) == 4


def test_a_pinned_cell():
    example = load_example("weather")
    name = "decoder.0.self_attention.weights"
    where = np.zeros((1, 1, 7, 7), bool)
    where[0, 0, 2, 1] = True
    trace = with_oracle(example.trace(pins={name: Pin(where, np.full(where.shape, 0.25))}))
    explanation = explain(trace, name, (0, 0, 2, 1))
    assert explanation.pinned and explanation.value == 0.25
    assert assert_evaluates(trace, name, (0, 0, 2, 1))
    assert find_cells(trace, f"{name}[pinned]") == [(name, (0, 0, 2, 1))]
    # What reaches the pinned cell goes no further.
    before = explain_gradient(trace, "decoder.0.self_attention.masked_scores", (0, 0, 2, 1))
    assert evaluate(before.steps)[-1][0] == pytest.approx(before.value)


def test_what_is_not_recorded_is_named():
    trace = load_example("weather").trace()
    name = "decoder.0.self_attention.products"
    values = {n: a for n, a in trace.values.items() if not n.endswith("self_attention.keys")}
    explanation = explain(dataclasses.replace(trace, values=values), name, (0, 0, 4, 1))
    assert explanation.steps == ()
    assert "decoder.0.self_attention.keys was not recorded" in explanation.notes[0]


@pytest.mark.parametrize(
    ("text", "name", "cell"),
    [
        ("logits[4,1]", "logits", (0, 4, 1)),
        (" logits[ 0, 4 ,1 ] ", "logits", (0, 4, 1)),
        ("decoder.0.self_attention.scores[4,1]", "decoder.0.self_attention.scores", (0, 0, 4, 1)),
        ("loss", "loss", ()),
        ("loss[]", "loss", ()),
        ("parameters/output.w[3,9]", "parameters/output.w", (3, 9)),
    ],
)
def test_addresses(text, name, cell):
    assert find_cells(load_example("weather").trace(), text) == [(name, cell)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("logit[4,1]", "did you mean 'logits'"),
        ("logits", "has shape (1, 7, 10), and 0 numbers"),
        ("logits[4]", "and 1 numbers do not name a cell"),
        ("logits[0,0,4,1]", "and 4 numbers do not name a cell"),
        ("logits[7,1]", "7 on axis 1 of logits, which goes from 0 to 6"),
        ("logits[-1,1]", "-1 on axis 1 of logits"),
        ("logits[a,1]", "an index is whole numbers"),
        ("logits[4,1", "write a stage and an index"),
        ("", "write a stage and an index"),
        ("logits[pinned]", "no cell of logits is pinned"),
    ],
)
def test_bad_addresses(text, message):
    with pytest.raises(StageError) as error:
        find_cells(load_example("weather").trace(), text)
    assert message in str(error.value) and "\n" not in str(error.value)
