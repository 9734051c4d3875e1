"""The tables of decoders, each a layout; source: the modelling code of transformers 5.24."""

from __future__ import annotations

from typing import Any, Final

from .layout import Key, Layout, Row
from .rows import (
    ATTENTION_BIASES,
    BUFFERS,
    HEAD,
    NO_IDS,
    PLAIN_BIASES,
    TIED,
    TRUTH,
    linear,
    norm,
    without,
)
from .rules import (
    ACTIVATIONS,
    ROOT_OF_WIDTH,
    ROTATED_LAYERS,
    SCALE_SCORES,
    WINDOW_BY_LAYER,
    biases,
    hidden_of_width,
    rotary,
    window_everywhere,
)

_LLAMA: Final = "model.layers.{i}"
_SELF, _FORWARD = "decoder.{i}.self_attention", "decoder.{i}.feed_forward"
_QKV = tuple(f"{_SELF}.w_{x}" for x in "qkv")
_EMBEDDING = Row("model.embed_tokens.weight", ("decoder.embedding",))
_PROJECTIONS = tuple(
    row for x in "qkvo" for row in linear(f"{_LLAMA}.self_attn.{x}_proj", f"{_SELF}.w_{x}")
)
_NORMS = (
    *norm(f"{_LLAMA}.input_layernorm", f"{_SELF}.norm"),
    *norm(f"{_LLAMA}.post_attention_layernorm", f"{_FORWARD}.norm"),
    *norm("model.norm", "decoder.norm"),
)
_GATED = (
    *linear(f"{_LLAMA}.mlp.gate_proj", f"{_FORWARD}.w_gate"),
    *linear(f"{_LLAMA}.mlp.up_proj", f"{_FORWARD}.w_in"),
    *linear(f"{_LLAMA}.mlp.down_proj", f"{_FORWARD}.w_out"),
)
_LLAMA_ROWS = (_EMBEDDING, *_PROJECTIONS, *_NORMS, *_GATED, HEAD)
_PRE: Final[dict[str, Any]] = {"model": "decoder-only", "norm_place": "pre", "biases": ()}
_RMS: Final[dict[str, Any]] = {**_PRE, "norm": "rms", "gated": True, "positions": "rotary"}


def _decoder_keys(kv_heads: int | None = None, /, **changed: Key) -> dict[str, Key]:
    return {
        "vocab_size": Key("vocabulary"),
        "hidden_size": Key("width"),
        "intermediate_size": Key("hidden"),
        "num_hidden_layers": Key("decoder_layers"),
        "num_attention_heads": Key("heads"),
        "num_key_value_heads": Key("key_value_heads", kv_heads),
        "hidden_act": Key("activation", "silu", ACTIVATIONS),
        "rms_norm_eps": Key("epsilon", 1e-6),
        "tie_word_embeddings": Key("tied_output", False, TRUTH),
        **changed,
    }


_HEAD_DIM = {"head_dim": Key("key_width", None)}

