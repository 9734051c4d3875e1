"""The tables of the families, each a layout; source: the modelling code of transformers 5.24."""

from __future__ import annotations

from typing import Any, Final

from .layout import Key, Layout, Row
from .rules import (
    ACTIVATIONS,
    ROOT_OF_WIDTH,
    SCALE_EMBEDDING,
    SCALE_SCORES,
    WINDOW_BY_LAYER,
    biases,
    hidden_of_width,
    rotary,
    window_everywhere,
)

TRUTH = {True: True, False: False}
ATTENTION_BIASES = ("b_q", "b_k", "b_v", "b_o")
PLAIN_BIASES = (*ATTENTION_BIASES, "b_in", "b_out", "norm.bias")


def linear(theirs: str, *ours: str, how: str = "transposed") -> tuple[Row, Row]:
    """A matrix and its bias, of one projection or of several side by side; `ours` with `w_`."""

    def bias(name: str) -> str:
        place, _, leaf = name.rpartition(".")
        return f"{place}.b{leaf[1:]}"

    flat = "same" if how == "transposed" and len(ours) == 1 else how
    return (
        Row(f"{theirs}.weight", ours, how),
        Row(f"{theirs}.bias", tuple(map(bias, ours)), flat),
    )


def norm(theirs: str, ours: str) -> tuple[Row, Row]:
    """Gain and bias of a norm."""
    return Row(f"{theirs}.weight", (f"{ours}.gain",)), Row(f"{theirs}.bias", (f"{ours}.bias",))


# Decoders like Llama.

_LLAMA: Final = "model.layers.{i}"
_SELF, _FORWARD = "decoder.{i}.self_attention", "decoder.{i}.feed_forward"
_QKV = tuple(f"{_SELF}.w_{x}" for x in "qkv")
_EMBEDDING = Row("model.embed_tokens.weight", ("decoder.embedding",))
_HEAD = Row("lm_head.weight", ("output.w",), "transposed")
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
_LLAMA_ROWS = (_EMBEDDING, *_PROJECTIONS, *_NORMS, *_GATED, _HEAD)
_BUFFERS = (r".*\.rotary_emb\.inv_freq", r"(.*\.)?position_ids")
_PRE: Final[dict[str, Any]] = {"model": "decoder-only", "norm_place": "pre", "biases": ()}
_RMS: Final[dict[str, Any]] = {**_PRE, "norm": "rms", "gated": True, "positions": "rotary"}
_NO_IDS = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None}


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
_TIED = {"tie_word_embeddings": Key("tied_output", True, TRUTH)}

LLAMA = Layout(
    name="llama", architecture="LlamaForCausalLM", prefix="model.", fixed=_RMS,
    keys=_decoder_keys(None, **_HEAD_DIM),
    rules=(rotary(), biases("attention_bias", False, *ATTENTION_BIASES),
           biases("mlp_bias", False, "b_in", "b_gate", "b_out")),
    inert=("pretraining_tp",), written=_NO_IDS, rows=_LLAMA_ROWS, skipped=_BUFFERS,
    copies={"lm_head.weight": "decoder.embedding"},
)  # fmt: skip
_LIKE_LLAMA: Final[dict[str, Any]] = {
    "prefix": "model.",
    "fixed": _RMS,
    "written": _NO_IDS,
    "rows": _LLAMA_ROWS,
    "skipped": _BUFFERS,
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
        16, head_dim=Key("key_width", 256), **_TIED,
        hidden_act=Key("activation", "gelu_pytorch_tanh", {**ACTIVATIONS, "gelu": "gelu_tanh"}),
    ),
    "rules": (rotary(), ROOT_OF_WIDTH, biases("attention_bias", False, *ATTENTION_BIASES)),
    "demands": {"use_bidirectional_attention": None}, "inert": ("hidden_activation",),
    "rows": (
        _EMBEDDING, *_PROJECTIONS, *_GATED, _HEAD,
        *(row._replace(how="one_plus") for row in _NORMS if row.theirs.endswith("weight")),
    ),
})  # fmt: skip
PHI3 = Layout(**{
    **_LIKE_LLAMA, "name": "phi3", "architecture": "Phi3ForCausalLM",
    "keys": _decoder_keys(rms_norm_eps=Key("epsilon", 1e-5)),
    "rules": (rotary(original=4096), window_everywhere()),
    "rows": (
        _EMBEDDING, *_NORMS, _HEAD,
        Row(f"{_LLAMA}.self_attn.qkv_proj.weight", _QKV, "transposed"),
        Row(f"{_LLAMA}.self_attn.o_proj.weight", (f"{_SELF}.w_o",), "transposed"),
        Row(f"{_LLAMA}.mlp.gate_up_proj.weight", (f"{_FORWARD}.w_gate", f"{_FORWARD}.w_in"),
            "transposed"),
        Row(f"{_LLAMA}.mlp.down_proj.weight", (f"{_FORWARD}.w_out",), "transposed"),
    ),
})  # fmt: skip


