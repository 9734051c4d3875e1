"""Fields of a config.json of transformers, and the fields of numtx that say the same."""

from __future__ import annotations

import json
from typing import Any, Final

from ..config import Config
from ..errors import NumtxError
from ..families import LAYOUTS
from ..fields.field import fields_of, plain
from ..layouts.rules import rotary

# Of fields that say something together, as rules of the layouts read them.
TOGETHER: Final = {
    "rotary_scaling": "rope_scaling rope_parameters original_max_position_embeddings",
    "position_base": "rope_theta rotary_emb_base rope_local_base_freq global_rope_theta "
    "local_rope_theta",
    "rotary_width": "partial_rotary_factor rotary_pct qk_head_dim",
    "positions": "no_rope_layers no_rope_layer_interval",
    "position_offset": "pad_token_id",
    "position_limit": "image_size patch_size",
    "pooler": "pooler_output_size",
    "window": "sliding_window layer_types sliding_window_pattern _sliding_window_pattern "
    "use_sliding_window max_window_layers local_attention global_attn_every_n_layers "
    "_global_attn_every_n_layers",
    "biases": "qkv_bias attention_bias mlp_bias use_bias norm_bias decoder_bias classifier_bias",
    "experts": "decoder_sparse_step mlp_only_layers first_k_dense_replace",
    "router": "n_group topk_group topk_method norm_topk_prob routed_scaling_factor",
    "hidden": "n_inner",
    "activation": "feed_forward_proj dense_act_fn",
    "gated": "is_gated_act",
    "head": "architectures",
    "head_activation": "classifier_activation",
    "score_scale": "query_pre_attn_scalar scale_attn_weights",
    "output_scale": "logits_scaling scale_decoder_outputs",
    "embedding_scale": "scale_embedding",
    "decoder_layers": "num_decoder_layers",
    "source_vocabulary": "decoder_vocab_size share_encoder_decoder_embeddings",
}
OURS: Final = {theirs: ours for ours, names in TOGETHER.items() for theirs in names.split()}


def ours_for(name: str) -> str:
    """The field of numtx for theirs; empty where no family has it."""
    keys = (layout.keys[name].ours for layout in LAYOUTS.values() if name in layout.keys)
    return next(keys, OURS.get(name, ""))


def foreign(fields: Any) -> str:
    """What to write for the first field that is transformers'; empty where there is none."""
    if not isinstance(fields, dict):
        return ""
    theirs = [name for name in fields if name not in fields_of(Config)]
    if isinstance(fields.get("model_type"), str):
        return "is a config.json of transformers: --model DIR reads the folder that it is in"
    for name in theirs:
        ours = ours_for(name)
        if ours:
            value = _value(name, ours, fields[name])
            return (
                f"{name!r} is a field of transformers; numtx calls it {ours!r}{value} (--model DIR "
                "reads a folder with config.json as it is)"
            )
    return ""


def _value(name: str, ours: str, value: Any) -> str:
    """The same value under our name, where it can be said alone, or what it lacks."""
    found: dict[str, Any] = {}
    keys = [layout.keys[name] for layout in LAYOUTS.values() if name in layout.keys]
    try:
        if keys:
            found[ours] = keys[0].read(name, value)
        elif ours == "rotary_scaling":
            rotary().read({name: value}, found)
    except NumtxError as error:
        return f" ({error})"
    if found.get(ours) is None:
        return ""
    return ", here " + json.dumps({ours: found[ours]}, default=plain, ensure_ascii=False)[1:-1]
