"""Fields of config.json as older and newer files say them."""

from __future__ import annotations

from typing import Any

import pytest

from numtx import Config
from numtx.errors import CheckpointError
from numtx.families import LAYOUTS

SIZES: dict[str, Any] = {
    "model_type": "llama", "vocab_size": 13, "hidden_size": 16, "intermediate_size": 10,
    "num_hidden_layers": 4, "num_attention_heads": 4,
}  # fmt: skip
T5: dict[str, Any] = {
    "vocab_size": 13, "d_model": 16, "d_kv": 4, "d_ff": 10, "num_layers": 2, "num_heads": 4
}  # fmt: skip

BODY: dict[str, Any] = {"max_position_embeddings": 9}


def read(layout: str, **fields: Any) -> Config:
    sizes = T5 if layout in ("t5", "mt5") else SIZES
    return Config(**LAYOUTS[layout].read_fields({**sizes, **fields}))


@pytest.mark.parametrize(
    ("layout", "fields", "wanted"),
    [
        ("llama", {}, {"position_base": 10000.0, "epsilon": 1e-6, "tied_output": False}),
        ("llama", {"rope_theta": 500000.0}, {"position_base": 500000.0}),
        (
            "llama", {"rope_theta": 1.0, "rope_parameters": {"rope_theta": 2.0}},
            {"position_base": 2.0},
        ),
        ("llama", {"rope_scaling": None}, {"rotary_scaling": None}),
        (
            "llama",
            {"rope_scaling": {"type": "linear", "factor": 4.0}},
            {"rotary_scaling": {"kind": "linear", "factor": 4.0}},
        ),
        (
            "qwen2",
            {
                "num_key_value_heads": 2, "max_position_embeddings": 64,
                "rope_scaling": {"rope_type": "yarn", "original_max_position_embeddings": 16},
            },
            {"rotary_scaling": {"kind": "yarn", "factor": 4.0, "original": 16}},
        ),
        (
            "phi3",
            {
                "max_position_embeddings": 64, "original_max_position_embeddings": 32,
                "rope_scaling": {
                    "type": "su", "short_factor": [1.0, 2.0], "long_factor": [3.0, 4.0],
                    "original_max_position_embeddings": 8,
                },
            },
            {
                "rotary_scaling": {
                    "kind": "longrope", "short": [1.0, 2.0], "long": [3.0, 4.0], "original": 32,
                    "factor": 2.0,
                }
            },
        ),
        ("phi3", {"partial_rotary_factor": 0.75, "head_dim": None}, "head_dim"),
        ("phi3", {"partial_rotary_factor": 0.5}, {"rotary_width": 2}),
        ("mistral", {"num_key_value_heads": 2}, {"window": 4096}),
        ("mistral", {"num_key_value_heads": 2, "sliding_window": None}, {"window": None}),
        ("mistral", {"sliding_window": None}, "heads 4 is not a multiple of key_value_heads 8"),
        ("qwen2", {"num_key_value_heads": 2, "sliding_window": 3}, {"window": None}),
        (
            "qwen2",
            {
                "num_key_value_heads": 2, "sliding_window": 3, "use_sliding_window": True,
                "max_window_layers": 3,
            },
            {"window": (None, None, None, 3)},
        ),
        ("qwen3", {"num_key_value_heads": 2}, {"key_width": 128, "query_key_norm": "head"}),
        ("gemma", {"num_key_value_heads": 2, "hidden_act": "gelu"}, {"activation": "gelu_tanh"}),
        ("gemma", {"num_key_value_heads": 2}, {"embedding_scale": 4.0, "tied_output": True}),
        ("smollm3", {"no_rope_layer_interval": 2}, {"positions": ("rotary", None) * 2}),
        ("smollm3", {}, {"positions": ("rotary", "rotary", "rotary", None), "position_base": 2e6}),
        ("t5", {}, {"activation": "relu", "output_scale": 0.25, "decoder_layers": 2}),
        ("t5", {"tie_word_embeddings": False}, {"output_scale": 1.0, "tied_output": False}),
        ("t5", {"scale_decoder_outputs": False}, {"output_scale": 1.0, "tied_output": True}),
        ("t5", {"feed_forward_proj": "gated-gelu"}, {"activation": "gelu_tanh", "gated": True}),
        ("mt5", {"num_decoder_layers": 3}, {"output_scale": 1.0, "decoder_layers": 3}),
        ("t5", {"dense_act_fn": "silu"}, "dense_act_fn is 'silu'"),
        ("llama", {"partial_rotary_factor": 0.5}, "1 in this family"),
        ("llama", {"rope_scaling": {"type": "dynamic", "factor": 2.0}}, "rope_type is 'dynamic'"),
        ("llama", {"original_max_position_embeddings": 8}, "is not known"),
        ("llama", {"sliding_window": 4}, "'sliding_window' is not known"),
        ("llama", {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "x": 1}}, "'x'"),
        ("phi3", {"rope_parameters": {"rope_type": "linear", "factor": 2.0}}, "rope_type is"),
        ("qwen2", {"num_key_value_heads": 2, "layer_types": ["sliding_attention"] * 4}, "windows"),
        ("qwen2", {"num_key_value_heads": 2, "layer_types": ["full_attention"]}, "one a layer"),
        ("smollm3", {"no_rope_layers": [1, 0]}, "no_rope_layers"),
        ("llama", {"is_decoder": True}, "is_decoder"),
        ("bert", BODY, {"head": None, "pooler": False}),
        ("bert", {**BODY, "architectures": ["BertForSequenceClassification"]}, {"head": None}),
        *(
            ("bert", {**BODY, "architectures": [name]},
             {"head": "masked-language-model", "tied_output": True})
            for name in ("BertForMaskedLM", "BertForPreTraining")
        ),
        ("bert", {**BODY, "architectures": "BertModel"}, "it is a list of names"),
        ("modernbert", {"classifier_activation": "tanh"}, "classifier_activation is 'tanh'"),
    ],
)  # fmt: skip
def test_fields(layout: str, fields: dict[str, Any], wanted: dict[str, Any] | str) -> None:
    if isinstance(wanted, str):
        with pytest.raises((CheckpointError, ValueError), match=wanted):
            read(layout, **fields)
        return
    config = read(layout, **fields)
    as_written = Config(**{**config.to_dict(), **wanted})
    assert config == as_written


def test_unknown_fields_are_refused_in_every_family() -> None:
    for layout in LAYOUTS.values():
        assert layout.effect("attention_multiplying") == "unknown"
        assert layout.effect("hidden_dropout") == "none"
        assert layout.effect("quantization_config") == "demanded"
        known = {*layout.keys, *(key for rule in layout.rules for key in rule.keys)}
        assert not known & set(layout.inert)
