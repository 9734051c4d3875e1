"""The models of the list that are decoders alone."""

from __future__ import annotations

from ..config.rotary import BandScaling, LinearScaling, YarnScaling
from .entry import Model, decoder

DECODERS: dict[str, Model] = {
    "decoder, rotary, grouped, gated": Model(
        decoder(
            width=6, heads=4, key_value_heads=2, key_width=8, value_width=3, hidden=7,
            vocabulary=11, norm="rms", norm_place="pre", biases=False, positions="rotary",
            rotary_width=6, activation="silu", gated=True, score_scale=0.3, window=3,
        ),
        ("ring",),
    ),
    "decoder, interleaved, multi-query": Model(
        decoder(
            query_key_norm="head", query_key_norm_place="after", width=9, decoder_layers=1, heads=3,
            key_value_heads=1, key_width=4, hidden=5,
            vocabulary=11, positions="rotary", rotary_layout="interleaved",
            activation="gelu_tanh", tied_output=True, norm_at=["decoder.feed_forward"],
            residual_at=["decoder.self_attention"],
        ),
        ("contiguous",),
    ),
    "decoder, latents, rotary, smoothed": Model(
        decoder(
            width=6, heads=2, key_width=4, value_width=3, hidden=7, vocabulary=11,
            positions="rotary", key_value_latent=5, query_latent=8, rotary_width=2,
            label_smoothing=0.1, score_cap=0.5, logit_cap=2.0, loss_reduction="sum",
        ),
        ("contiguous",),
    ),
    "decoder, deep": Model(
        decoder(
            width=8, decoder_layers=5, heads=2, key_width=6, value_width=5, hidden=7,
            vocabulary=13, positions="rotary", rotary_width=4, norm_place="pre", epsilon=1e-3,
            biases=["b_q", "b_v", "b_in", "b_gate"], activation="gelu_tanh", gated=True,
        ),
        ("paged",),
    ),
    "decoder, many words": Model(
        decoder(
            width=6, heads=4, key_value_heads=2, key_width=3, value_width=5, hidden=8,
            vocabulary=307, positions="learned", position_limit=40, embedding_scale=1.5,
            output_scale=0.4, label_smoothing=0.2,
        ),
        ("contiguous", "paged"),
    ),
    "decoder, long rows, far positions": Model(
        decoder(
            width=10, heads=6, key_value_heads=3, key_width=8, value_width=5, hidden=7,
            vocabulary=11, positions="rotary", rotary_layout="interleaved", position_base=500.0,
            norm="rms", window=9, activation="silu",
            biases=["b_k", "b_o", "b_out", "output.b"],
        ),
        ("ring",), 41, 2000,
    ),
    "decoder, multi-query, no positions, no norms": Model(
        decoder(
            width=8, heads=3, key_value_heads=1, key_width=5, value_width=4, hidden=6,
            vocabulary=11, positions=None, norm_at=False, window=3,
        ),
        ("contiguous", "ring"),
    ),
    "decoder, multi-query, learned positions": Model(
        decoder(
            width=7, heads=4, key_value_heads=1, key_width=5, value_width=3, hidden=9,
            vocabulary=11, positions="learned", position_limit=30, position_offset=2, norm=None,
            window=2, activation="gelu_sigmoid",
        ),
        ("ring",),
    ),
    "decoder, latent, window": Model(
        decoder(
            width=8, heads=4, key_value_latent=5, key_width=6, value_width=3, hidden=7,
            vocabulary=11, window=3, score_scale=0.4, score_cap=2.0, sinks=True, biases=False,
        ),
        ("ring",),
    ),
    "decoder, latent, interleaved, deep": Model(
        decoder(
            width=10, decoder_layers=4, heads=3, key_value_latent=7, key_width=5, value_width=4,
            hidden=9, vocabulary=11, positions="rotary", rotary_layout="interleaved",
            rotary_width=6, norm_place="pre",
        ),
        ("contiguous", "paged"),
    ),
    "decoder, latents, no positions, window": Model(
        decoder(
            width=8, heads=4, key_value_latent=5, query_latent=3, key_width=6, value_width=2,
            hidden=7, vocabulary=11, positions=None, window=4, output_projection_at=False,
        ),
        ("paged",),
    ),
    "decoder, not causal": Model(
        decoder(
            width=8, heads=1, key_width=5, value_width=3, hidden=7, vocabulary=11, causal=False,
            window=4, sinusoidal_layout="half",
        )
    ),
    "decoder, normed queries and keys": Model(
        decoder(
            width=10, heads=4, key_value_heads=2, key_width=6, value_width=5, hidden=7,
            vocabulary=11, norm="rms", norm_place="pre", positions="rotary", rotary_width=4,
            query_key_norm="head", window=3,
        ),
        ("ring", "paged"),
    ),
    "decoder, slopes, six heads": Model(
        decoder(
            width=9, heads=6, key_width=4, value_width=5, hidden=8, vocabulary=11,
            positions="alibi",
        ),
        ("contiguous", "paged"),
    ),
    "decoder, slopes, grouped, window": Model(
        decoder(
            width=10, heads=4, key_value_heads=2, key_width=3, value_width=5, hidden=7,
            vocabulary=11, positions="alibi", window=3, score_cap=0.5, norm_place="both",
            residual_at=["decoder.feed_forward"], residual_scale=1.5,
        ),
        ("ring",),
    ),
    "decoder, deep, rotary and windows in some layers, of several bases": Model(
        decoder(
            width=10, decoder_layers=4, heads=2, key_width=6, value_width=3, hidden=7,
            vocabulary=11, positions=("rotary", "rotary", None), rotary_width=4,
            position_base=(100.0, 10000.0), window=(3, None), sinks=True,
        ),
        ("contiguous", "paged"),
    ),
    "decoder, angles divided over a ramp": Model(
        decoder(
            width=10, heads=2, key_width=9, value_width=3, hidden=7, vocabulary=11,
            positions="rotary", rotary_width=8, position_base=100.0,
            rotary_scaling=YarnScaling(
                factor=4.0, original=64, beta_fast=4.0, beta_slow=0.5, truncate=False
            ),
        ),
        ("contiguous", "paged"),
    ),
    "decoder, latents, angles divided over a ramp": Model(
        decoder(
            width=9, heads=3, key_value_latent=7, query_latent=5, key_width=4, hidden=8,
            vocabulary=11, positions="rotary", rotary_layout="interleaved", rotary_width=6,
            position_base=50.0,
            rotary_scaling=YarnScaling(
                factor=3.0, original=32, beta_fast=3.0, beta_slow=0.3, mscale=0.7,
                mscale_all_dim=1.2,
            ),
            latent_norm=True,
        ),
        ("paged",),
    ),
    "decoder, angles by bands, and divided in some layers": Model(
        decoder(
            width=9, decoder_layers=3, heads=3, key_value_heads=1, key_width=8, value_width=5,
            hidden=7, vocabulary=11, positions="rotary", position_base=100.0,
            rotary_scaling=(
                BandScaling(factor=8.0, low=0.2, high=2.0, original=16),
                LinearScaling(factor=2.5),
                None,
            ),
        ),
        ("contiguous",),
    ),
    "decoder, chunks and rotary in some layers, growing queries in the others": Model(
        decoder(
            width=10, decoder_layers=3, heads=4, key_value_heads=2, key_width=6, value_width=3,
            hidden=7, vocabulary=11, positions=("rotary", None), chunk=(3, None),
            query_growth=(None, 2), query_growth_rate=0.5,
        ),
        ("contiguous", "paged"),
    ),
    "decoder, bias by buckets, grouped, window": Model(
        decoder(
            width=10, heads=4, key_value_heads=2, key_width=6, value_width=3, hidden=7,
            vocabulary=11, positions="relative", window=4,
        ),
        ("ring",),
    ),
    "decoder, norms before and after sublayers": Model(
        decoder(
            width=10, heads=4, key_value_heads=2, key_width=6, value_width=3, hidden=7,
            vocabulary=11, norm="rms", norm_place="both", positions="rotary",
            position_base=(100.0, 10000.0), window=(2, None), query_key_norm="head",
            activation="gelu_tanh", gated=True, biases=["b_k"], tied_output=True, gain_offset=1,
        ),
        ("contiguous", "paged"),
    ),
    "decoder, side by side on one norm": Model(
        decoder(
            width=10, decoder_layers=3, heads=4, key_value_heads=1, key_width=6, value_width=3,
            hidden=7, vocabulary=11, norm_place="pre", parallel="one",
            positions=("rotary", "rotary", None), window=(3, 3, None),
            rotary_layout="interleaved", biases=["b_in"], residual_scale=0.4,
        ),
        ("contiguous", "paged"),
    ),
    "decoder, windows of several widths": Model(
        decoder(
            width=9, decoder_layers=3, heads=3, key_width=4, value_width=5, hidden=7,
            vocabulary=11, positions="rotary", window=(2, 4), score_cap=(0.5, None, 2.0),
            sinks=True,
        ),
        ("ring",),
    ),
}  # fmt: skip
