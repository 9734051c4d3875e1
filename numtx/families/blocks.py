"""The tables of models whose blocks are wired otherwise: more norms, sublayers side by side,
factors, layers that differ. Source: the modelling code of transformers 5.24."""

from __future__ import annotations

import math
from typing import Final

from ..config import Config
from ..layouts.by_layer import NO_FIRST_NORM, ROTATED_IN_WINDOWS, bases, windows
from ..layouts.essence import Fields
from ..layouts.heads import UNSAID, head_activation, masked_head, masked_words
from ..layouts.layout import Key, Layout, Row, Rule
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
from ..layouts.rules import ACTIVATIONS, ROOT_OF_WIDTH, biases, number_above, rotary
from .decoders import (
    BLOCK,
    EMBEDDING,
    FORWARD,
    GATED,
    HEAD_DIM,
    LIKE_LLAMA,
    MODULES,
    PRE,
    PROJECTIONS,
    QKV,
    RMS,
    SCALED_EMBEDDING,
    SELF,
    decoder_keys,
)

_ATTENTION_BIAS = biases("attention_bias", False, *ATTENTION_BIASES)
_BLOCK: Final = BLOCK


def inverse(key: str, ours: str, power: float, default: float) -> Rule:
    """A field of which ours is a power, -1 or -1/2, such as what logits are divided by."""

    def read(theirs: Fields, found: Fields) -> None:
        value = number_above(key, theirs.get(key, default))
        found[ours] = 1.0 / (math.sqrt(value) if power == -0.5 else value)

    def write(config: Config, file: Fields) -> None:
        value = config.scale if ours == "score_scale" else getattr(config, ours)
        known = value ** (1.0 / power)
        whole = round(known)
        file[key] = whole if math.isclose(whole, known, rel_tol=1e-12) else known

    return Rule((key,), read, write)


def _query_norms(theirs: str) -> tuple[Row, ...]:
    return tuple(
        Row(f"{theirs}.{x[0]}_norm.weight", (f"{SELF}.{x}_norm.gain",)) for x in ("query", "key")
    )


