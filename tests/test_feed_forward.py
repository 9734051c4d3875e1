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


@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("gated", [True, False])
@pytest.mark.parametrize("kind", ["relu", "gelu", "gelu_tanh", "silu"])
def test_backward(kind, gated, biased):
    c, p = config(activation=kind, gated=gated), weights(gated, biased)

    def f(x: Any, p: Any) -> float:
        return float((DENSE.forward(c, Place(p), x)[0] * D).sum())

    recorder = Recorder()
    at = Place(p, recorder)
    _, context = DENSE.forward(c, at, X)
    dx = DENSE.backward(D, context, at)
    names = ["hidden", "gate", "activation", "gated", "output"]
    assert list(recorder.values) == (names if gated else ["hidden", "activation", "output"])
    assert set(recorder.gradients) == set(recorder.values)
    assert_close(dx, central_difference(lambda a: f(a, p), X), 1e-8)
    assert set(at.gradients) == set(p)
    for name, gradient in at.gradients.items():
        numeric = central_difference(lambda a, n=name: f(X, {**p, n: a}), p[name])
        assert_close(gradient, numeric, 1e-8)
