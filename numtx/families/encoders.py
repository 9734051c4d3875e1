"""The tables of encoders, alone or with a decoder; source: the code of transformers 5.24."""

from __future__ import annotations

from typing import Any, Final

from ..layouts.heads import UNSAID, masked_head, masked_words
from ..layouts.layout import SINUSOID, Key, Layout, Row
from ..layouts.rows import BUFFERS, HEAD, NO_IDS, PLAIN_BIASES, TIED, linear, norm, without
from ..layouts.rules import (
    ACTIVATIONS,
    DECODER_LAYERS,
    POSITIONS_AFTER_PAD,
    SCALE_EMBEDDING,
    SCALE_OUTPUTS,
    VOCABULARIES,
    feed_forward_proj,
)

_SIDE: Final = "model.{side}.layers.{i}"
_OWN, _SIDE_FORWARD = "{side}.{i}.self_attention", "{side}.{i}.feed_forward"
_CROSS: Final = "decoder.{i}.cross_attention"


def bart_attention(theirs: str, ours: str, place: str) -> tuple[Row, ...]:
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
        *bart_attention("self_attn", _OWN, _SIDE),
        *bart_attention("encoder_attn", _CROSS, "model.decoder.layers.{i}"),
        *linear(f"{_SIDE}.fc1", f"{_SIDE_FORWARD}.w_in"),
        *linear(f"{_SIDE}.fc2", f"{_SIDE_FORWARD}.w_out"),
        *norm(f"{_SIDE}.final_layer_norm", f"{_SIDE_FORWARD}.norm"),
        *norm("model.{side}.layer_norm", "{side}.norm"),
        Row("final_logits_bias", ("output.b",), "row", zeros=True),
    ),
    "copies": dict.fromkeys(
        ("lm_head.weight", "model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight",
        ), "embedding"),
    "modules": {  # of the logits without their bias, which comes after the module
        "model": "decoder", "model.{side}": "{side}", "model.shared": "", "lm_head": "",
        "model.{side}.embed_tokens": "{side}.scaled_embedding|{side}.embedding",
        _SIDE: "{side}.{i}", f"{_SIDE}.self_attn": f"{_OWN}.output",
        f"{_SIDE}.self_attn.1": f"{_OWN}.weights",
        f"{_SIDE}.activation_fn": f"{_SIDE_FORWARD}.activation",
        "model.decoder.layers.{i}.encoder_attn": f"{_CROSS}.output",
        "model.decoder.layers.{i}.encoder_attn.1": f"{_CROSS}.weights",
    },
    "skipped": (r"(.*\.)?(encoder|decoder)\.version",),
}  # fmt: skip
BART = Layout(**{
    **_BART, "name": "bart", "architecture": "BartForConditionalGeneration",
    "fixed": {**_BART_FIXED, "norm_place": "post"},
    "demands": {**_BART["demands"], "normalize_before": None},
})  # fmt: skip
MBART = Layout(**{
    **_BART, "name": "mbart", "architecture": "MBartForConditionalGeneration",
    "fixed": {**_BART_FIXED, "norm_place": "pre"}, "inert": (*_BART["inert"], "normalize_before"),
})  # fmt: skip
_EMBEDDED: Final = tuple(f"model.{side}.embed_tokens.weight" for side in ("encoder", "decoder"))
MARIAN = Layout(**{
    **_BART, "name": "marian", "architecture": "MarianMTModel",
    "fixed": {
        **{name: value for name, value in _BART_FIXED.items() if name != "position_offset"},
        "positions": "sinusoidal", "sinusoidal_layout": "half", "embedding_norm": False,
        "norm_place": "post",
    },
    "keys": without(_BART_KEYS, "max_position_embeddings"),
    "rules": (SCALE_EMBEDDING, VOCABULARIES),
    "demands": {**_BART["demands"], "normalize_before": None, "normalize_embedding": None,
                "static_position_embeddings": True},
    "inert": (*(name for name in _BART["inert"] if not name.startswith(("normalize", "static"))),
              "max_position_embeddings"),
    "written": {**NO_IDS, "decoder_start_token_id": 0, "forced_eos_token_id": None},
    "rows": (
        *_BART["rows"],
        *(Row(name, (f"{side}.embedding",))
          for name, side in zip(_EMBEDDED, ("encoder", "decoder"), strict=True)),
    ),
    "copies": {
        **_BART["copies"],
        **dict.fromkeys((f"model.{side}.embed_positions.weight" for side in ("encoder", "decoder")),
                        SINUSOID),
    },
    "modules": {**_BART["modules"], "model.{side}.embed_tokens": "{side}.embedding",
                "model.{side}.embed_positions": "{side}.positions"},
})  # fmt: skip

