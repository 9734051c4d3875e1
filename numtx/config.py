"""What a model is: a frozen, validated configuration that names mechanisms, never products.

Every field stands in the table below (`Config`); which combinations are allowed stands in
one other (`RULES`). A configuration in JSON is an object of the same names.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from .config_rules import (
    PLACES,
    RULES,
    as_set,
    canonical_places,
    check_field,
)
from .errors import ConfigError, nearest
from .small_repr import small_repr
from .strict_json import read_json


@small_repr()
@dataclass(frozen=True, kw_only=True)
class Config:
    """One Transformer.

    Sizes
        model                 encoder-decoder, decoder-only or encoder-only
        width                 d_model, the width of every token's vector
        encoder_layers        blocks of the encoder (0 where there is none)
        decoder_layers        blocks of the decoder (0 where there is none)
        heads                 query heads, H
        key_value_heads       key/value heads, G; None: as many as heads; 1: multi-query
        key_width             d_k per head; None: width / heads
        value_width           d_v per head; None: as key_width
        hidden                width of the feed-forward layer
        vocabulary            size of the vocabulary (of the target, where there are two)
        source_vocabulary     size of the encoder's own vocabulary; None: one is shared
    Wiring
        norm                  layer, rms or None
        norm_place            post: norm(x + f(x)); pre: x + f(norm(x)), and a final norm
        epsilon               added to the variance (layer) or the mean square (rms)
        norm_at               sublayers that have a norm: true, false or a list of SUBLAYERS
        residual_at           sublayers with a residual connection (the same form)
        output_projection_at  attention sublayers with W_O (the same form)
        biases                true, false or a list of BIASES, named as the parameters
    Attention
        score_scale           factor on Q·K^T; None: 1 / sqrt(width of a query)
        key_value_latent      r: self-attention makes keys and values of all heads from one
                              vector of this width a token; None: from the token itself
        query_latent          the same for the queries, with a vector of its own
        causal                the decoder's self-attention sees no later token
        window                self-attention reaches this many tokens, itself included; None: all
    Positions
        positions             sinusoidal, learned, rotary or None
        position_base         base of the angles (10000 in the original paper)
        position_limit        rows of a learned table (tokens, before the offset)
        position_offset       rows of a learned table before that of position 0
        rotary_layout         half (i with i + r/2) or interleaved (2i with 2i + 1)
        rotary_width          the leading part of d_k that is rotated; None: all of it. With
                              key_value_latent: d_r, a part beside d_k; None: as wide as d_k
    Embedding, feed-forward, output
        embedding_scale       factor on the embedding, before positions are added
        embedding_norm        a norm after positions are added
        segments              number of segment embeddings (0: none)
        activation            relu, gelu (exact), gelu_tanh or silu
        gated                 act(x·w_gate) * (x·w_in) in place of act(x·w_in)
        tied_output           logits use the (decoder's) embedding; there is no output.w
        output_scale          factor on the last hidden state, before the logits
        label_smoothing       share of the target that all words divide, 0 up to below 1
        dtype                 float64 (a reference) or float32

    Raises `ConfigError` for a value or a combination that names no model.
    """

    model: str = "encoder-decoder"
    width: int
    encoder_layers: int = 0
    decoder_layers: int = 0
    heads: int = 1
    key_value_heads: int | None = None
    key_width: int | None = None
    value_width: int | None = None
    hidden: int
    vocabulary: int
    source_vocabulary: int | None = None

    norm: str | None = "layer"
    norm_place: str = "post"
    epsilon: float = 1e-5
    norm_at: tuple[str, ...] | bool = True
    residual_at: tuple[str, ...] | bool = True
    output_projection_at: tuple[str, ...] | bool = True
    biases: tuple[str, ...] | bool = True

    score_scale: float | None = None
    key_value_latent: int | None = None
    query_latent: int | None = None
    causal: bool = True
    window: int | None = None

    positions: str | None = "sinusoidal"
    position_base: float = 10000.0
    position_limit: int | None = None
    position_offset: int = 0
    rotary_layout: str = "half"
    rotary_width: int | None = None

    embedding_scale: float = 1.0
    embedding_norm: bool = False
    segments: int = 0
    activation: str = "relu"
    gated: bool = False
    tied_output: bool = False
    output_scale: float = 1.0
    label_smoothing: float = 0.0
    dtype: str = "float64"

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            check_field(field.name, getattr(self, field.name))
        for name, known in PLACES.items():
            object.__setattr__(self, name, canonical_places(name, getattr(self, name), known))
        for rule in RULES:
            if not rule.holds(self):
                raise ConfigError(f"config: {rule.message(self)}")

    # What follows from the fields. Cached: a configuration never changes.

    @cached_property
    def sides(self) -> tuple[str, ...]:
        """The stacks of the model in order of computation."""
        return {
            "encoder-decoder": ("encoder", "decoder"),
            "decoder-only": ("decoder",),
            "encoder-only": ("encoder",),
        }[self.model]

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
        width = self.d_k + self.rotated
        return 1.0 / math.sqrt(width) if self.score_scale is None else self.score_scale

    @cached_property
    def rotated(self) -> int:
        """How many components of queries and keys are rotated (0: none)."""
        if self.positions != "rotary":
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

    def layers(self, side: str) -> int:
        """Number of blocks on a side."""
        return self.encoder_layers if side == "encoder" else self.decoder_layers

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
        fields = dataclasses.asdict(self)
        return {k: list(v) if isinstance(v, tuple) else v for k, v in fields.items()}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Config:
        """A configuration from JSON values; unknown and missing names are errors."""
        if not isinstance(fields, Mapping):
            raise ConfigError(
                f"config: got {type(fields).__name__}; a JSON object of fields is needed"
            )
        known = {field.name: field for field in dataclasses.fields(cls)}
        for name in fields:
            if name not in known:
                raise ConfigError(f"config: unknown field {name!r}; {nearest(name, known)}")
        for name, field in known.items():
            if field.default is dataclasses.MISSING and name not in fields:
                raise ConfigError(f"config: field {name!r} is missing; it has no default")
        values: dict[str, Any] = dict(fields)
        return cls(**values)

    @classmethod
    def from_json(cls, text: str) -> Config:
        """A configuration from JSON text."""
        return cls.from_dict(read_json(text, "config", ConfigError))
