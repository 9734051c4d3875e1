"""The tables of models of which numtx has a part: the decoder of Whisper, the body of ViT; source:
the modelling code of transformers 5.24."""

from __future__ import annotations

from typing import Final

from ..config import Config
from ..errors import CheckpointError
from ..layouts.essence import Fields
from ..layouts.layout import Key, Layout, Row, Rule
from ..layouts.rows import PLAIN_BIASES, TIED, linear, norm
from ..layouts.rules import ACTIVATIONS, biases
from .encoders import bart_attention

_LAYER: Final = "model.decoder.layers.{i}"
WHISPER = Layout(
    name="whisper", architecture="WhisperForConditionalGeneration", prefix="model.",
    fixed={"model": "encoder-decoder", "encoder_layers": 0, "norm_place": "pre",
           "positions": "learned", "biases": tuple(b for b in PLAIN_BIASES if b != "b_k")},
    keys={
        "vocab_size": Key("vocabulary", 51865), "d_model": Key("width", 384),
        "decoder_layers": Key("decoder_layers", 4), "decoder_attention_heads": Key("heads", 6),
        "decoder_ffn_dim": Key("hidden", 1536), "max_target_positions": Key("position_limit", 448),
        "activation_function": Key("activation", "gelu", ACTIVATIONS), **TIED,
    },
    demands={"is_encoder_decoder": True},
    inert=(  # scale_embedding too: the code makes a factor of it and does not use it
        "scale_embedding", "num_hidden_layers", "num_mel_bins", "max_source_positions",
        "encoder_layers", "encoder_attention_heads", "encoder_ffn_dim", "use_weighted_layer_sum",
        "classifier_proj_size", "apply_spec_augment", "mask_time_prob", "mask_time_length",
        "mask_time_min_masks", "mask_feature_prob", "mask_feature_length",
        "mask_feature_min_masks", "median_filter_width", "forced_decoder_ids",
    ),
    rows=(
        Row("model.decoder.embed_tokens.weight", ("decoder.embedding",)),
        Row("model.decoder.embed_positions.weight", ("decoder.positions",)),
        *bart_attention("self_attn", "decoder.{i}.self_attention", _LAYER),
        *bart_attention("encoder_attn", "decoder.{i}.cross_attention", _LAYER),
        *linear(f"{_LAYER}.fc1", "decoder.{i}.feed_forward.w_in"),
        *linear(f"{_LAYER}.fc2", "decoder.{i}.feed_forward.w_out"),
        *norm(f"{_LAYER}.final_layer_norm", "decoder.{i}.feed_forward.norm"),
        *norm("model.decoder.layer_norm", "decoder.norm"),
        Row("proj_out.weight", ("output.w",), "transposed"),
    ),
    copies={"proj_out.weight": "decoder.embedding"},
    modules={
        "model": "decoder", "model.decoder": "decoder", "proj_out": "logits",
        "model.encoder": "encoder.output", "model.encoder.layer_norm": "encoder.output",
        _LAYER: "decoder.{i}", f"{_LAYER}.activation_fn": "decoder.{i}.feed_forward.activation",
        f"{_LAYER}.self_attn": "decoder.{i}.self_attention.output",
        f"{_LAYER}.self_attn.1": "decoder.{i}.self_attention.weights",
        f"{_LAYER}.encoder_attn": "decoder.{i}.cross_attention.output",
        f"{_LAYER}.encoder_attn.1": "decoder.{i}.cross_attention.weights",
    },
    carried={r"model\.encoder\..*": "the encoder, with its convolutions (its output is given: "
             "memory in --vectors FILE)"},
)  # fmt: skip


def _read_patches(theirs: Fields, ours: Fields) -> None:
    count = 1
    pairs = []
    for name, default in (("image_size", 224), ("patch_size", 16)):
        value = theirs.get(name, default)
        pair = value if isinstance(value, list | tuple) else (value, value)
        if len(pair) != 2 or not all(type(size) is int and size > 0 for size in pair):
            raise CheckpointError(
                f"{name} is {str(value)[:60]!r}; it is a whole number above 0, or two of them"
            )
        pairs.append(pair)
    for image, patch in zip(*pairs, strict=True):
        count *= image // patch
    ours["position_limit"] = 1 + count  # the class token comes first