_BLOCK: Final = "{side}.block.{i}.layer"
_T5: Final[dict[str, Any]] = {
    "fixed": {"model": "encoder-decoder", "norm": "rms", "norm_place": "pre", "biases": (),
              "positions": "relative", "score_scale": 1.0},
    "keys": {
        "vocab_size": Key("vocabulary"), "d_model": Key("width"), "d_kv": Key("key_width"),
        "d_ff": Key("hidden"), "num_layers": Key("encoder_layers"), "num_heads": Key("heads"),
        "relative_attention_num_buckets": Key("relative_buckets", 32),
        "relative_attention_max_distance": Key("relative_distance", 128),
        "layer_norm_epsilon": Key("epsilon", 1e-6), **TIED,
    },
    "demands": {"is_encoder_decoder": True}, "inert": ("n_positions", "num_hidden_layers"),
    "rows": (
        Row("shared.weight", ("embedding",)),
        *(Row(f"{_BLOCK}.0.SelfAttention.{x}.weight", (f"{_OWN}.w_{x}",), "transposed")
          for x in "qkvo"),
        Row("{side}.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
            ("{side}.relative_bias",)),
        Row(f"{_BLOCK}.0.layer_norm.weight", (f"{_OWN}.norm.gain",)),
        *(Row(f"decoder.block.{{i}}.layer.1.EncDecAttention.{x}.weight", (f"{_CROSS}.w_{x}",),
              "transposed") for x in "qkvo"),
        Row("decoder.block.{i}.layer.1.layer_norm.weight", (f"{_CROSS}.norm.gain",)),
        *(row for side, n in (("encoder", 1), ("decoder", 2))
          for place, ours in [(f"{side}.block.{{i}}.layer.{n}", f"{side}.{{i}}.feed_forward")]
          for row in (
              Row(f"{place}.DenseReluDense.wi.weight", (f"{ours}.w_in",), "transposed",
                  f"{ours}.w_gate"),
              Row(f"{place}.DenseReluDense.wi_0.weight", (f"{ours}.w_gate",), "transposed"),
              Row(f"{place}.DenseReluDense.wi_1.weight", (f"{ours}.w_in",), "transposed"),
              Row(f"{place}.DenseReluDense.wo.weight", (f"{ours}.w_out",), "transposed"),
              Row(f"{place}.layer_norm.weight", (f"{ours}.norm.gain",)))),
        Row("{side}.final_layer_norm.weight", ("{side}.norm.gain",)),
        HEAD,
    ),
    "copies": dict.fromkeys(
        ("lm_head.weight", "encoder.embed_tokens.weight", "decoder.embed_tokens.weight"),
        "embedding"),
    "modules": {
        "{side}": "{side}", "{side}.embed_tokens": "{side}.embedding", "shared": "",
        "lm_head": "logits", "{side}.block.{i}": "{side}.{i}", f"{_BLOCK}.0": _OWN,
        f"{_BLOCK}.0.SelfAttention": f"{_OWN}.output",
        f"{_BLOCK}.0.SelfAttention.1": f"{_OWN}.bias",
        f"{_BLOCK}.0.SelfAttention.2": f"{_OWN}.weights",
        "decoder.block.{i}.layer.1": _CROSS,
        "decoder.block.{i}.layer.1.EncDecAttention": f"{_CROSS}.output",
        "decoder.block.{i}.layer.1.EncDecAttention.2": f"{_CROSS}.weights",
        **{f"{place}{module}": f"{side}.{{i}}.feed_forward{stage}"
           for place, side in (("encoder.block.{i}.layer.1", "encoder"),
                               ("decoder.block.{i}.layer.2", "decoder"))
           for module, stage in (("", ""), (".DenseReluDense", ".output"),
                                 (".DenseReluDense.act", ".activation"))},
    },
    "skipped": (r"decoder\.block\.0\.layer\.1\.EncDecAttention\.relative_attention_bias\.weight",),
}  # fmt: skip
T5 = Layout(
    **_T5, name="t5", architecture="T5ForConditionalGeneration",
    rules=(DECODER_LAYERS, feed_forward_proj("relu"), SCALE_OUTPUTS),
)  # fmt: skip
MT5 = Layout(
    **_T5, name="mt5", architecture="MT5ForConditionalGeneration",
    rules=(DECODER_LAYERS, feed_forward_proj("gated-gelu")),
)  # fmt: skip

