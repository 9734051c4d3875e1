"""What a model is: a frozen, validated configuration that names mechanisms, never products.

Every field is declared once, in `Config`, with the mechanism that it is only for; which other
combinations are allowed stands in one table (`COMBINATIONS`). A configuration in JSON is an
object of the same names.

Layers may differ: a field that says so takes a list too, one value a layer, which repeats where
the layers are more. `Config.layer` is the configuration of one of them, without lists.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Final

from .config_fields import (
    choice,
    configuration,
    fields_of,
    flag,
    from_names,
    number,
    places,
    plain,
    record,
    rules_of,
    whole,
)
from .config_rotary import PLAIN_SCALINGS, SCALINGS, Scaling, YarnScaling
from .config_rules import (
    ACTIVATIONS,
    ATTENTIONS,
    BIASES,
    COMBINATIONS,
    DTYPES,
    LISTS,
    MODELS,
    NORM_PLACES,
    NORMS,
    POSITIONS,
    ROTARY_LAYOUTS,
    SUBLAYERS,
    as_set,
    in_every_layer,
    views,
)
from .errors import ConfigError
from .small_repr import small_repr
from .strict_json import read_json

OUTPUT: Final = "Embedding, feed-forward, output"


@small_repr()
@configuration
class Config:
    """One Transformer.

    {fields}

    Raises `ConfigError` for a value or a combination that names no model.
    """

    if TYPE_CHECKING:  # so that checkers take it for the dataclass that it is
        __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]

    # fmt: off
    model: str = choice(
        "Sizes", "encoder-decoder, decoder-only or encoder-only", MODELS,
        default="encoder-decoder")
    width: int = whole("Sizes", "d_model, the width of every token's vector", (8,))
    encoder_layers: int = whole(
        "Sizes", "blocks of the encoder (0 where there is none)", (0, 1, 2), least=0, default=0)
    decoder_layers: int = whole(
        "Sizes", "blocks of the decoder (0 where there is none)", (0, 1, 2), least=0, default=0)
    heads: int = whole("Sizes", "query heads, H", (1, 2, 3, 4), default=1)
    key_value_heads: int | None = whole(
        "Sizes", "key/value heads, G; None: as many as heads; 1: multi-query",
        (None, 1, 2, 3, 4), default=None)
    key_width: int | None = whole(
        "Sizes", "d_k per head; None: width / heads", (None, 2, 4, 6), default=None)
    value_width: int | None = whole(
        "Sizes", "d_v per head; None: as key_width", (None, 2, 3, 4, 5, 8), default=None)
    hidden: int = whole("Sizes", "width of the feed-forward layer", (7,))
    vocabulary: int = whole(
        "Sizes", "size of the vocabulary (of the target, where there are two)", (11,))
    source_vocabulary: int | None = whole(
        "Sizes", "size of the encoder's own vocabulary; None: one is shared",
        (None, 13), default=None, only=("model", ("encoder-decoder",)))

    norm: str | None = choice(
        "Wiring", "layer, rms or None", (*NORMS, None), default="layer")
    norm_place: str = choice(
        "Wiring", "post: norm(x + f(x)); pre: x + f(norm(x)), and a final norm", NORM_PLACES,
        default="post")
    epsilon: float = number(
        "Wiring", "added to the variance (layer) or the mean square (rms)", (1e-5, 1e-3),
        least=0, default=1e-5)
    norm_at: tuple[str, ...] | bool = places(
        "Wiring", "sublayers that have a norm: true, false or a list of SUBLAYERS", SUBLAYERS,
        default=True)
    residual_at: tuple[str, ...] | bool = places(
        "Wiring", "sublayers with a residual connection (the same form)", SUBLAYERS,
        default=True)
    output_projection_at: tuple[str, ...] | bool = places(
        "Wiring", "attention sublayers with W_O (the same form)", ATTENTIONS, default=True)
    biases: tuple[str, ...] | bool = places(
        "Wiring", "true, false or a list of BIASES, named as the parameters", BIASES,
        default=True)

    score_scale: float | None = number(
        "Attention", "factor on Q·K^T; None: 1 / sqrt(width of a query)", (None, 1.0, 0.3),
        default=None)
    score_cap: float | None = number(
        "Attention", "c: scaled scores become c * tanh(score / c), before bias and mask; None: "
        "they stay", (None, 2.0, (0.5, None)), above=0, default=None)
    sinks: bool = flag(
        "Attention", "a learned number of each query head stands in self-attention's softmax as "
        "one more score, without a value", default=False)
    query_key_norm: str | None = choice(
        "Attention", "queries and keys go through an RMS norm of their own: head by head, or the "
        "whole projection (all heads of a token) at once; None: they do not",
        ("head", "projection", None), default=None, only=("key_value_latent", (None,)))
    query_key_gain: bool = flag(
        "Attention", "this norm has a gain for each component of what it is taken over",
        default=True, only=("query_key_norm", ()))
    query_key_norm_place: str = choice(
        "Attention", "it stands before or after the rotation", ("before", "after"),
        default="before", only=("positions", ("rotary",)))
    key_value_latent: int | None = whole(
        "Attention", "r: self-attention makes keys and values of all heads from one vector of "
        "this width a token; None: from the token itself", (None, 3), default=None)
    query_latent: int | None = whole(
        "Attention", "the same for the queries, with a vector of its own", (None, 5),
        default=None, only=("key_value_latent", ()))
    latent_norm: bool = flag(
        "Attention", "both latents go through an RMS norm with a gain of their own", default=False,
        only=("key_value_latent", ()))
    causal: bool = flag(
        "Attention", "the decoder's self-attention sees no later token", default=True)
    window: int | None = whole(
        "Attention", "self-attention reaches this many tokens, itself included, to both sides "
        "where it is not causal; None: all", (None, 1, 2, 3, (2, None)), default=None)
    chunk: int | None = whole(
        "Attention", "self-attention stays within blocks of this many tokens, which do not see "
        "each other; None: it does not", (None, 2, (3, None)), default=None)
    query_growth: int | None = whole(
        "Attention", "queries grow with the position p, by 1 + query_growth_rate * "
        "ln(1 + floor((p + 1) / this)); None: they do not", (None, 2, (None, 3)), default=None,
        only=("key_value_latent", (None,)))
    query_growth_rate: float = number(
        "Attention", "how fast they grow", (0.1, 0.5), least=0, default=0.1)

    positions: str | None = choice(
        "Positions", "sinusoidal, learned, rotary, alibi (scores fall with the distance of a key, "
        "by a slope of each head), relative (a learned bias by distance, in buckets) or None",
        (*POSITIONS, None),
        default="sinusoidal", layers=(("rotary", None),))
    relative_buckets: int = whole(
        "Positions", "rows of the table of biases by distance", (32, 4, 6), least=4, default=32,
        only=("positions", ("relative",)))
    relative_distance: int = whole(
        "Positions", "the distance from which the last bucket serves", (128, 9), least=2,
        default=128, only=("positions", ("relative",)))
    position_base: float = number(
        "Positions", "base of the angles (10000 in the original paper)",
        (10000.0, 100.0, (100.0, 10000.0)),
        above=0, default=10000.0)
    position_limit: int | None = whole(
        "Positions", "rows of a learned table (tokens, before the offset)", (None, 9),
        default=None)
    position_offset: int = whole(
        "Positions", "rows of a learned table before that of position 0", (0, 2), least=0,
        default=0, only=("positions", ("learned",)))
    rotary_layout: str = choice(
        "Positions", "half (i with i + r/2) or interleaved (2i with 2i + 1)", ROTARY_LAYOUTS,
        default="half")
    rotary_width: int | None = whole(
        "Positions", "the leading part of d_k that is rotated; None: all of it. With "
        "key_value_latent: d_r, a part beside d_k; None: as wide as d_k", (None, 2), least=2,
        default=None, only=("positions", ("rotary",)))
    rotary_scaling: Scaling | None = record(
        "Positions", "how angles change for texts longer than those of the training; None: not",
        SCALINGS, (None, *PLAIN_SCALINGS, (None, PLAIN_SCALINGS[0])), default=None,
        only=("positions", ("rotary",)))

    embedding_scale: float = number(
        OUTPUT, "factor on the embedding, before positions are added", (1.0, 2.5), default=1.0)
    embedding_norm: bool = flag(
        OUTPUT, "a norm after positions are added", default=False, only=("norm", NORMS))
    segments: int = whole(
        OUTPUT, "number of segment embeddings (0: none)", (0, 2), least=0, default=0)
    activation: str = choice(
        OUTPUT, "relu, gelu (exact), gelu_tanh or silu", ACTIVATIONS, default="relu")
    gated: bool = flag(
        OUTPUT, "act(x·w_gate) * (x·w_in) in place of act(x·w_in)", default=False)
    tied_output: bool = flag(
        OUTPUT, "logits use the (decoder's) embedding; there is no output.w", default=False)
    output_scale: float = number(
        OUTPUT, "factor on the last hidden state, before the logits", (1.0, 0.5), default=1.0)
    logit_cap: float | None = number(
        OUTPUT, "c: logits become c * tanh(logit / c); None: they stay", (None, 3.0), above=0,
        default=None)
    label_smoothing: float = number(
        OUTPUT, "share of the target that all words divide, 0 up to below 1", (0.0, 0.1),
        least=0, below=1, default=0.0)
    dtype: str = choice(
        OUTPUT, "float64 (a reference) or float32", DTYPES, default="float64")
    # fmt: on

    def __post_init__(self) -> None:
        for name, field in fields_of(type(self)).items():
            object.__setattr__(self, name, field.check(name, getattr(self, name)))
        for rule in RULES:
            if not rule.holds(self):
                raise ConfigError(f"config: {rule.message(self)}")

    # What follows from the fields. Cached: a configuration never changes.

    @cached_property
    def attention(self) -> str:
        """The kind of self-attention: 'multi-head' or 'latent'."""
        return "multi-head" if self.key_value_latent is None else "latent"

    @cached_property
    def sides(self) -> tuple[str, ...]:
        """The stacks of the model in order of computation."""
        return {
            "encoder-decoder": ("encoder", "decoder"),
            "decoder-only": ("decoder",),
            "encoder-only": ("encoder",),
        }[self.model]

    @cached_property
    def widest_window(self) -> int | None:
        """The most tokens that self-attention of any layer reaches; None: all."""
        windows = self.values_of("window")
        return None if None in windows else max(windows)

    @cached_property
    def kv_heads(self) -> int:
        """G, the number of key/value heads."""
        return self.heads if self.key_value_heads is None else self.key_value_heads

    @cached_property
    def d_k(self) -> int:
        """Width of a query and a key of one head."""
        return self.width // self.heads if self.key_width is None else self.key_width

    @cached_property
    def d_v(self) -> int:
        """Width of a value of one head."""
        return self.d_k if self.value_width is None else self.value_width

    @cached_property
    def scale(self) -> float:
        """The factor between products and scores."""
        return 1.0 / math.sqrt(self.d_k) if self.score_scale is None else self.score_scale

    @cached_property
    def latent_scale(self) -> float:
        """The same in self-attention over latents, where rotated parts stand beside d_k."""
        if self.score_scale is not None:
            return self.score_scale
        scaling = self.rotary_scaling
        factor = scaling.latent_factor if isinstance(scaling, YarnScaling) else 1.0
        return factor / math.sqrt(self.d_k + self.rotated)

    @cached_property
    def rotated(self) -> int:
        """How many components of queries and keys are rotated (0: none)."""
        if "rotary" not in self.values_of("positions"):
            return 0
        return self.d_k if self.rotary_width is None else self.rotary_width

    @cached_property
    def final_norm(self) -> bool:
        """Whether a stack ends in a norm of its own."""
        return self.norm is not None and self.norm_place == "pre"

    @cached_property
    def shared_embedding(self) -> bool:
        """Whether encoder and decoder look up the same table."""
        return self.model == "encoder-decoder" and self.source_vocabulary is None

    @property
    def depth(self) -> int:
        """Layers of the deepest stack."""
        return max(self.encoder_layers, self.decoder_layers)

    def layers(self, side: str) -> int:
        """Number of blocks on a side."""
        return self.encoder_layers if side == "encoder" else self.decoder_layers

    def values_of(self, name: str) -> tuple[Any, ...]:
        """The values that a field has in the layers: one, or a list's."""
        value = getattr(self, name)
        return value if isinstance(value, tuple) else (value,)

    def layer(self, side: str, i: int) -> Config:
        """The configuration of block i of a side, which everything below a stack reads: every
        field has the value of that one layer."""
        different, which = self.stacks[side]
        return different[which[i % len(which)]]

    @cached_property
    def kinds(self) -> dict[str, tuple[int, ...]]:
        """Of each side, which of `stacks` every layer is: for a run, not for counting."""
        return {
            side: tuple(which[i % len(which)] for i in range(self.layers(side)))
            for side, (_, which) in self.stacks.items()
        }

    @cached_property
    def stacks(self) -> dict[str, tuple[tuple[Config, ...], tuple[int, ...]]]:
        """Of each side, the configurations of layers that differ, and which of them each has: as
        many as differ, then the same from the first on, however many layers there are."""
        every, found = views(self), {}
        for side in self.sides:
            layers = every[: self.layers(side)]
            different = tuple({id(layer): layer for layer in layers}.values())
            which = tuple(next(n for n, d in enumerate(different) if d is one) for one in layers)
            found[side] = different, which
        return found

    def vocabulary_of(self, side: str) -> int:
        """Size of the vocabulary that a side reads."""
        if side == "encoder" and self.source_vocabulary is not None:
            return self.source_vocabulary
        return self.vocabulary

    def sublayers(self, side: str) -> tuple[str, ...]:
        """The sublayers of a block on a side, in order of computation."""
        if side == "decoder" and self.model == "encoder-decoder":
            return ("self_attention", "cross_attention", "feed_forward")
        return ("self_attention", "feed_forward")

    def has_norm(self, sublayer: str) -> bool:
        """Whether a sublayer such as 'decoder.self_attention' has a norm."""
        return self.norm is not None and sublayer in self._norms

    def has_residual(self, sublayer: str) -> bool:
        """Whether a sublayer has a residual connection."""
        return sublayer in self._residuals

    def has_output_projection(self, sublayer: str) -> bool:
        """Whether an attention sublayer has W_O."""
        return sublayer in self._projections

    def has_bias(self, name: str) -> bool:
        """Whether a projection has a bias, named as its parameter: 'b_q', 'output.b', ..."""
        return name in self._bias_names

    @cached_property
    def _norms(self) -> frozenset[str]:
        return as_set(self.norm_at)

    @cached_property
    def _residuals(self) -> frozenset[str]:
        return as_set(self.residual_at)

    @cached_property
    def _projections(self) -> frozenset[str]:
        return as_set(self.output_projection_at)

    @cached_property
    def _bias_names(self) -> frozenset[str]:
        return as_set(self.biases)

    # To and from JSON.

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain JSON values."""
        return {name: plain(getattr(self, name)) for name in fields_of(type(self))}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Config:
        """A configuration from JSON values; unknown and missing names are errors."""
        if not isinstance(fields, Mapping):
            raise ConfigError(
                f"config: got {type(fields).__name__}; a JSON object of fields is needed"
            )
        return from_names(cls, fields, "config")

    @classmethod
    def from_json(cls, text: str) -> Config:
        """A configuration from JSON text."""
        return cls.from_dict(read_json(text, "config", ConfigError))


RULES = (*rules_of(Config), *LISTS, *in_every_layer(COMBINATIONS))
