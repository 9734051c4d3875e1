"""Laws for any model, asked of its ids, masks, logits and cache alone."""

from . import mask, paths, rows  # noqa: F401 (each enters its laws into the table)
