from __future__ import annotations

import dataclasses
import json
import math
import re

import pytest
from broken_experts import WITH_EXPERTS
from hypothesis import given
from hypothesis import strategies as st
from samples import VARIANTS, WEATHER

from numtx.config import RULES, Config
from numtx.config.rotary import PLAIN_SCALINGS
from numtx.config.wiring import SUBLAYERS
from numtx.errors import ConfigError
from numtx.fields.field import fields_of

SMALL = {
    "width": 6,
    "encoder_layers": 1,
    "decoder_layers": 2,
    "heads": 3,
    "hidden": 5,
    "vocabulary": 11,
}


def refused(**fields: object) -> str:
    with pytest.raises(ConfigError) as caught:
        Config(**{**SMALL, **fields})
    message = str(caught.value)
    assert message.startswith("config: ") and "\n" not in message
    return message


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("model", "gpt", "one of 'encoder-decoder'"),
        ("width", 0, "at least 1"),
        ("width", 6.0, "whole number"),
        ("width", True, "whole number"),
        ("width", None, "whole number"),
        ("heads", "3", "whole number"),
        ("encoder_layers", -1, "at least 0"),
        ("key_value_heads", 0, "at least 1"),
        ("window", 0, "at least 1"),
        ("rotary_width", 1, "at least 2"),
        ("key_value_latent", 0, "at least 1"),
        ("query_latent", True, "at least 1"),
        ("segments", -1, "at least 0"),
        ("norm", "batch", "null"),
        ("norm_place", "middle", "'post', 'pre'"),
        ("positions", "rotated", "'sinusoidal'"),
        ("rotary_layout", "pairs", "'half'"),
        ("activation", "tanh", "'relu'"),
        ("dtype", "float16", "'float64'"),
        ("causal", 1, "true or false"),
        ("gated", None, "true or false"),
        ("tied_output", "yes", "true or false"),
        ("embedding_norm", 0, "true or false"),
        ("epsilon", -1e-9, "0 or above"),
        ("epsilon", math.nan, "finite"),
        ("position_base", 0.0, "above 0"),
        ("position_base", math.inf, "finite"),
        ("label_smoothing", 1.0, "label_smoothing is 1.0; it is at least 0 and below 1"),
        ("label_smoothing", -0.1, "at least 0 and below 1"),
        ("label_smoothing", math.nan, "finite"),
        ("label_smoothing", None, "finite"),
        ("score_scale", "big", "finite number"),
        ("score_scale", True, "finite number"),
        ("embedding_scale", None, "finite number"),
        ("output_scale", [1.0], "finite number"),
        ("norm_at", "decoder.feed_forward", "list of names"),
        ("norm_at", ["decoder.feedforward"], "did you mean 'decoder.feed_forward'?"),
        ("residual_at", [3], "names 3"),
        ("output_projection_at", ["decoder.feed_forward"], "names 'decoder.feed_forward'"),
        ("biases", ["b_z"], "names 'b_z'"),
        ("biases", None, "true, false or a list"),
    ],
)
def test_a_bad_field_is_named(field, value, says):
    message = refused(**{field: value})
    assert field in message and says in message


