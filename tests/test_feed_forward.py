from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from samples import assert_close, central_difference

from numtx import Config, Recorder
from numtx.feed_forward.dense import DENSE
from numtx.place import Place


def config(**changes: Any) -> Config:
    return Config(model="decoder-only", width=4, decoder_layers=1, hidden=7, vocabulary=11,
                  **changes)  # fmt: skip


def weights(gated: bool, biased: bool) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    shapes = {"w_in": (4, 7), "b_in": (7,), "w_gate": (4, 7), "b_gate": (7,), "w_out": (7, 4),
              "b_out": (4,)}  # fmt: skip
    drawn = {name: generator.standard_normal(shape) for name, shape in shapes.items()}
    return {n: a for n, a in drawn.items() if (gated or "gate" not in n) and (biased or "w" in n)}


X = np.random.default_rng(1).standard_normal((2, 3, 4))
D = np.random.default_rng(2).standard_normal((2, 3, 4))


def test_by_hand():
    p = {"w_in": np.array([[1.0, -1.0]]), "b_in": np.array([0.5, 0.5]),
         "w_out": np.array([[2.0], [3.0]]), "b_out": np.array([10.0]),
         "w_gate": np.array([[1.0, 1.0]]), "b_gate": np.array([0.0, -5.0])}  # fmt: skip
    x = np.array([[[2.0]]])
    plain = DENSE.forward(config(), Place(p), x)[0]
    assert plain.tolist() == [[[15.0]]]  # 2.5 * 2 + relu(-1.5) * 3 + 10
    gated = DENSE.forward(config(gated=True), Place(p), x)[0]
    assert gated.tolist() == [[[20.0]]]  # relu(2) * 2.5 * 2 + relu(-3) * -1.5 * 3 + 10


# Gate, up and what comes of them: limit 7, shift 1 (released code of gpt-oss, OpenAI, 2025).
GATE_CELLS = (
    (1.0, 2.0, 2.537387297798464), (9.0, -8.0, -41.99971876981991),
    (-9.0, 8.0, -1.602542389246808e-5), (-1.0, -3.0, 0.3084084681343574),
)  # fmt: skip


def gated_cell(gate: float, up: float) -> tuple[float, list[float]]:
    """One cell, and d(it) / d(gate, up)."""
    one = {name: np.array([[1.0]]) for name in ("w_in", "w_gate", "w_out")}
    own = one | {"b_in": np.array([up]), "b_gate": np.array([gate]), "b_out": np.zeros(1)}
    c = Config(
        model="decoder-only", width=1, decoder_layers=1, hidden=1, vocabulary=2, positions=None,
        gated=True, activation="gelu_sigmoid", gate_limit=7.0, gate_shift=1.0,
    )  # fmt: skip
    at = Place(own)
    y, context = DENSE.forward(c, at, np.zeros((1, 1, 1)))
    DENSE.backward(np.ones((1, 1, 1)), context, at)
    return y.item(), [at.gradients[name].item() for name in ("b_gate", "b_in")]


@pytest.mark.parametrize(("gate", "up", "right"), GATE_CELLS)
def test_a_gate_with_limits(gate, up, right):
    y, (dgate, dup) = gated_cell(gate, up)
    assert y == pytest.approx(right, rel=1e-13)
    assert (dgate == 0.0) == (gate > 7.0) and (dup == 0.0) == (abs(up) > 7.0)
    h = 1e-6
    for slope, by in ((dgate, (h, 0.0)), (dup, (0.0, h))):
        ahead, behind = (gated_cell(gate + s * by[0], up + s * by[1])[0] for s in (1, -1))
        assert slope == pytest.approx((ahead - behind) / (2 * h), abs=1e-8)


@pytest.mark.parametrize("limits", [{}, {"gate_limit": 0.5}, {"gate_shift": 1.0, "gate_limit": 2}])
@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("gated", [True, False])
@pytest.mark.parametrize("kind", ["relu", "gelu", "gelu_tanh", "silu"])
def test_backward(kind, gated, biased, limits):
    limits = limits if gated else {}
    c, p = config(activation=kind, gated=gated, **limits), weights(gated, biased)

    def f(x: Any, p: Any) -> float:
        return float((DENSE.forward(c, Place(p), x)[0] * D).sum())

    recorder = Recorder()
    at = Place(p, recorder)
    _, context = DENSE.forward(c, at, X)
    dx = DENSE.backward(D, context, at)
    names = ["hidden", "gate", "activation", "gated", "output"]
    if limits:
        names[2:2] = ["clamped_gate", "clamped_hidden"]
    assert list(recorder.values) == (names if gated else ["hidden", "activation", "output"])
    assert set(recorder.gradients) == set(recorder.values)
    assert_close(dx, central_difference(lambda a: f(a, p), X), 1e-8)
    assert set(at.gradients) == set(p)
    for name, gradient in at.gradients.items():
        numeric = central_difference(lambda a, n=name: f(X, {**p, n: a}), p[name])
        assert_close(gradient, numeric, 1e-8)