def _write_patches(config: Config, file: Fields) -> None:
    assert config.position_limit is not None  # positions are learned
    file["image_size"], file["patch_size"] = [1, config.position_limit - 1], 1


_PATCHES: Final = Rule(("image_size", "patch_size"), _read_patches, _write_patches)


def _read_pooler(theirs: Fields, ours: Fields) -> None:
    size = theirs.get("pooler_output_size")
    if size and size != ours["width"]:
        raise CheckpointError(
            f"pooler_output_size is {str(size)[:60]!r}; numtx reads that of hidden_size, "
            f"{ours['width']}, only"
        )


_POOLER: Final = Rule(("pooler_output_size",), _read_pooler, lambda config, file: None)
_BODY: Final = "vit.encoder.layer.{i}"
_OWN, _FORWARD = "encoder.{i}.self_attention", "encoder.{i}.feed_forward"
VIT = Layout(
    name="vit", architecture="ViTModel", prefix="vit.",
    fixed={"model": "encoder-only", "vocabulary": 1, "head": None, "norm_place": "pre",
           "positions": "learned", "biases": ("b_o", "b_in", "b_out", "norm.bias", "pooler.b")},
    keys={
        "hidden_size": Key("width", 768), "num_hidden_layers": Key("encoder_layers", 12),
        "num_attention_heads": Key("heads", 12), "intermediate_size": Key("hidden", 3072),
        "hidden_act": Key("activation", "gelu", ACTIVATIONS),
        "layer_norm_eps": Key("epsilon", 1e-12),
    },
    rules=(_PATCHES, _POOLER, biases("qkv_bias", True, "b_q", "b_k", "b_v")),
    demands={"pooler_act": "tanh"}, inert=("num_channels", "encoder_stride"),
    shown={"pooler": "vit.pooler.dense.weight"},
    rows=(
        Row("vit.embeddings.cls_token", ("encoder.embedding",), "row"),  # its only word
        Row("vit.embeddings.position_embeddings", ("encoder.positions",), "row"),
        *(row for theirs, x in (("query", "q"), ("key", "k"), ("value", "v"))
          for row in linear(f"{_BODY}.attention.attention.{theirs}", f"{_OWN}.w_{x}")),
        *linear(f"{_BODY}.attention.output.dense", f"{_OWN}.w_o"),
        *norm(f"{_BODY}.layernorm_before", f"{_OWN}.norm"),
        *linear(f"{_BODY}.intermediate.dense", f"{_FORWARD}.w_in"),
        *linear(f"{_BODY}.output.dense", f"{_FORWARD}.w_out"),
        *norm(f"{_BODY}.layernorm_after", f"{_FORWARD}.norm"),
        *norm("vit.layernorm", "encoder.norm"),
        *linear("vit.pooler.dense", "pooler.w"),
    ),
    modules={
        "vit": "encoder", "vit.embeddings": "encoder.input", "vit.pooler": "pooler.output",
        "vit.pooler.activation": "pooler.output", _BODY: "encoder.{i}",
        f"{_BODY}.attention": f"{_OWN}.output", f"{_BODY}.attention.1": f"{_OWN}.weights",
        f"{_BODY}.mlp": f"{_FORWARD}.output",
        f"{_BODY}.mlp.activation_fn": f"{_FORWARD}.activation",
    },
    carried={
        r"vit\.embeddings\.patch_embeddings\..*": "the patch embedding (the class token and the "
        "patches are given: vectors in --vectors FILE, without positions)",
        r"vit\.embeddings\.mask_token": "the token of masked patches",
        r"classifier\..*": "the classifier, on the first vector of the output",
        r"decoder\..*": "the decoder of masked patches",
    },
    spelling={
        r"(^|\.)layers\.(\d+)\.": r"\1encoder.layer.\2.",
        r"attention\.q_proj": "attention.attention.query",
        r"attention\.k_proj": "attention.attention.key",
        r"attention\.v_proj": "attention.attention.value",
        r"attention\.o_proj": "attention.output.dense",
        r"mlp\.fc1": "intermediate.dense", r"mlp\.fc2": "output.dense",
    },
)  # fmt: skip