def _without(keys: dict[str, Key], *names: str) -> dict[str, Key]:
    return {name: key for name, key in keys.items() if name not in names}


STARCODER2 = Layout(**{
    **_LIKE_LLAMA, "name": "starcoder2", "architecture": "Starcoder2ForCausalLM",
    "fixed": {**_PRE, "norm": "layer", "positions": "rotary", "biases": ("norm.bias",)},
    "keys": _without(_decoder_keys(
        2, **_TIED, norm_epsilon=Key("epsilon", 1e-5),
        hidden_act=Key("activation", "gelu_pytorch_tanh", ACTIVATIONS)), "rms_norm_eps"),
    "rules": (rotary(), window_everywhere(),
              biases("use_bias", True, *ATTENTION_BIASES, "b_in", "b_out")),
    "inert": ("norm_type", "mlp_type", "layer_types"),
    "rows": (
        _EMBEDDING, *_PROJECTIONS, *_NORMS, _HEAD,
        *linear(f"{_LLAMA}.mlp.c_fc", f"{_FORWARD}.w_in"),
        *linear(f"{_LLAMA}.mlp.c_proj", f"{_FORWARD}.w_out"),
    ),
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
        "layer_norm_epsilon": Key("epsilon", 1e-5), **_TIED,
    },
    rules=(hidden_of_width("n_inner"), SCALE_SCORES),
    demands={"scale_attn_by_inverse_layer_idx": False},
    inert=("reorder_and_upcast_attn", "n_ctx", "summary_type", "summary_use_proj",
           "summary_activation", "summary_proj_to_labels", "summary_first_dropout"),
    written=_NO_IDS,
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
        _HEAD,
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
        "layer_norm_epsilon": Key("epsilon", 1e-5), **_TIED,
    },
    rules=(hidden_of_width(),),
    demands={"apply_residual_connection_post_layernorm": False},
    aliases={"n_embed": "hidden_size", "num_attention_heads": "n_head",
             "num_hidden_layers": "n_layer"},
    inert=("slow_but_exact", "pretraining_tp", "attention_softmax_in_fp32", "n_inner",
           "masked_softmax_fusion", "offset_alibi", "seq_length", "skip_bias_add",
           "skip_bias_add_qkv"),
    written=_NO_IDS,
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
        _HEAD,
    ),
    copies=LLAMA.copies,
)  # fmt: skip

# Encoders and decoders.

_SIDE: Final = "model.{side}.layers.{i}"
_OWN, _SIDE_FORWARD = "{side}.{i}.self_attention", "{side}.{i}.feed_forward"
_CROSS: Final = "decoder.{i}.cross_attention"


def _bart_attention(theirs: str, ours: str, place: str) -> tuple[Row, ...]:
    letters = (("q", "q"), ("k", "k"), ("v", "v"), ("out", "o"))
    return (
        *(row for a, b in letters for row in linear(f"{place}.{theirs}.{a}_proj", f"{ours}.w_{b}")),
        *norm(f"{place}.{theirs}_layer_norm", f"{ours}.norm"),
    )


