from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from samples import assert_close, central_difference, random_parameters

from numtx import Config, Recorder
from numtx.attention import AttentionInputs
from numtx.block import Stack, block_backward, block_forward
from numtx.config.wiring import NORM_PLACES
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
    mask = allowed(np.ones((2, 3), bool), 3, causal=True)
    cross = AttentionInputs(allowed(VALID, 3))
    return block_forward(c, at, x, Stack("decoder", AttentionInputs(mask), cross, output))


WIRINGS = [
    dict(zip(("norm", "norm_place", "residual_at"), wiring, strict=True))
    for wiring in itertools.product(("layer", "rms"), NORM_PLACES, (True, False))
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


@pytest.mark.parametrize("place", NORM_PLACES)
def test_where_norm_and_residual_stand(place):
    c = config(norm_place=place)
    p = random_parameters(c, 2)
    recorder = Recorder()
    y, _ = run(c, Place(p, recorder, prefix=PLACE))
    v = recorder.values
    x = X
    for sublayer in ("self_attention", "cross_attention", "feed_forward"):
        residual, norm, output = (v[f"{sublayer}.{n}"] for n in ("residual", "norm", "output"))

        def normed(a: Any, name: str = "norm", sublayer: str = sublayer) -> Any:
            gain, bias = (p[f"{PLACE}{sublayer}.{name}.{n}"] for n in ("gain", "bias"))
            return norm_forward(a, gain, bias, 1e-5, True)[0]

        added = {"inner": norm, "both": v.get(f"{sublayer}.norm_after")}.get(place, output)
        assert (residual == x + added).all()
        of = {"post": residual, "inner": output}.get(place, x)
        assert (norm == normed(of)).all()
        assert place != "both" or (added == normed(output, "norm_after")).all()
        x = norm if place == "post" else residual
    assert (y == x).all()


def test_a_block_without_a_memory_has_no_cross_attention():
    c = Config(model="encoder-only", width=4, encoder_layers=1, hidden=7, vocabulary=11)
    p = random_parameters(c, 2)
    recorder = Recorder()
    at = Place(p, recorder, prefix="encoder.0.")
    own = AttentionInputs(allowed(np.ones((2, 3), bool), 3))
    y, context = block_forward(c, at, X, Stack("encoder", own))
    assert not [name for name in recorder.values if name.startswith("cross")]
    dx, dmemory = block_backward(D, context, at)
    assert dx.shape == y.shape and dmemory is None
