"""Mechanisms of newer models, beside the modules of transformers of the same shape, as shipped."""

from __future__ import annotations

from typing import Any

from rows import Measured, Pair, row
from rows_decoding import TRANSFORMERS, drawn

import numtx

SIZES = {
    "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 4,
    "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 97,
    "max_position_embeddings": 512,
}  # fmt: skip
MODELS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "experts": ("8 experts, 2 chosen", "MixtralForCausalLM", {
        "num_local_experts": 8, "num_experts_per_tok": 2, "sliding_window": None}),
    "experts-normed": ("8 experts, 2 chosen, normed queries", "Qwen3MoeForCausalLM", {
        "num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 32, "head_dim": 16}),
    "windows": ("a window of 32", "MistralForCausalLM", {"sliding_window": 32}),
    "windows-caps": ("every other window of 32, caps", "Gemma2ForCausalLM", {
        "sliding_window": 32, "head_dim": 16, "query_pre_attn_scalar": 16}),
    "latents": ("latents, 8 experts in groups", "DeepseekV3ForCausalLM", {
        "num_key_value_heads": 4, "kv_lora_rank": 32, "q_lora_rank": 32, "v_head_dim": 16,
        "qk_rope_head_dim": 8, "qk_nope_head_dim": 16, "n_routed_experts": 8, "n_group": 2,
        "topk_group": 1, "num_experts_per_tok": 2, "n_shared_experts": 1,
        "moe_intermediate_size": 32, "first_k_dense_replace": 1}),
    "angles-bands": ("angles scaled by bands", "LlamaForCausalLM", {"rope_parameters": {
        "rope_theta": 1e4, "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
        "high_freq_factor": 4.0, "original_max_position_embeddings": 64}}),
    "angles-yarn": ("angles scaled by YaRN", "LlamaForCausalLM", {"rope_parameters": {
        "rope_theta": 1e4, "rope_type": "yarn", "factor": 4.0,
        "original_max_position_embeddings": 128}}),
}  # fmt: skip


def mechanism(quick: bool, kind: str, fields: dict[str, Any]) -> Measured:
    import torch
    from outside import from_transformers

    config, parameters, model = from_transformers(kind, **SIZES | fields)
    ids = drawn(config.vocabulary, 48 if quick else 128)
    batch, tokens = numtx.Batch(ids), torch.from_numpy(ids)

    def ours() -> Any:
        return numtx.forward(config, parameters, batch, keep=False)[0].logits

    def theirs() -> Any:
        with torch.inference_mode():
            return model(tokens, use_cache=False).logits

    return Pair(ours, theirs)


for name, (what, kind, fields) in MODELS.items():
    work = f"forward, d 64, 4 layers, T 128: {what}"
    peer = f"transformers {kind.removesuffix('ForCausalLM')}"
    row(f"mechanism-{name}", work, peer, 1, *TRANSFORMERS, kind=kind, fields=fields)(mechanism)
