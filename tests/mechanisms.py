"""Every mechanism of a model and its input, in words: how a draw is told to have it, and how to
see that it does."""

from __future__ import annotations

from typing import Any

from numtx import Batch, Config
from numtx.config.experts import PLAIN_ROUTERS
from numtx.config.output import ACTIVATIONS, DTYPES
from numtx.config.positions import POSITIONS
from numtx.config.rotary import PLAIN_SCALINGS
from numtx.config.wiring import ATTENTIONS, MODELS, NORMS
from numtx.ops.loss import IGNORED

Fields = dict[str, Any]
LATENT: Fields = {"key_value_latent": 3, "key_value_heads": None}
NO_LATENT: Fields = {"key_value_latent": None, "query_latent": None}
NORMED: Fields = {"norm": "layer", "norm_at": True}
DECODER: Fields = {"model": "decoder-only"}
ENCODER: Fields = {"model": "encoder-only"}
BOTH: Fields = {"model": "encoder-decoder"}
ROTARY: Fields = {"positions": "rotary"}

# name: what is fixed of the configuration, and of the batch; all else is drawn.
MECHANISMS: dict[str, tuple[Fields, Fields]] = {
    **{model: ({"model": model}, {}) for model in MODELS},
    **{f"norm {norm}": ({"norm": norm}, {}) for norm in (*NORMS, None)},
    **{f"positions {kind}": ({"positions": kind}, {}) for kind in (*POSITIONS, None)},
    **{activation: ({"activation": activation}, {}) for activation in ACTIVATIONS},
    **{dtype: ({"dtype": dtype}, {}) for dtype in DTYPES},
    "grouped heads": ({"heads": 4, "key_value_heads": 2, **NO_LATENT}, {}),
    "multi-query": ({"heads": 4, "key_value_heads": 1, **NO_LATENT}, {}),
    "heads as many as key/value heads": ({"heads": 2, "key_value_heads": None}, {}),
    "d_k != d_v": ({"output_projection_at": True, "key_width": 6, "value_width": 3}, {}),
    "d_k of its own": ({"key_width": 6}, {}),
    "latent": (LATENT, {}),
    "latent of the queries too": ({**LATENT, "query_latent": 5}, {}),
    "latents through a norm": ({**LATENT, "query_latent": 5, "latent_norm": True}, {}),
    "latent, rotary": ({**LATENT, **ROTARY}, {}),
    "queries and keys as they are": ({"query_key_norm": None}, {}),
    "normed queries and keys": ({"query_key_norm": "head", **NO_LATENT}, {}),
    "normed projections": ({"query_key_norm": "projection", **NO_LATENT}, {}),
    "normed without a gain": (
        {"query_key_norm": "head", "query_key_gain": False, **NO_LATENT}, {},
    ),
    "normed before the rotation": (
        {"query_key_norm": "head", "query_key_norm_place": "before", **ROTARY, **NO_LATENT}, {},
    ),
    "normed after the rotation": (
        {"query_key_norm_place": "after", "query_key_norm": "head", **ROTARY, **NO_LATENT}, {},
    ),
    "projections normed after the rotation": (
        {"query_key_norm_place": "after", "query_key_norm": "projection", **ROTARY, **NO_LATENT},
        {},
    ),
    "score scale": ({"score_scale": 0.3}, {}),
    "score cap": ({"score_cap": 0.5}, {}),
    "score cap, slopes": ({"score_cap": 0.5, "positions": "alibi"}, {}),
    "sinks": ({"sinks": True}, {}),
    "sinks over latents": ({"sinks": True, **LATENT}, {}),
    "sinks, a query without keys": (
        {**DECODER, "causal": True, "sinks": True}, {"padding": ("none", "left")},
    ),
    "logit cap": ({"logit_cap": 2.0}, {"labels": True}),
    "linear head": ({"head": "linear"}, {}),
    "no head": ({**ENCODER, "head": None}, {}),
    "pooler without a head": ({**ENCODER, "head": None, "pooler": True}, {}),
    "pooler": ({**ENCODER, "pooler": True}, {"padding": ("left", "right")}),
    "masked-language-model head": ({"head": "masked-language-model", **ENCODER}, {}),
    **{
        f"masked-language-model head, {activation}": (
            {"head": "masked-language-model", "head_activation": activation, **ENCODER}, {},
        )
        for activation in (*ACTIVATIONS, None)
    },
    "a layer beneath": ({**DECODER, "decoder_layers": 2}, {}),
    "source vocabulary": ({**BOTH, "source_vocabulary": 13}, {}),
    "tied output, shared embedding": ({**BOTH, "source_vocabulary": None, "tied_output": True}, {}),
    "tied output, own embedding": ({**BOTH, "source_vocabulary": 13, "tied_output": True}, {}),
    "untied output": ({"tied_output": False}, {}),
    "pre-norm": ({**NORMED, "norm_place": "pre"}, {}),
    "post-norm": ({**NORMED, "norm_place": "post"}, {}),
    "norms before and after": ({**NORMED, "norm_place": "both"}, {}),
    "one after another": ({"parallel": None}, {}),
    "side by side on one norm": (
        {**NORMED, **DECODER, "norm_place": "pre", "parallel": "one", "residual_at": True}, {},
    ),
    "side by side on two norms": (
        {**NORMED, "model": "encoder-only", "norm_place": "pre", "parallel": "two",
         "residual_at": True}, {},
    ),
    "gains less 1": ({**NORMED, "gain_offset": 1}, {}),
    "gains less 1 of queries and keys": (
        {"query_key_norm": "head", "query_key_gain": True, "gain_offset": 1, **NO_LATENT}, {},
    ),
    "a part of what sublayers make is added": ({"residual_scale": 0.5, "residual_at": True}, {}),
    "norm in some layers": (
        {**DECODER, "norm": "layer", "decoder_layers": 2, "norm_at": (False, True)}, {},
    ),
    "widths of several layers": ({**DECODER, "decoder_layers": 2, "hidden": (7, 5)}, {}),
    "norm within the residual": ({**NORMED, "norm_place": "inner", "residual_at": True}, {}),
    "embedding norm": ({"norm": "layer", "embedding_norm": True}, {}),
    "norm in some sublayers": ({**NORMED, **DECODER, "norm_at": ("decoder.self_attention",)}, {}),
    "residual in some sublayers": ({**DECODER, "residual_at": ("decoder.feed_forward",)}, {}),
    "residual nowhere": ({"residual_at": False}, {}),
    "W_O in some sublayers": ({**BOTH, "output_projection_at": ("encoder.self_attention",)}, {}),
    "W_O nowhere": ({"output_projection_at": False}, {}),
    "some biases": ({"biases": ("b_q", "b_in")}, {}),
    "no bias": ({"biases": False}, {}),
    "window": ({"window": 3}, {}),
    "window of itself": ({"window": 1}, {}),
    "decoder not causal": ({**DECODER, "causal": False}, {}),
    "rotary, half": ({**ROTARY, "rotary_layout": "half"}, {}),
    "rotary, interleaved": ({**ROTARY, "rotary_layout": "interleaved"}, {}),
    "rotary, a part of d_k": ({**ROTARY, **NO_LATENT, "key_width": 4, "rotary_width": 2}, {}),
    **{
        f"angles scaled, {scaling.kind}": ({**ROTARY, "rotary_scaling": scaling}, {})
        for scaling in PLAIN_SCALINGS
    },
    "angles scaled in some layers": (
        {**ROTARY, **DECODER, "decoder_layers": 2, "rotary_scaling": (None, PLAIN_SCALINGS[0])}, {},
    ),
    "window in some layers": ({**DECODER, "decoder_layers": 2, "window": (2, None)}, {}),
    "few buckets of distances": (
        {**NO_LATENT, "positions": "relative", "relative_buckets": 4, "relative_distance": 9}, {},
    ),
    "chunks": ({"window": None, "chunk": 2}, {}),
    "growing queries": ({"query_growth": 2, "query_growth_rate": 0.5, **NO_LATENT}, {}),
    "positions in some layers": (
        {**DECODER, **NO_LATENT, "decoder_layers": 2, "positions": ("rotary", None)}, {},
    ),
    "sines and cosines in turn": (
        {"positions": "sinusoidal", "sinusoidal_layout": "interleaved"}, {},
    ),
    "sines before cosines": ({"positions": "sinusoidal", "sinusoidal_layout": "half"}, {}),
    "learned with an offset": ({"positions": "learned", "position_offset": 2}, {}),
    "another epsilon": ({**NORMED, "epsilon": 1e-3}, {}),
    "label smoothing": ({"label_smoothing": 0.1}, {"labels": True}),
    "mean of the losses": ({"loss_reduction": "mean"}, {"labels": True}),
    "sum of the losses": ({"loss_reduction": "sum"}, {"labels": True}),
    "another position base": ({"position_base": 100.0}, {}),
    "positions given": ({}, {"positions": True}),
    "embedding scale": ({"embedding_scale": 2.5}, {}),
    "output scale": ({"output_scale": 0.5}, {}),
    "segments": ({"segments": 2}, {"segments": True}),
    "gated": ({"gated": True}, {}),
    **{
        f"experts, {router.kind}": ({"experts": 4, "experts_chosen": 2, "router": router}, {})
        for router in PLAIN_ROUTERS
    },
    "experts in some layers": ({**DECODER, "decoder_layers": 2, "experts": (None, 4)}, {}),
    "experts of a width of their own": ({"experts": 4, "expert_hidden": 5}, {}),
    "shared experts": ({"experts": 4, "shared_experts": 2}, {}),
    "shared experts of a width of their own": (
        {"experts": 4, "shared_experts": 1, "shared_hidden": 3}, {},
    ),
    "gate with a limit": ({"gated": True, "gate_limit": 0.5}, {}),
    "gate with a shift": ({"gated": True, "gate_shift": 1.0}, {}),
    "documents in a row": ({}, {"documents": True}),
    "padding left": ({}, {"padding": ("left", "none")}),
    "padding right": ({}, {"padding": ("none", "right")}),
    "padding on both sides": ({}, {"padding": ("right", "left")}),
    "no padding": ({}, {"padding": ("none", "none")}),
    "a fully masked row": ({**DECODER, "causal": True}, {"padding": ("none", "left")}),
    "repeated ids": ({}, {"repeats": True}),
    "ignored labels": ({}, {"labels": True, "ignored": True}),
    "labels at padding": (
        {}, {"labels": True, "padding": ("left", "right"), "padded_labels": True, "ignored": False},
    ),
}  # fmt: skip