_GEMMA_KEYS: Final = without(
    decoder_keys(
        4, head_dim=Key("key_width", 256), **TIED,
        hidden_activation=Key("activation", "gelu_pytorch_tanh", ACTIVATIONS),
    ), "hidden_act",
)  # fmt: skip
_QUERY_SCALE = inverse("query_pre_attn_scalar", "score_scale", -0.5, 256.0)
_FOUR_NORMS = (
    Row(f"{_BLOCK}.input_layernorm.weight", (f"{SELF}.norm.gain",)),
    Row(f"{_BLOCK}.post_attention_layernorm.weight", (f"{SELF}.norm_after.gain",)),
    Row(f"{_BLOCK}.pre_feedforward_layernorm.weight", (f"{FORWARD}.norm.gain",)),
    Row(f"{_BLOCK}.post_feedforward_layernorm.weight", (f"{FORWARD}.norm_after.gain",)),
    Row("model.norm.weight", ("decoder.norm.gain",)),
)
GEMMA2 = Layout(**{
    **LIKE_LLAMA, "name": "gemma2", "architecture": "Gemma2ForCausalLM",
    "fixed": {**RMS, "norm_place": "both", "gain_offset": 1},
    "keys": {
        **_GEMMA_KEYS, "attn_logit_softcapping": Key("score_cap", 50.0),
        "final_logit_softcapping": Key("logit_cap", 30.0),
    },
    "rules": (
        rotary(), ROOT_OF_WIDTH, _ATTENTION_BIAS, _QUERY_SCALE,
        windows(lambda i, n: (i + 1) % n != 0, ("sliding_window_pattern", 2)),
    ),
    "demands": {"use_bidirectional_attention": None},
    "inert": ("hidden_act", "cache_implementation"),
    "modules": {**MODULES, **SCALED_EMBEDDING},
    "rows": (EMBEDDING, *PROJECTIONS, *GATED, *_FOUR_NORMS, HEAD),
})  # fmt: skip
GEMMA3 = Layout(**{
    **vars(GEMMA2), "name": "gemma3_text", "architecture": "Gemma3ForCausalLM",
    "fixed": {**GEMMA2.fixed, "query_key_norm": "head"},
    "keys": {**_GEMMA_KEYS, "final_logit_softcapping": Key("logit_cap", None)},
    "rules": (
        ROOT_OF_WIDTH, _ATTENTION_BIAS, _QUERY_SCALE,
        windows(lambda i, n: (i + 1) % n != 0, ("sliding_window_pattern", 6)),
        bases(("rope_theta", 1e6), ("rope_local_base_freq", 1e4), ("full_attention",)),
    ),
    "demands": {"use_bidirectional_attention": None, "attn_logit_softcapping": None},
    "rows": (*GEMMA2.rows, *_query_norms(f"{_BLOCK}.self_attn")),
    "modules": {**GEMMA2.modules, **{
        f"{_BLOCK}.self_attn.{x}_norm": f"{SELF}.normed_{what} bhtk"
        for x, what in (("q", "queries"), ("k", "keys"))}},
})  # fmt: skip
OLMO2 = Layout(**{
    **LIKE_LLAMA, "name": "olmo2", "architecture": "Olmo2ForCausalLM",
    "fixed": {**RMS, "norm_place": "inner", "query_key_norm": "projection"},
    "keys": decoder_keys(rms_norm_eps=Key("epsilon", 1e-5)), "rules": (rotary(), _ATTENTION_BIAS),
    "rows": (
        EMBEDDING, *PROJECTIONS, *GATED, HEAD, *_query_norms(f"{_BLOCK}.self_attn"),
        Row(f"{_BLOCK}.post_attention_layernorm.weight", (f"{SELF}.norm.gain",)),
        Row(f"{_BLOCK}.post_feedforward_layernorm.weight", (f"{FORWARD}.norm.gain",)),
        Row("model.norm.weight", ("decoder.norm.gain",)),
    ),
})  # fmt: skip
_UNSCALED: Final = {**MODULES, "lm_head": "logits scaled"}  # the factor comes after the module
GRANITE = Layout(**{
    **LIKE_LLAMA, "name": "granite", "architecture": "GraniteForCausalLM",
    "keys": decoder_keys(
        attention_multiplier=Key("score_scale", 1.0),
        embedding_multiplier=Key("embedding_scale", 1.0),
        residual_multiplier=Key("residual_scale", 1.0)),
    "rules": (rotary(), _ATTENTION_BIAS, biases("mlp_bias", False, "b_in", "b_gate", "b_out"),
              inverse("logits_scaling", "output_scale", -1.0, 1.0)),
    "modules": _UNSCALED,
})  # fmt: skip
COHERE2 = Layout(**{
    **LIKE_LLAMA, "name": "cohere2", "architecture": "Cohere2ForCausalLM",
    "fixed": {**PRE, "norm": "layer", "gated": True, "parallel": "one",
              "rotary_layout": "interleaved"},
    "keys": without(decoder_keys(
        **TIED, **HEAD_DIM, layer_norm_eps=Key("epsilon", 1e-5),
        logit_scale=Key("output_scale", 0.0625)), "rms_norm_eps"),
    "rules": (windows(lambda i, n: (i + 1) % n != 0, ("sliding_window_pattern", 4)),
              ROTATED_IN_WINDOWS, rotary(), _ATTENTION_BIAS),
    "inert": ("layer_switch", "order_of_interleaved_layers", "rotary_pct", "use_gated_activation",
              "position_embedding_type", "use_embedding_sharing", "use_parallel_block",
              "use_parallel_embedding"),
    "demands": {"use_qk_norm": False}, "modules": _UNSCALED,
    "rows": (
        EMBEDDING, *PROJECTIONS, *GATED, HEAD,
        Row(f"{_BLOCK}.input_layernorm.weight", (f"{SELF}.norm.gain",)),
        Row("model.norm.weight", ("decoder.norm.gain",)),
    ),
})  # fmt: skip
PHI = Layout(**{
    **LIKE_LLAMA, "name": "phi", "architecture": "PhiForCausalLM",
    "fixed": {**PRE, "norm": "layer", "positions": "rotary", "parallel": "one",
              "biases": (*PLAIN_BIASES, "output.b")},
    "keys": without(decoder_keys(
        layer_norm_eps=Key("epsilon", 1e-5),
        hidden_act=Key("activation", "gelu_new", ACTIVATIONS)), "rms_norm_eps"),
    "rules": (rotary(part=0.5),), "demands": {"qk_layernorm": False},
    "rows": (
        EMBEDDING, HEAD, Row("lm_head.bias", ("output.b",)),
        *norm(f"{_BLOCK}.input_layernorm", f"{SELF}.norm"),
        *(row for x in "qkv" for row in linear(f"{_BLOCK}.self_attn.{x}_proj", f"{SELF}.w_{x}")),
        *linear(f"{_BLOCK}.self_attn.dense", f"{SELF}.w_o"),
        *linear(f"{_BLOCK}.mlp.fc1", f"{FORWARD}.w_in"),
        *linear(f"{_BLOCK}.mlp.fc2", f"{FORWARD}.w_out"),
        *norm("model.final_layernorm", "decoder.norm"),
    ),
})  # fmt: skip

