"""Which values and combinations a configuration may have: the words of each, and the rules."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

from .config_fields import Rule, fields_of
from .config_rotary import LongropeScaling, YarnScaling

MODELS = ("encoder-decoder", "decoder-only", "encoder-only")
NORMS = ("layer", "rms")
NORM_PLACES = ("post", "pre")
POSITIONS = ("sinusoidal", "learned", "rotary", "alibi", "relative")
ROTARY_LAYOUTS = ("half", "interleaved")
ACTIVATIONS = ("relu", "gelu", "gelu_tanh", "silu")
DTYPES = ("float64", "float32")

SUBLAYERS = (
    "encoder.self_attention",
    "encoder.feed_forward",
    "decoder.self_attention",
    "decoder.cross_attention",
    "decoder.feed_forward",
)
ATTENTIONS = tuple(name for name in SUBLAYERS if name.endswith("attention"))
BIASES = ("b_q", "b_k", "b_v", "b_o", "b_in", "b_gate", "b_out", "norm.bias", "output.b")


# The table of allowed combinations, beside what a field itself says (`only`): what is not refused
# is allowed.
COMBINATIONS: tuple[Rule, ...] = (
    Rule(
        lambda c: (
            (c.encoder_layers > 0) == ("encoder" in c.sides)
            and (c.decoder_layers > 0) == ("decoder" in c.sides)
        ),
        lambda c: (
            f"model {c.model!r} with encoder_layers {c.encoder_layers} and decoder_layers "
            f"{c.decoder_layers}; give layers to {' and '.join(c.sides)} and to nothing else"
        ),
    ),
    Rule(
        lambda c: c.heads % c.kv_heads == 0,
        lambda c: f"heads {c.heads} is not a multiple of key_value_heads {c.kv_heads}",
    ),
    Rule(
        lambda c: c.key_value_latent is None or c.kv_heads == c.heads,
        lambda c: (
            f"key_value_heads {c.kv_heads} with key_value_latent {c.key_value_latent}; every one "
            f"of the {c.heads} heads makes keys and values of its own from the latent"
        ),
    ),
    Rule(
        lambda c: c.query_key_norm_place == "before" or c.query_key_norm is not None,
        lambda c: (
            f"query_key_norm_place {c.query_key_norm_place!r} with query_key_norm None; there is "
            "no norm to come after the rotation"
        ),
    ),
    Rule(
        lambda c: c.key_width is not None or c.width % c.heads == 0,
        lambda c: f"width {c.width} is not a multiple of heads {c.heads}; give key_width",
    ),
    Rule(
        lambda c: c.positions != "sinusoidal" or c.width % 2 == 0,
        lambda c: f"sinusoidal positions pair the components, and width {c.width} is odd",
    ),
    Rule(
        lambda c: (c.positions == "learned") == (c.position_limit is not None),
        lambda c: (
            f"position_limit {c.position_limit} with positions {c.positions!r}; learned "
            "positions, and only they, have a limit"
        ),
    ),
    Rule(
        lambda c: c.rotated % 2 == 0 and (c.rotated <= c.d_k or c.key_value_latent is not None),
        lambda c: f"rotary width {c.rotated} with d_k {c.d_k}; it is even and at most d_k",
    ),
    Rule(
        lambda c: (
            not isinstance(c.rotary_scaling, LongropeScaling)
            or len(c.rotary_scaling.short) == c.rotated // 2
        ),
        lambda c: (
            f"rotary_scaling has {len(c.rotary_scaling.short)} numbers in short and long, and "
            f"{c.rotated} components are rotated; there is one a pair"
        ),
    ),
    Rule(
        lambda c: not isinstance(c.rotary_scaling, YarnScaling) or c.position_base > 1.0,
        lambda c: f"position_base {c.position_base:g} with yarn; the ramp needs one above 1",
    ),
    Rule(
        lambda c: all(
            c.has_output_projection(name) or c.heads * c.d_v == c.width
            for name in ATTENTIONS
            if name.split(".")[0] in c.sides
        ),
        lambda c: (
            f"without output projection heads * d_v = {c.heads * c.d_v} must be the width {c.width}"
        ),
    ),
)

BY_LAYER = {"rotary", "alibi", "relative", None}  # positions that act within a layer
# What a list of values by layer has to meet beside the rules of each of its layers.
LISTS: tuple[Rule, ...] = (
    Rule(
        lambda c: (
            "relative" not in c.values_of("positions")
            or (c.key_value_latent is None and c.relative_distance > c.relative_buckets // 2)
        ),
        lambda c: (
            f"positions 'relative' with key_value_latent {c.key_value_latent}, relative_buckets "
            f"{c.relative_buckets} and relative_distance {c.relative_distance}; they are for heads "
            "with keys of their own, and the distance is beyond the buckets of one distance each"
        ),
    ),
    Rule(
        lambda c: c.values_of("chunk") == (None,) or c.values_of("window") == (None,),
        lambda c: f"window {c.window} and chunk {c.chunk}; layers have windows or chunks, not both",
    ),
    Rule(
        lambda c: c.query_growth_rate == 0.1 or c.values_of("query_growth") != (None,),
        lambda c: f"query_growth_rate {c.query_growth_rate:g} without query_growth; give both",
    ),
    Rule(
        lambda c: not isinstance(c.positions, tuple) or {*c.positions} <= BY_LAYER,
        lambda c: (
            f"positions {list(c.positions)} differ by layer, and what is added to the embeddings "
            "does not; in a list they are 'rotary', 'alibi', 'relative' or null"
        ),
    ),
    Rule(
        lambda c: c.key_value_latent is None or not isinstance(c.positions, tuple),
        lambda c: (
            f"positions {list(c.positions)} with key_value_latent {c.key_value_latent}; keys from "
            "latents are alike in every layer"
        ),
    ),
    Rule(
        lambda c: not isinstance(c.position_base, tuple) or "rotary" in c.values_of("positions"),
        lambda c: (
            f"position_base {list(c.position_base)} by layer with positions {c.positions!r}; only "
            "rotary positions have a base of each layer"
        ),
    ),
)


def views(config: Any) -> tuple[Any, ...]:
    """A configuration for each layer that may differ, in order; the configuration itself where
    none does. What is only for a mechanism that a layer has not has its default there.

    They repeat from the first. Equal ones are one object.
    """
    fields = fields_of(type(config))
    own = vars(config)
    lists = {n: own[n] for n in fields if fields[n].layers and isinstance(own.get(n), tuple)}
    if not lists:
        return (config,)
    found: dict[tuple[Any, ...], Any] = {}
    every = []
    period = math.lcm(*(len(values) for values in lists.values()))
    for i in range(min(config.depth, period)):
        key = tuple(values[i % len(values)] for values in lists.values())
        if key not in found:
            found[key] = view = object.__new__(type(config))
            vars(view).update({name: own[name] for name in fields if name in own})
            vars(view).update(zip(lists, key, strict=True))
            for name, field in fields.items():
                if field.only is not None and field.only[0] in lists:
                    other, values = field.only
                    got = getattr(view, other)
                    if not (got in values if values else got is not None):
                        vars(view)[name] = field.default
        every.append(found[key])
    return tuple(every)


def in_every_layer(rules: Iterable[Rule]) -> Iterator[Rule]:
    """The rules, held by the configuration of each layer."""

    def over_layers(rule: Rule) -> Rule:
        def message(config: Any) -> str:
            every = views(config)
            i = next(i for i, view in enumerate(every) if not rule.holds(view))
            return ("" if len(every) == 1 else f"in layer {i}: ") + rule.message(every[i])

        return Rule(lambda config: all(map(rule.holds, views(config))), message)

    return map(over_layers, rules)


def as_set(places: tuple[str, ...] | bool) -> frozenset[str]:
    if isinstance(places, bool):
        return frozenset((*SUBLAYERS, *BIASES)) if places else frozenset()
    return frozenset(places)


def padding_limit(config: Any, side: str) -> float:
    """The largest content that stays under padding; what is larger counts as 0.

    It reaches no real token, but what overflows on its way through the layers would turn
    0 * inf into NaN in the backward pass. What stays can be squared thrice, and once more in
    each gated feed-forward whose input no norm brings back to its scale. At least 4.
    """
    place = f"{side}.feed_forward", f"{side}.self_attention"
    normed = config.has_norm(place[0]) or (
        config.norm_place == "post" and config.has_norm(place[1])
    )
    squared = 3 + (config.layers(side) if config.gated and not normed else 0)
    powers = 1024 if config.dtype == "float64" else 128
    return float(2.0 ** max(2.0, powers / 2.0**squared))
