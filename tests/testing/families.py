"""Small models of the families of `transformers`, with random weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import transformers

WORDS = {"vocab_size": 23, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
BASE = {
    **WORDS, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64,
}  # fmt: skip
HEADS = {**BASE, "head_dim": 4}
WINDOW = {"sliding_window": 4}
EXPERTS = {"num_experts_per_tok": 2}
LATENT = {
    **BASE, "num_key_value_heads": 4, "n_routed_experts": 4, "n_group": 2, "topk_group": 1,
    "moe_intermediate_size": 12, "first_k_dense_replace": 1, "kv_lora_rank": 8, "q_lora_rank": 8,
    "qk_rope_head_dim": 4, "qk_nope_head_dim": 4, "v_head_dim": 4, **EXPERTS,
}  # fmt: skip
BART = {
    **WORDS, "d_model": 16, "encoder_layers": 2, "decoder_layers": 2, "encoder_ffn_dim": 24,
    "decoder_ffn_dim": 24, "encoder_attention_heads": 4, "decoder_attention_heads": 4,
    "max_position_embeddings": 64,
}  # fmt: skip

# By name: the configuration, the model, and what the configuration is given.
FAMILIES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "GPT-2": (
        "GPT2Config", "GPT2LMHeadModel",
        {"n_embd": 16, "n_layer": 2, "n_head": 4, "n_positions": 64, **WORDS},
    ),
    "Llama": ("LlamaConfig", "LlamaForCausalLM", BASE),
    "Qwen2": ("Qwen2Config", "Qwen2ForCausalLM", BASE),
    "Qwen3": ("Qwen3Config", "Qwen3ForCausalLM", HEADS),
    "Mistral": ("MistralConfig", "MistralForCausalLM", {**BASE, **WINDOW}),
    "Gemma 2": ("Gemma2Config", "Gemma2ForCausalLM", {**HEADS, **WINDOW}),
    "Gemma 3": ("Gemma3TextConfig", "Gemma3ForCausalLM", {**HEADS, **WINDOW}),
    "Phi-3": ("Phi3Config", "Phi3ForCausalLM", BASE),
    "OLMo 2": ("Olmo2Config", "Olmo2ForCausalLM", BASE),
    "Mixtral": (
        "MixtralConfig", "MixtralForCausalLM", {**BASE, "num_local_experts": 4, **EXPERTS},
    ),
    "Qwen3-MoE": (
        "Qwen3MoeConfig", "Qwen3MoeForCausalLM",
        {**HEADS, "num_experts": 4, "moe_intermediate_size": 12, **EXPERTS},
    ),
    "GPT-OSS": (
        "GptOssConfig", "GptOssForCausalLM",
        {**HEADS, "num_local_experts": 4, **EXPERTS, **WINDOW},
    ),
    "DeepSeek V3": ("DeepseekV3Config", "DeepseekV3ForCausalLM", LATENT),
    "BLOOM": (
        "BloomConfig", "BloomForCausalLM",
        {"hidden_size": 16, "n_layer": 2, "n_head": 4, **WORDS},
    ),
    "BERT": ("BertConfig", "BertForMaskedLM", BASE),
    "T5": (
        "T5Config", "T5ForConditionalGeneration",
        {"vocab_size": 23, "d_model": 16, "d_kv": 4, "d_ff": 24, "num_layers": 2, "num_heads": 4},
    ),
    "BART": ("BartConfig", "BartForConditionalGeneration", BART),
}  # fmt: skip


def make(name: str, double: bool = False) -> Any:
    """A model of a family. In float64 its experts are those without grouped products, which the
    package has in float32 only."""
    config, kind, fields = FAMILIES[name]
    torch.manual_seed(0)
    built: Callable[[Any], Any] = getattr(transformers, kind)
    model = built(getattr(transformers, config)(**fields)).eval()
    if double:
        model = model.double()
        model.set_experts_implementation("eager")
    return model