_NEOX: Final = "gpt_neox.layers.{i}"
GPT_NEOX = Layout(
    name="gpt_neox", architecture="GPTNeoXForCausalLM", prefix="gpt_neox.",
    fixed={**PRE, "norm": "layer", "positions": "rotary",
           "biases": ("b_in", "b_out", "norm.bias")},
    keys={
        "vocab_size": Key("vocabulary"), "hidden_size": Key("width"),
        "num_hidden_layers": Key("decoder_layers"), "num_attention_heads": Key("heads"),
        "intermediate_size": Key("hidden"), "hidden_act": Key("activation", "gelu", ACTIVATIONS),
        "layer_norm_eps": Key("epsilon", 1e-5),
        "use_parallel_residual": Key("parallel", True, {True: "two", False: None}),
        "tie_word_embeddings": Key("tied_output", False, TRUTH),
    },
    rules=(rotary(part=0.25, names=("rotary_emb_base", "rotary_pct")),
           biases("attention_bias", True, *ATTENTION_BIASES)),
    written={"bos_token_id": None, "eos_token_id": None},
    rows=(
        Row("gpt_neox.embed_in.weight", ("decoder.embedding",)),
        *norm(f"{_NEOX}.input_layernorm", f"{SELF}.norm"),
        *norm(f"{_NEOX}.post_attention_layernorm", f"{FORWARD}.norm"),
        *linear(f"{_NEOX}.attention.query_key_value", *QKV, how="heads"),
        *linear(f"{_NEOX}.attention.dense", f"{SELF}.w_o"),
        *linear(f"{_NEOX}.mlp.dense_h_to_4h", f"{FORWARD}.w_in"),
        *linear(f"{_NEOX}.mlp.dense_4h_to_h", f"{FORWARD}.w_out"),
        *norm("gpt_neox.final_layer_norm", "decoder.norm"),
        Row("embed_out.weight", ("output.w",), "transposed"),
    ),
    copies={"embed_out.weight": "decoder.embedding"},
    modules={
        "gpt_neox": "decoder", "gpt_neox.emb_dropout": "decoder.input", "embed_out": "logits",
        _NEOX: "decoder.{i}", f"{_NEOX}.attention": f"{SELF}.output",
        f"{_NEOX}.attention.1": f"{SELF}.weights", f"{_NEOX}.mlp": f"{FORWARD}.output",
        f"{_NEOX}.mlp.act": f"{FORWARD}.activation",
    },
    skipped=(*BUFFERS, r".*\.attention\.(bias|masked_bias)"),
    spelling={r"^lm_head\.weight$": "embed_out.weight"},
)  # fmt: skip