def mechanisms(config: Config, batch: Batch) -> dict[str, bool]:
    """For every mechanism, in words, whether a model and its input have it."""
    return _of_model(config) | _of_input(config, batch)


def _of_model(config: Config) -> dict[str, bool]:
    norms = config.norm is not None and any(
        config.has_norm(f"{side}.{name}")
        for side in config.sides
        for name in config.sublayers(side)
    )
    places = {f"{side}.{name}" for side in config.sides for name in config.sublayers(side)}
    return {
        **{model: config.model == model for model in MODELS},
        **{f"norm {norm}": config.norm == norm for norm in (*NORMS, None)},
        **{f"positions {kind}": config.positions == kind for kind in (*POSITIONS, None)},
        **{activation: config.activation == activation for activation in ACTIVATIONS},
        **{dtype: config.dtype == dtype for dtype in DTYPES},
        "grouped heads": 1 < config.kv_heads < config.heads,
        "multi-query": config.kv_heads == 1 < config.heads,
        "heads as many as key/value heads": config.kv_heads == config.heads > 1,
        "d_k != d_v": config.d_k != config.d_v,
        "d_k of its own": config.heads * config.d_k != config.width,
        "latent": config.key_value_latent is not None,
        "latent of the queries too": config.query_latent is not None,
        "latents through a norm": config.latent_norm and config.query_latent is not None,
        "latent, rotary": config.key_value_latent is not None and config.rotated > 0,
        "a layer beneath": max(config.encoder_layers, config.decoder_layers) > 1,
        "source vocabulary": config.source_vocabulary is not None,
        "tied output, shared embedding": config.tied_output and config.shared_embedding,
        "tied output, own embedding": config.tied_output and not config.shared_embedding,
        "untied output": not config.tied_output,
        "pre-norm": norms and config.norm_place == "pre",
        "post-norm": norms and config.norm_place == "post",
        "norms before and after": norms and config.norm_place == "both",
        "one after another": config.parallel is None,
        "side by side on one norm": config.parallel == "one",
        "side by side on two norms": config.parallel == "two",
        "gains less 1": config.gain_offset == 1,
        "gains less 1 of queries and keys": config.gain_offset == 1
        and config.query_key_norm is not None
        and config.query_key_gain,
        "a part of what sublayers make is added": config.residual_scale != 1.0,
        "norm in some layers": len(config.values_of("norm_at")) > 1,
        "widths of several layers": len(config.values_of("hidden")) > 1,
        "norm within the residual": norms and config.norm_place == "inner",
        "embedding norm": config.embedding_norm,
        "norm in some sublayers": norms and not all(map(config.has_norm, places)),
        "residual in some sublayers": 0 < sum(map(config.has_residual, places)) < len(places),
        "residual nowhere": not any(map(config.has_residual, places)),
        "W_O in some sublayers": 0
        < sum(config.has_output_projection(name) for name in places & set(ATTENTIONS))
        < len(places & set(ATTENTIONS)),
        "W_O nowhere": not any(config.has_output_projection(n) for n in places & set(ATTENTIONS)),
        "some biases": isinstance(config.biases, tuple) and len(config.biases) > 0,
        "no bias": config.biases is False,
        "another epsilon": norms and config.epsilon != 1e-5,
        **_of_head(config),
        **_of_attention(config),
    }


