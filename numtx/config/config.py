"""What a model is: a frozen, validated configuration that names mechanisms, never products.

Every field is declared once, in the file of its section, with the mechanism that it is only for;
which other combinations are allowed stands beneath them. A configuration in JSON is an
object of the same names.

Layers may differ: a field that says so takes a list too, one value a layer, which repeats where
the layers are more. `Config.layer` is the configuration of one of them, without lists.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from ..errors import ConfigError
from ..fields.field import configuration, fields_of, from_names, plain, rules_of
from ..small_repr import small_repr
from ..strict_json import read_json
from . import attention, experts, output, positions, wiring
from .attention import AttentionFields
from .experts import ExpertFields, Router, SoftmaxRouter
from .layers import in_every_layer, views
from .output import OutputFields
from .positions import PositionFields
from .rotary import LongropeScaling, YarnScaling
from .wiring import BIASES, FEED_FORWARDS, RAW, SUBLAYERS, WiringFields

SECTIONS = (wiring, attention, positions, output, experts)  # a file each: its fields and its rules


@small_repr()
@configuration
class Config(ExpertFields, OutputFields, PositionFields, AttentionFields, WiringFields):
    """One Transformer.

    {fields}

    Raises `ConfigError` for a value or a combination that names no model.
    """

    if TYPE_CHECKING:  # so that checkers take it for the dataclass that it is
        __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]

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
    def feed_forward(self) -> str:
        """The kind of feed-forward sublayer: 'dense' or 'experts'."""
        return "dense" if self.experts is None else "experts"

    @cached_property
    def sides(self) -> tuple[str, ...]:
        """The stacks of the model in order of computation."""
        if self.model == "encoder-only":
            return ("encoder",)
        both = self.model == "encoder-decoder" and self.encoder_layers
        return ("encoder", "decoder") if both else ("decoder",)

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
    def axes(self) -> dict[str, int]:
        """The sizes of the axis letters of `shapes`, without those of a batch."""
        latent = self.key_value_latent or 0
        return {
            "h": self.heads, "g": self.kv_heads, "k": self.d_k, "c": self.d_v, "d": self.width,
            "w": self.width, "f": max(self.values_of("hidden")), "v": self.vocabulary,
            "r": latent, "q": self.query_latent or 0, "p": self.rotated,
            "n": self.relative_buckets, "e": self.d_k + self.rotated, "z": latent + self.rotated,
            "x": max(x or 0 for x in self.values_of("experts")), "m": self.experts_chosen,
            "u": self.expert_width, "y": self.shared_width,
        }  # fmt: skip

    @cached_property
    def routing(self) -> Router:
        """How experts are chosen."""
        return SoftmaxRouter() if self.router is None else self.router

    @cached_property
    def expert_width(self) -> int:
        """Width of the layer in an expert."""
        if self.expert_hidden is not None:
            return self.expert_hidden
        return int(max(self.values_of("hidden")))

    @cached_property
    def shared_width(self) -> int:
        """Width of the layer that is shared: of all shared experts side by side (0: none)."""
        width = self.expert_width if self.shared_hidden is None else self.shared_hidden
        return (self.shared_experts or 0) * width

    @cached_property
    def final_norm(self) -> bool:
        """Whether a stack ends in a norm of its own."""
        return self.norm is not None and self.norm_place in RAW

    @cached_property
    def lacks_encoder(self) -> bool:
        """Whether a decoder looks at a memory that no encoder makes, so that it is given."""
        return self.model == "encoder-decoder" and not self.encoder_layers

    @cached_property
    def shared_embedding(self) -> bool:
        """Whether encoder and decoder look up the same table."""
        return len(self.sides) == 2 and self.source_vocabulary is None

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
        return value if fields_of(type(self))[name].differs(value) else (value,)

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
        """Where layers differ, what all have. Side by side on one norm, self-attention has it."""
        found = frozenset.intersection(*map(_as_set, self.values_of("norm_at")))
        return found - set(FEED_FORWARDS) if self.parallel == "one" else found

    @cached_property
    def _residuals(self) -> frozenset[str]:
        return _as_set(self.residual_at)

    @cached_property
    def _projections(self) -> frozenset[str]:
        return _as_set(self.output_projection_at)

    @cached_property
    def _bias_names(self) -> frozenset[str]:
        return _as_set(self.biases)

    def padding_limit(self, side: str) -> float:
        """The largest content that stays under padding; what is larger counts as 0.

        It reaches no real token, but what overflows on its way through the layers would turn
        0 * inf into NaN in the backward pass. What stays can be squared thrice, and once more in
        each gated feed-forward whose input no norm brings back to its scale. At least 4.
        """
        place = f"{side}.feed_forward", f"{side}.self_attention"
        before = self.norm_place == "post" or self.parallel is not None
        normed = self.has_norm(place[0]) or (before and self.has_norm(place[1]))
        squared = 3 + (self.layers(side) if self.gated and not normed else 0)
        powers = 1024 if self.dtype == "float64" else 128
        return float(2.0 ** max(2.0, powers / 2.0**squared))

    def for_length(self, length: int) -> Config:
        """For rows of at most so many tokens, where scalings of angles ask (longrope)."""
        declared: Any = tuple(
            dataclasses.replace(one, length=length) if isinstance(one, LongropeScaling) else one
            for one in self.values_of("rotary_scaling")
        )
        if not any(isinstance(one, LongropeScaling) for one in declared):
            return self
        return dataclasses.replace(self, rotary_scaling=declared)

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


def _as_set(places: tuple[str, ...] | bool) -> frozenset[str]:
    if isinstance(places, bool):
        return frozenset((*SUBLAYERS, *BIASES)) if places else frozenset()
    return frozenset(places)


RULES = (
    *rules_of(Config),
    *(rule for section in SECTIONS for rule in getattr(section, "LISTS", ())),
    *in_every_layer(rule for section in SECTIONS for rule in getattr(section, "RULES", ())),
)
