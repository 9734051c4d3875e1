"""Which values and combinations a configuration may have: the words of each, and the rules."""

from __future__ import annotations

from .config_fields import Rule

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


def as_set(places: tuple[str, ...] | bool) -> frozenset[str]:
    if isinstance(places, bool):
        return frozenset((*SUBLAYERS, *BIASES)) if places else frozenset()
    return frozenset(places)
