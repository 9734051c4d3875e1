"""The models of the list that are encoders with a decoder."""

from __future__ import annotations

from .entry import Model, both

BOTH: dict[str, Model] = {
    "encoder-decoder": Model(
        both(width=6, heads=2, key_width=4, value_width=5, hidden=7, vocabulary=11),
        ("contiguous",),
    ),
    "two vocabularies, learned positions, pre-norm": Model(
        both(
            width=6, encoder_layers=2, decoder_layers=1, heads=3, hidden=8, vocabulary=11,
            source_vocabulary=9, norm_place="pre", positions="learned", position_limit=7,
            position_offset=2, activation="gelu", tied_output=True, embedding_scale=2.5,
            output_scale=0.5,
        ),
        ("contiguous",),
    ),
    "encoder-decoder, interleaved, some norms and residuals": Model(
        both(
            width=10, encoder_layers=2, heads=2, key_width=8, value_width=6, hidden=9,
            vocabulary=11, source_vocabulary=13, positions="rotary",
            rotary_layout="interleaved", rotary_width=4, norm_place="pre", window=4,
            norm_at=["encoder.feed_forward", "decoder.cross_attention"],
            residual_at=["encoder.self_attention", "decoder.cross_attention"],
        ),
        ("ring",),
    ),
    "encoder-decoder, grouped, no positions, segments": Model(
        both(
            width=9, heads=4, key_value_heads=2, key_width=5, value_width=3, hidden=7,
            vocabulary=11, source_vocabulary=8, positions=None, segments=3, sinks=True,
            residual_scale=0.5,
            norm_at=["encoder.self_attention", "decoder.self_attention", "decoder.feed_forward"],
            residual_at=["encoder.feed_forward", "decoder.self_attention", "decoder.feed_forward"],
        ),
        ("paged",),
    ),
    "encoder-decoder, multi-query, one table for all words": Model(
        both(
            query_key_norm="head", width=8, encoder_layers=2, decoder_layers=1, heads=4,
            key_value_heads=1, key_width=3,
            value_width=5, hidden=7, vocabulary=11, tied_output=True, embedding_scale=1.5,
            norm="rms", norm_place="pre", biases=["b_in", "b_out"], gated=True,
            gate_limit=0.3, gate_shift=-0.5,
        ),
        ("paged",),
    ),
    "encoder-decoder, latent, learned positions, float32": Model(
        both(
            width=8, heads=3, key_value_latent=5, key_width=4, value_width=7, hidden=9,
            vocabulary=11, positions="learned", position_limit=30, dtype="float32",
        ),
        ("paged",),
    ),
    "encoder-decoder, latent, rotary, some projections": Model(
        both(
            width=8, heads=4, key_value_latent=3, key_width=6, value_width=2, hidden=7,
            vocabulary=11, source_vocabulary=13, positions="rotary", score_scale=0.3,
            output_projection_at=["encoder.self_attention", "decoder.cross_attention"],
        ),
        ("paged",),
    ),
    "encoder-decoder, latents, window": Model(
        both(
            width=8, heads=3, key_value_latent=5, query_latent=4, key_width=6, value_width=7,
            hidden=9, vocabulary=11, source_vocabulary=13, window=3,
            biases=["b_q", "b_o", "norm.bias"],
        ),
        ("ring",),
    ),
    "encoder-decoder, latents, learned positions": Model(
        both(
            width=6, heads=2, key_value_latent=5, query_latent=4, key_width=7, value_width=3,
            hidden=8, vocabulary=11, positions="learned", position_limit=30, window=2,
            output_projection_at=["decoder.self_attention"], gated=True,
            activation="gelu_sigmoid", gate_limit=0.3, gate_shift=1.0,
        ),
        ("ring",),
    ),
    "encoder-decoder, bias by buckets, one table a stack": Model(
        both(
            width=9, encoder_layers=2, heads=3, key_width=4, value_width=5, hidden=7,
            vocabulary=11, positions="relative", relative_buckets=6, relative_distance=4,
            norm="rms", norm_place="pre", score_scale=1.0, biases=False,
        ),
        ("contiguous", "paged"),
    ),
    "encoder-decoder, deep, slopes, latent": Model(
        both(
            width=9, encoder_layers=4, decoder_layers=5, heads=3, key_value_latent=5, key_width=4,
            value_width=6, hidden=7, vocabulary=11, positions="alibi",
        ),
        ("contiguous",),
    ),
}  # fmt: skip