def _of_head(config: Config) -> dict[str, bool]:
    return {
        "linear head": config.head == "linear",
        "no head": config.head is None,
        "pooler without a head": config.head is None and config.pooler,
        "pooler": config.pooler,
        "masked-language-model head": config.head == "masked-language-model",
        **{
            f"masked-language-model head, {activation}": config.head_activation == activation
            and config.head == "masked-language-model"
            for activation in (*ACTIVATIONS, None)
        },
    }


def _of_attention(config: Config) -> dict[str, bool]:
    return {
        "window": config.window is not None,
        "window of itself": config.window == 1,
        "decoder not causal": config.decoder_layers > 0 and not config.causal,
        "rotary, half": config.positions == "rotary" and config.rotary_layout == "half",
        "rotary, interleaved": config.rotated > 0 and config.rotary_layout == "interleaved",
        "rotary, a part of d_k": 0 < config.rotated < config.d_k
        and config.key_value_latent is None,
        **{
            f"angles scaled, {scaling.kind}": isinstance(config.rotary_scaling, type(scaling))
            for scaling in PLAIN_SCALINGS
        },
        "angles scaled in some layers": isinstance(config.rotary_scaling, tuple),
        "few buckets of distances": config.relative_buckets < 32,
        "chunks": config.chunk is not None,
        "growing queries": config.query_growth is not None,
        "window in some layers": isinstance(config.window, tuple),
        "positions in some layers": isinstance(config.positions, tuple),
        "sines and cosines in turn": config.positions == "sinusoidal"
        and config.sinusoidal_layout == "interleaved",
        "sines before cosines": config.sinusoidal_layout == "half",
        "learned with an offset": config.position_offset > 0,
        "another position base": config.position_base != 10000.0,
        "embedding scale": config.embedding_scale != 1.0,
        "output scale": config.output_scale != 1.0,
        "gated": config.gated,
        **_of_experts(config),
        "gate with a limit": config.gate_limit is not None,
        "gate with a shift": config.gate_shift != 0.0,
        "queries and keys as they are": config.query_key_norm is None,
        "normed queries and keys": config.query_key_norm is not None,
        "normed projections": config.query_key_norm == "projection",
        "normed without a gain": not config.query_key_gain,
        "normed before the rotation": config.query_key_norm == "head"
        and config.query_key_norm_place == "before"
        and config.rotated > 0,
        "normed after the rotation": config.query_key_norm == "head"
        and config.query_key_norm_place == "after",
        "projections normed after the rotation": config.query_key_norm == "projection"
        and config.query_key_norm_place == "after",
        "score scale": config.score_scale is not None,
        "score cap": config.score_cap is not None,
        "score cap, slopes": config.score_cap is not None and config.positions == "alibi",
        "sinks": config.sinks,
        "sinks over latents": config.sinks and config.key_value_latent is not None,
        "logit cap": config.logit_cap is not None,
    }


