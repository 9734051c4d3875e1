from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from samples import VARIANTS, WEATHER, config_of, ragged_batch, random_parameters

from numtx import Batch, Config, backward, forward, initialise
from numtx.check.gradcheck import random_cotangent
from numtx.errors import ParameterError
from numtx.parameters import (
    check_parameters,
    count_parameters,
    named_shapes,
    parameter_shapes,
)

CONFIG = Config(**VARIANTS["encoder-decoder"])


def test_names_and_shapes_of_the_weather_model():
    shapes = dict(parameter_shapes(Config(**WEATHER)))
    expected = {"embedding": (10, 4)}
    for side, attentions in {
        "encoder": ["self_attention"],
        "decoder": ["self_attention", "cross_attention"],
    }.items():
        for i in range(2):
            for attention in attentions:
                place = f"{side}.{i}.{attention}"
                expected |= {f"{place}.w_{x}": (4, 4) for x in "qkvo"}
                expected |= {f"{place}.norm.gain": (4,), f"{place}.norm.bias": (4,)}
            place = f"{side}.{i}.feed_forward"
            expected |= {f"{place}.w_in": (4, 16), f"{place}.b_in": (16,)}
            expected |= {f"{place}.w_out": (16, 4), f"{place}.b_out": (4,)}
            expected |= {f"{place}.norm.gain": (4,), f"{place}.norm.bias": (4,)}
    expected["output.w"] = (4, 10)
    assert list(shapes.items()) == list(expected.items())
    assert count_parameters(Config(**WEATHER)) == sum(math.prod(s) for s in expected.values())


def test_names_of_a_model_with_every_bias_and_widths_of_their_own():
    shapes = parameter_shapes(CONFIG)
    place = "decoder.1.cross_attention"
    assert [shapes[f"{place}.{x}"] for x in ("w_q", "b_q", "w_k", "w_v", "b_v", "w_o", "b_o")] == [
        (6, 8), (8,), (6, 8), (6, 10), (10,), (10, 6), (6,),
    ]  # fmt: skip
    assert shapes["output.b"] == (11,) and "output.w" in shapes


def test_names_of_the_variants():
    two = parameter_shapes(Config(**VARIANTS["two vocabularies, learned positions, pre-norm"]))
    assert two["encoder.embedding"] == (9, 6) and two["decoder.embedding"] == (11, 6)
    assert two["encoder.positions"] == (9, 6)  # seven places, and two rows before them
    assert two["decoder.norm.bias"] == (6,)
    assert "output.w" not in two and "embedding" not in two
    grouped = parameter_shapes(Config(**VARIANTS["decoder, rotary, grouped, gated"]))
    place = "decoder.0.self_attention"
    assert [grouped[f"{place}.w_{x}"] for x in "qkvo"] == [(6, 32), (6, 16), (6, 6), (12, 6)]
    assert grouped["decoder.1.feed_forward.w_gate"] == (6, 7)
    assert not [name for name in grouped if "b_" in name or name.endswith("bias")]
    part = parameter_shapes(Config(**VARIANTS["decoder, interleaved, multi-query"]))
    assert [name for name in part if name.endswith("gain")] == [
        *(f"decoder.0.self_attention.{kind}_norm.gain" for kind in ("query", "key")),
        "decoder.0.feed_forward.norm.gain",
    ]
    segments = parameter_shapes(Config(**VARIANTS["encoder, segments, embedding norm"]))
    assert segments["encoder.segments"] == (2, 6)
    assert segments["encoder.embedding_norm.gain"] == (6,)
    bare = parameter_shapes(Config(**VARIANTS["bare"]))
    assert not [name for name in bare if name[-3:] == "w_o" or "norm" in name]


@pytest.mark.parametrize("name", VARIANTS)
def test_gradients_have_the_parameters_names_order_shapes_and_type(name):
    config = config_of(name, dtype="float32")
    parameters = random_parameters(config)
    outputs, context = forward(config, parameters, Batch(**ragged_batch(config)))
    gradients = backward(context, random_cotangent(outputs, np.random.default_rng(5)))
    shapes = parameter_shapes(config)
    assert [(n, g.shape, g.dtype) for n, g in gradients.items()] == [
        (n, s, np.float32) for n, s in shapes.items()
    ]


def test_initialisation_is_of_the_type_and_follows_the_seed():
    for dtype in ("float64", "float32"):
        config = dataclasses.replace(CONFIG, dtype=dtype)
        one, again, other = (initialise(config, seed) for seed in (3, 3, 4))
        check_parameters(config, one)
        assert all((one[name] == again[name]).all() for name in one)
        assert all((one[name] != other[name]).all() for name in one if one[name].ndim == 2)


def test_each_tensor_is_drawn_by_itself():
    deeper = initialise(dataclasses.replace(CONFIG, encoder_layers=2, norm=None), 3)
    for name, array in initialise(CONFIG, 3).items():
        if "norm" not in name:
            assert (deeper[name] == array).all(), name
    assert (deeper["encoder.0.feed_forward.w_in"] != deeper["encoder.1.feed_forward.w_in"]).any()