LLAMA = Layout(
    name="llama", architecture="LlamaForCausalLM", prefix="model.", fixed=_RMS,
    keys=_decoder_keys(None, **_HEAD_DIM),
    rules=(rotary(), biases("attention_bias", False, *ATTENTION_BIASES),
           biases("mlp_bias", False, "b_in", "b_gate", "b_out")),
    inert=("pretraining_tp",), written=NO_IDS, rows=_LLAMA_ROWS, skipped=BUFFERS,
    copies={"lm_head.weight": "decoder.embedding"},
)  # fmt: skip
_LIKE_LLAMA: Final[dict[str, Any]] = {
    "prefix": "model.",
    "fixed": _RMS,
    "written": NO_IDS,
    "rows": _LLAMA_ROWS,
    "skipped": BUFFERS,
    "copies": LLAMA.copies,
}
QWEN2 = Layout(**{
    **_LIKE_LLAMA, "name": "qwen2", "architecture": "Qwen2ForCausalLM",
    "fixed": {**_RMS, "biases": ("b_q", "b_k", "b_v")},
    "keys": _decoder_keys(32), "rules": (rotary(), WINDOW_BY_LAYER),
})  # fmt: skip
QWEN3 = Layout(**{
    **_LIKE_LLAMA, "name": "qwen3", "architecture": "Qwen3ForCausalLM",
    "fixed": {**_RMS, "query_key_norm": "head"},
    "keys": _decoder_keys(32, head_dim=Key("key_width", 128)),
    "rules": (rotary(), WINDOW_BY_LAYER, biases("attention_bias", False, *ATTENTION_BIASES)),
    "rows": (
        *_LLAMA_ROWS,
        Row(f"{_LLAMA}.self_attn.q_norm.weight", (f"{_SELF}.query_norm.gain",)),
        Row(f"{_LLAMA}.self_attn.k_norm.weight", (f"{_SELF}.key_norm.gain",)),
    ),
})  # fmt: skip
MISTRAL = Layout(**{
    **_LIKE_LLAMA, "name": "mistral", "architecture": "MistralForCausalLM",
    "keys": _decoder_keys(8, **_HEAD_DIM), "rules": (rotary(), window_everywhere(4096)),
    "inert": ("layer_types",),
})  # fmt: skip
GEMMA = Layout(**{
    **_LIKE_LLAMA, "name": "gemma", "architecture": "GemmaForCausalLM",
    "keys": _decoder_keys(
        16, head_dim=Key("key_width", 256), **TIED,
        hidden_act=Key("activation", "gelu_pytorch_tanh", {**ACTIVATIONS, "gelu": "gelu_tanh"}),
    ),
    "rules": (rotary(), ROOT_OF_WIDTH, biases("attention_bias", False, *ATTENTION_BIASES)),
    "demands": {"use_bidirectional_attention": None}, "inert": ("hidden_activation",),
    "rows": (
        _EMBEDDING, *_PROJECTIONS, *_GATED, HEAD,
        *(row._replace(how="one_plus") for row in _NORMS if row.theirs.endswith("weight")),
    ),
})  # fmt: skip
PHI3 = Layout(**{
    **_LIKE_LLAMA, "name": "phi3", "architecture": "Phi3ForCausalLM",
    "keys": _decoder_keys(rms_norm_eps=Key("epsilon", 1e-5)),
    "rules": (rotary(original=4096), window_everywhere()), "demands": {"attention_bias": None},
    "rows": (
        _EMBEDDING, *_NORMS, HEAD,
        Row(f"{_LLAMA}.self_attn.qkv_proj.weight", _QKV, "transposed"),
        Row(f"{_LLAMA}.self_attn.o_proj.weight", (f"{_SELF}.w_o",), "transposed"),
        Row(f"{_LLAMA}.mlp.gate_up_proj.weight", (f"{_FORWARD}.w_gate", f"{_FORWARD}.w_in"),
            "transposed"),
        Row(f"{_LLAMA}.mlp.down_proj.weight", (f"{_FORWARD}.w_out",), "transposed"),
    ),
})  # fmt: skip


STARCODER2 = Layout(**{
    **_LIKE_LLAMA, "name": "starcoder2", "architecture": "Starcoder2ForCausalLM",
    "fixed": {**_PRE, "norm": "layer", "positions": "rotary", "biases": ("norm.bias",)},
    "keys": without(_decoder_keys(
        2, **TIED, norm_epsilon=Key("epsilon", 1e-5),
        hidden_act=Key("activation", "gelu_pytorch_tanh", ACTIVATIONS)), "rms_norm_eps"),
    "rules": (rotary(), window_everywhere(),
              biases("use_bias", True, *ATTENTION_BIASES, "b_in", "b_out")),
    "inert": ("norm_type", "mlp_type", "layer_types"),
    "rows": (
        _EMBEDDING, *_PROJECTIONS, *_NORMS, HEAD,
        *linear(f"{_LLAMA}.mlp.c_fc", f"{_FORWARD}.w_in"),
        *linear(f"{_LLAMA}.mlp.c_proj", f"{_FORWARD}.w_out"),
    ),
})  # fmt: skip
SMOLLM3 = Layout(**{
    **_LIKE_LLAMA, "name": "smollm3", "architecture": "SmolLM3ForCausalLM",
    "fixed": {name: value for name, value in _RMS.items() if name != "positions"},
    "keys": _decoder_keys(4, **TIED),
    "rules": (rotary(2e6), ROTATED_LAYERS, WINDOW_BY_LAYER,
              biases("attention_bias", False, *ATTENTION_BIASES),
              biases("mlp_bias", False, "b_in", "b_gate", "b_out")),
    "demands": {"use_sliding_window": None}, "inert": ("pretraining_tp",),
})  # fmt: skip

