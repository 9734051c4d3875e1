"""A small model of every family, made by numtx alone, and folders of them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from numtx import Config, initialise, write_model
from numtx.checkpoints.folder import plan
from numtx.families import LAYOUTS
from numtx.layouts.rows import PLAIN_BIASES
from numtx.safetensors import SINGLE, write_tensors

DECODER: dict[str, Any] = {
    "model": "decoder-only", "width": 12, "decoder_layers": 2, "heads": 3, "hidden": 10,
    "vocabulary": 13, "norm_place": "pre",
}  # fmt: skip
LLAMA: dict[str, Any] = {
    **DECODER, "norm": "rms", "gated": True, "activation": "silu", "positions": "rotary",
    "biases": (), "key_width": 4, "value_width": 4,
}  # fmt: skip
DEEPSEEK: dict[str, Any] = {
    **LLAMA, "epsilon": 1e-6, "key_value_latent": 6, "query_latent": 7, "latent_norm": True,
    "rotary_width": 2, "value_width": 3, "experts": (None, 6), "experts_chosen": 3,
    "expert_hidden": 7, "shared_experts": 2,
}  # fmt: skip
GEMMA2: dict[str, Any] = {
    **LLAMA, "activation": "gelu_tanh", "embedding_scale": math.sqrt(12), "tied_output": True,
    "gain_offset": 1, "norm_place": "both", "window": (3, None),
}  # fmt: skip
SEQ2SEQ: dict[str, Any] = {
    "model": "encoder-decoder", "width": 12, "encoder_layers": 1, "decoder_layers": 2, "heads": 3,
    "hidden": 10, "vocabulary": 13, "positions": "learned", "position_limit": 9,
    "position_offset": 2, "embedding_norm": True, "activation": "gelu", "tied_output": True,
    "biases": (*PLAIN_BIASES, "output.b"),
}  # fmt: skip
T5: dict[str, Any] = {
    "model": "encoder-decoder", "width": 12, "encoder_layers": 1, "decoder_layers": 2, "heads": 3,
    "hidden": 10, "vocabulary": 13, "key_width": 5, "norm": "rms", "norm_place": "pre",
    "positions": "relative", "relative_buckets": 8, "relative_distance": 9, "score_scale": 1.0,
    "biases": (), "tied_output": True,
}  # fmt: skip
BERT: dict[str, Any] = {
    "model": "encoder-only", "width": 12, "encoder_layers": 2, "heads": 3, "hidden": 10,
    "vocabulary": 13, "positions": "learned", "position_limit": 9, "embedding_norm": True,
    "activation": "gelu", "biases": (*PLAIN_BIASES, "pooler.b"), "epsilon": 1e-12, "head": None,
}  # fmt: skip
MASKED: dict[str, Any] = {"head": "masked-language-model", "tied_output": True}
CONFIGS: dict[str, dict[str, Any]] = {
    "llama": {**LLAMA, "rotary_scaling": {"kind": "llama3", "factor": 8.0, "original": 32}},
    "qwen2": {**LLAMA, "biases": ("b_q", "b_k", "b_v"), "window": (None, 3),
              "rotary_scaling": {"kind": "yarn", "factor": 4.0, "original": 8}},
    "qwen3": {**LLAMA, "query_key_norm": "head", "tied_output": True},
    "mistral": {**LLAMA, "window": 3, "rotary_scaling": {"kind": "linear", "factor": 2.0}},
    "gemma": {**LLAMA, "activation": "gelu_tanh", "embedding_scale": math.sqrt(12),
              "tied_output": True, "gain_offset": 1},
    "gemma2": {**GEMMA2, "score_cap": 5.0, "logit_cap": 3.0},
    "gemma3_text": {**GEMMA2, "query_key_norm": "head", "position_base": (1e4, 1e6),
                    "rotary_scaling": (None, {"kind": "linear", "factor": 8.0})},
    "olmo2": {**LLAMA, "norm_place": "inner", "query_key_norm": "projection"},
    "granite": {**LLAMA, "score_scale": 0.3, "embedding_scale": 6.0, "residual_scale": 0.22,
                "output_scale": 0.25},
    "cohere2": {**LLAMA, "norm": "layer", "parallel": "one", "rotary_layout": "interleaved",
                "positions": ("rotary", None), "window": (3, None), "tied_output": True,
                "output_scale": 0.0625},
    "phi": {**DECODER, "positions": "rotary", "activation": "gelu_tanh", "parallel": "one",
            "rotary_width": 2, "biases": (*PLAIN_BIASES, "output.b")},
    "gpt_neox": {**DECODER, "positions": "rotary", "activation": "gelu", "parallel": "two",
                 "rotary_width": 2, "biases": PLAIN_BIASES},
    "modernbert": {
        **{name: v for name, v in BERT.items() if name not in ("position_limit", "epsilon")},
        "norm_place": "pre", "gated": True, "positions": "rotary",
        "position_base": (160000.0, 1e4), "window": (None, 3),
        "norm_at": (("encoder.feed_forward",), True), **MASKED, "head_activation": "silu",
        "biases": ("output.b",)},
    "phi3": {**LLAMA, "rotary_width": 2, "key_value_heads": 1, "rotary_scaling": {
        "kind": "longrope", "short": [1.5], "long": [3.0], "original": 32, "factor": 2.0}},
    "starcoder2": {**DECODER, "positions": "rotary", "activation": "gelu_tanh", "key_width": 4,
                   "biases": PLAIN_BIASES, "window": 4},
    "gpt2": {**DECODER, "positions": "learned", "position_limit": 9, "activation": "gelu_tanh",
             "biases": PLAIN_BIASES, "tied_output": True},
    "bloom": {**DECODER, "hidden": 48, "positions": "alibi", "activation": "gelu_tanh",
              "embedding_norm": True, "biases": PLAIN_BIASES, "tied_output": True},
    "gpt_oss": {**LLAMA, "sinks": True, "activation": "gelu_sigmoid", "gate_limit": 0.3,
                "gate_shift": 1.0, "experts": 5, "experts_chosen": 2, "window": (3, None),
                "router": {"kind": "chosen_softmax", "bias": True},
                "biases": ("b_in", "b_gate", "b_out")},
    "mixtral": {**LLAMA, "experts": 5, "experts_chosen": 2, "window": 3,
                "router": {"kind": "softmax", "renormalised": True}},
    "qwen3_moe": {**LLAMA, "query_key_norm": "head", "experts": (None, 5), "experts_chosen": 2,
                  "expert_hidden": 7},
    "deepseek_v2": {**DEEPSEEK, "rotary_layout": "interleaved", "query_latent": None,
                    "router": {"kind": "softmax", "groups": 3, "groups_kept": 2, "factor": 1.5}},
    "deepseek_v3": {**DEEPSEEK, "router": {
        "kind": "sigmoid", "groups": 3, "groups_kept": 2, "factor": 2.5, "group_score": "two",
        "correction": True, "renormalised": True}},
    "bart": SEQ2SEQ,
    "mbart": {**SEQ2SEQ, "norm_place": "pre", "embedding_scale": math.sqrt(12)},
    "marian": {
        **{name: v for name, v in SEQ2SEQ.items() if not name.startswith("position")},
        "positions": "sinusoidal", "sinusoidal_layout": "half", "embedding_norm": False,
        "source_vocabulary": 11, "activation": "silu"},
    "smollm3": {**LLAMA, "positions": ("rotary", None), "tied_output": True},
    "t5": {**T5, "output_scale": 12**-0.5},
    "mt5": {**T5, "gated": True, "activation": "gelu_tanh", "tied_output": False},
    "bert": {**BERT, "segments": 2, "pooler": True},
    "roberta": {**BERT, "segments": 1, "position_offset": 2, **MASKED, "head_activation": "gelu",
                "biases": (*PLAIN_BIASES, "head.b", "output.b")},
    "distilbert": BERT,
    "whisper": {
        **SEQ2SEQ, "encoder_layers": 0, "norm_place": "pre", "position_offset": 0,
        "embedding_norm": False, "biases": tuple(b for b in PLAIN_BIASES if b != "b_k")},
    "vit": {**BERT, "vocabulary": 1, "position_limit": 7, "norm_place": "pre",
            "embedding_norm": False, "pooler": True},
}  # fmt: skip
# Tensors of parts outside numtx that a file of a family has: some of them.
CARRIED: dict[str, dict[str, tuple[int, ...]]] = {
    "whisper": {"model.encoder.conv1.weight": (12, 4, 3), "model.encoder.layer_norm.bias": (12,)},
    "vit": {"vit.embeddings.patch_embeddings.projection.weight": (12, 3, 2, 2)},
}


def config_of(name: str, dtype: str = "float64") -> Config:
    return Config(**CONFIGS[name], dtype=dtype)


def parameters_of(config: Config) -> dict[str, np.ndarray]:
    """Parameters of which no gain is 1 and no bias 0, with few enough digits that 1 + w keeps
    all of them."""
    noise = np.random.default_rng(7)
    return {
        name: (np.round((array + noise.normal(0, 0.1, array.shape)) * 2**12) / 2**12).astype(
            config.dtype
        )
        for name, array in initialise(config, 1).items()
    }


def written(folder: Path, name: str = "llama", dtype: str = "float64") -> Path:
    """A folder of a family."""
    config = config_of(name, dtype)
    parameters = parameters_of(config)
    if name not in CARRIED:
        write_model(folder, config, parameters, name)
        return folder
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(plan(config, name)))
    noise = np.random.default_rng(5)
    tensors = {
        own: (entry.stored, partial(entry.fold, parameters, config.heads))
        for own, entry in LAYOUTS[name].entries(config).items()
    }
    carried = {own: noise.standard_normal(shape) for own, shape in CARRIED[name].items()}
    tensors |= {own: (array.shape, partial(np.asarray, array)) for own, array in carried.items()}
    write_tensors(folder / SINGLE, tensors, {"float64": "F64", "float32": "F32"}[dtype])
    return folder


def edit(folder: Path, **fields: Any) -> None:
    """Set fields of config.json; None takes one out."""
    file = folder / "config.json"
    found = {**json.loads(file.read_text()), **fields}
    gone = {name for name, value in fields.items() if value is None}
    file.write_text(json.dumps({name: v for name, v in found.items() if name not in gone}))


def split(path: Path) -> tuple[dict[str, Any], bytes]:
    """Header and data of a file of tensors."""
    whole = path.read_bytes()
    length = int.from_bytes(whole[:8], "little")
    return json.loads(whole[8 : 8 + length]), whole[8 + length :]


def join(path: Path, header: Mapping[str, Any] | str, data: bytes) -> None:
    """Write a file of tensors, whatever its header says."""
    text = (header if isinstance(header, str) else json.dumps(header)).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