# Encoders.

_BERT: Final = "bert.encoder.layer.{i}"
_ENCODER: Final = "encoder.{i}.self_attention"
_BERT_MODULES: Final = {
    "bert": "encoder", "bert.encoder": "encoder", "bert.embeddings": "encoder.input",
    "bert.pooler": "pooler.output", "bert.pooler.activation": "pooler.output",
    _BERT: "encoder.{i}", f"{_BERT}.attention": _ENCODER, f"{_BERT}.attention.output": _ENCODER,
    f"{_BERT}.attention.1": f"{_ENCODER}.weights", f"{_BERT}.attention.self": f"{_ENCODER}.context",
    f"{_BERT}.attention.self.1": f"{_ENCODER}.weights",
    f"{_BERT}.intermediate": "encoder.{i}.feed_forward.activation",
    f"{_BERT}.intermediate.intermediate_act_fn": "encoder.{i}.feed_forward.activation",
    f"{_BERT}.output": "encoder.{i}.feed_forward",
}  # fmt: skip
BERT = Layout(
    name="bert", architecture="BertModel", prefix="bert.",
    fixed={"model": "encoder-only", "positions": "learned", "embedding_norm": True,
           "norm_place": "post", "biases": (*PLAIN_BIASES, "pooler.b")},
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
        Row("bert.embeddings.word_embeddings.weight", ("encoder.embedding",)),
        Row("bert.embeddings.position_embeddings.weight", ("encoder.positions",)),
        Row("bert.embeddings.token_type_embeddings.weight", ("encoder.segments",)),
        *norm("bert.embeddings.LayerNorm", "encoder.embedding_norm"),
        *(row for theirs, x in (("query", "q"), ("key", "k"), ("value", "v"))
          for row in linear(f"{_BERT}.attention.self.{theirs}", f"{_ENCODER}.w_{x}")),
        *linear(f"{_BERT}.attention.output.dense", f"{_ENCODER}.w_o"),
        *norm(f"{_BERT}.attention.output.LayerNorm", f"{_ENCODER}.norm"),
        *linear(f"{_BERT}.intermediate.dense", "encoder.{i}.feed_forward.w_in"),
        *linear(f"{_BERT}.output.dense", "encoder.{i}.feed_forward.w_out"),
        *norm(f"{_BERT}.output.LayerNorm", "encoder.{i}.feed_forward.norm"),
        *masked_head("cls.predictions.transform.dense", "cls.predictions.transform.LayerNorm",
                     "cls.predictions.bias"),
        *linear("bert.pooler.dense", "pooler.w"),
    ),
    shown={"pooler": "bert.pooler.dense.weight"},
    rules=(masked_words("BertModel", "BertForMaskedLM"),),
    copies={"cls.predictions.decoder.weight": "encoder.embedding",
            "cls.predictions.decoder.bias": "output.b"},
    modules={
        **dict.fromkeys(("cls", "cls.predictions", "cls.predictions.decoder"), "logits"),
        "cls.predictions.transform": "head.norm",
        "cls.predictions.transform.transform_act_fn": "head.activation",
        **_BERT_MODULES,
    },
    skipped=BUFFERS,
    outside={
        r"cls\.predictions\..*": UNSAID,
        r"cls\.seq_relationship\..*": "the head for the next sentence",
    },
    spelling={r"LayerNorm\.gamma$": "LayerNorm.weight", r"LayerNorm\.beta$": "LayerNorm.bias"},
)  # fmt: skip

