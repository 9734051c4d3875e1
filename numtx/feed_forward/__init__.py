"""The feed-forward sublayer: each token by itself, made wider and narrow again. One file a kind."""

from __future__ import annotations

from .dense import DENSE
from .experts import EXPERTS
from .kind import FeedForwardKind

__all__ = ["FEED_FORWARDS"]

# The kinds by their names in a configuration.
FEED_FORWARDS: dict[str, FeedForwardKind] = {"dense": DENSE, "experts": EXPERTS}
