"""The tables of decoders, each a layout; source: the modelling code of transformers 5.24."""

from __future__ import annotations

from typing import Any, Final

from ..layouts.layout import Key, Layout, Row
from ..layouts.rows import (
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
from ..layouts.rules import (
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

BLOCK: Final = "model.layers.{i}"
SELF, FORWARD = "decoder.{i}.self_attention", "decoder.{i}.feed_forward"
QKV = tuple(f"{SELF}.w_{x}" for x in "qkv")
EMBEDDING = Row("model.embed_tokens.weight", ("decoder.embedding",))
PROJECTIONS = tuple(
    row for x in "qkvo" for row in linear(f"{BLOCK}.self_attn.{x}_proj", f"{SELF}.w_{x}")
)
_NORMS = (
    *norm(f"{BLOCK}.input_layernorm", f"{SELF}.norm"),
    *norm(f"{BLOCK}.post_attention_layernorm", f"{FORWARD}.norm"),
    *norm("model.norm", "decoder.norm"),
)
GATED = (
    *linear(f"{BLOCK}.mlp.gate_proj", f"{FORWARD}.w_gate"),
    *linear(f"{BLOCK}.mlp.up_proj", f"{FORWARD}.w_in"),
    *linear(f"{BLOCK}.mlp.down_proj", f"{FORWARD}.w_out"),
)
LLAMA_ROWS = (EMBEDDING, *PROJECTIONS, *_NORMS, *GATED, HEAD)
MODULES: Final = {
    BLOCK: "decoder.{i}", "model": "decoder", "lm_head": "logits",
    f"{BLOCK}.self_attn": f"{SELF}.output", f"{BLOCK}.self_attn.1": f"{SELF}.weights",
    f"{BLOCK}.mlp": f"{FORWARD}.output",
    **{f"{BLOCK}.mlp.{x}": f"{FORWARD}.activation" for x in ("act_fn", "act", "activation_fn")},
}  # fmt: skip
SCALED_EMBEDDING: Final = {"model.embed_tokens": "decoder.scaled_embedding"}
PRE: Final[dict[str, Any]] = {"model": "decoder-only", "norm_place": "pre", "biases": ()}
RMS: Final[dict[str, Any]] = {**PRE, "norm": "rms", "gated": True, "positions": "rotary"}


def decoder_keys(kv_heads: int | None = None, /, **changed: Key) -> dict[str, Key]:
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


HEAD_DIM = {"head_dim": Key("key_width", None)}

LLAMA = Layout(
    name="llama", architecture="LlamaForCausalLM", prefix="model.", fixed=RMS,
    keys=decoder_keys(None, **HEAD_DIM),
    rules=(rotary(), biases("attention_bias", False, *ATTENTION_BIASES),
           biases("mlp_bias", False, "b_in", "b_gate", "b_out")),
    inert=("pretraining_tp",), written=NO_IDS, rows=LLAMA_ROWS, skipped=BUFFERS,
    copies={"lm_head.weight": "decoder.embedding"}, modules=MODULES,
)  # fmt: skip
LIKE_LLAMA: Final[dict[str, Any]] = {
    "prefix": "model.",
    "fixed": RMS,
    "written": NO_IDS,
    "rows": LLAMA_ROWS,
    "skipped": BUFFERS,
    "copies": LLAMA.copies,
    "modules": MODULES,
}
QWEN2 = Layout(**{
    **LIKE_LLAMA, "name": "qwen2", "architecture": "Qwen2ForCausalLM",
    "fixed": {**RMS, "biases": ("b_q", "b_k", "b_v")},
    "keys": decoder_keys(32), "rules": (rotary(), WINDOW_BY_LAYER),
})  # fmt: skip
QWEN3 = Layout(**{
    **LIKE_LLAMA, "name": "qwen3", "architecture": "Qwen3ForCausalLM",
    "fixed": {**RMS, "query_key_norm": "head"},
    "keys": decoder_keys(32, head_dim=Key("key_width", 128)),
    "rules": (rotary(), WINDOW_BY_LAYER, biases("attention_bias", False, *ATTENTION_BIASES)),
    "rows": (
        *LLAMA_ROWS,
        Row(f"{BLOCK}.self_attn.q_norm.weight", (f"{SELF}.query_norm.gain",)),
        Row(f"{BLOCK}.self_attn.k_norm.weight", (f"{SELF}.key_norm.gain",)),
    ),
})  # fmt: skip
MISTRAL = Layout(**{
    **LIKE_LLAMA, "name": "mistral", "architecture": "MistralForCausalLM",
    "keys": decoder_keys(8, **HEAD_DIM), "rules": (rotary(), window_everywhere(4096)),
    "inert": ("layer_types",),
})  # fmt: skip
GEMMA = Layout(**{
    **LIKE_LLAMA, "name": "gemma", "architecture": "GemmaForCausalLM",
    "fixed": {**RMS, "gain_offset": 1},
    "keys": decoder_keys(
        16, head_dim=Key("key_width", 256), **TIED,
        hidden_act=Key("activation", "gelu_pytorch_tanh", {**ACTIVATIONS, "gelu": "gelu_tanh"}),
    ),
    "rules": (rotary(), ROOT_OF_WIDTH, biases("attention_bias", False, *ATTENTION_BIASES)),
    "demands": {"use_bidirectional_attention": None}, "inert": ("hidden_activation",),
    "modules": {**MODULES, **SCALED_EMBEDDING},
    "rows": (
        EMBEDDING, *PROJECTIONS, *GATED, HEAD,
        *_NORMS,
    ),
})  # fmt: skip
PHI3 = Layout(**{
    **LIKE_LLAMA, "name": "phi3", "architecture": "Phi3ForCausalLM",
    "keys": decoder_keys(rms_norm_eps=Key("epsilon", 1e-5)),
    "rules": (rotary(original=4096), window_everywhere()), "demands": {"attention_bias": None},
    "rows": (
        EMBEDDING, *_NORMS, HEAD,
        Row(f"{BLOCK}.self_attn.qkv_proj.weight", QKV, "transposed"),
        Row(f"{BLOCK}.self_attn.o_proj.weight", (f"{SELF}.w_o",), "transposed"),
        Row(f"{BLOCK}.mlp.gate_up_proj.weight", (f"{FORWARD}.w_gate", f"{FORWARD}.w_in"),
            "transposed"),
        Row(f"{BLOCK}.mlp.down_proj.weight", (f"{FORWARD}.w_out",), "transposed"),
    ),
})  # fmt: skip


STARCODER2 = Layout(**{
    **LIKE_LLAMA, "name": "starcoder2", "architecture": "Starcoder2ForCausalLM",
    "fixed": {**PRE, "norm": "layer", "positions": "rotary", "biases": ("norm.bias",)},
    "keys": without(decoder_keys(
        2, **TIED, norm_epsilon=Key("epsilon", 1e-5),
        hidden_act=Key("activation", "gelu_pytorch_tanh", ACTIVATIONS)), "rms_norm_eps"),
    "rules": (rotary(), window_everywhere(),
              biases("use_bias", True, *ATTENTION_BIASES, "b_in", "b_out")),
    "inert": ("norm_type", "mlp_type", "layer_types"),
    "rows": (
        EMBEDDING, *PROJECTIONS, *_NORMS, HEAD,
        *linear(f"{BLOCK}.mlp.c_fc", f"{FORWARD}.w_in"),
        *linear(f"{BLOCK}.mlp.c_proj", f"{FORWARD}.w_out"),
    ),
})  # fmt: skip
SMOLLM3 = Layout(**{
    **LIKE_LLAMA, "name": "smollm3", "architecture": "SmolLM3ForCausalLM",
    "fixed": {name: value for name, value in RMS.items() if name != "positions"},
    "keys": decoder_keys(4, **TIED),
    "rules": (rotary(2e6), ROTATED_LAYERS, WINDOW_BY_LAYER,
              biases("attention_bias", False, *ATTENTION_BIASES),
              biases("mlp_bias", False, "b_in", "b_gate", "b_out")),
    "demands": {"use_sliding_window": None}, "inert": ("pretraining_tp",),
})  # fmt: skip

# Decoders of their own kinds.

_H: Final = "transformer.h.{i}"
GPT2 = Layout(
    name="gpt2", architecture="GPT2LMHeadModel", prefix="transformer.",
    fixed={**PRE, "positions": "learned", "biases": PLAIN_BIASES},
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
        *norm(f"{_H}.ln_1", f"{SELF}.norm"),
        *linear(f"{_H}.attn.c_attn", *QKV, how="columns"),
        *linear(f"{_H}.attn.c_proj", f"{SELF}.w_o", how="columns"),
        *norm(f"{_H}.ln_2", f"{FORWARD}.norm"),
        *linear(f"{_H}.mlp.c_fc", f"{FORWARD}.w_in", how="columns"),
        *linear(f"{_H}.mlp.c_proj", f"{FORWARD}.w_out", how="columns"),
        *norm("transformer.ln_f", "decoder.norm"),
        HEAD,
    ),
    copies=LLAMA.copies, skipped=(r".*\.attn\.(bias|masked_bias)",),
    modules={
        "transformer": "decoder", "transformer.drop": "decoder.input", "lm_head": "logits",
        _H: "decoder.{i}", f"{_H}.attn": f"{SELF}.output", f"{_H}.attn.1": f"{SELF}.weights",
        f"{_H}.mlp": f"{FORWARD}.output", f"{_H}.mlp.act": f"{FORWARD}.activation",
    },
)  # fmt: skip
BLOOM = Layout(
    name="bloom", architecture="BloomForCausalLM", prefix="transformer.",
    fixed={**PRE, "positions": "alibi", "embedding_norm": True, "activation": "gelu_tanh",
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
        *norm(f"{_H}.input_layernorm", f"{SELF}.norm"),
        *linear(f"{_H}.self_attention.query_key_value", *QKV, how="heads"),
        *linear(f"{_H}.self_attention.dense", f"{SELF}.w_o"),
        *norm(f"{_H}.post_attention_layernorm", f"{FORWARD}.norm"),
        *linear(f"{_H}.mlp.dense_h_to_4h", f"{FORWARD}.w_in"),
        *linear(f"{_H}.mlp.dense_4h_to_h", f"{FORWARD}.w_out"),
        *norm("transformer.ln_f", "decoder.norm"),
        HEAD,
    ),
    copies=LLAMA.copies,
    modules={  # the residual connections stand within attention and feed-forward layer
        "transformer": "decoder", "lm_head": "logits", _H: "decoder.{i}",
        f"{_H}.self_attention": f"{SELF}.residual",
        f"{_H}.self_attention.1": f"{SELF}.weights", f"{_H}.mlp": f"{FORWARD}.residual",
        f"{_H}.mlp.gelu_impl": f"{FORWARD}.activation",
    },
)  # fmt: skip