_BART_KEYS = {
    "vocab_size": Key("vocabulary"), "d_model": Key("width"),
    "encoder_layers": Key("encoder_layers"), "decoder_layers": Key("decoder_layers"),
    "encoder_attention_heads": Key("heads"), "decoder_attention_heads": Key("heads"),
    "encoder_ffn_dim": Key("hidden"), "decoder_ffn_dim": Key("hidden"),
    "activation_function": Key("activation", "gelu", ACTIVATIONS),
    "max_position_embeddings": Key("position_limit"),
}  # fmt: skip
_BART_FIXED: Final[dict[str, Any]] = {
    "model": "encoder-decoder",
    "positions": "learned",
    "position_offset": 2,
    "tied_output": True,
    "embedding_norm": True,
    "biases": (*PLAIN_BIASES, "output.b"),
}
_BART: Final[dict[str, Any]] = {
    "prefix": "model.", "keys": _BART_KEYS, "rules": (SCALE_EMBEDDING,),
    "demands": {"tie_word_embeddings": True, "is_encoder_decoder": True},
    "inert": ("num_hidden_layers", "classif_dropout", "normalize_embedding", "add_bias_logits",
              "add_final_layer_norm", "static_position_embeddings", "extra_pos_embeddings"),
    "rows": (
        Row("model.shared.weight", ("embedding",)),
        Row("model.{side}.embed_positions.weight", ("{side}.positions",)),
        *norm("model.{side}.layernorm_embedding", "{side}.embedding_norm"),
        *_bart_attention("self_attn", _OWN, _SIDE),
        *_bart_attention("encoder_attn", _CROSS, "model.decoder.layers.{i}"),
        *linear(f"{_SIDE}.fc1", f"{_SIDE_FORWARD}.w_in"),
        *linear(f"{_SIDE}.fc2", f"{_SIDE_FORWARD}.w_out"),
        *norm(f"{_SIDE}.final_layer_norm", f"{_SIDE_FORWARD}.norm"),
        *norm("model.{side}.layer_norm", "{side}.norm"),
        Row("final_logits_bias", ("output.b",), "row"),
    ),
    "copies": dict.fromkeys(
        ("lm_head.weight", "model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight",
         "shared.weight"), "embedding"),
    "skipped": (r"(.*\.)?(encoder|decoder)\.version",),
}  # fmt: skip
BART = Layout(
    **_BART, name="bart", architecture="BartForConditionalGeneration",
    fixed={**_BART_FIXED, "norm_place": "post"},
)  # fmt: skip
MBART = Layout(
    **_BART, name="mbart", architecture="MBartForConditionalGeneration",
    fixed={**_BART_FIXED, "norm_place": "pre"},
)  # fmt: skip

# Encoders.

_BERT: Final = "encoder.layer.{i}"
_ENCODER: Final = "encoder.{i}.self_attention"
BERT = Layout(
    name="bert", architecture="BertModel", prefix="bert.",
    fixed={"model": "encoder-only", "positions": "learned", "embedding_norm": True,
           "norm_place": "post", "tied_output": True, "biases": PLAIN_BIASES},
    keys={
        "vocab_size": Key("vocabulary"), "hidden_size": Key("width"),
        "num_hidden_layers": Key("encoder_layers"), "num_attention_heads": Key("heads"),
        "intermediate_size": Key("hidden"), "hidden_act": Key("activation", "gelu", ACTIVATIONS),
        "max_position_embeddings": Key("position_limit"), "type_vocab_size": Key("segments", 2),
        "layer_norm_eps": Key("epsilon", 1e-12),
    },
    demands={"position_embedding_type": "absolute"},
    inert=("tie_word_embeddings", "directionality", "pooler_fc_size", "pooler_type",
           "pooler_num_attention_heads", "pooler_num_fc_layers", "pooler_size_per_head"),
    rows=(
        Row("embeddings.word_embeddings.weight", ("encoder.embedding",)),
        Row("embeddings.position_embeddings.weight", ("encoder.positions",)),
        Row("embeddings.token_type_embeddings.weight", ("encoder.segments",)),
        *norm("embeddings.LayerNorm", "encoder.embedding_norm"),
        *(row for theirs, x in (("query", "q"), ("key", "k"), ("value", "v"))
          for row in linear(f"{_BERT}.attention.self.{theirs}", f"{_ENCODER}.w_{x}")),
        *linear(f"{_BERT}.attention.output.dense", f"{_ENCODER}.w_o"),
        *norm(f"{_BERT}.attention.output.LayerNorm", f"{_ENCODER}.norm"),
        *linear(f"{_BERT}.intermediate.dense", "encoder.{i}.feed_forward.w_in"),
        *linear(f"{_BERT}.output.dense", "encoder.{i}.feed_forward.w_out"),
        *norm(f"{_BERT}.output.LayerNorm", "encoder.{i}.feed_forward.norm"),
    ),
    skipped=_BUFFERS,
    outside={
        r"pooler\..*": "the pooler",
        r"cls\.predictions\..*": "the head for masked words (logits here are hidden states times "
        "the embedding)",
        r"cls\.seq_relationship\..*": "the head for the next sentence",
    },
    spelling={r"LayerNorm\.gamma$": "LayerNorm.weight", r"LayerNorm\.beta$": "LayerNorm.bias"},
)  # fmt: skip

LAYOUTS: Final = {
    layout.name: layout
    for layout in (
        LLAMA, QWEN2, QWEN3, MISTRAL, GEMMA, PHI3, STARCODER2, GPT2, BLOOM, BART, MBART, BERT,
    )
}  # fmt: skip
