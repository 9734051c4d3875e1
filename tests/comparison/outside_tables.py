"""What the attention of families without a layout of their own is in numtx: from a configuration
of transformers the fields of ours, and the tensors."""

from __future__ import annotations

from typing import Any

from numtx.config.experts import ChosenSoftmaxRouter, SigmoidRouter, SoftmaxRouter
from numtx.families.decoders import LLAMA, QWEN3
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


_MLP, _FORWARD = "model.layers.{i}.mlp", "decoder.{i}.feed_forward"
_EXPERTS = (
    Row(f"{_MLP}.gate.weight", (f"{_FORWARD}.router.w",), "transposed"),
    Row(f"{_MLP}.gate.e_score_correction_bias", (f"{_FORWARD}.router.correction",)),
    Row(f"{_MLP}.experts.gate_up_proj",
        (f"{_FORWARD}.experts.w_gate", f"{_FORWARD}.experts.w_in"), "stacked"),
    Row(f"{_MLP}.experts.down_proj", (f"{_FORWARD}.experts.w_out",), "stacked"),
    *linear(f"{_MLP}.shared_experts.gate_proj", f"{_FORWARD}.shared.w_gate"),
    *linear(f"{_MLP}.shared_experts.up_proj", f"{_FORWARD}.shared.w_in"),
    *linear(f"{_MLP}.shared_experts.down_proj", f"{_FORWARD}.shared.w_out"),
)  # fmt: skip


def mixtral(c: Any) -> tuple[dict[str, Any], tuple[Row, ...]]:
    fields = decoder(
        c, **scaling(c.rope_parameters), window=c.sliding_window, experts=c.num_local_experts,
        experts_chosen=c.num_experts_per_tok, router=SoftmaxRouter(renormalised=True),
    )  # fmt: skip
    return fields, (*LLAMA.rows, *_EXPERTS)


def qwen3_moe(c: Any) -> tuple[dict[str, Any], tuple[Row, ...]]:
    layers = range(c.num_hidden_layers)
    dense = [i in c.mlp_only_layers or (i + 1) % c.decoder_sparse_step != 0 for i in layers]
    fields = decoder(
        c, **scaling(c.rope_parameters), query_key_norm="head",
        window=c.sliding_window if c.use_sliding_window else None,
        experts=tuple(None if i else c.num_local_experts for i in dense),
        experts_chosen=c.num_experts_per_tok, expert_hidden=c.moe_intermediate_size,
        router=SoftmaxRouter(renormalised=c.norm_topk_prob),
    )  # fmt: skip
    return fields, (*QWEN3.rows, *_EXPERTS)


def gpt_oss(c: Any) -> tuple[dict[str, Any], tuple[Row, ...]]:
    fields = decoder(
        c, **scaling(c.rope_parameters), **windows(c, c.sliding_window), sinks=True,
        experts=c.num_local_experts, experts_chosen=c.num_experts_per_tok,
        router=ChosenSoftmaxRouter(bias=True), gate_limit=c.swiglu_limit, gate_shift=1.0,
    )  # fmt: skip
    fields["activation"] = "gelu_sigmoid"
    fields["biases"] = (*fields["biases"], "b_in", "b_gate", "b_out")
    up = [tuple(f"{_FORWARD}.experts.{x}_{y}" for y in ("gate", "in")) for x in "wb"]
    return fields, (
        *LLAMA.rows,
        Row(f"{_SELF}.sinks", (f"{_OWN}.sinks",)),
        *linear(f"{_MLP}.router", f"{_FORWARD}.router.w"),
        Row(f"{_MLP}.experts.gate_up_proj", up[0], "alternating"),
        Row(f"{_MLP}.experts.gate_up_proj_bias", up[1], "alternating"),
        Row(f"{_MLP}.experts.down_proj", (f"{_FORWARD}.experts.w_out",)),
        Row(f"{_MLP}.experts.down_proj_bias", (f"{_FORWARD}.experts.b_out",)),
    )


def deepseek(c: Any) -> tuple[dict[str, Any], tuple[Row, ...]]:
    interleaved = getattr(c, "rope_interleave", True)
    fields = decoder(
        c, **scaling(c.rope_parameters), key_value_latent=c.kv_lora_rank,
        query_latent=c.q_lora_rank, latent_norm=True, rotary_width=c.qk_rope_head_dim,
        value_width=c.v_head_dim, rotary_layout="interleaved" if interleaved else "half",
    )  # fmt: skip
    fields["key_width"] = c.qk_nope_head_dim
    fields["biases"] = ("b_dq", "b_dkv", "b_kr", "b_o") if c.attention_bias else ()
    if c.first_k_dense_replace < c.num_hidden_layers:
        fields |= _routed(c)
    ours, theirs = _OWN, _SELF
    rows = (
        *_EXPERTS,
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


def _routed(c: Any) -> dict[str, Any]:
    """Its experts: in groups, scaled, with others beside them."""
    first, layers = c.first_k_dense_replace, c.num_hidden_layers
    grouped: dict[str, Any] = {"factor": c.routed_scaling_factor}
    router: Any = SoftmaxRouter
    if c.model_type == "deepseek_v3":
        router, grouped["group_score"] = SigmoidRouter, "two"
        grouped |= {"correction": True, "renormalised": c.norm_topk_prob}
    if c.model_type == "deepseek_v3" or c.topk_method == "group_limited_greedy":
        grouped |= {"groups": c.n_group, "groups_kept": c.topk_group}
    return {
        "experts": (None,) * first + (c.n_routed_experts,) * (layers - first),
        "experts_chosen": c.num_experts_per_tok, "expert_hidden": c.moe_intermediate_size,
        "shared_experts": c.n_shared_experts, "router": router(**grouped),
    }  # fmt: skip