LINEAR, _, YARN, LONGROPE = PLAIN_SCALINGS
ONE = {"model": "decoder-only", "encoder_layers": 0}
ENCODER = {"model": "encoder-only", "decoder_layers": 0}
BROKEN = [
    (
        {"query_key_norm": "head", "key_value_latent": 4},
        "query_key_norm 'head' is for models with key_value_latent None; here",
    ),
    ({"head": "masked-language-model"}, "is for models with model 'encoder-only'; here"),
    (
        {**ENCODER, "head_activation": "gelu"},
        "head_activation 'gelu' is for models with head 'masked-language-model'; here",
    ),
    ({**ENCODER, "head": None, "tied_output": True}, "there are no logits to make"),
    ({"pooler": True}, "pooler True is for models with model 'encoder-only'; here"),
    ({**ENCODER, "head": "masked-language-model", "norm": None}, "it ends in a norm: give one"),
    ({"decoder_layers": 0}, "give layers to encoder and decoder"),
    ({"encoder_layers": 0, "source_vocabulary": 9}, "no encoder reads it"),
    ({"model": "decoder-only"}, "give layers to decoder and to nothing else"),
    ({"key_value_heads": 2}, "heads 3 is not a multiple of key_value_heads 2"),
    ({"width": 8}, "width 8 is not a multiple of heads 3; give key_width"),
    (
        {"model": "encoder-only", "decoder_layers": 0, "source_vocabulary": 9},
        "source_vocabulary 9 is for models with model 'encoder-decoder'; here",
    ),
    ({"width": 9}, "positions 'sinusoidal' with width 9"),
    ({"position_limit": 5}, "position_limit 5 with positions 'sinusoidal'"),
    ({"positions": "learned"}, "position_limit None with positions 'learned'"),
    (
        {"position_offset": 2},
        "position_offset 2 is for models with positions 'learned'; here",
    ),
    ({"key_value_latent": 4, "key_value_heads": 1}, "key_value_heads 1 with key_value_latent 4"),
    (
        {"query_latent": 4},
        "query_latent 4 is for models with key_value_latent given; here",
    ),
    (
        {"rotary_width": 2},
        "rotary_width 2 is for models with positions 'rotary'; here",
    ),
    ({"positions": "rotary", "rotary_width": 4}, "rotary_width 4 with key_width 2"),
    ({"positions": "rotary", "key_width": 3}, "rotary_width 3 with key_width 3"),
    (
        {"value_width": 3, "output_projection_at": False},
        "output_projection_at False with heads 3, v",
    ),
    (
        {"embedding_norm": True, "norm": None},
        "is for models with norm 'layer' or 'rms'",
    ),
    (
        {"positions": None, "sinusoidal_layout": "half"},
        "sinusoidal_layout 'half' is for models with positions 'sinusoidal'; here",
    ),
    ({"latent_norm": True}, "latent_norm True is for models with key_value_latent given; here"),
    ({"positions": "relative", "key_value_latent": 4}, "positions 'relative' with key_value_lat"),
    (
        {"positions": "relative", "relative_distance": 16},
        "relative_distance 16 with relative_buckets 32; it is beyond",
    ),
    (
        {"relative_buckets": 8},
        "relative_buckets 8 is for models with positions 'relative'; here",
    ),
    (
        {"relative_distance": 64},
        "relative_distance 64 is for models with positions 'relative'; here",
    ),
    (
        {"score_cap": (1.0, 2.0, 3.0)},
        "score_cap has 3 values with encoder_layers 1 and decoder_layers 2",
    ),
    ({"chunk": (1, 2, 3)}, "chunk has 3 values with encoder_layers 1 and decoder_layers 2"),
    (
        {"query_growth": (1, 2, 3)},
        "query_growth has 3 values with encoder_layers 1 and decoder_layers 2",
    ),
    ({"window": 2, "chunk": (3, None)}, "window 2 and chunk (3, None); layers have windows or"),
    ({"query_growth_rate": 0.2}, "query_growth_rate 0.2 without query_growth; give both"),
    (
        {"query_growth": 2, "key_value_latent": 4},
        "query_growth 2 is for models with key_value_latent None; here",
    ),
    *WITH_EXPERTS,
    ({"gate_limit": 2.0}, "gate_limit 2.0 and gate_shift 0 with gated false"),
    ({"rotary_scaling": LINEAR}, "rotary_scaling LinearScaling(factor=2.0) is for models with"),
    (
        {"positions": "rotary", "rotary_scaling": (LINEAR, None, LINEAR)},
        "rotary_scaling has 3 values with encoder_layers 1 and decoder_layers 2",
    ),
    (
        {"positions": "rotary", "key_width": 4, "rotary_scaling": LONGROPE},
        "rotary_scaling with 1 numbers in short and long, and rotary_width 4",
    ),
    (
        {"positions": "rotary", "position_base": 0.5, "rotary_scaling": YARN},
        "position_base 0.5 with rotary_scaling 'yarn'; its ramp needs one above 1",
    ),
    ({"window": (1, None, 2)}, "window has 3 values with encoder_layers 1 and decoder_layers 2"),
    ({"positions": ("rotary", None, None)}, "positions has 3 values with encoder_layers"),
    ({"position_base": (1.0, 2.0, 3.0)}, "position_base has 3 values with encoder"),
    ({"position_base": (1.0, 2.0)}, "position_base [1.0, 2.0] by layer with positions"),
    ({"query_key_gain": False}, "query_key_gain False is for models with query_key_norm given"),
    (
        {"query_key_norm_place": "after", "query_key_norm": "head"},
        "query_key_norm_place 'after' is for models with positions 'rotary'; here",
    ),
    (
        {"query_key_norm_place": "after", "positions": "rotary", "key_width": 4},
        "query_key_norm_place 'after' with query_key_norm None; there is no norm",
    ),
    ({"parallel": "one", "norm_place": "pre"}, "parallel 'one' with model 'encoder-decoder';"),
    ({"hidden": (1, 2, 3)}, "hidden has 3 values with encoder_layers 1"),
    ({"norm_at": (True, False, ())}, "norm_at has 3 values with encoder_layers 1"),
    ({"parallel": "two"}, "parallel 'two' is for models with norm_place 'pre'; here"),
    (
        {**ONE, "parallel": "two", "norm_place": "pre", "norm_at": ("decoder.self_attention",)},
        "parallel 'two' with norm 'layer', norm_at ('decoder.self_attention',) and residual_at",
    ),
    ({"residual_scale": 0.5, "residual_at": False}, "residual_scale 0.5 with residual_at False"),
    ({"positions": ("sinusoidal", None)}, "in a list they are 'rotary', 'alibi', 'relative' or"),
    (
        {"positions": ("rotary", None), "key_value_latent": 4},
        "positions ['rotary', None] with key_value_latent 4",
    ),
]
LISTED = [
    ({"window": []}, "window is an empty list"),
    ({"window": [1, 0]}, "window is 0; it is a whole number"),
    ({"window": [[1]]}, "window is [1] in a layer"),
    ({"norm": ["layer"]}, "norm is ['layer']; it is one of"),
    (
        {"positions": ["rotary", None], "rotary_width": 4},
        "in layer 0: rotary_width 4 with key_width 2",
    ),
    (
        {"positions": ["alibi", None], "rotary_width": 2},
        "rotary_width 2 is for models with positions 'rotary'; here positions is ('alibi', None)",
    ),
]


