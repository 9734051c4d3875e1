"""Models and inputs that the tests of the cache share."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from numtx.batch import Batch
from numtx.cache import Cache
from numtx.config import Config
from numtx.model import forward
from numtx.parameters import initialise
from numtx.step import step

MODELS = ("decoder-only", "encoder-decoder")
KEY_VALUE_HEADS = {"mha": 4, "gqa": 2, "mqa": 1}
ATTENTIONS = (*KEY_VALUE_HEADS, "latent", "latent-both")
STORAGES: dict[str, dict[str, Any]] = {
    "contiguous": {}, "paged": {"storage": "paged", "block_size": 4}, "ring": {"storage": "ring"},
}  # fmt: skip
POSITIONS = ("sinusoidal", "learned", "rotary", None)
VOCABULARY = 11
SOURCE_VOCABULARY = 7


def model(kind: str, attention: str, positions: str | None, **fields: Any) -> Config:
    """A small model whose sizes all differ."""
    encoder_decoder = kind == "encoder-decoder"
    values: dict[str, Any] = {
        "model": kind,
        "width": 8,
        "heads": 4,
        "key_value_heads": KEY_VALUE_HEADS.get(attention),
        "key_value_latent": 7 if attention.startswith("latent") else None,
        "query_latent": 5 if attention == "latent-both" else None,
        "rotary_width": 4 if attention == "latent-both" and positions == "rotary" else None,
        "key_width": 6,
        "value_width": 3,
        "hidden": 10,
        "vocabulary": VOCABULARY,
        "source_vocabulary": SOURCE_VOCABULARY if encoder_decoder else None,
        "encoder_layers": 1 if encoder_decoder else 0,
        "decoder_layers": 2,
        "positions": positions,
        "position_limit": 40 if positions == "learned" else None,
        "norm_place": "pre" if positions == "rotary" else "post",
    }
    return Config(**{**values, **fields})


def weights(config: Config, seed: int = 5) -> dict[str, np.ndarray]:
    """Parameters with biases and gains that are not 0 and 1."""
    generator = np.random.default_rng(seed)
    return {
        name: (array + 0.1 * generator.standard_normal(array.shape)).astype(array.dtype)
        for name, array in initialise(config, seed).items()
    }


def batch_of(
    config: Config, ids: Any, mask: Any = None, source: Any = None, source_mask: Any = None
) -> Batch:
    """The tokens of the decoder, with the encoder's where it is to run."""
    if config.model == "encoder-decoder":
        return Batch(source, ids, mask=source_mask, decoder_mask=mask)
    return Batch(ids, mask=mask)


def uncached(config: Config, parameters: Any, batch: Batch) -> np.ndarray:
    """The logits of a run of the whole model."""
    return forward(config, parameters, batch)[0].logits


def in_chunks(
    config: Config, parameters: Any, batch: Batch, chunks: tuple[int, ...], cache: Cache
) -> np.ndarray:
    """The logits of every position, the tokens handed over in chunks."""
    both = config.model == "encoder-decoder"
    ids = np.asarray(batch.decoder_ids if both else batch.ids)
    mask = batch.decoder_mask if both else batch.mask
    found, start = [], 0
    for length in chunks:
        part = slice(start, start + length)
        first = start == 0
        piece = batch_of(
            config, ids[:, part], None if mask is None else mask[:, part],
            batch.ids if both and first else None, batch.mask if both and first else None,
        )  # fmt: skip
        found.append(step(config, parameters, piece, cache, every_position=True).logits)
        start += length
    return np.concatenate(found, 1)


def compositions(length: int) -> list[tuple[int, ...]]:
    """Every way to cut so many tokens into chunks."""
    found = []
    for cuts in itertools.product((False, True), repeat=length - 1):
        parts = [1]
        for cut in cuts:
            if cut:
                parts.append(1)
            else:
                parts[-1] += 1
        found.append(tuple(parts))
    return found
