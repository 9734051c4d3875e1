"""The models of the list that are encoders alone."""

from __future__ import annotations

from ..config.rotary import LongropeScaling
from .entry import Model, encoder

ENCODERS: dict[str, Model] = {
    "encoder, segments, embedding norm": Model(
        encoder(
            width=6, heads=2, hidden=7, vocabulary=11, positions="learned", position_limit=6,
            segments=2, embedding_norm=True, activation="gelu", gated=True, tied_output=True,
            embedding_scale=0.5, window=2, query_key_norm="projection", logit_cap=3.0,
            head="masked-language-model", pooler=True,
        )
    ),
    "bare": Model(
        encoder(
            width=6, encoder_layers=1, heads=3, hidden=7, vocabulary=11, positions=None,
            norm=None, residual_at=False, output_projection_at=False, biases=False, head=None,
        )
    ),
    "encoder, grouped, a window of itself": Model(
        encoder(
            width=8, heads=6, key_value_heads=3, key_width=5, hidden=7, vocabulary=11,
            position_base=50.0, window=1, norm="rms", embedding_norm=True, norm_place="inner",
            residual_at=False, biases=["b_k", "b_v", "b_o"], head="masked-language-model",
            head_activation="gelu", pooler=True,
        )
    ),
    "encoder, multi-query, rotary, float32": Model(
        encoder(
            width=9, heads=3, key_value_heads=1, key_width=6, value_width=5, hidden=7,
            vocabulary=11, positions="rotary", dtype="float32", query_key_norm="projection",
            query_key_norm_place="after", query_key_gain=False, head="masked-language-model",
            head_activation="gelu_tanh",
        )
    ),
    "encoder, latent, no positions": Model(
        encoder(
            width=9, heads=4, key_value_latent=5, key_width=6, hidden=7, vocabulary=11,
            positions=None, norm="rms", norm_place="pre", parallel="two",
            head="masked-language-model", head_activation="silu", output_scale=0.5,
        )
    ),
    "encoder, a first layer without a norm, widths of several layers": Model(
        encoder(
            width=10, encoder_layers=3, heads=2, key_width=6, hidden=(7, 9), vocabulary=11,
            norm_place="pre", norm_at=(["encoder.feed_forward"], True, True), gated=True,
            activation="gelu", positions="rotary", position_base=(100.0, 10000.0, 10000.0),
            window=(None, 2, 2), embedding_norm=True, biases=False, tied_output=True,
        )
    ),
    "encoder, latents, interleaved": Model(
        encoder(
            width=9, heads=3, key_value_latent=7, query_latent=5, key_width=6, hidden=8,
            vocabulary=11, positions="rotary", rotary_layout="interleaved", rotary_width=4,
            head="masked-language-model", head_activation="relu",
            biases=["b_dq", "b_dkv", "b_kr", "norm.bias", "head.b"],
        )
    ),
    "encoder, slopes, multi-query": Model(
        encoder(
            width=9, heads=3, key_value_heads=1, key_width=4, hidden=7, vocabulary=11,
            positions="alibi", sinks=True, norm_place="inner", residual_scale=0.3,
            output_scale=0.4, experts=5, pooler=True, biases=["b_v", "pooler.b"],
            loss_reduction="sum",
        )
    ),
    "encoder, every angle by a number of its own": Model(
        encoder(
            width=10, heads=2, key_width=4, value_width=3, hidden=7, vocabulary=11,
            positions="rotary", query_key_norm="projection", query_key_gain=False,
            head="masked-language-model", head_activation="gelu_sigmoid",
            rotary_scaling=LongropeScaling(
                short=(1.0, 1.5), long=(1.2, 4.0), original=4096, length=8192, factor=2.0
            ),
        )
    ),
    "encoder, chunks": Model(
        encoder(
            width=10, heads=2, key_width=4, value_width=3, hidden=7, vocabulary=11, chunk=2,
            query_growth=3, tied_output=True, norm="rms",
        )
    ),
}  # fmt: skip
