"""Any model that the configuration allows, against the oracle and finite differences."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st
from mechanisms import MECHANISMS, mechanisms
from samples import some

from numtx import Batch, Config, backward, forward, initialise
from numtx.check.gradcheck import KINKS, random_cotangent
from numtx.check.verify import verify
from numtx.config.wiring import MODELS
from numtx.fields.field import fields_of
from numtx.fields.kinds import Choice
from numtx.laws.strategies import (
    LENGTHS,
    ROWS,
    batches,
    configs,
    parameters,
    parameters_of,
    seeds,
)
from numtx.parameters import parameter_shapes
from numtx.tap import Recorder
from numtx.trace.trace import Trace, record

H = 1e-5
MOST = 100  # models tried until no ReLU has its kink where differences are taken


def many(examples: int) -> settings:
    """The same draws every time, none of them kept, no deadline."""
    return settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )


EACH = pytest.mark.parametrize(
    "examples", [3, pytest.param(25, marks=pytest.mark.heavy, id="heavy")]
)
ANYTHING = pytest.mark.parametrize(
    "examples", [12, pytest.param(300, marks=pytest.mark.heavy, id="heavy")]
)
A_FEW = pytest.mark.parametrize(
    "examples", [5, pytest.param(40, marks=pytest.mark.heavy, id="heavy")]
)


@EACH
@pytest.mark.parametrize("name", some(len(MECHANISMS) // 5, __name__, MECHANISMS))
def test_a_mechanism_agrees_with_catalogue_and_oracle(name: str, examples: int) -> None:
    """In every stage and gradient; each example has the mechanism, the rest of it is drawn."""
    fields, given_ = MECHANISMS[name]

    @many(examples)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        config = data.draw(configs(**fields))
        batch = data.draw(batches(config, **{"labels": None, **given_}))
        assert mechanisms(config, batch)[name]
        _agrees(data, config, batch)

    check()


@ANYTHING
def test_any_model_agrees_with_catalogue_and_oracle(examples: int) -> None:
    @many(examples)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        config = data.draw(configs())
        batch = data.draw(batches(config, labels=None))
        assert mechanisms(config, batch).keys() == MECHANISMS.keys()  # none is left untried
        _agrees(data, config, batch)

    check()


def test_every_field_of_a_configuration_is_a_mechanism() -> None:
    """Sizes and what follows from another field aside: a new field has to be tried as well."""
    tried = {field for fields, _ in MECHANISMS.values() for field in fields}
    sizes = {"width", "vocabulary", "encoder_layers", "position_limit"}
    assert tried | sizes == {field.name for field in dataclasses.fields(Config)}
    assert not tried & sizes


def test_every_word_of_a_choice_is_a_mechanism() -> None:
    words = {
        (name, value)
        for name, field in fields_of(Config).items()
        if isinstance(field.kind, Choice)
        for value in field.kind.values
    }
    tried = {pair for fields, _ in MECHANISMS.values() for pair in fields.items()}
    assert len(words) >= 20 and words <= tried


def _agrees(data: st.DataObject, config: Config, batch: Batch) -> None:
    own = data.draw(parameters(config))
    cotangent = _cotangent(config, own, batch)
    trace = record(config, own, batch, cotangent=cotangent)
    _same_without_a_tap(trace, batch, cotangent)
    _same_stages(trace)
    _same_type(trace)
    report = verify(trace)
    assert report.ok, "\n".join(map(str, report.wrong[:5]))


def _cotangent(config: Config, own: Mapping[str, np.ndarray], batch: Batch) -> dict[str, Any]:
    """Random numbers, of what the run gives in the end."""
    return random_cotangent(forward(config, own, batch)[0], np.random.default_rng(5))


def _same_stages(trace: Trace) -> None:
    """Names, order and shapes of the catalogue are those that the run emitted, both ways."""
    assert [stage.name for stage in trace.graph] == list(trace.values)
    both = trace.config.model == "encoder-decoder"
    lengths = LENGTHS if both else dict.fromkeys(LENGTHS, LENGTHS["encoder"])
    for stage in trace.graph:
        assert trace.graph.shape(stage.name, ROWS, lengths) == trace[stage.name].shape, stage.name
    real = {name for name, value in trace.values.items() if value.dtype.kind == "f"}
    stages = {name for name in trace.gradients if not name.startswith("parameters/")}
    ends = {"probabilities"} | (set() if "labels" in trace else {"log_probabilities"})
    assert stages == real - ends  # nothing consumes these
    shapes = {name: array.shape for name, array in trace.gradients.items() if name not in stages}
    wanted = parameter_shapes(trace.config)
    assert shapes == {f"parameters/{name}": shape for name, shape in wanted.items()}


def _same_without_a_tap(trace: Trace, batch: Batch, cotangent: dict[str, Any]) -> None:
    """What is fast where nothing is recorded gives the same outputs, loss and gradients."""
    outputs, context = forward(trace.config, trace.parameters, batch)
    recorded, _ = forward(trace.config, trace.parameters, batch, Recorder())
    pairs = {
        name: (x, getattr(recorded, name)) for name, x in outputs._asdict().items() if x is not None
    }
    given = set(pairs)
    own = backward(context, cotangent)
    pairs |= {name: (own[name], trace.grad(f"parameters/{name}")) for name in trace.parameters}
    tolerance = 1e5 * float(np.finfo(trace.config.dtype).eps)
    largest = max(float(np.abs(gradient).max()) for gradient in own.values())
    for name, (plain, tapped) in pairs.items():
        size = max(float(np.abs(tapped).max()), 0.0 if name in given else largest)
        assert plain.dtype == trace.config.dtype, name
        assert float(np.abs(plain - tapped).max()) <= tolerance * size, name


def _same_type(trace: Trace) -> None:
    """No array of another floating type than the configuration's, in either pass."""
    for name, array in (*trace.values.items(), *trace.gradients.items()):
        assert array.dtype.kind != "f" or array.dtype == trace.config.dtype, name


