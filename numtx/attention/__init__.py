"""Attention: queries look at keys, and take what they find from the values. One file a kind."""

from __future__ import annotations

from ..config import Config
from .kind import AttentionInputs, AttentionKind, Store
from .latent import LATENT
from .multi_head import MULTI_HEAD

__all__ = ["KINDS", "MULTI_HEAD", "AttentionInputs", "Store", "token_streams"]

# The kinds of self-attention by their names in a configuration; cross-attention is multi-head.
KINDS: dict[str, AttentionKind] = {"multi-head": MULTI_HEAD, "latent": LATENT}


def token_streams(config: Config) -> dict[str, tuple[int, ...]]:
    """What self-attention needs of a token that later ones look at: name -> its axes, without
    that of the tokens, which stands before the last"""
    return KINDS[config.attention].streams(config)
