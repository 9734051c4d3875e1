"""What stands between queries and context."""

from __future__ import annotations

from ..fields.field import Rule, choice, configuration, flag, number, whole


@configuration
class AttentionFields:
    """Attention."""

    # fmt: off
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
    # fmt: on


# What does not go together in a layer, beside what a field itself says (`only`).
RULES: tuple[Rule, ...] = (
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
)

# What does not go together over all layers.
LISTS: tuple[Rule, ...] = (
    Rule(
        lambda c: c.values_of("chunk") == (None,) or c.values_of("window") == (None,),
        lambda c: f"window {c.window} and chunk {c.chunk}; layers have windows or chunks, not both",
    ),
    Rule(
        lambda c: c.query_growth_rate == 0.1 or c.values_of("query_growth") != (None,),
        lambda c: f"query_growth_rate {c.query_growth_rate:g} without query_growth; give both",
    ),
)