_OWN, _ITS_FORWARD, _MODERN = "encoder.{i}.self_attention", "encoder.{i}.feed_forward", "layers.{i}"
MODERNBERT = Layout(
    name="modernbert", architecture="ModernBertModel", prefix="model.",
    fixed={"model": "encoder-only", "norm": "layer", "norm_place": "pre", "gated": True,
           "positions": "rotary", "embedding_norm": True, "biases": ()},
    keys={
        "vocab_size": Key("vocabulary"), "hidden_size": Key("width"),
        "num_hidden_layers": Key("encoder_layers"), "num_attention_heads": Key("heads"),
        "intermediate_size": Key("hidden"), "norm_eps": Key("epsilon", 1e-5),
        "hidden_activation": Key("activation", "gelu", ACTIVATIONS),
    },
    rules=(
        windows(lambda i, n: i % n != 0, ("global_attn_every_n_layers", 3), "local_attention", 128,
                both_ways=True),
        bases(("global_rope_theta", 160000.0), ("local_rope_theta", 1e4),
              ("full_attention", "sliding_attention")),
        NO_FIRST_NORM, _ATTENTION_BIAS, biases("norm_bias", False, "norm.bias"),
        biases("mlp_bias", False, "b_in", "b_gate", "b_out"),
        masked_words("ModernBertModel", "ModernBertForMaskedLM", biases=frozenset()),
        biases("classifier_bias", False, "head.b"), biases("decoder_bias", True, "output.b"),
        head_activation("classifier_activation", "gelu"),
    ),
    inert=("tie_word_embeddings", "classifier_pooling", "sparse_prediction",
           "sparse_pred_ignore_index", "deterministic_flash_attn", "reference_compile",
           "repad_logits_with_grad", "initializer_cutoff_factor", "layer_norm_eps",
           "position_embedding_type", "cls_token_id", "sep_token_id"),
    written={**NO_IDS, "cls_token_id": None, "sep_token_id": None},
    rows=(
        Row("embeddings.tok_embeddings.weight", ("encoder.embedding",)),
        *norm("embeddings.norm", "encoder.embedding_norm"),
        *norm(f"{_MODERN}.attn_norm", f"{_OWN}.norm"),
        *linear(f"{_MODERN}.attn.Wqkv", *(f"{_OWN}.w_{x}" for x in "qkv")),
        *linear(f"{_MODERN}.attn.Wo", f"{_OWN}.w_o"),
        *norm(f"{_MODERN}.mlp_norm", f"{_ITS_FORWARD}.norm"),
        *linear(f"{_MODERN}.mlp.Wi", f"{_ITS_FORWARD}.w_gate", f"{_ITS_FORWARD}.w_in"),
        *linear(f"{_MODERN}.mlp.Wo", f"{_ITS_FORWARD}.w_out"),
        *norm("final_norm", "encoder.norm"),
        *masked_head("head.dense", "head.norm", "decoder.bias"),
    ),
    copies={"decoder.weight": "encoder.embedding"},
    modules={
        "model": "encoder", "embeddings": "encoder.input", "decoder": "logits",
        "head": "head.norm", "head.act": "head.activation", _MODERN: "encoder.{i}",
        f"{_MODERN}.attn": f"{_OWN}.output", f"{_MODERN}.attn.1": f"{_OWN}.weights",
        f"{_MODERN}.mlp": f"{_ITS_FORWARD}.output",
        f"{_MODERN}.mlp.act": f"{_ITS_FORWARD}.activation",
        f"{_MODERN}.mlp.drop": f"{_ITS_FORWARD}.gated",
    },
    skipped=BUFFERS, outside={r"(head|decoder)\..*": UNSAID},
)  # fmt: skip
