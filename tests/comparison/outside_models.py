"""The models that numtx is compared with: families of transformers, three configurations each.

They are whole models as they are: logits, gradients and texts are compared.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from numtx import Config
from numtx.families import LAYOUTS
from numtx.layouts.layout import Layout

FULL, NEAR = "full_attention", "sliding_attention"
NO_IDS = dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id"))
DECODER: dict[str, Any] = {
    "vocab_size": 13, "hidden_size": 16, "intermediate_size": 10, "num_hidden_layers": 3,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64, **NO_IDS,
}  # fmt: skip
ODD: dict[str, Any] = {**DECODER, "hidden_size": 18, "num_attention_heads": 3,
                       "num_key_value_heads": 1, "num_hidden_layers": 2}  # fmt: skip
ROPE = {"rope_theta": 100.0}
PLAIN_ROPE = {**ROPE, "rope_type": "default"}
BANDS = {**ROPE, "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 0.2,
         "high_freq_factor": 2.0, "original_max_position_embeddings": 8}  # fmt: skip
LINEAR = {**ROPE, "rope_type": "linear", "factor": 2.5}
YARN = {**ROPE, "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 8}
RAMP = {**YARN, "beta_fast": 2.0, "beta_slow": 0.2, "truncate": False}


class Family(NamedTuple):
    """A family and what is compared of it.

    kind    its class in transformers
    fields  of three configurations: a usual one and two odd ones
    lacks   what is not asked of it -> why
    change  what is made of a model before it is compared
    """

    kind: str
    fields: tuple[dict[str, Any], dict[str, Any], dict[str, Any]]
    lacks: Mapping[str, str] = MappingProxyType({})
    change: Callable[[Any], None] | None = None

    def ours(self, theirs: Any) -> tuple[Config, Layout]:
        """The configuration in numtx, and the table of the tensors."""
        layout = LAYOUTS[theirs.model_type]
        return Config(**layout.read_fields(json.loads(theirs.to_json_string()))), layout


# What is made of a model before it is compared.


def all_digits(model: Any) -> None:
    """The GELU with all digits of sqrt(2 / pi); theirs has eight."""
    import torch

    if torch.float32 is torch.float64:  # as shipped it is theirs
        for layer in model.transformer.h:
            layer.mlp.gelu_impl = torch.nn.GELU(approximate="tanh")


NO_WINDOW = {"window": "it has none"}
NO_SCALING = {"original": "its angles are not scaled"}
AN_ENCODER = {"cached": "an encoder keeps nothing", "generated": "an encoder writes nothing"}
PLAIN = {**NO_WINDOW, **NO_SCALING}

GEMMA2 = {**DECODER, "head_dim": 6, "query_pre_attn_scalar": 9, "sliding_window": 5,
          "attn_logit_softcapping": 0.8, "final_logit_softcapping": 3.0,
          "rope_parameters": PLAIN_ROPE}  # fmt: skip
GEMMA3 = {**DECODER, "head_dim": 6, "query_pre_attn_scalar": 9, "sliding_window": 5,
          "layer_types": [NEAR, NEAR, FULL],
          "rope_parameters": {NEAR: {"rope_type": "default", "rope_theta": 10.0},
                              FULL: {"rope_type": "default", "rope_theta": 1e4}}}  # fmt: skip
NEOX = {"vocab_size": 13, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4,
        "intermediate_size": 10, "max_position_embeddings": 64, **NO_IDS}  # fmt: skip
LONG = {**ROPE, "rope_type": "longrope", "factor": 4.0}
PHI3 = {
    **DECODER, "original_max_position_embeddings": 8,
    "rope_parameters": {**LONG, "short_factor": [1.0, 1.5], "long_factor": [2.0, 5.0]},
}  # fmt: skip
DEEPSEEK = {**DECODER, "num_key_value_heads": 4, "kv_lora_rank": 6, "q_lora_rank": 7,
            "qk_rope_head_dim": 4, "qk_nope_head_dim": 8, "v_head_dim": 3,
            "first_k_dense_replace": 1, "rms_norm_eps": 1e-6, "n_routed_experts": 6,
            "num_experts_per_tok": 3, "n_shared_experts": 2, "moe_intermediate_size": 7,
            "n_group": 3, "topk_group": 2, "routed_scaling_factor": 2.5, "norm_topk_prob": False,
            "rope_parameters": {**YARN, "mscale": 1.0, "mscale_all_dim": 0.7}}  # fmt: skip
DEEPSEEK_ODD = {**DEEPSEEK, "hidden_size": 18, "num_attention_heads": 3, "num_key_value_heads": 3,
                "num_hidden_layers": 2, "q_lora_rank": None, "v_head_dim": 8,
                "first_k_dense_replace": 0, "num_experts_per_tok": 2, "n_shared_experts": 1,
                "rope_parameters": PLAIN_ROPE}  # fmt: skip
DEEPSEEK_BIASED = {**DEEPSEEK, "attention_bias": True, "qk_rope_head_dim": 8, "kv_lora_rank": 10,
                   "rope_parameters": {**RAMP, "mscale_all_dim": 1.2}}  # fmt: skip
QWEN3_MOE = {**DECODER, "head_dim": 6, "num_local_experts": 5, "num_experts_per_tok": 2,
             "moe_intermediate_size": 7}  # fmt: skip
OSS = {**DECODER, "head_dim": 8, "sliding_window": 5, "attention_bias": True,
       "num_local_experts": 5, "num_experts_per_tok": 2, "swiglu_limit": 0.2,
       "rope_parameters": RAMP}  # fmt: skip
T5 = {
    "vocab_size": 13, "d_model": 12, "d_kv": 5, "d_ff": 10, "num_layers": 3, "num_heads": 3,
    "num_decoder_layers": 2, "relative_attention_num_buckets": 8, "eos_token_id": None,
    "relative_attention_max_distance": 9, "decoder_start_token_id": 0, "pad_token_id": 12,
}  # fmt: skip
T5_ODD = ({**T5, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False, "num_heads": 2},
          {**T5, "relative_attention_num_buckets": 6, "relative_attention_max_distance": 5,
           "d_kv": 4, "num_decoder_layers": 1})  # fmt: skip
BLOOM = {"vocab_size": 13, "hidden_size": 12, "n_layer": 3, "n_head": 3, **NO_IDS}
BART = {
    "vocab_size": 13, "d_model": 12, "encoder_layers": 2, "decoder_layers": 3,
    "encoder_ffn_dim": 10, "decoder_ffn_dim": 10, "max_position_embeddings": 32,
    "decoder_start_token_id": 0, **NO_IDS, "pad_token_id": 12, "forced_eos_token_id": None,
}  # fmt: skip
MODERNBERT = {
    **{name: value for name, value in DECODER.items() if name != "num_key_value_heads"},
    "hidden_size": 12, "num_attention_heads": 3, "local_attention": 6,
    "pad_token_id": 12, "rope_parameters": {NEAR: {"rope_type": "default", "rope_theta": 10.0},
                                            FULL: {"rope_type": "default", "rope_theta": 1e4}},
}  # fmt: skip


def heads(n: int) -> dict[str, int]:
    return {"encoder_attention_heads": n, "decoder_attention_heads": n}


FAMILIES: dict[str, Family] = {
    "Llama 3.1": Family("LlamaForCausalLM", (
        {**DECODER, "rope_parameters": BANDS},
        {**ODD, "rope_parameters": BANDS, "attention_bias": True, "mlp_bias": True,
         "head_dim": 10, "tie_word_embeddings": True},
        {**DECODER, "num_attention_heads": 8, "rope_scaling": {"type": "linear", "factor": 2.5}},
    ), NO_WINDOW),
    "Qwen3": Family("Qwen3ForCausalLM", (
        {**DECODER, "head_dim": 6, "use_sliding_window": True, "sliding_window": 5,
         "max_window_layers": 1, "rope_parameters": YARN},
        {**ODD, "head_dim": 8, "attention_bias": True, "rope_parameters": RAMP},
        {**DECODER, "head_dim": 10, "use_sliding_window": True, "sliding_window": 4,
         "layer_types": [NEAR, FULL, NEAR], "tie_word_embeddings": True},
    )),
    "Gemma 2": Family("Gemma2ForCausalLM", (
        GEMMA2,
        {**GEMMA2, "hidden_size": 18, "num_attention_heads": 3, "num_key_value_heads": 1,
         "attention_bias": True, "layer_types": [FULL, NEAR, NEAR]},
        {**GEMMA2, "head_dim": 10, "attn_logit_softcapping": None, "sliding_window": 3,
         "tie_word_embeddings": False},
    ), NO_SCALING),
    "Gemma 3": Family("Gemma3ForCausalLM", (
        GEMMA3,
        {**GEMMA3, "layer_types": [FULL, NEAR], "num_hidden_layers": 2, "num_key_value_heads": 1,
         "head_dim": 10,
         "rope_parameters": {NEAR: PLAIN_ROPE, FULL: {**RAMP, "truncate": True}}},
        {**GEMMA3, "hidden_size": 18, "num_attention_heads": 3, "num_key_value_heads": 3,
         "attention_bias": True, "sliding_window": 3, "tie_word_embeddings": False,
         "rope_parameters": {NEAR: PLAIN_ROPE, FULL: LINEAR}},
    )),
    "Gemma 1": Family("GemmaForCausalLM", (
        {**DECODER, "head_dim": 6}, {**ODD, "head_dim": 8, "attention_bias": True},
        {**DECODER, "head_dim": 10, "tie_word_embeddings": False, "hidden_act": "relu"},
    ), PLAIN),
    "GPT-NeoX": Family("GPTNeoXForCausalLM", (
        NEOX, {**NEOX, "use_parallel_residual": False, "rotary_pct": 0.5, "hidden_act": "relu"},
        {**NEOX, "hidden_size": 24, "num_attention_heads": 3, "attention_bias": False,
         "tie_word_embeddings": True, "rotary_emb_base": 100},
    ), PLAIN),
    "Phi-2": Family("PhiForCausalLM", (
        {**DECODER, "num_key_value_heads": None}, {**ODD, "partial_rotary_factor": 0.4},
        {**DECODER, "hidden_size": 32, "partial_rotary_factor": 0.25, "tie_word_embeddings": True},
    ), PLAIN),
    "Cohere 2": Family("Cohere2ForCausalLM", (
        {**DECODER, "sliding_window": 5, "num_hidden_layers": 4},
        {**ODD, "sliding_window": 4, "layer_types": [FULL, NEAR], "attention_bias": True},
        {**DECODER, "sliding_window": 3, "sliding_window_pattern": 2, "logit_scale": 0.5,
         "rope_parameters": PLAIN_ROPE},
    ), NO_SCALING),
    "Granite": Family("GraniteForCausalLM", (
        {**DECODER, "attention_multiplier": 0.3, "embedding_multiplier": 6.0,
         "residual_multiplier": 0.22, "logits_scaling": 3.0},
        {**ODD, "residual_multiplier": 1.4, "attention_bias": True, "mlp_bias": True},
        {**DECODER, "residual_multiplier": 0.5, "logits_scaling": 8.0,
         "tie_word_embeddings": True, "rope_parameters": BANDS},
    ), NO_WINDOW),
    "Phi-3 longrope": Family("Phi3ForCausalLM", (
        PHI3,
        {**PHI3, "sliding_window": 5, "original_max_position_embeddings": 64,
         "max_position_embeddings": 128, "num_key_value_heads": 4},
        {**PHI3, "hidden_size": 24, "num_attention_heads": 3, "num_key_value_heads": 1,
         "sliding_window": 7, "rope_parameters": {
             **LONG, "partial_rotary_factor": 0.5, "short_factor": [1.5, 2.0],
             "long_factor": [3.0, 1.2], "attention_factor": 1.3}},
    )),
    "Mixtral": Family("MixtralForCausalLM", (
        {**DECODER, "num_local_experts": 5, "num_experts_per_tok": 2, "sliding_window": 5},
        {**ODD, "num_local_experts": 3, "num_experts_per_tok": 3, "head_dim": 8,
         "sliding_window": None, "rope_parameters": YARN},
        {**DECODER, "num_local_experts": 4, "num_experts_per_tok": 1, "sliding_window": 3,
         "rope_parameters": LINEAR},
    )),
    "Qwen3-MoE": Family("Qwen3MoeForCausalLM", (
        {**QWEN3_MOE, "norm_topk_prob": True, "mlp_only_layers": [0]},
        {**QWEN3_MOE, "num_key_value_heads": 4, "decoder_sparse_step": 2, "head_dim": 10,
         "rope_parameters": RAMP},
        {**QWEN3_MOE, "use_sliding_window": True, "sliding_window": 5, "attention_bias": True},
    )),
    "DeepSeek V2": Family("DeepseekV2ForCausalLM", (
        {**DEEPSEEK, "topk_method": "group_limited_greedy"}, DEEPSEEK_ODD, DEEPSEEK_BIASED,
    ), NO_WINDOW),
    "DeepSeek V3": Family("DeepseekV3ForCausalLM", (
        {**DEEPSEEK, "norm_topk_prob": True}, {**DEEPSEEK_ODD, "rope_interleave": False},
        {**DEEPSEEK_BIASED, "norm_topk_prob": True, "n_group": 1, "topk_group": 1}),
        NO_WINDOW),
    "GPT-OSS": Family("GptOssForCausalLM", (
        OSS,
        {**OSS, "hidden_size": 18, "num_attention_heads": 3, "num_key_value_heads": 1,
         "head_dim": 10, "layer_types": [FULL, NEAR, NEAR], "rope_parameters": YARN},
        {**OSS, "attention_bias": False, "sliding_window": 3, "head_dim": 4,
         "rope_parameters": PLAIN_ROPE},
    )),
    "OLMo 2": Family("Olmo2ForCausalLM", (
        {**DECODER, "rope_parameters": YARN}, {**ODD, "rope_parameters": LINEAR},
        {**DECODER, "num_attention_heads": 8, "num_key_value_heads": 1, "attention_bias": True,
         "rms_norm_eps": 1e-3},
    ), NO_WINDOW),
    "SmolLM3": Family("SmolLM3ForCausalLM", (
        {**DECODER, "no_rope_layers": [1, 0, 1]}, {**ODD, "no_rope_layer_interval": 2},
        {**DECODER, "no_rope_layers": [0, 1, 1], "attention_bias": True, "mlp_bias": True},
    ), PLAIN),
    "BLOOM": Family("BloomForCausalLM", (
        BLOOM, {**BLOOM, "n_head": 6}, {**BLOOM, "n_head": 2, "n_layer": 2},
    ), PLAIN, change=all_digits),
    "GPT-2": Family("GPT2LMHeadModel", tuple(
        {"vocab_size": 13, "n_positions": 32, "n_embd": 12, "n_layer": 2, "n_inner": 10, **NO_IDS,
         **own} for own in ({"n_head": 3}, {"n_head": 4, "scale_attn_weights": False},
                            {"n_head": 2, "activation_function": "relu"})
    ), PLAIN),
    "T5": Family("T5ForConditionalGeneration", (T5, *T5_ODD), PLAIN),
    "mT5": Family("MT5ForConditionalGeneration", (T5, *T5_ODD), PLAIN),
    "BART": Family(
        "BartForConditionalGeneration",
        tuple({**BART, **heads(n), "scale_embedding": n == 2} for n in (3, 2, 4)), PLAIN,
    ),
    "Marian": Family("MarianMTModel", (
        {**BART, **heads(3), "scale_embedding": True, "activation_function": "swish"},
        {**BART, **heads(2)}, {**BART, **heads(4), "d_model": 20, "activation_function": "relu"},
    ), PLAIN),
    "BERT": Family("BertModel", tuple(
        {"vocab_size": 13, "hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": n,
         "intermediate_size": 10, "max_position_embeddings": 32, "type_vocab_size": n,
         "pad_token_id": 12} for n in (3, 2, 4)
    ), {**PLAIN, **AN_ENCODER}),
    "ModernBERT": Family("ModernBertModel", (
        MODERNBERT,
        {**MODERNBERT, "attention_bias": True, "norm_bias": True, "mlp_bias": True,
         "num_attention_heads": 2, "local_attention": 3, "layer_types": [NEAR, FULL, NEAR]},
        {**MODERNBERT, "hidden_size": 24, "local_attention": 2, "num_hidden_layers": 2,
         "rope_parameters": {NEAR: PLAIN_ROPE, FULL: LINEAR}},
    ), {**NO_SCALING, **AN_ENCODER}),
}  # fmt: skip


def built(family: Family, number: int, seed: int) -> Any:
    """A random model, gains and biases too, without dropout."""
    import torch
    import transformers

    kind = getattr(transformers, family.kind)
    torch.manual_seed(seed)
    config = kind.config_class(**family.fields[number])
    config._attn_implementation = config._experts_implementation = "eager"
    model = kind(config)
    if family.change is not None:
        family.change(model)
    generator = torch.Generator().manual_seed(seed + 5)
    model = model.double().eval()
    with torch.no_grad():
        for tensor in tensors_of(model).values():
            draw = torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
            tensor += (0.1 if tensor.ndim == 1 else 0.2) * draw
    return model


def tensors_of(model: Any) -> dict[str, Any]:
    """Parameters, and the bias of the logits and the correction of a router, which are buffers."""
    named = {name: x for name, x in model.named_parameters() if x.requires_grad}
    return named | {
        n: b for n, b in model.named_buffers() if n.endswith(("logits_bias", "correction_bias"))
    }


def parameters_of(
    layout: Layout, config: Config, tensors: dict[str, Any], gradient: bool = False
) -> dict[str, np.ndarray]:
    """The parameters of numtx in tensors of a model, or in their gradients."""
    found: dict[str, np.ndarray] = {}
    layout = layout.of(tensors)  # in memory experts may be stored otherwise than in a file
    entries = layout.entries(config)
    places = {name: layout.place(name, entries) for name in tensors}
    known = {at: name for name, (kind, at) in places.items() if kind == "mapped"}
    for name, entry in entries.items():
        tensor = tensors[known[name]]
        if not gradient or tensor.grad is not None:
            array = (tensor.grad if gradient else tensor).detach().numpy()
            entry.into(found, array, str(array.dtype), config.heads)
    return found
