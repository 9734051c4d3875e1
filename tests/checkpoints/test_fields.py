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
ONE: dict[str, Any] = {"num_key_value_heads": 1}

MARIAN: dict[str, Any] = {
    "vocab_size": 13, "d_model": 16, "encoder_layers": 1, "decoder_layers": 1,
    "encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 9,
    "decoder_ffn_dim": 9,
}  # fmt: skip
WHISPER: dict[str, Any] = {"d_model": 16, "decoder_attention_heads": 4}
VIT: dict[str, Any] = {"hidden_size": 16, "num_attention_heads": 4}
BODY: dict[str, Any] = {"max_position_embeddings": 9}


def read(layout: str, **fields: Any) -> Config:
    own = {"t5": T5, "mt5": T5, "marian": MARIAN, "whisper": WHISPER, "vit": VIT}
    sizes = own.get(layout, SIZES)
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
        ("marian", {}, {"embedding_scale": 1.0, "source_vocabulary": None}),
        ("marian", {"share_encoder_decoder_embeddings": False, "decoder_vocab_size": 15},
         {"source_vocabulary": 13, "vocabulary": 15}),
        ("marian", {"decoder_vocab_size": 15}, "decoder_vocab_size is 15 and vocab_size 13"),
        ("marian", {"normalize_embedding": True}, "normalize_embedding is"),
        ("bert", BODY, {"head": None, "pooler": False}),
        ("bert", {**BODY, "architectures": ["BertForSequenceClassification"]}, {"head": None}),
        *(
            ("bert", {**BODY, "architectures": [name]},
             {"head": "masked-language-model", "tied_output": True})
            for name in ("BertForMaskedLM", "BertForPreTraining")
        ),
        ("bert", {**BODY, "architectures": "BertModel"}, "it is a list of names"),
        ("modernbert", {"classifier_activation": "tanh"}, "classifier_activation is 'tanh'"),
        ("mixtral", {**ONE, "num_local_experts": 4},
         {"experts": 4, "experts_chosen": 2, "epsilon": 1e-5, "position_base": 1e6}),
        ("mixtral", {**ONE, "num_experts": 4}, {"experts": 4}),
        ("mixtral", {**ONE, "num_experts": 4, "num_local_experts": 8}, "num_local_experts is"),
        ("mixtral", {**ONE, "output_router_logits": True}, "output_router_logits"),
        ("mixtral", {**ONE, "attention_bias": True}, "'attention_bias' is not known"),
        ("qwen3_moe", ONE, {"expert_hidden": 768, "router": {"kind": "softmax"}, "window": None}),
        ("qwen3_moe", {**ONE, "norm_topk_prob": True},
         {"router": {"kind": "softmax", "renormalised": True}}),
        ("qwen3_moe", {**ONE, "decoder_sparse_step": 2, "mlp_only_layers": [3]},
         {"experts": (None, 128, None, None)}),
        ("qwen3_moe", {**ONE, "mlp_only_layers": [0, 1, 2, 3]},
         {"experts": None, "experts_chosen": 1, "expert_hidden": None}),
        ("qwen3_moe", {**ONE, "decoder_sparse_step": 0}, "decoder_sparse_step is '0'"),
        ("qwen3_moe", {**ONE, "mlp_only_layers": "0"}, "mlp_only_layers is 0"),
        ("qwen3_moe", {**ONE, "norm_topk_prob": 1}, "norm_topk_prob is 1"),
        ("qwen3_moe", {**ONE, "use_sliding_window": True, "sliding_window": 3}, {"window": 3}),
        ("qwen3_moe", {**ONE, "sliding_window": 3}, {"window": None}),
        ("deepseek_v2", {"num_experts_per_tok": 6, "n_group": 1, "topk_group": 1},
         {"experts": 64, "shared_experts": 2, "router": {"kind": "softmax"}}),
        ("deepseek_v2", {"num_experts_per_tok": 6, "topk_method": "group_limited_greedy",
                         "n_group": 8, "topk_group": 3, "routed_scaling_factor": 16.0},
         {"router": {"kind": "softmax", "groups": 8, "groups_kept": 3, "factor": 16.0}}),
        ("deepseek_v2", {"num_experts_per_tok": 6, "topk_method": "group_limited_greedy"},
         "n_group is 'None'"),
        ("deepseek_v2", {"num_experts_per_tok": 6, "topk_method": "noaux_tc"}, "topk_method is"),
        ("deepseek_v2", {}, "'num_experts_per_tok' is missing"),
        ("deepseek_v2", {"num_experts_per_tok": 6, "norm_topk_prob": True}, "norm_topk_prob is"),
        ("deepseek_v2", {"num_experts_per_tok": 6, "mlp_bias": True}, "mlp_bias is"),
        ("deepseek_v2", {"num_experts_per_tok": 6, "rms_norm_eps": 1e-5}, "rms_norm_eps is"),
        ("deepseek_v2", {"num_experts_per_tok": 6, "n_shared_experts": None}, "1 or more"),
        ("deepseek_v2", {"num_experts_per_tok": 6, "head_dim": 32}, "head_dim is 32"),
        ("deepseek_v3", {"first_k_dense_replace": 1},
         {"experts": (None, 256, 256, 256), "rotary_layout": "interleaved"}),
        ("deepseek_v3", {"rope_interleave": False}, {"rotary_layout": "half"}),
        ("deepseek_v3", {"first_k_dense_replace": 4},
         {"experts": None, "experts_chosen": 1, "expert_hidden": None, "shared_experts": None,
          "router": None}),
        ("deepseek_v3", {"num_nextn_predict_layers": 1}, {}),
        ("deepseek_v3", {"scoring_func": "softmax"}, "scoring_func is"),
        ("deepseek_v3", {"topk_method": "greedy"}, "topk_method is"),
        ("deepseek_v3", {"moe_layer_freq": 2}, "moe_layer_freq is"),
        ("deepseek_v3", {"num_key_value_heads": 2}, "key_value_heads 2 with key_value_latent"),
        ("whisper", {}, {"encoder_layers": 0, "decoder_layers": 4, "position_limit": 448}),
        ("whisper", {"scale_embedding": True, "encoder_attention_heads": 2, "encoder_layers": 9,
                     "max_source_positions": 7, "forced_decoder_ids": [[1, 2]]},
         {"embedding_scale": 1.0, "heads": 4, "position_limit": 448}),
        ("whisper", {"is_encoder_decoder": False}, "is_encoder_decoder is 'False'"),
        ("whisper", {"max_position_embeddings": 9}, "'max_position_embeddings' is not known"),
        ("vit", {}, {"position_limit": 197, "vocabulary": 1, "head": None, "pooler": False}),
        ("vit", {"image_size": [4, 9], "patch_size": [2, 4]}, {"position_limit": 5}),
        ("vit", {"image_size": 4, "patch_size": [2, 1], "num_channels": 9, "qkv_bias": False},
         {"position_limit": 9}),
        ("vit", {"pooler_output_size": 16}, {"position_limit": 197}),
        ("vit", {"pooler_output_size": 15}, "pooler_output_size is '15'; numtx reads that of hid"),
        ("vit", {"pooler_act": "relu"}, "pooler_act is 'relu'"),
        ("vit", {"patch_size": 0}, "patch_size is '0'; it is a whole number above 0, or two"),
        ("vit", {"image_size": [4, 4, 4]}, "image_size is"),
        ("vit", {"image_size": True}, "image_size is 'True'"),
        ("vit", {"image_size": [4.0, 4]}, "image_size is"),
        ("vit", {"head_dim": 4}, "'head_dim' is not known"),
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
