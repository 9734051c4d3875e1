from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from numtx import Config, Recorder
from numtx.ops.linear import linear_backward, linear_forward
from numtx.ops.norm import norm_backward, norm_forward
from numtx.place import Place

X = np.random.default_rng(0).standard_normal((2, 3, 4))


def draw(*shape: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).standard_normal(shape)


def test_names_are_joined_below_a_prefix():
    flat = {"encoder.0.norm.gain": np.ones(2), "output.b": np.zeros(3)}
    recorder = Recorder()
    at = Place(flat, recorder) / "encoder" / "0"
    assert (at / "norm")["gain"] is flat["encoder.0.norm.gain"]
    assert Place(flat, prefix="encoder.0.")["norm.gain"] is flat["encoder.0.norm.gain"]
    assert "norm.gain" in at and "output.b" not in at and "norm.bias" not in at
    with pytest.raises(KeyError, match=r"encoder\.0\.w_q"):
        at["w_q"]
    here = at / "self_attention"
    here("queries", draw(2))
    here.grad("queries", draw(2))
    assert list(recorder.values) == list(recorder.gradients) == ["encoder.0.self_attention.queries"]


def test_what_a_tap_gives_back_goes_on():
    class Doubling(Recorder):
        def __call__(self, name: str, value: Any) -> Any:
            return 2.0 * super().__call__(name, value)

    assert Place({}, Doubling())("x", np.ones(1)) == 2.0
    assert Place({})("x", X) is X and Place({}).grad("x", X) is X


def test_a_parameter_used_twice_sums_its_paths():
    at, first = Place({}), np.ones(2)
    (at / "a").add("b", first)
    assert at.gradients["a.b"] is first
    at.add("a.b", 2.0 * np.ones(2))
    assert list(at.gradients) == ["a.b"]
    assert (at.gradients["a.b"] == 3.0).all() and (first == 1.0).all()
    assert not Place({}).gradients


@pytest.mark.parametrize("biased", [True, False])
def test_linear(biased):
    flat = {"a.w_q": draw(4, 5), "a.b_q": draw(5), "a.w_k": draw(4, 5, seed=2)}
    if not biased:
        del flat["a.b_q"]
    at = Place(flat) / "a"
    y, context = at.linear(X, "q")
    expected, known = linear_forward(X, flat["a.w_q"], flat.get("a.b_q"))
    assert (y == expected).all()
    dx = at.linear_backward(draw(2, 3, 5), context, "q")
    dright, dw, db = linear_backward(draw(2, 3, 5), known)
    assert (dx == dright).all() and (at.gradients["a.w_q"] == dw).all()
    assert list(at.gradients) == (["a.w_q", "a.b_q"] if biased else ["a.w_q"])
    assert (db is not None) == biased
    if biased:
        assert (at.gradients["a.b_q"] == db).all()
    at.linear_backward(draw(2, 3, 5), context, "q")
    assert (at.gradients["a.w_q"] == 2.0 * dw).all()
    with pytest.raises(KeyError, match=r"a\.w_v"):
        at.linear(X, "v")


@pytest.mark.parametrize("name", ["norm", "embedding_norm"])
@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("norm", ["layer", "rms"])
def test_norm(norm, biased, name):
    config = Config(model="decoder-only", width=4, decoder_layers=1, hidden=7, vocabulary=11,
                    norm=norm, epsilon=0.5)  # fmt: skip
    flat = {f"a.{name}.gain": draw(4), f"a.{name}.bias": draw(4, seed=2), "a.gain": draw(4, seed=3)}
    if not biased:
        del flat[f"a.{name}.bias"]
    gain, bias = flat[f"a.{name}.gain"], flat.get(f"a.{name}.bias")
    at = Place(flat) / "a"
    y, context = at.norm(X, config, *(() if name == "norm" else (name,)))
    expected, known = norm_forward(X, gain, bias, 0.5, norm == "layer")
    assert (y == expected).all()
    dx = at.norm_backward(draw(2, 3, 4), context, *(() if name == "norm" else (name,)))
    dright, dgain, dbias = norm_backward(draw(2, 3, 4), known)
    assert (dx == dright).all() and (dbias is not None) == biased
    right = {f"a.{name}.gain": dgain} | ({f"a.{name}.bias": dbias} if biased else {})
    assert list(at.gradients) == list(right)
    assert all((at.gradients[n] == g).all() for n, g in right.items())
