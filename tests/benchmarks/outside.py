"""Models of transformers and of TransformerLens with the same parameters as numtx's."""

from __future__ import annotations

import tempfile
import warnings
from typing import Any

import numpy as np
import torch
import transformers

import numtx

torch.set_num_threads(1)
warnings.simplefilter("ignore", FutureWarning)  # of other names in releases to come
transformers.utils.logging.disable_progress_bar()
transformers.utils.logging.set_verbosity_error()


def written(config: numtx.Config, parameters: Any, layout: str) -> Any:
    """transformers' model of that layout, written by numtx; its attention is sdpa."""
    with tempfile.TemporaryDirectory() as folder:
        numtx.write_model(folder, config, parameters, layout)
        return transformers.AutoModelForCausalLM.from_pretrained(
            folder, attn_implementation="sdpa"
        ).eval()


def from_transformers(kind: str, **fields: Any) -> tuple[numtx.Config, Any, Any]:
    """A random model of that class, as shipped, and what numtx reads of it: its configuration
    and parameters, then the model."""
    torch.manual_seed(0)
    model_class = getattr(transformers, kind)
    special = dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id"))
    model = model_class(model_class.config_class(**special, **fields)).eval()
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        config, parameters, _ = numtx.read_model(folder)
    return config, parameters, model


def lens(config: numtx.Config, parameters: Any) -> Any:
    """A HookedTransformer: its weights are numtx's with the heads as an axis of their own."""
    from transformer_lens import HookedTransformer, HookedTransformerConfig

    size, heads = config.width // config.heads, config.heads
    model = HookedTransformer(
        HookedTransformerConfig(
            n_layers=config.decoder_layers, d_model=config.width, n_ctx=config.position_limit,
            d_head=size, n_heads=heads, d_mlp=config.hidden, d_vocab=config.vocabulary,
            act_fn="gelu_new", eps=config.epsilon, device="cpu",
        )
    ).eval()  # fmt: skip
    state = {
        "embed.W_E": parameters["decoder.embedding"],
        "pos_embed.W_pos": parameters["decoder.positions"],
        "unembed.W_U": parameters["decoder.embedding"].T,
        "unembed.b_U": np.zeros(config.vocabulary, np.float32),
        **_norm(parameters, "decoder.norm", "ln_final"),
    }
    for i in range(config.decoder_layers):
        attention, onward = f"decoder.{i}.self_attention", f"decoder.{i}.feed_forward"
        place = f"blocks.{i}"
        for letter in "qkv":
            w, b = (parameters[f"{attention}.{kind}_{letter}"] for kind in "wb")
            split = w.reshape(-1, heads, size).transpose(1, 0, 2)
            state[f"{place}.attn.W_{letter.upper()}"] = split
            state[f"{place}.attn.b_{letter.upper()}"] = b.reshape(heads, size)
        state[f"{place}.attn.W_O"] = parameters[f"{attention}.w_o"].reshape(heads, size, -1)
        state[f"{place}.attn.b_O"] = parameters[f"{attention}.b_o"]
        for way in ("in", "out"):
            for kind in "wb":
                name = f"{place}.mlp.{kind.upper() if kind == 'w' else kind}_{way}"
                state[name] = parameters[f"{onward}.{kind}_{way}"]
        state |= _norm(parameters, f"{attention}.norm", f"{place}.ln1")
        state |= _norm(parameters, f"{onward}.norm", f"{place}.ln2")
    tensors = {name: torch.from_numpy(array.copy()) for name, array in state.items()}
    left_out, unknown = model.load_state_dict(tensors, strict=False)
    assert not unknown and all(name.endswith(("mask", "IGNORE")) for name in left_out), left_out
    return model


def _norm(parameters: Any, own: str, theirs: str) -> dict[str, Any]:
    return {f"{theirs}.w": parameters[f"{own}.gain"], f"{theirs}.b": parameters[f"{own}.bias"]}
