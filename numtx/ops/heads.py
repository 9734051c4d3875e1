"""Between a width that holds all heads side by side and an axis of heads."""

from __future__ import annotations

from ..shapes import Array


def split_heads(x: Array, heads: int) -> Array:
    """[B, T, H*k] -> [B, H, T, k]; head h owns the columns h*k to (h+1)*k."""
    batch, length, width = x.shape
    return x.reshape(batch, length, heads, width // heads).transpose(0, 2, 1, 3)


def merge_heads(x: Array) -> Array:
    """[B, H, T, k] -> [B, T, H*k], the inverse (and so also the backward) of `split_heads`."""
    batch, heads, length, width = x.shape
    return x.transpose(0, 2, 1, 3).reshape(batch, length, heads * width)
