"""What the attention of families without a layout of their own is in numtx: from a configuration
of transformers the fields of ours, and the tensors."""

from __future__ import annotations

from typing import Any

from numtx.families.decoders import LLAMA
from numtx.layouts.layout import Row
from numtx.layouts.rows import ATTENTION_BIASES, linear

FULL, NEAR = "full_attention", "sliding_attention"
_SELF, _OWN = "model.layers.{i}.self_attn", "decoder.{i}.self_attention"


def decoder(c: Any, **more: Any) -> dict[str, Any]:
    """The fields that all decoders with gates and rotary positions share."""
    biased = ATTENTION_BIASES if getattr(c, "attention_bias", False) else ()
    return {
        "model": "decoder-only", "width": c.hidden_size, "decoder_layers": c.num_hidden_layers,
        "heads": c.num_attention_heads, "key_value_heads": c.num_key_value_heads,
        "key_width": getattr(c, "head_dim", None), "hidden": c.intermediate_size,
        "vocabulary": c.vocab_size,
        "norm": "rms", "norm_place": "pre", "epsilon": c.rms_norm_eps, "gated": True,
        "activation": "silu", "positions": "rotary", "tied_output": c.tie_word_embeddings,
        "biases": biased, **more,
    }  # fmt: skip


def scaling(rope: dict[str, Any]) -> dict[str, Any]:
    """Base and scaling of one rope_parameters."""
    read: dict[str, Any] = {"width": 2, "heads": 1}
    LLAMA.rules[0].read({"rope_parameters": rope}, read)
    return {name: read[name] for name in ("position_base", "rotary_scaling")}


def windows(c: Any, size: int) -> dict[str, Any]:
    return {"window": tuple(size if kind == NEAR else None for kind in c.layer_types)}


def gpt_oss(c: Any) -> tuple[dict[str, Any], tuple[Row, ...]]:
    fields = decoder(c, **scaling(c.rope_parameters), **windows(c, c.sliding_window), sinks=True)
    return fields, (*LLAMA.rows, Row(f"{_SELF}.sinks", (f"{_OWN}.sinks",)))


def deepseek(c: Any) -> tuple[dict[str, Any], tuple[Row, ...]]:
    interleaved = getattr(c, "rope_interleave", True)
    fields = decoder(
        c, **scaling(c.rope_parameters), key_value_latent=c.kv_lora_rank,
        query_latent=c.q_lora_rank, latent_norm=True, rotary_width=c.qk_rope_head_dim,
        value_width=c.v_head_dim, rotary_layout="interleaved" if interleaved else "half",
    )  # fmt: skip
    fields["key_width"] = c.qk_nope_head_dim
    fields["biases"] = ("b_dq", "b_dkv", "b_kr", "b_o") if c.attention_bias else ()
    ours, theirs = _OWN, _SELF
    rows = (
        *(row for row in LLAMA.rows if ".self_attn." not in row.theirs),
        *linear(f"{theirs}.q_a_proj", f"{ours}.w_dq"),
        Row(f"{theirs}.q_a_layernorm.weight", (f"{ours}.query_latent_norm.gain",)),
        *linear(f"{theirs}.kv_a_proj_with_mqa", f"{ours}.w_dkv", f"{ours}.w_kr"),
        Row(f"{theirs}.kv_a_layernorm.weight", (f"{ours}.latent_norm.gain",)),
        Row(f"{theirs}.kv_b_proj.weight", (f"{ours}.w_uk", f"{ours}.w_uv"), "heads"),
        *linear(f"{theirs}.o_proj", f"{ours}.w_o"),
    )
    asked = ("q_b_proj", "w_uq") if c.q_lora_rank else ("q_proj", "w_q")
    query = Row(f"{theirs}.{asked[0]}.weight", (f"{ours}.{asked[1]}", f"{ours}.w_qr"), "heads")
    return fields, (*rows, query)
