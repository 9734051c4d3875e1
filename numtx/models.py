"""The list of models: whoever wants to try something on all models takes them from here.

Each value of each field, each operation, each kind of attention with each kind of positions, and
each pair of mechanisms that is known to interact occurs in it, and no model is there for nothing;
a test computes both from the fields, the operations and the wiring as they are declared. A new
mechanism adds one entry. The models are tiny, and within one all sizes differ, so that an axis
taken for another fails; some are large in one respect, which its name says.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .config import Config
from .config.rotary import BandScaling, LinearScaling, LongropeScaling, YarnScaling
from .parameters import initialise
from .shapes import Array

# Options of the cache by the name of its storage. Blocks are of fewer tokens than a row has.
STORAGES: dict[str, dict[str, Any]] = {
    "contiguous": {}, "paged": {"storage": "paged", "block_size": 2}, "ring": {"storage": "ring"},
}  # fmt: skip


class Model(NamedTuple):
    """One entry.

    fields    of its configuration
    storages  of the cache that it is to be tried with; none where it has no cache
    length    tokens of the longest row that it is to be tried with
    first     position of a row's first token
    """

    fields: dict[str, Any]
    storages: tuple[str, ...] = ()
    length: int = 5
    first: int = 0

    def config(self, **changes: Any) -> Config:
        """Its configuration, with some fields changed."""
        return Config(**{**self.fields, **changes})


def _both(**fields: Any) -> dict[str, Any]:
    return {"model": "encoder-decoder", "encoder_layers": 1, "decoder_layers": 2, **fields}


def _decoder(**fields: Any) -> dict[str, Any]:
    return {"model": "decoder-only", "decoder_layers": 2, **fields}


def _encoder(**fields: Any) -> dict[str, Any]:
    return {"model": "encoder-only", "encoder_layers": 2, **fields}


MODELS: dict[str, Model] = {
    "encoder-decoder": Model(
        _both(width=6, heads=2, key_width=4, value_width=5, hidden=7, vocabulary=11),
        ("contiguous",),
    ),
    "two vocabularies, learned positions, pre-norm": Model(
        _both(
            width=6, encoder_layers=2, decoder_layers=1, heads=3, hidden=8, vocabulary=11,
            source_vocabulary=9, norm_place="pre", positions="learned", position_limit=7,
            position_offset=2, activation="gelu", tied_output=True, embedding_scale=2.5,
            output_scale=0.5,
        ),
        ("contiguous",),
    ),
    "decoder, rotary, grouped, gated": Model(
        _decoder(
            width=6, heads=4, key_value_heads=2, key_width=8, value_width=3, hidden=7,
            vocabulary=11, norm="rms", norm_place="pre", biases=False, positions="rotary",
            rotary_width=6, activation="silu", gated=True, score_scale=0.3, window=3,
        ),
        ("ring",),
    ),
    "decoder, interleaved, multi-query": Model(
        _decoder(
            query_key_norm="head", query_key_norm_place="after", width=9, decoder_layers=1, heads=3,
            key_value_heads=1, key_width=4, hidden=5,
            vocabulary=11, positions="rotary", rotary_layout="interleaved",
            activation="gelu_tanh", tied_output=True, norm_at=["decoder.feed_forward"],
            residual_at=["decoder.self_attention"],
        ),
        ("contiguous",),
    ),
    "encoder, segments, embedding norm": Model(
        _encoder(
            width=6, heads=2, hidden=7, vocabulary=11, positions="learned", position_limit=6,
            segments=2, embedding_norm=True, activation="gelu", gated=True, tied_output=True,
            embedding_scale=0.5, window=2, query_key_norm="projection", logit_cap=3.0,
            gate_shift=0.5,
        )
    ),
    "decoder, latents, rotary, smoothed": Model(
        _decoder(
            width=6, heads=2, key_width=4, value_width=3, hidden=7, vocabulary=11,
            positions="rotary", key_value_latent=5, query_latent=8, rotary_width=2,
            label_smoothing=0.1, score_cap=0.5, logit_cap=2.0,
        ),
        ("contiguous",),
    ),
    "bare": Model(
        _encoder(
            width=6, encoder_layers=1, heads=3, hidden=7, vocabulary=11, positions=None,
            norm=None, residual_at=False, output_projection_at=False, biases=False,
        )
    ),
    "decoder, deep": Model(
        _decoder(
            width=8, decoder_layers=5, heads=2, key_width=6, value_width=5, hidden=7,
            vocabulary=13, positions="rotary", rotary_width=4, norm_place="pre", epsilon=1e-3,
            biases=["b_q", "b_v", "b_in", "b_gate"], activation="gelu_tanh", gated=True,
        ),
        ("paged",),
    ),
    "decoder, many words": Model(
        _decoder(
            width=6, heads=4, key_value_heads=2, key_width=3, value_width=5, hidden=8,
            vocabulary=307, positions="learned", position_limit=40, embedding_scale=1.5,
            output_scale=0.4, label_smoothing=0.2,
        ),
        ("contiguous", "paged"),
    ),
    "decoder, long rows, far positions": Model(
        _decoder(
            width=10, heads=6, key_value_heads=3, key_width=8, value_width=5, hidden=7,
            vocabulary=11, positions="rotary", rotary_layout="interleaved", position_base=500.0,
            norm="rms", window=9, activation="silu",
            biases=["b_k", "b_o", "b_out", "output.b"],
        ),
        ("ring",), 41, 2000,
    ),
    "encoder-decoder, interleaved, some norms and residuals": Model(
        _both(
            width=10, encoder_layers=2, heads=2, key_width=8, value_width=6, hidden=9,
            vocabulary=11, source_vocabulary=13, positions="rotary",
            rotary_layout="interleaved", rotary_width=4, norm_place="pre", window=4,
            norm_at=["encoder.feed_forward", "decoder.cross_attention"],
            residual_at=["encoder.self_attention", "decoder.cross_attention"],
        ),
        ("ring",),
    ),
    "encoder-decoder, grouped, no positions, segments": Model(
        _both(
            width=9, heads=4, key_value_heads=2, key_width=5, value_width=3, hidden=7,
            vocabulary=11, source_vocabulary=8, positions=None, segments=3, sinks=True,
            norm_at=["encoder.self_attention", "decoder.self_attention", "decoder.feed_forward"],
            residual_at=["encoder.feed_forward", "decoder.self_attention", "decoder.feed_forward"],
        ),
        ("paged",),
    ),
    "encoder, grouped, a window of itself": Model(
        _encoder(
            width=8, heads=6, key_value_heads=3, key_width=5, hidden=7, vocabulary=11,
            position_base=50.0, window=1, norm="rms", embedding_norm=True,
            biases=["b_k", "b_v", "b_o"],
        )
    ),
    "decoder, multi-query, no positions, no norms": Model(
        _decoder(
            width=8, heads=3, key_value_heads=1, key_width=5, value_width=4, hidden=6,
            vocabulary=11, positions=None, norm_at=False, window=3,
        ),
        ("contiguous", "ring"),
    ),
    "encoder-decoder, multi-query, one table for all words": Model(
        _both(
            query_key_norm="head", width=8, encoder_layers=2, decoder_layers=1, heads=4,
            key_value_heads=1, key_width=3,
            value_width=5, hidden=7, vocabulary=11, tied_output=True, embedding_scale=1.5,
            norm="rms", norm_place="pre", biases=["b_in", "b_out"], gated=True,
            gate_limit=0.3, gate_shift=-0.5,
        ),
        ("paged",),
    ),
    "decoder, multi-query, learned positions": Model(
        _decoder(
            width=7, heads=4, key_value_heads=1, key_width=5, value_width=3, hidden=9,
            vocabulary=11, positions="learned", position_limit=30, position_offset=2, norm=None,
            window=2, activation="gelu_sigmoid",
        ),
        ("ring",),
    ),
    "encoder, multi-query, rotary, float32": Model(
        _encoder(
            width=9, heads=3, key_value_heads=1, key_width=6, value_width=5, hidden=7,
            vocabulary=11, positions="rotary", dtype="float32", query_key_norm="projection",
            query_key_norm_place="after", query_key_gain=False,
        )
    ),
    "encoder, latent, no positions": Model(
        _encoder(
            width=9, heads=4, key_value_latent=5, key_width=6, hidden=7, vocabulary=11,
            positions=None, norm="rms", norm_place="pre",
        )
    ),
    "decoder, latent, window": Model(
        _decoder(
            width=8, heads=4, key_value_latent=5, key_width=6, value_width=3, hidden=7,
            vocabulary=11, window=3, score_scale=0.4, score_cap=2.0, sinks=True, biases=False,
        ),
        ("ring",),
    ),
    "encoder-decoder, latent, learned positions, float32": Model(
        _both(
            width=8, heads=3, key_value_latent=5, key_width=4, value_width=7, hidden=9,
            vocabulary=11, positions="learned", position_limit=30, dtype="float32",
        ),
        ("paged",),
    ),
    "encoder-decoder, latent, rotary, some projections": Model(
        _both(
            width=8, heads=4, key_value_latent=3, key_width=6, value_width=2, hidden=7,
            vocabulary=11, source_vocabulary=13, positions="rotary", score_scale=0.3,
            output_projection_at=["encoder.self_attention", "decoder.cross_attention"],
        ),
        ("paged",),
    ),
    "decoder, latent, interleaved, deep": Model(
        _decoder(
            width=10, decoder_layers=4, heads=3, key_value_latent=7, key_width=5, value_width=4,
            hidden=9, vocabulary=11, positions="rotary", rotary_layout="interleaved",
            rotary_width=6, norm_place="pre",
        ),
        ("contiguous", "paged"),
    ),
    "decoder, latents, no positions, window": Model(
        _decoder(
            width=8, heads=4, key_value_latent=5, query_latent=3, key_width=6, value_width=2,
            hidden=7, vocabulary=11, positions=None, window=4, output_projection_at=False,
        ),
        ("paged",),
    ),
    "encoder-decoder, latents, window": Model(
        _both(
            width=8, heads=3, key_value_latent=5, query_latent=4, key_width=6, value_width=7,
            hidden=9, vocabulary=11, source_vocabulary=13, window=3,
            biases=["b_q", "b_o", "norm.bias"],
        ),
        ("ring",),
    ),
    "encoder-decoder, latents, learned positions": Model(
        _both(
            width=6, heads=2, key_value_latent=5, query_latent=4, key_width=7, value_width=3,
            hidden=8, vocabulary=11, positions="learned", position_limit=30, window=2,
            output_projection_at=["decoder.self_attention"], gated=True,
            activation="gelu_sigmoid", gate_limit=0.3, gate_shift=1.0,
        ),
        ("ring",),
    ),
    "encoder, latents, interleaved": Model(
        _encoder(
            width=9, heads=3, key_value_latent=7, query_latent=5, key_width=6, hidden=8,
            vocabulary=11, positions="rotary", rotary_layout="interleaved", rotary_width=4,
            biases=["b_dq", "b_dkv", "b_kr"],
        )
    ),
    "decoder, not causal": Model(
        _decoder(
            width=8, heads=1, key_width=5, value_width=3, hidden=7, vocabulary=11, causal=False,
            window=4,
        )
    ),
    "decoder, normed queries and keys": Model(
        _decoder(
            width=10, heads=4, key_value_heads=2, key_width=6, value_width=5, hidden=7,
            vocabulary=11, norm="rms", norm_place="pre", positions="rotary", rotary_width=4,
            query_key_norm="head", window=3,
        ),
        ("ring", "paged"),
    ),
    "decoder, slopes, six heads": Model(
        _decoder(
            width=9, heads=6, key_width=4, value_width=5, hidden=8, vocabulary=11,
            positions="alibi",
        ),
        ("contiguous", "paged"),
    ),
    "decoder, slopes, grouped, window": Model(
        _decoder(
            width=10, heads=4, key_value_heads=2, key_width=3, value_width=5, hidden=7,
            vocabulary=11, positions="alibi", window=3, score_cap=0.5,
        ),
        ("ring",),
    ),
    "encoder, slopes, multi-query": Model(
        _encoder(
            width=9, heads=3, key_value_heads=1, key_width=4, hidden=7, vocabulary=11,
            positions="alibi", sinks=True,
        )
    ),
    "decoder, deep, rotary and windows in some layers, of several bases": Model(
        _decoder(
            width=10, decoder_layers=4, heads=2, key_width=6, value_width=3, hidden=7,
            vocabulary=11, positions=("rotary", "rotary", None), rotary_width=4,
            position_base=(100.0, 10000.0), window=(3, None), sinks=True,
        ),
        ("contiguous", "paged"),
    ),
    "decoder, angles divided over a ramp": Model(
        _decoder(
            width=10, heads=2, key_width=9, value_width=3, hidden=7, vocabulary=11,
            positions="rotary", rotary_width=8, position_base=100.0,
            rotary_scaling=YarnScaling(
                factor=4.0, original=64, beta_fast=4.0, beta_slow=0.5, truncate=False
            ),
        ),
        ("contiguous", "paged"),
    ),
    "decoder, latents, angles divided over a ramp": Model(
        _decoder(
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
        _decoder(
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
    "encoder, every angle by a number of its own": Model(
        _encoder(
            width=10, heads=2, key_width=4, value_width=3, hidden=7, vocabulary=11,
            positions="rotary", query_key_norm="projection", query_key_gain=False,
            rotary_scaling=LongropeScaling(
                short=(1.0, 1.5), long=(1.2, 4.0), original=4096, length=8192, factor=2.0
            ),
        )
    ),
    "decoder, chunks and rotary in some layers, growing queries in the others": Model(
        _decoder(
            width=10, decoder_layers=3, heads=4, key_value_heads=2, key_width=6, value_width=3,
            hidden=7, vocabulary=11, positions=("rotary", None), chunk=(3, None),
            query_growth=(None, 2), query_growth_rate=0.5,
        ),
        ("contiguous", "paged"),
    ),
    "encoder-decoder, bias by buckets, one table a stack": Model(
        _both(
            width=9, encoder_layers=2, heads=3, key_width=4, value_width=5, hidden=7,
            vocabulary=11, positions="relative", relative_buckets=6, relative_distance=4,
            norm="rms", norm_place="pre", score_scale=1.0, biases=False,
        ),
        ("contiguous", "paged"),
    ),
    "decoder, bias by buckets, grouped, window": Model(
        _decoder(
            width=10, heads=4, key_value_heads=2, key_width=6, value_width=3, hidden=7,
            vocabulary=11, positions="relative", window=4,
        ),
        ("ring",),
    ),
    "encoder, chunks": Model(
        _encoder(
            width=10, heads=2, key_width=4, value_width=3, hidden=7, vocabulary=11, chunk=2,
            query_growth=3,
        )
    ),
    "decoder, windows of several widths": Model(
        _decoder(
            width=9, decoder_layers=3, heads=3, key_width=4, value_width=5, hidden=7,
            vocabulary=11, positions="rotary", window=(2, 4), score_cap=(0.5, None, 2.0),
            sinks=True,
        ),
        ("ring",),
    ),
    "encoder-decoder, deep, slopes, latent": Model(
        _both(
            width=9, encoder_layers=4, decoder_layers=5, heads=3, key_value_latent=5, key_width=4,
            value_width=6, hidden=7, vocabulary=11, positions="alibi",
        ),
        ("contiguous",),
    ),
}  # fmt: skip


def parameters_of(config: Config, seed: int = 7) -> dict[str, Array]:
    """Initialised parameters with some noise, so that no bias is 0 and no gain is 1."""
    generator = np.random.default_rng(seed)
    return {
        name: (array + 0.1 * generator.standard_normal(array.shape)).astype(array.dtype)
        for name, array in initialise(config, seed).items()
    }
