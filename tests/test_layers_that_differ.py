"""Fields that are lists of one a layer: what a layer has then, and how it is said."""

from __future__ import annotations

import pytest
from samples import config_of, random_parameters

from numtx import Batch, Config
from numtx.check.verify import verify
from numtx.errors import ConfigError
from numtx.parameters import count_parameters, parameter_shapes
from numtx.trace.trace import record

NAME = "encoder, a first layer without a norm, widths of several layers"
IDS = [[1, 2, 3, 4, 5], [3, 1, 6, 7, 2]]


def test_each_layer_has_its_own_parameters() -> None:
    config = config_of(NAME)
    shapes = parameter_shapes(config)
    assert "encoder.0.self_attention.norm.gain" not in shapes
    assert {f"encoder.{i}.feed_forward.norm.gain" for i in range(3)} < shapes.keys()
    assert {f"encoder.{i}.self_attention.norm.gain" for i in (1, 2)} < shapes.keys()
    assert [shapes[f"encoder.{i}.feed_forward.w_in"] for i in range(3)] == [
        (10, 7), (10, 9), (10, 7),
    ]  # fmt: skip
    assert count_parameters(config) == sum(a.size for a in random_parameters(config).values())


def test_shapes_and_cells_are_those_of_the_layer() -> None:
    config = config_of(NAME)
    trace = record(config, random_parameters(config), Batch(IDS))
    for i, width in enumerate((7, 9, 7)):
        name = f"encoder.{i}.feed_forward.hidden"
        assert trace[name].shape == trace.graph.shape(name, 2, {"encoder": 5}) == (2, 5, width)
    assert "encoder.0.self_attention.norm" not in trace
    assert trace.graph["encoder.0.self_attention.queries"].inputs[0] == "encoder.input"
    assert verify(trace).ok


def test_lists_of_places_go_to_json_and_back() -> None:
    config = config_of(NAME)
    assert Config.from_dict(config.to_dict()) == config
    assert config.layer("encoder", 0).norm_at == ("encoder.feed_forward",)
    assert not config.layer("encoder", 0).has_norm("encoder.self_attention")
    assert not config.has_norm("encoder.self_attention")  # not in all of them
    assert config.has_norm("encoder.feed_forward")


def test_a_list_of_names_alone_is_one_value() -> None:
    config = config_of("encoder, latents, interleaved", norm_at=["encoder.feed_forward"])
    assert config.values_of("norm_at") == (("encoder.feed_forward",),)
    alike = config_of("encoder, latents, interleaved", norm_at=[["encoder.feed_forward"]] * 2)
    assert alike == config
    with pytest.raises(ConfigError, match="norm_at names"):
        config_of("encoder, latents, interleaved", norm_at=[True, ["encoder.head"]])
    with pytest.raises(ConfigError, match="norm_at is 3; it is true, false or a list"):
        config_of("encoder, latents, interleaved", norm_at=[True, 3])
