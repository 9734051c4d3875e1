"""Sizes, and how sublayers are wired: norms, residual connections, biases."""

from __future__ import annotations

from ..fields.field import Rule, choice, configuration, number, places, plain, whole

MODELS = ("encoder-decoder", "decoder-only", "encoder-only")
NORMS = ("layer", "rms")
# Where the norms of a sublayer stand, and their names.
NORM_PLACES = {
    "post": ("norm",), "pre": ("norm",), "both": ("norm", "norm_after"), "inner": ("norm",),
}  # fmt: skip
RAW = ("pre", "both", "inner")  # so blocks pass on sums that no norm brings to one scale
SUBLAYERS = (
    "encoder.self_attention",
    "encoder.feed_forward",
    "decoder.self_attention",
    "decoder.cross_attention",
    "decoder.feed_forward",
)
ATTENTIONS = tuple(name for name in SUBLAYERS if name.endswith("attention"))
FEED_FORWARDS = tuple(name for name in SUBLAYERS if name.endswith("feed_forward"))
BIASES = (
    "b_q", "b_k", "b_v", "b_dq", "b_dkv", "b_kr", "b_o", "b_in", "b_gate", "b_out", "norm.bias",
    "output.b", "head.b", "pooler.b",
)  # fmt: skip


@configuration
class WiringFields:
    """Sizes and wiring."""

    # fmt: off
    model: str = choice(
        "Sizes", "encoder-decoder, decoder-only or encoder-only", MODELS,
        default="encoder-decoder")
    width: int = whole("Sizes", "d_model, the width of every token's vector", (8,))
    encoder_layers: int = whole(
        "Sizes", "blocks of the encoder (0: there is none; an encoder-decoder is given its memory)",
        (0, 1, 2), least=0, default=0)
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
    hidden: int = whole("Sizes", "width of the feed-forward layer", (7, (7, 5)))
    vocabulary: int = whole(
        "Sizes", "size of the vocabulary (of the target, where there are two)", (11,))
    source_vocabulary: int | None = whole(
        "Sizes", "size of the encoder's own vocabulary; None: one is shared",
        (None, 13), default=None, only=("model", ("encoder-decoder",)))

    norm: str | None = choice(
        "Wiring", "layer, rms or None", (*NORMS, None), default="layer")
    norm_place: str = choice(
        "Wiring", "post: norm(x + f(x)); pre: x + f(norm(x)); both: x + norm_after(f(norm(x))); "
        "inner: x + norm(f(x)); all but post with a final norm", tuple(NORM_PLACES),
        default="post")
    parallel: str | None = choice(
        "Wiring", "self-attention and feed-forward work side by side on the same input, x + A(N x) "
        "+ M(N x), with one norm for both or with two; None: one after the other",
        ("one", "two", None), default=None, only=("norm_place", ("pre",)))
    epsilon: float = number(
        "Wiring", "added to the variance (layer) or the mean square (rms)", (1e-5, 1e-3),
        least=0, default=1e-5)
    gain_offset: int = whole(
        "Wiring", "every gain is kept as w and used as this + w, 0 or 1", (0, 1), least=0, most=1,
        default=0)
    norm_at: tuple[str, ...] | bool = places(
        "Wiring", "sublayers that have a norm: true, false or a list of SUBLAYERS", SUBLAYERS,
        default=True, layers=((False, True),))
    residual_at: tuple[str, ...] | bool = places(
        "Wiring", "sublayers with a residual connection (the same form)", SUBLAYERS,
        default=True)
    residual_scale: float = number(
        "Wiring", "factor on what a residual connection adds", (1.0, 0.5), default=1.0)
    output_projection_at: tuple[str, ...] | bool = places(
        "Wiring", "attention sublayers with W_O (the same form)", ATTENTIONS, default=True)
    biases: tuple[str, ...] | bool = places(
        "Wiring", "true, false or a list of BIASES, named as the parameters", BIASES,
        default=True)
    # fmt: on

    @property
    def first_gain(self) -> float:
        """What a gain starts from: it changes nothing."""
        return 1.0 - self.gain_offset


# What does not go together in a layer, beside what a field itself says (`only`).
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
        lambda c: c.source_vocabulary is None or c.encoder_layers > 0,
        lambda c: (
            f"source_vocabulary {c.source_vocabulary} with encoder_layers 0; no encoder reads it"
        ),
    ),
    Rule(
        lambda c: c.parallel is None or c.model != "encoder-decoder",
        lambda c: (
            f"parallel {c.parallel!r} with model 'encoder-decoder'; cross-attention stands between "
            "self-attention and feed-forward, which are no neighbours"
        ),
    ),
    Rule(
        lambda c: (
            c.parallel is None
            or all(
                c.has_residual(name) and (c.has_norm(name) or (c.parallel, at) == ("one", 1))
                for side in c.sides
                for at, name in enumerate((f"{side}.self_attention", f"{side}.feed_forward"))
            )
        ),
        lambda c: (
            f"parallel {c.parallel!r} with norm {c.norm!r}, norm_at {c.norm_at} and residual_at "
            f"{c.residual_at}; sublayers side by side have their norms and residual connections"
        ),
    ),
    Rule(
        lambda c: c.residual_scale == 1.0 or c.residual_at is not False,
        lambda c: (
            f"residual_scale {c.residual_scale:g} with residual_at {c.residual_at}; there is no "
            "residual connection to add anything"
        ),
    ),
    Rule(
        lambda c: c.heads % c.kv_heads == 0,
        lambda c: f"heads {c.heads} is not a multiple of key_value_heads {c.kv_heads}",
    ),
    Rule(
        lambda c: c.key_width is not None or c.width % c.heads == 0,
        lambda c: f"width {c.width} is not a multiple of heads {c.heads}; give key_width",
    ),
    Rule(
        lambda c: all(
            c.has_output_projection(name) or c.heads * c.d_v == c.width
            for name in ATTENTIONS
            if name.split(".")[0] in c.sides
        ),
        lambda c: (
            f"output_projection_at {plain(c.output_projection_at)} with heads {c.heads}, "
            f"value_width {c.d_v} and width {c.width}; without W_O the heads side by side are as "
            "wide as the model"
        ),
    ),
)