ROBERTA = Layout(**{
    **vars(BERT), "name": "roberta", "architecture": "RobertaModel", "prefix": "roberta.",
    "keys": without(dict(BERT.keys), "max_position_embeddings"),
    "rules": (POSITIONS_AFTER_PAD, masked_words("RobertaModel", "RobertaForMaskedLM", "gelu")),
    "rows": (
        *(row._replace(theirs=row.theirs.replace("bert.", "roberta.", 1))
          for row in BERT.rows if row.theirs.startswith("bert.")),
        *masked_head("lm_head.dense", "lm_head.layer_norm", "lm_head.bias"),
    ),
    "copies": {"lm_head.decoder.weight": "encoder.embedding", "lm_head.decoder.bias": "output.b"},
    "modules": {
        **{path.replace("bert", "roberta", 1): what for path, what in _BERT_MODULES.items()},
        "lm_head": "logits", "lm_head.decoder": "logits",
    },
    "shown": {"pooler": "roberta.pooler.dense.weight"}, "outside": {r"lm_head\..*": UNSAID},
})  # fmt: skip
_DISTIL: Final = "distilbert.transformer.layer.{i}"
DISTILBERT = Layout(
    name="distilbert", architecture="DistilBertModel", prefix="distilbert.",
    fixed={**BERT.fixed, "epsilon": 1e-12},
    keys={
        "vocab_size": Key("vocabulary"), "dim": Key("width"), "n_layers": Key("encoder_layers"),
        "n_heads": Key("heads"), "hidden_dim": Key("hidden"),
        "activation": Key("activation", "gelu", ACTIVATIONS),
        "max_position_embeddings": Key("position_limit"),
    },
    inert=("tie_word_embeddings", "tie_weights_", "sinusoidal_pos_embds"),
    rows=(
        Row("distilbert.embeddings.word_embeddings.weight", ("encoder.embedding",)),
        Row("distilbert.embeddings.position_embeddings.weight", ("encoder.positions",)),
        *norm("distilbert.embeddings.LayerNorm", "encoder.embedding_norm"),
        *(row for theirs, x in (("q", "q"), ("k", "k"), ("v", "v"), ("out", "o"))
          for row in linear(f"{_DISTIL}.attention.{theirs}_lin", f"{_ENCODER}.w_{x}")),
        *norm(f"{_DISTIL}.sa_layer_norm", f"{_ENCODER}.norm"),
        *linear(f"{_DISTIL}.ffn.lin1", "encoder.{i}.feed_forward.w_in"),
        *linear(f"{_DISTIL}.ffn.lin2", "encoder.{i}.feed_forward.w_out"),
        *norm(f"{_DISTIL}.output_layer_norm", "encoder.{i}.feed_forward.norm"),
        *masked_head("vocab_transform", "vocab_layer_norm", "vocab_projector.bias"),
    ),
    rules=(masked_words("DistilBertModel", "DistilBertForMaskedLM"),),
    copies={"vocab_projector.weight": "encoder.embedding"},
    modules={
        "distilbert": "encoder", "distilbert.transformer": "encoder",
        "distilbert.embeddings": "encoder.input", "activation": "head.activation",
        "vocab_projector": "logits", _DISTIL: "encoder.{i}",
        f"{_DISTIL}.attention": f"{_ENCODER}.output",
        f"{_DISTIL}.attention.1": f"{_ENCODER}.weights",
        f"{_DISTIL}.ffn": "encoder.{i}.feed_forward.output",
        f"{_DISTIL}.ffn.activation": "encoder.{i}.feed_forward.activation",
    },
    skipped=BUFFERS,
    outside={r"vocab_(transform|layer_norm|projector)\..*": UNSAID},
)  # fmt: skip