@pytest.mark.parametrize(("fields", "says"), [*BROKEN, *LISTED])
def test_a_combination_that_names_no_model(fields, says):
    assert says in refused(**fields)


def test_every_rule_is_broken_once():
    """Each rule of the table is what refuses one of the cases above."""
    said = [refused(**fields) for fields, _ in BROKEN]
    loose = [_Unchecked({**SMALL, **fields}) for fields, _ in BROKEN]
    for rule in RULES:
        assert any(
            not rule.holds(config) and f"config: {rule.message(config)}" == message
            for config, message in zip(loose, said, strict=True)
        )


def test_a_message_names_the_fields_that_do_not_go_together():
    """Two at least of those that the rule reads, as they are written in a configuration."""
    read: set[str] = set()

    class Watched(Config):
        def __getattribute__(self, name: str) -> object:
            read.update({name} & fields_of(Config).keys())
            return super().__getattribute__(name)

    for fields, _ in BROKEN:
        words = set(re.findall(r"\w+", refused(**fields)))
        rule = next(rule for rule in RULES if not rule.holds(_Unchecked({**SMALL, **fields})))
        watched = object.__new__(Watched)
        vars(watched).update(vars(_Unchecked({**SMALL, **fields})))
        read.clear()
        rule.holds(watched)
        assert len(words & read) >= min(2, len(read)), (fields, read)


def _Unchecked(fields: dict[str, object]) -> Config:  # noqa: N802
    """A configuration that nobody has looked at."""
    config = object.__new__(Config)
    for field in dataclasses.fields(Config):
        object.__setattr__(config, field.name, fields.get(field.name, field.default))
    return config


def test_what_follows_from_the_fields():
    c = Config(**SMALL)
    assert (c.d_k, c.d_v, c.kv_heads, c.rotated) == (2, 2, 3, 0)
    assert c.scale == 1.0 / math.sqrt(2.0)
    assert (c.layers("encoder"), c.layers("decoder")) == (1, 2)
    assert c.sublayers("encoder") == ("self_attention", "feed_forward")
    assert c.sublayers("decoder") == ("self_attention", "cross_attention", "feed_forward")
    assert c.shared_embedding and not c.final_norm
    wide = Config(**SMALL, key_width=4, value_width=5, score_scale=0.5)
    assert (wide.d_k, wide.d_v, wide.scale) == (4, 5, 0.5)
    two = Config(**SMALL, source_vocabulary=9, norm_place="pre")
    assert (two.vocabulary_of("encoder"), two.vocabulary_of("decoder")) == (9, 11)
    assert two.final_norm and not two.shared_embedding
    turned = Config(**{**SMALL, "positions": "rotary", "key_width": 8, "rotary_width": 6})
    assert turned.rotated == 6
    assert dataclasses.replace(turned, rotary_width=None).rotated == 8
    beside = dataclasses.replace(turned, key_value_latent=5, rotary_width=10)
    assert beside.rotated == 10
    assert (beside.scale, beside.latent_scale) == (1 / math.sqrt(8), 1 / math.sqrt(18))
    assert dataclasses.replace(beside, score_scale=0.3).latent_scale == 0.3