def _of_experts(config: Config) -> dict[str, bool]:
    there = config.experts is not None
    return {
        **{
            f"experts, {router.kind}": there and isinstance(config.router, type(router))
            for router in PLAIN_ROUTERS
        },
        "experts in some layers": isinstance(config.experts, tuple),
        "experts of a width of their own": config.expert_hidden is not None,
        "shared experts": config.shared_experts is not None,
        "shared experts of a width of their own": config.shared_hidden is not None,
    }


def given(batch: Batch, name: str) -> bool:
    """Whether a field is given for one side at least."""
    return any(getattr(batch, prefix + name) is not None for prefix in ("", "decoder_"))


def _of_input(config: Config, batch: Batch) -> dict[str, bool]:
    masks = [m for m in (batch.mask, batch.decoder_mask) if m is not None]
    ids = [i for i in (batch.ids, batch.decoder_ids) if i is not None]
    valid = batch.mask if config.model != "encoder-decoder" else batch.decoder_mask
    return {
        "label smoothing": batch.labels is not None and config.label_smoothing > 0.0,
        "mean of the losses": batch.labels is not None and config.loss_reduction == "mean",
        "sum of the losses": batch.labels is not None and config.loss_reduction == "sum",
        "positions given": given(batch, "positions"),
        "segments": given(batch, "segments"),
        "documents in a row": given(batch, "documents"),
        "padding left": any((~m[:, 0]).any() for m in masks),
        "padding right": any((~m[:, -1]).any() for m in masks),
        "padding on both sides": any((~m[:, 0]).any() and (~m[:, -1]).any() for m in masks),
        "no padding": not masks,
        "a fully masked row": bool(config.decoder_layers)
        and config.causal
        and valid is not None
        and bool((~valid[:, 0]).any()),
        "sinks, a query without keys": bool(config.decoder_layers)
        and config.sinks
        and config.causal
        and valid is not None
        and bool((~valid[:, 0]).any()),
        "repeated ids": any(len(set(row)) < len(row) for i in ids for row in i.tolist()),
        "ignored labels": batch.labels is not None and bool((batch.labels == IGNORED).any()),
        "labels at padding": batch.labels is not None
        and valid is not None
        and bool((batch.labels[~valid] != IGNORED).any()),
    }