# Decoders of their own kinds.

_H: Final = "transformer.h.{i}"
GPT2 = Layout(
    name="gpt2", architecture="GPT2LMHeadModel", prefix="transformer.",
    fixed={**_PRE, "positions": "learned", "biases": PLAIN_BIASES},
    keys={
        "vocab_size": Key("vocabulary"), "n_embd": Key("width"), "n_layer": Key("decoder_layers"),
        "n_head": Key("heads"), "n_positions": Key("position_limit"),
        "activation_function": Key("activation", "gelu_new", ACTIVATIONS),
        "layer_norm_epsilon": Key("epsilon", 1e-5), **TIED,
    },
    rules=(hidden_of_width("n_inner"), SCALE_SCORES),
    demands={"scale_attn_by_inverse_layer_idx": False},
    inert=("reorder_and_upcast_attn", "n_ctx", "summary_type", "summary_use_proj",
           "summary_activation", "summary_proj_to_labels", "summary_first_dropout"),
    written=NO_IDS,
    rows=(
        Row("transformer.wte.weight", ("decoder.embedding",)),
        Row("transformer.wpe.weight", ("decoder.positions",)),
        *norm(f"{_H}.ln_1", f"{_SELF}.norm"),
        *linear(f"{_H}.attn.c_attn", *_QKV, how="columns"),
        *linear(f"{_H}.attn.c_proj", f"{_SELF}.w_o", how="columns"),
        *norm(f"{_H}.ln_2", f"{_FORWARD}.norm"),
        *linear(f"{_H}.mlp.c_fc", f"{_FORWARD}.w_in", how="columns"),
        *linear(f"{_H}.mlp.c_proj", f"{_FORWARD}.w_out", how="columns"),
        *norm("transformer.ln_f", "decoder.norm"),
        HEAD,
    ),
    copies=LLAMA.copies, skipped=(r".*\.attn\.(bias|masked_bias)",),
)  # fmt: skip
BLOOM = Layout(
    name="bloom", architecture="BloomForCausalLM", prefix="transformer.",
    fixed={**_PRE, "positions": "alibi", "embedding_norm": True, "activation": "gelu_tanh",
           "biases": PLAIN_BIASES},
    keys={
        "vocab_size": Key("vocabulary"), "hidden_size": Key("width"),
        "n_layer": Key("decoder_layers"), "n_head": Key("heads"),
        "layer_norm_epsilon": Key("epsilon", 1e-5), **TIED,
    },
    rules=(hidden_of_width(),),
    demands={"apply_residual_connection_post_layernorm": False},
    aliases={"n_embed": "hidden_size", "num_attention_heads": "n_head",
             "num_hidden_layers": "n_layer"},
    inert=("slow_but_exact", "pretraining_tp", "attention_softmax_in_fp32", "n_inner",
           "masked_softmax_fusion", "bias_dropout_fusion", "offset_alibi", "seq_length",
           "skip_bias_add", "skip_bias_add_qkv"),
    written=NO_IDS,
    rows=(
        Row("transformer.word_embeddings.weight", ("decoder.embedding",)),
        *norm("transformer.word_embeddings_layernorm", "decoder.embedding_norm"),
        *norm(f"{_H}.input_layernorm", f"{_SELF}.norm"),
        *linear(f"{_H}.self_attention.query_key_value", *_QKV, how="heads"),
        *linear(f"{_H}.self_attention.dense", f"{_SELF}.w_o"),
        *norm(f"{_H}.post_attention_layernorm", f"{_FORWARD}.norm"),
        *linear(f"{_H}.mlp.dense_h_to_4h", f"{_FORWARD}.w_in"),
        *linear(f"{_H}.mlp.dense_4h_to_h", f"{_FORWARD}.w_out"),
        *norm("transformer.ln_f", "decoder.norm"),
        HEAD,
    ),
    copies=LLAMA.copies,
)  # fmt: skip
