"""Every stage's and every parameter's gradient by central differences.

A stage is pinned to its own value with one cell moved; what stands upstream no longer
matters, so the difference of the loss is the gradient at that stage alone.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from samples import WEATHER, assert_close, ragged_batch, random_parameters, some, weather_batch

from numtx import Batch, Config, Pin, Recorder, backward, forward
from numtx.stages.resolve import resolve

H = 1e-5
CONFIG = Config(**WEATHER)
BATCH = Batch(**weather_batch())


def far_from_kinks(recorder: Recorder) -> bool:
    """No input of a relu lies where a step of H would cross its kink."""
    return all(
        np.abs(value).min() > 10.0 * H
        for name, value in recorder.values.items()
        if name.endswith("feed_forward.hidden")
    )


@cache
def run() -> tuple[dict[str, Any], Recorder, dict[str, Any]]:
    """Weights without a relu near its kink, the recorded run and the parameters' gradients."""
    for seed in range(50):
        parameters = random_parameters(CONFIG, seed)
        recorder = Recorder()
        _, context = forward(CONFIG, parameters, BATCH, recorder)
        if far_from_kinks(recorder):
            return parameters, recorder, backward(context, 1.0, recorder)
    raise AssertionError("no seed keeps the relus away from 0")


def loss(parameters: dict[str, Any], pins: dict[str, Any] | None = None) -> float:
    outputs, _ = forward(CONFIG, parameters, BATCH, Recorder(pins))
    assert outputs.loss is not None
    return float(outputs.loss)


STAGES = [
    stage.name
    for stage in resolve(CONFIG)
    if stage.operation not in ("given", "allowed", "exp") and stage.name != "loss"
]


def test_all_stages_with_a_gradient_are_checked():
    _, recorder, _ = run()
    assert {*STAGES, "loss"} == set(recorder.gradients)
    floats = {name for name, value in recorder.values.items() if value.dtype.kind == "f"}
    assert floats - set(recorder.gradients) == {"probabilities"}
    assert float(recorder.gradients["loss"]) == 1.0


MOST = pytest.mark.parametrize(
    "most", [4, pytest.param(None, marks=pytest.mark.heavy, id="every cell")]
)


def cells(value: np.ndarray, most: int | None) -> list[tuple[int, ...]]:
    """Cells that can be moved (not the -inf of a hidden key): all, or so many drawn ones."""
    found = [tuple(i) for i in np.argwhere(value != -np.inf)]
    if most is None or len(found) <= most:
        return found
    drawn = np.random.default_rng(len(found)).choice(len(found), most, replace=False)
    return [found[i] for i in drawn]


def moved(value: np.ndarray, cell: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """The array with one cell a step up, and a step down."""
    ahead, behind = value.copy(), value.copy()
    ahead[cell] += H
    behind[cell] -= H
    return ahead, behind


@MOST
@pytest.mark.parametrize("name", STAGES)
def test_gradient_at_a_stage(name, most):
    parameters, recorder, _ = run()
    value = recorder.values[name]
    chosen = cells(value, most)
    numeric = []
    for cell in chosen:
        ahead, behind = moved(value, cell)
        numeric.append(loss(parameters, {name: ahead}) - loss(parameters, {name: behind}))
    gradient = recorder.gradients[name]
    assert np.abs(gradient).max() > 0.0
    assert_close(np.array([gradient[cell] for cell in chosen]), np.array(numeric) / (2.0 * H))
    assert not gradient[value == -np.inf].any()


@MOST
@pytest.mark.parametrize("name", sorted(run()[0]))
def test_gradient_of_a_parameter(name, most):
    parameters, _, gradients = run()
    chosen = cells(parameters[name], most)
    numeric = []
    for cell in chosen:
        ahead, behind = moved(parameters[name], cell)
        numeric.append(loss({**parameters, name: ahead}) - loss({**parameters, name: behind}))
    gradient = gradients[name]
    assert_close(np.array([gradient[cell] for cell in chosen]), np.array(numeric) / (2.0 * H))


PARTIAL = [
    name for name in STAGES if name.startswith(("encoder.0.self", "decoder.1.cross", "logits"))
]


@pytest.mark.parametrize("name", some(4, __name__, PARTIAL))
def test_gradients_around_a_stage_that_is_pinned_in_part(name):
    """Pinned cells hold: upstream sees the loss through the others only, and the recorded
    gradient at the stage is the total one at pinned cells too."""
    parameters, plain, _ = run()
    generator = np.random.default_rng(len(name))
    value = plain.values[name]
    where = generator.random(value.shape) < 0.5
    value = value + np.where(np.isfinite(value), 0.1 * generator.standard_normal(value.shape), 0.0)
    pin = Pin(where, value)
    recorder = Recorder({name: pin})
    _, context = forward(CONFIG, parameters, BATCH, recorder)
    gradients = backward(context, 1.0, recorder)
    assert far_from_kinks(recorder)
    assert (recorder.values[name][where] == value[where]).all()

    # Upstream and downstream: each parameter along a random direction.
    for key, tensor in parameters.items():
        along = generator.standard_normal(tensor.shape)
        ahead = loss({**parameters, key: tensor + H * along}, {name: pin})
        behind = loss({**parameters, key: tensor - H * along}, {name: pin})
        assert_close((gradients[key] * along).sum(), np.asarray((ahead - behind) / (2.0 * H)))

    # At the pinned cells themselves: a few of them moved.
    cells = [tuple(i) for i in np.argwhere(where & np.isfinite(value))]
    for cell in cells[:: max(1, len(cells) // 5)]:
        ahead, behind = value.copy(), value.copy()
        ahead[cell] += H
        behind[cell] -= H
        slope = loss(parameters, {name: Pin(where, ahead)})
        slope -= loss(parameters, {name: Pin(where, behind)})
        assert_close(recorder.gradients[name][cell], np.asarray(slope / (2.0 * H)))


def test_a_stage_pinned_throughout_gives_nothing_to_what_stands_upstream():
    parameters, plain, _ = run()
    pins = {"encoder.output": plain.values["encoder.output"]}
    recorder = Recorder(pins)
    outputs, context = forward(CONFIG, parameters, BATCH, recorder)
    gradients = backward(context, 1.0, recorder)
    assert float(outputs.loss) == float(plain.values["loss"])
    for name, gradient in gradients.items():
        assert (name.startswith("encoder.")) == (not gradient.any()), name
    assert recorder.gradients["encoder.output"].any()


def test_gradient_of_the_logits_as_cotangent():
    """Without labels: the cotangent is random, the function is sum(logits * cotangent)."""
    fields = ragged_batch(CONFIG, 3)
    del fields["labels"]
    batch = Batch(**fields)
    generator = np.random.default_rng(1)
    parameters = random_parameters(CONFIG, 5)
    recorder = Recorder()
    outputs, context = forward(CONFIG, parameters, batch, recorder)
    assert far_from_kinks(recorder)
    assert outputs.loss is None
    cotangent = generator.standard_normal(outputs.logits.shape)
    gradients = backward(context, cotangent)
    for key, tensor in parameters.items():
        along = generator.standard_normal(tensor.shape)
        sums = [
            float((forward(CONFIG, {**parameters, key: tensor + h * along}, batch)[0].logits
                   * cotangent).sum())
            for h in (H, -H)
        ]  # fmt: skip
        assert_close((gradients[key] * along).sum(), np.asarray((sums[0] - sums[1]) / (2.0 * H)))
