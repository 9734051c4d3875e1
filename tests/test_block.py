from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from samples import assert_close, central_difference, random_parameters

from numtx import Config, Recorder
from numtx.attention import AttentionInputs
from numtx.block import Stack, Sublayer, block_backward, block_forward, leave, leave_backward
from numtx.masks import allowed
from numtx.ops.norm import norm_forward
from numtx.place import Place

X = np.random.default_rng(1).standard_normal((2, 3, 4))
OUTPUT = np.random.default_rng(2).standard_normal((2, 5, 4))
D = np.random.default_rng(3).standard_normal((2, 3, 4))
VALID = np.array([[True] * 5, [True, True, True, True, False]])
PLACE = "decoder.0."


def config(**changes: Any) -> Config:
    return Config(width=4, encoder_layers=1, decoder_layers=1, heads=2, key_width=3, hidden=7,
                  vocabulary=11, activation="silu", **changes)  # fmt: skip


def run(c: Config, at: Place, x: Any = X, output: Any = OUTPUT) -> Any:
    mask = allowed(np.ones((2, 3), bool), 2, 3, causal=True)
    cross = AttentionInputs(allowed(VALID, 2, 3))
    return block_forward(c, at, x, Stack("decoder", AttentionInputs(mask), cross, output))


WIRINGS = [
    dict(zip(("norm", "norm_place", "residual_at"), wiring, strict=True))
    for wiring in itertools.product(("layer", "rms"), ("post", "pre"), (True, False))
] + [
    {"norm": None},
    {
        "norm_place": "pre",
        "norm_at": ["decoder.cross_attention"],
        "residual_at": ["decoder.feed_forward"],
    },
]


@pytest.mark.parametrize("wiring", WIRINGS, ids=str)
def test_backward(wiring):
    c = config(**wiring)
    p = random_parameters(c, 2)
    at = Place(p, prefix=PLACE)
    y, context = run(c, at)
    dx, dmemory = block_backward(D, context, at)

    def f(p: Any = p, x: Any = X, output: Any = OUTPUT) -> float:
        return float((run(c, Place(p, prefix=PLACE), x, output)[0] * D).sum())

    assert y.shape == X.shape
    assert_close(dx, central_difference(lambda a: f(x=a), X), 1e-7)
    assert_close(dmemory, central_difference(lambda a: f(output=a), OUTPUT), 1e-7)
    assert not dmemory[1, 4].any()
    assert set(at.gradients) == {name for name in p if name.startswith(PLACE)}
    generator = np.random.default_rng(4)
    for name, gradient in at.gradients.items():
        along, h = generator.standard_normal(p[name].shape), 1e-5
        slope = f({**p, name: p[name] + h * along}) - f({**p, name: p[name] - h * along})
        assert_close((gradient * along).sum(), np.asarray(slope / (2.0 * h)))


@pytest.mark.parametrize("place", ["post", "pre"])
def test_where_norm_and_residual_stand(place):
    c = config(norm_place=place)
    p = random_parameters(c, 2)
    recorder = Recorder()
    y, _ = run(c, Place(p, recorder, prefix=PLACE))
    v = recorder.values
    x = X
    for sublayer in ("self_attention", "cross_attention", "feed_forward"):
        gain, bias = (p[f"{PLACE}{sublayer}.norm.{n}"] for n in ("gain", "bias"))
        residual, norm = v[f"{sublayer}.residual"], v[f"{sublayer}.norm"]
        assert (residual == x + v[f"{sublayer}.output"]).all()
        normed = residual if place == "post" else x
        assert (norm == norm_forward(normed, gain, bias, 1e-5, True)[0]).all()
        x = norm if place == "post" else residual
    assert (y == x).all()


def test_a_block_without_a_memory_has_no_cross_attention():
    c = Config(model="encoder-only", width=4, encoder_layers=1, hidden=7, vocabulary=11)
    p = random_parameters(c, 2)
    recorder = Recorder()
    at = Place(p, recorder, prefix="encoder.0.")
    own = AttentionInputs(allowed(np.ones((2, 3), bool), 1, 3))
    y, context = block_forward(c, at, X, Stack("encoder", own))
    assert not [name for name in recorder.values if name.startswith("cross")]
    dx, dmemory = block_backward(D, context, at)
    assert dx.shape == y.shape and dmemory is None


@pytest.mark.parametrize("place", ["post", "pre"])
def test_several_outputs_leave_by_one_residual(place):
    """As of sublayers that stand side by side: y = norm(x + f + g), and each gets all of dy."""
    c = config(norm_place=place)
    p = random_parameters(c, 2)
    at = Place(p, prefix=f"{PLACE}feed_forward.")
    f, g = (np.random.default_rng(seed).standard_normal(X.shape) for seed in (5, 6))

    def left(x: Any, f: Any, g: Any) -> Any:
        return leave(c, "decoder.feed_forward", at, x, f, g)

    y, after = left(X, f, g)
    gain, bias = (p[f"{PLACE}feed_forward.norm.{n}"] for n in ("gain", "bias"))
    right = X + f + g
    assert_close(y, norm_forward(right, gain, bias, 1e-5, True)[0] if place == "post" else right)
    doutput, dskip = leave_backward(D, Sublayer(None, None, after), at)
    for k, found in enumerate((dskip, doutput, doutput)):
        given = [X, f, g]

        def loss(a: Any, k: int = k, given: Any = given) -> float:
            return float((left(*given[:k], a, *given[k + 1 :])[0] * D).sum())

        assert_close(found, central_difference(loss, given[k]), 1e-7)
