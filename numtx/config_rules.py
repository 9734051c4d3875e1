"""Which values and combinations a configuration may have: one table of choices, one of rules."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from .errors import ConfigError, nearest

if TYPE_CHECKING:
    from .config import Config

MODELS = ("encoder-decoder", "decoder-only", "encoder-only")
NORMS = ("layer", "rms")
NORM_PLACES = ("post", "pre")
POSITIONS = ("sinusoidal", "learned", "rotary")
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


class Rule(NamedTuple):
    """A condition that every configuration meets, and what to say of one that does not."""

    holds: Callable[[Config], bool]
    message: Callable[[Config], str]


# The table of allowed combinations: what is not refused here is allowed.
RULES: tuple[Rule, ...] = (
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
        lambda c: c.query_latent is None or c.key_value_latent is not None,
        lambda c: f"query_latent {c.query_latent} needs key_value_latent, and it is None",
    ),
    Rule(
        lambda c: c.key_width is not None or c.width % c.heads == 0,
        lambda c: f"width {c.width} is not a multiple of heads {c.heads}; give key_width",
    ),
    Rule(
        lambda c: c.source_vocabulary is None or c.model == "encoder-decoder",
        lambda c: f"source_vocabulary is for the encoder-decoder; the model is {c.model!r}",
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
        lambda c: c.position_offset == 0 or c.positions == "learned",
        lambda c: f"position_offset is for learned positions; positions are {c.positions!r}",
    ),
    Rule(
        lambda c: c.rotary_width is None or c.positions == "rotary",
        lambda c: f"rotary_width is for rotary positions; positions are {c.positions!r}",
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
    Rule(
        lambda c: 0.0 <= c.label_smoothing < 1.0,
        lambda c: f"label_smoothing is {c.label_smoothing}; it is at least 0 and below 1",
    ),
    Rule(
        lambda c: not c.embedding_norm or c.norm is not None,
        lambda c: "embedding_norm needs a norm, and norm is None",
    ),
)


PLACES: dict[str, tuple[str, ...]] = {
    "norm_at": SUBLAYERS,
    "residual_at": SUBLAYERS,
    "output_projection_at": ATTENTIONS,
    "biases": BIASES,
}

_CHOICES: dict[str, tuple[str | None, ...]] = {
    "model": MODELS,
    "norm": (*NORMS, None),
    "norm_place": NORM_PLACES,
    "positions": (*POSITIONS, None),
    "rotary_layout": ROTARY_LAYOUTS,
    "activation": ACTIVATIONS,
    "dtype": DTYPES,
}

_LEAST: dict[str, int] = {
    "width": 1, "encoder_layers": 0, "decoder_layers": 0, "heads": 1, "key_value_heads": 1,
    "key_width": 1, "value_width": 1, "hidden": 1, "vocabulary": 1, "source_vocabulary": 1,
    "window": 1, "position_limit": 1, "position_offset": 0, "rotary_width": 2, "segments": 0,
    "key_value_latent": 1, "query_latent": 1,
}  # fmt: skip

_OPTIONAL = {
    "key_value_heads", "key_width", "value_width", "source_vocabulary", "score_scale", "window",
    "position_limit", "rotary_width", "key_value_latent", "query_latent",
}  # fmt: skip

# Numbers that may not be zero or below; the other floats may be any finite number.
_POSITIVE = {"position_base"}
_NOT_NEGATIVE = {"epsilon"}


def check_field(name: str, value: Any) -> None:
    if value is None and name in _OPTIONAL:
        return
    if name in _CHOICES:
        if value not in _CHOICES[name]:
            choices = ", ".join("null" if c is None else repr(c) for c in _CHOICES[name])
            raise ConfigError(f"config: {name} is {value!r}; it is one of {choices}")
    elif name in _LEAST:
        if type(value) is not int or value < _LEAST[name]:
            raise ConfigError(
                f"config: {name} is {value!r}; it is a whole number of at least {_LEAST[name]}"
            )
    elif name in ("causal", "embedding_norm", "gated", "tied_output"):
        if type(value) is not bool:
            raise ConfigError(f"config: {name} is {value!r}; it is true or false")
    elif name not in PLACES:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not abs(value) <= sys.float_info.max:  # holds for no NaN, no huge int
            raise ConfigError(f"config: {name} is {value!r}; it is a finite number")
        if (name in _POSITIVE and value <= 0) or (name in _NOT_NEGATIVE and value < 0):
            least = "above 0" if name in _POSITIVE else "0 or above"
            raise ConfigError(f"config: {name} is {value!r}; it is {least}")


def canonical_places(name: str, value: Any, known: tuple[str, ...]) -> tuple[str, ...] | bool:
    """True and False stay (all, none); a list is checked and put into the canonical order."""
    if isinstance(value, bool):
        return value
    if not isinstance(value, tuple | list):
        raise ConfigError(f"config: {name} is {value!r}; it is true, false or a list of names")
    for item in value:
        if item not in known:
            raise ConfigError(f"config: {name} names {item!r}; {nearest(str(item), known)}")
    return tuple(item for item in known if item in value)


def as_set(places: tuple[str, ...] | bool) -> frozenset[str]:
    if isinstance(places, bool):
        return frozenset((*SUBLAYERS, *BIASES)) if places else frozenset()
    return frozenset(places)