def test_places_are_true_false_or_a_list_in_canonical_order():
    c = Config(
        **{**SMALL, "norm_at": ["decoder.feed_forward", "encoder.feed_forward"]},
        residual_at=False,
        biases=["norm.bias", "b_q"],
    )
    assert c.norm_at == ("encoder.feed_forward", "decoder.feed_forward")
    assert c.has_norm("decoder.feed_forward") and not c.has_norm("decoder.self_attention")
    assert not any(c.has_residual(name) for name in SUBLAYERS)
    assert c.biases == ("b_q", "norm.bias")
    assert c.has_bias("b_q") and not c.has_bias("output.b")
    assert all(c.has_output_projection(name) for name in SUBLAYERS if "attention" in name)
    assert not dataclasses.replace(c, norm=None).has_norm("decoder.feed_forward")


@pytest.mark.parametrize("fields", [WEATHER, *VARIANTS.values()])
def test_round_trip_through_json(fields):
    config = Config(**fields)
    again = Config.from_json(json.dumps(config.to_dict()))
    assert again == config and hash(again) == hash(config)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not JSON"),
        ("[1]", "got list"),
        ('{"widht": 4}', "unknown field 'widht'; did you mean 'width'?"),
        ('{"width": 4}', "field 'hidden' is missing"),
        (
            '{"width": 1e999, "hidden": 1, "vocabulary": 1}',
            "config: the number 1e999 is not finite",
        ),
        ('{"width": 4, "hidden": 1, "vocabulary": 1, "epsilon": NaN}', "config: NaN is not JSON"),
        ('{"a\\nb": 4}', "unknown field"),
        ('{"width": 1' + "0" * 5000 + "}", "has 5001 digits"),
    ],
)
def test_json_that_is_no_configuration(text, says):
    with pytest.raises(ConfigError) as caught:
        Config.from_json(text)
    assert says in str(caught.value) and "\n" not in str(caught.value)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=4,
) | st.sampled_from([10**400, -(10**400)])


@given(st.sampled_from([field.name for field in dataclasses.fields(Config)]), anything)
def test_any_json_value_in_any_field_is_taken_or_refused_in_one_line(name, value):
    try:
        config = Config.from_dict({**SMALL, name: value})
    except ConfigError as error:
        assert "\n" not in str(error)
    else:
        kept = config.to_dict()
        assert Config.from_dict(kept) == config
        # A list of values that are all alike, one a layer, is that value.
        assert kept[name] in (value, [value], *(value[:1] if isinstance(value, list) else ()))


def test_a_configuration_is_frozen_and_its_fields_are_named():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config(**SMALL).width = 8
    with pytest.raises(TypeError):
        Config(6, 6, 6)
    assert all(f"    {field.name} " in Config.__doc__ for field in dataclasses.fields(Config))


def test_a_layer_has_its_own_value_of_what_is_listed_and_the_default_of_what_it_has_not():
    config = Config(
        model="decoder-only", width=8, decoder_layers=5, heads=2, hidden=7, vocabulary=11,
        positions=["rotary", None], rotary_width=2, window=(3, None, 4),
    )  # fmt: skip
    layers = [config.layer("decoder", i) for i in range(5)]
    assert [layer.window for layer in layers] == [3, None, 4, 3, None]
    assert [layer.positions for layer in layers] == ["rotary", None, "rotary", None, "rotary"]
    assert [layer.rotary_width for layer in layers] == [2, None, 2, None, 2]
    assert [layer.rotated for layer in layers] == [2, 0, 2, 0, 2] and config.rotated == 2
    assert config.widest_window is None
    assert Config(**{**config.to_dict(), "window": [2, 5]}).widest_window == 5
    assert Config.from_dict(config.to_dict()) == config


def test_equal_layers_are_one_object_and_a_list_of_one_value_is_that_value():
    config = Config(**{**SMALL, "window": [2, 3], "encoder_layers": 4})
    assert config.layer("encoder", 0) is config.layer("encoder", 2) is config.layer("decoder", 0)
    assert config.layer("encoder", 0) == Config(**{**SMALL, "window": 2, "encoder_layers": 4})
    same = Config(**{**SMALL, "window": [3, 3]})
    assert same.window == 3 and same.layer("decoder", 1) is same
