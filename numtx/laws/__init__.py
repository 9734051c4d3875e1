"""Laws for any model, asked of its ids, masks, logits and cache alone."""

from ..cache_laws import cache, state  # noqa: F401 (each enters its laws into the table)
from . import mask, rows  # noqa: F401 (each enters its laws into the table)
