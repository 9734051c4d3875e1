"""How the order of tokens is told."""

from __future__ import annotations

from ..fields.field import Rule, choice, configuration, number, record, whole
from .rotary import PLAIN_SCALINGS, SCALINGS, LongropeScaling, Scaling, YarnScaling

POSITIONS = ("sinusoidal", "learned", "rotary", "alibi", "relative")
ROTARY_LAYOUTS = ("half", "interleaved")
SINUSOIDAL_LAYOUTS = ("interleaved", "half")
BY_LAYER = {"rotary", "alibi", "relative", None}  # positions that act within a layer


@configuration
class PositionFields:
    """Positions."""

    # fmt: off
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
    sinusoidal_layout: str = choice(
        "Positions", "interleaved (sine and cosine of an angle in turn) or half (all sines, then "
        "all cosines)", SINUSOIDAL_LAYOUTS, default="interleaved",
        only=("positions", ("sinusoidal",)))
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
    # fmt: on


# What does not go together in a layer, beside what a field itself says (`only`).
RULES: tuple[Rule, ...] = (
    Rule(
        lambda c: c.positions != "sinusoidal" or c.width % 2 == 0,
        lambda c: (
            f"positions 'sinusoidal' with width {c.width}; components come in pairs, so it is even"
        ),
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
        lambda c: (
            f"rotary_width {c.rotated} with key_width {c.d_k}; it is even"
            + ("" if c.key_value_latent is not None else " and at most as wide")
        ),
    ),
    Rule(
        lambda c: (
            not isinstance(c.rotary_scaling, LongropeScaling)
            or len(c.rotary_scaling.short) == c.rotated // 2
        ),
        lambda c: (
            f"rotary_scaling with {len(c.rotary_scaling.short)} numbers in short and long, and "
            f"rotary_width {c.rotated}; there is one a pair of rotated components"
        ),
    ),
    Rule(
        lambda c: not isinstance(c.rotary_scaling, YarnScaling) or c.position_base > 1.0,
        lambda c: (
            f"position_base {c.position_base:g} with rotary_scaling 'yarn'; its ramp needs one "
            "above 1"
        ),
    ),
)

# What does not go together over all layers.
LISTS: tuple[Rule, ...] = (
    Rule(
        lambda c: c.key_value_latent is None or "relative" not in c.values_of("positions"),
        lambda c: (
            f"positions 'relative' with key_value_latent {c.key_value_latent}; they are for heads "
            "with keys of their own"
        ),
    ),
    Rule(
        lambda c: c.relative_distance > c.relative_buckets // 2,
        lambda c: (
            f"relative_distance {c.relative_distance} with relative_buckets {c.relative_buckets}; "
            "it is beyond the half of them that are for one distance each"
        ),
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
