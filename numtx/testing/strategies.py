"""Hypothesis strategies: any model that the table of configurations allows, and its input.

Hypothesis draws structure (mechanisms, sizes, padding); numbers come from a drawn seed, for
arrays that Hypothesis draws are mostly zeros and constants and let bugs live.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

from ..batch import Batch, count_positions
from ..config import Config
from ..config_rules import (
    ACTIVATIONS,
    ATTENTIONS,
    BIASES,
    DTYPES,
    MODELS,
    NORM_PLACES,
    NORMS,
    POSITIONS,
    ROTARY_LAYOUTS,
    SUBLAYERS,
)
from ..ops.loss import IGNORED
from ..parameters import initialise
from ..shapes import Array

WIDTH, HIDDEN, VOCABULARY, SOURCE_VOCABULARY = 8, 7, 11, 13
ROWS, LENGTHS = 2, {"encoder": 5, "decoder": 3}
LATENT, QUERY_LATENT = 3, 5
LONGEST = 9  # rows of a learned table of positions
seeds = st.integers(0, 2**32 - 1)


def some_of(names: Sequence[str]) -> st.SearchStrategy[tuple[str, ...] | bool]:
    """All of the names, none of them, or any part of them."""
    part = st.lists(st.sampled_from(names), unique=True).map(tuple)
    return st.one_of(st.booleans(), part)


@st.composite
def configs(draw: st.DrawFn, /, model: str | None = None, **fixed: Any) -> Config:
    """Any configuration of small, different sizes; `fixed` are fields that are not drawn.

    `fixed` may ask for what no rule allows together; what it leaves open is drawn to fit.
    """
    fields: dict[str, Any] = dict(fixed)
    fields.setdefault("width", WIDTH)
    width = fields["width"]
    fields["model"] = model or draw(st.sampled_from(MODELS))

    def take(name: str, values: Sequence[Any]) -> Any:
        """The field as given, or one of the values; the first is what shrinking leads to."""
        if name not in fields:
            fields[name] = draw(st.sampled_from(values))
        return fields[name]

    for side in ("encoder", "decoder"):
        has_side = fields["model"] in ("encoder-decoder", f"{side}-only")
        take(f"{side}_layers", (1, 2) if has_side else (0,))
    fields.setdefault("hidden", HIDDEN)
    fields.setdefault("vocabulary", VOCABULARY)
    both = fields["model"] == "encoder-decoder"
    take("source_vocabulary", (None, SOURCE_VOCABULARY) if both else (None,))
    positions = take("positions", (None, *POSITIONS))
    _draw_heads(draw, take, fields, width, positions == "rotary")

    norm = take("norm", (None, *NORMS))
    take("norm_place", NORM_PLACES)
    take("epsilon", (1e-5, 1e-3))
    take("embedding_norm", (False, True) if norm else (False,))
    for name, known in (("norm_at", SUBLAYERS), ("residual_at", SUBLAYERS), ("biases", BIASES)):
        if name not in fields:
            fields[name] = draw(some_of(known))

    take("score_scale", (None, 1.0, 0.3))
    take("causal", (True, False))
    take("window", (None, 1, 2, 3))
    take("position_base", (10000.0, 100.0))
    learned = positions == "learned"
    take("position_limit", (LONGEST,) if learned else (None,))
    take("position_offset", (0, 2) if learned else (0,))
    take("rotary_layout", ROTARY_LAYOUTS)

    take("embedding_scale", (1.0, 2.5))
    take("segments", (0, 2))
    take("activation", ACTIVATIONS)
    take("gated", (False, True))
    take("tied_output", (False, True))
    take("output_scale", (1.0, 0.5))
    take("dtype", DTYPES)
    return Config(**fields)


def _draw_heads(draw: st.DrawFn, take: Any, fields: dict[str, Any], width: int, even: bool) -> None:
    """Head counts and widths that fit one another, and the output projections they allow."""
    if "output_projection_at" not in fields:
        fields["output_projection_at"] = draw(some_of(ATTENTIONS))
    everywhere = fields["output_projection_at"]
    everywhere = everywhere is True or (everywhere is not False and len(everywhere) == 3)
    heads = take("heads", (1, 2, 3, 4) if everywhere else (1, 2, 4))
    latent = take("key_value_latent", (None, None, None, LATENT))
    take("query_latent", (None,) if latent is None else (None, QUERY_LATENT))
    groups = [g for g in range(1, heads + 1) if heads % g == 0]
    take("key_value_heads", (None, *groups) if latent is None else (None,))
    divides = width % heads == 0 and not (even and width // heads % 2)
    d_k = take("key_width", ((None,) if divides else ()) + (2, 4, 6))
    take("rotary_width", (None, 2) if even else (None,))
    own = width // heads if d_k is None else d_k
    fitting = width // heads if width % heads == 0 else None
    if everywhere:
        take("value_width", (None, 3, 5))
    else:  # the heads side by side must be as wide as the model
        take("value_width", (None, fitting) if own == fitting else (fitting,))


@st.composite
def batches(draw: st.DrawFn, /, config: Config, labels: bool | None = True) -> Batch:
    """Input for a model: padding left, right or nowhere in each row, repeated ids, ignored
    labels, segments, and positions counted or given.

    labels  whether there are labels; None: either
    """
    generator = np.random.default_rng(draw(seeds))
    both = config.model == "encoder-decoder"
    fields: dict[str, Any] = {}
    masks = {}
    for side in config.sides:
        prefix = "decoder_" if both and side == "decoder" else ""
        length = LENGTHS[side if both else "encoder"]
        mask = masks[side] = draw(padding(length))
        highest = config.vocabulary_of(side) if draw(st.booleans()) else 2  # 2: many repeats
        fields[prefix + "ids"] = generator.integers(0, highest, mask.shape)
        fields[prefix + "mask"] = None if mask.all() else mask
        if draw(st.booleans()):  # positions of the caller's own, some tokens later
            fields[prefix + "positions"] = count_positions(mask) + draw(st.integers(0, 3))
        if config.segments and draw(st.booleans()):
            fields[prefix + "segments"] = generator.integers(0, config.segments, mask.shape)
    if labels or (labels is None and draw(st.booleans())):
        fields["labels"] = _labels(draw, generator, config, masks[config.sides[-1]])
    return Batch(**fields)


@st.composite
def padding(draw: st.DrawFn, /, length: int) -> Array:
    """[B, T], True at real tokens: each row padded left, right or not at all."""
    mask = np.ones((ROWS, length), bool)
    for row in mask:
        where = draw(st.sampled_from(("none", "left", "right")))
        if where != "none":
            count = draw(st.integers(1, length - 1))
            row[:count] = where == "right"
            row[count:] = where == "left"
    return mask


def _labels(draw: st.DrawFn, generator: np.random.Generator, config: Config, mask: Array) -> Array:
    """Labels at every real token, and at padding either too or not; some are ignored."""
    labels = generator.integers(0, config.vocabulary, mask.shape)
    if draw(st.booleans()):
        labels[~mask] = IGNORED
    ignored = draw(st.lists(st.integers(0, labels.size - 1), max_size=2))
    kept = labels.copy()
    kept.ravel()[ignored] = IGNORED
    return labels if (kept == IGNORED).all() else kept


def parameters_of(config: Config, seed: int) -> dict[str, Array]:
    """Initialised parameters with some noise, so that no bias is 0 and no gain is 1."""
    generator = np.random.default_rng(seed)
    return {
        name: (array + 0.1 * generator.standard_normal(array.shape)).astype(array.dtype)
        for name, array in initialise(config, seed).items()
    }


def parameters(config: Config) -> st.SearchStrategy[dict[str, Array]]:
    """Parameters of a model, made from a drawn seed."""
    return seeds.map(lambda seed: parameters_of(config, seed))