@A_FEW
@pytest.mark.parametrize("model", MODELS)
def test_finite_differences_agree_with_every_parameter(model: str, examples: int) -> None:
    """Per array within 1e-6 of the larger of its largest gradient and a thousandth of the
    largest anywhere. A ReLU has no slope at 0: draws with an input near it are redrawn.

    Along one random direction of each array, in which every cell has its share; cell by cell, which
    says the same of a gradient that is right, is heavy."""
    count = Counter[str]()

    @many(examples)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        config = data.draw(configs(model, dtype="float64"))
        batch = data.draw(batches(config, labels=None))
        first = data.draw(seeds)
        cotangent = _cotangent(config, parameters_of(config, first), batch)
        for seed in range(first, first + MOST):  # not drawn: the smallest draw is always the same
            own = parameters_of(config, seed)
            trace = record(config, own, batch, cotangent=cotangent)
            count["draws"] += 1
            if not _near_the_kink(trace):
                break
            count["redrawn"] += 1
            event("redrawn: a ReLU input within 10h of 0")
        else:
            pytest.fail(f"a ReLU input near 0 in each of {MOST} models")
        compare_with_differences(
            _objective(config, batch, cotangent), own, trace, data.draw(seeds), examples > 5
        )

    check()
    share = count["redrawn"] / count["draws"]
    print(f"{model}: {count['redrawn']} of {count['draws']} draws redrawn ({share:.1%})")
    assert share < 0.25


def _near_the_kink(trace: Trace) -> bool:
    apart = [
        KINKS[stage.operation](trace, stage) for stage in trace.graph if stage.operation in KINKS
    ]
    # An exact 0 is one by structure (a row that saw nothing and has no residual): it stays.
    return any(((np.abs(x) < 10 * H) & (x != 0.0)).any() for x in apart)


def _objective(
    config: Config, batch: Batch, cotangent: dict[str, Any]
) -> Callable[[Mapping[str, np.ndarray]], float]:
    def objective(own: Mapping[str, np.ndarray]) -> float:
        outputs, _ = forward(config, own, batch)
        return sum(float(np.sum(getattr(outputs, n) * one)) for n, one in cotangent.items())

    return objective


def compare_with_differences(
    objective: Callable[[Mapping[str, np.ndarray]], float],
    own: Mapping[str, np.ndarray],
    trace: Trace,
    seed: int,
    every_cell: bool,
) -> None:
    """Differences of fourth order, (8 (f(H) - f(-H)) - (f(2H) - f(-2H))) / 12H, along a random
    direction of length 1 and, where asked, along single cells: a steep objective's curvature falls
    out. A difference of two objectives, each off by some eps of itself, is off by
    eps * objective / H."""
    generator = np.random.default_rng(seed)
    gradients = {name: trace.grad(f"parameters/{name}") for name in own}
    largest = max(float(np.abs(g).max()) for g in gradients.values())
    rounding = 8.0 * float(np.finfo(np.float64).eps) * abs(objective(own)) / H
    for name, gradient in gradients.items():
        tolerance = 1e-6 * max(float(np.abs(gradient).max()), 1e-3 * largest) + rounding
        directions = [generator.standard_normal(gradient.shape)]
        for cell in range(gradient.size if every_cell else 0):
            directions.append(np.zeros(gradient.shape))
            directions[-1].ravel()[cell] = 1.0
        for direction in directions:
            direction /= np.sqrt(np.sum(direction * direction))
            near, far = (
                objective({**own, name: own[name] + n * H * direction})
                - objective({**own, name: own[name] - n * H * direction})
                for n in (1, 2)
            )
            numeric = (8.0 * near - far) / (12.0 * H)
            analytic = float(np.sum(gradient * direction))
            assert abs(numeric - analytic) <= tolerance, (
                f"{name}: numeric {numeric!r}, analytic {analytic!r}, tolerance {tolerance:.3g}"
            )


def test_without_the_gradient_of_a_repeated_id_finite_differences_disagree() -> None:
    """The check above can fail: a planted bug that loses a repeated id is seen."""
    config = Config(
        model="decoder-only", width=8, heads=2, hidden=7, vocabulary=11, decoder_layers=1
    )
    own = initialise(config, 3)
    batch = Batch([[4, 4, 2]], labels=[[4, 2, 1]])
    trace = record(config, own, batch)
    compare_with_differences(_objective(config, batch, {"loss": np.ones(())}), own, trace, 0, False)
    wrong = trace.grad("parameters/decoder.embedding").copy()
    wrong[4] = trace.grad("decoder.embedding")[0, 0]
    planted = Trace(
        config, trace.values, {**trace.gradients, "parameters/decoder.embedding": wrong},
        trace.parameters, trace.inputs, trace.tokens,
    )  # fmt: skip
    with pytest.raises(AssertionError, match=r"decoder\.embedding"):
        compare_with_differences(
            _objective(config, batch, {"loss": np.ones(())}), own, planted, 0, False
        )


def test_gradients_take_no_part_in_the_callers_arrays() -> None:
    """backward gives arrays of its own: changing one changes neither parameters nor another."""
    config = Config(
        model="encoder-only", width=8, heads=2, hidden=7, vocabulary=11, encoder_layers=1
    )
    own = initialise(config, 3)
    copies = {name: array.copy() for name, array in own.items()}
    _, context = forward(config, own, Batch([[4, 5, 2]], labels=[[4, 2, 1]]))
    for gradient in backward(context).values():
        gradient += 1.0
    assert all(np.array_equal(own[name], copies[name]) for name in own)
