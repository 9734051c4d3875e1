"""What an entry of the list of models is."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..config import Config

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


def both(**fields: Any) -> dict[str, Any]:
    return {"model": "encoder-decoder", "encoder_layers": 1, "decoder_layers": 2, **fields}


def decoder(**fields: Any) -> dict[str, Any]:
    return {"model": "decoder-only", "decoder_layers": 2, **fields}


def encoder(**fields: Any) -> dict[str, Any]:
    return {"model": "encoder-only", "encoder_layers": 2, **fields}
