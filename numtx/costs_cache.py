"""What a cache holds of a token under each kind of attention, side by side, as plain rows.

Numbers of a token in one layer, with H heads:

    multi-head    H·(d_k + d_v)             latent   r + d_r, whatever the heads
    grouped       G·(d_k + d_v)             window   as multi-head, of the last w tokens only
    multi-query   d_k + d_v
"""

from __future__ import annotations

import math
from typing import NamedTuple

from .attention import token_streams
from .config import Config


class CacheSizes(NamedTuple):
    """The sizes that a table is made for. Values are as wide as keys."""

    layers: int
    heads: int
    d_k: int
    groups: int  # key/value heads of grouped-query attention
    latent: int  # r
    rotary: int  # d_r
    window: int
    tokens: int


# Width 4 in 6 layers, 100 tokens; and 128k tokens of a model of width 4096 in 32 layers.
DOCUMENTS = CacheSizes(6, 4, 1, 2, 2, 2, 25, 100)
LONG = CacheSizes(32, 32, 128, 8, 512, 64, 4096, 131072)


class CacheRow(NamedTuple):
    """The cache of one row under one kind of attention."""

    attention: str
    formula: str  # of the numbers of a token in one layer
    numbers: int  # the same in numbers
    token_bytes: int  # of a token in all layers
    held: int  # tokens that are held in the end
    total_bytes: int
    share: float  # of multi-head's total


def cache_configs(sizes: CacheSizes) -> dict[str, Config]:
    """A model of these sizes for each kind of attention."""
    fields = {
        "model": "decoder-only", "width": sizes.heads * sizes.d_k, "hidden": 1, "vocabulary": 1,
        "decoder_layers": sizes.layers, "heads": sizes.heads, "key_width": sizes.d_k,
        "positions": None,
    }  # fmt: skip
    own: dict[str, dict[str, object]] = {
        "multi-head": {},
        f"grouped, {sizes.groups} heads": {"key_value_heads": sizes.groups},
        "multi-query": {"key_value_heads": 1},
        "latent": {
            "key_value_latent": sizes.latent, "positions": "rotary", "rotary_width": sizes.rotary,
        },
        f"window of {sizes.window}": {"window": sizes.window},
    }  # fmt: skip
    return {name: Config.from_dict({**fields, **more}) for name, more in own.items()}


def cache_table(sizes: CacheSizes, number_bytes: int = 2) -> list[CacheRow]:
    """The rows of a table: bytes a token, and of all tokens, for numbers of so many bytes."""
    rows: list[CacheRow] = []
    for name, config in cache_configs(sizes).items():
        numbers = sum(math.prod(axes) for axes in token_streams(config).values())
        held = sizes.tokens if config.window is None else min(sizes.tokens, config.window)
        token_bytes = numbers * sizes.layers * number_bytes
        total = token_bytes * held
        share = total / (rows[0].total_bytes if rows else total)
        rows.append(CacheRow(name, _formula(config), numbers, token_bytes, held, total, share))
    return rows


def _formula(config: Config) -> str:
    if config.key_value_latent is not None:
        return f"{config.key_value_latent} + {config.rotated}"
    return f"{config.kv_heads}·({config.d_k} + {config.d_v})"