def test_sizes_of_what_is_drawn():
    config = dataclasses.replace(CONFIG, width=60, hidden=70, vocabulary=500)
    p = initialise(config)
    assert (p["encoder.0.self_attention.norm.gain"] == 1.0).all()
    assert not p["encoder.0.self_attention.norm.bias"].any()
    assert not p["encoder.0.self_attention.b_q"].any() and not p["output.b"].any()
    limit = math.sqrt(6.0 / 130.0)
    w = p["encoder.0.feed_forward.w_in"]
    assert 0.95 * limit < np.abs(w).max() <= limit and abs(w.mean()) < 0.02
    assert p["embedding"].std() == pytest.approx(1.0 / math.sqrt(60.0), rel=0.05)


def test_what_does_not_fit_is_named():
    good = random_parameters(CONFIG)

    def refused(parameters: object) -> str:
        with pytest.raises(ParameterError) as caught:
            check_parameters(CONFIG, parameters)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    check_parameters(CONFIG, good)
    name = "decoder.1.cross_attention.w_k"
    missing = {key: array for key, array in good.items() if key != name}
    assert f"{name!r} is missing" in refused(missing) and "(6, 8)" in refused(missing)
    assert "has shape (8, 6); it should be (6, 8)" in refused({**good, name: good[name].T})
    assert "has shape list" in refused({**good, name: good[name].tolist()})
    assert "is float32; the configuration says float64" in refused(
        {**good, name: good[name].astype(np.float32)}
    )
    extra = refused({**good, "decoder.1.cross_attention.w_kk": good[name]})
    assert "'decoder.1.cross_attention.w_kk' is not a parameter" in extra
    assert f"did you mean {name!r}" in extra
    with pytest.raises(ParameterError):
        forward(CONFIG, missing, Batch(**ragged_batch(CONFIG)))


@pytest.mark.parametrize("name", VARIANTS)
def test_numbers_are_counted_without_going_through_the_blocks(name):
    config = Config(**VARIANTS[name])
    lists = [len(value) for value in vars(config).values() if isinstance(value, tuple)]
    for layers in (max(lists, default=1), 7):
        more = dataclasses.replace(
            config, **{f"{side}_layers": layers for side in config.sides}
        )  # fmt: skip
        shapes = parameter_shapes(more)
        assert count_parameters(more) == sum(math.prod(shape) for shape in shapes.values())
        assert list(named_shapes(more)) == list(shapes.items())


@pytest.mark.parametrize(
    "change",
    [
        {"width": 10**9, "key_width": 4, "value_width": 5},
        {"vocabulary": 10**15}, {"hidden": 10**15}, {"width": 2 * 10**400},
        {"decoder_layers": 10**10}, {"decoder_layers": 10**30},
    ],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_a_model_that_no_memory_holds_is_refused_before_anything_is_made(change):
    config = dataclasses.replace(CONFIG, **change)
    words = r"^config: the parameters of this model need .* [EPT]B of memory, and "
    with pytest.raises(ParameterError, match=words):
        initialise(config)
    if "decoder_layers" in change:  # the names alone are too many
        with pytest.raises(ParameterError, match=words):
            parameter_shapes(config)


def test_the_rule_is_what_is_free(monkeypatch):
    from numtx import parameters

    numbers, arrays = count_parameters(CONFIG), len(parameter_shapes(CONFIG))
    need = 8 * numbers + parameters.PER_ARRAY * arrays
    monkeypatch.setattr("numtx.memory.available_memory", lambda: need)
    initialise(CONFIG)
    monkeypatch.setattr("numtx.memory.available_memory", lambda: need - 1)
    with pytest.raises(ParameterError, match="lower width, hidden, vocabulary or layers"):
        initialise(CONFIG)


@pytest.mark.parametrize(
    ("fields", "name", "field"),
    [
        ({"key_value_latent": 4}, "decoder.0.self_attention.latent_norm.gain", "latent_norm"),
        ({}, "decoder.0.self_attention.sinks", "sinks"),
        ({}, "decoder.0.feed_forward.w_gate", "gated"),
        ({"biases": False}, "decoder.0.self_attention.b_q", "biases"),
    ],
)
def test_a_parameter_of_a_part_that_is_left_out_names_the_field(fields, name, field):
    sizes = {"width": 8, "decoder_layers": 1, "hidden": 6, "vocabulary": 5}
    config = Config(model="decoder-only", **sizes, **fields)
    parameters = {**initialise(config), name: np.ones(3)}
    with pytest.raises(ParameterError) as error:
        forward(config, parameters, Batch([[1, 2]]))
    assert str(error.value) == (
        f"parameters: {name!r} is not a parameter of this model; it is one where the "
        f'configuration has "{field}": true'
    )
