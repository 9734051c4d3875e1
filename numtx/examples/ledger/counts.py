"""Multiply-adds of attention as document 001 counts them, exactly, and what it leaves out."""

from __future__ import annotations

import math
from collections.abc import Callable

from ...costs import (
    step_with_cache,
    step_without_cache,
    total_with_cache,
    total_without_cache,
)

Cost = Callable[[int], int]


def projections(tokens: int, dim: int) -> int:
    """Q, K and V of so many tokens: three products [tokens, dim]·[dim, dim]."""
    return 3 * tokens * dim * dim


def attention(queries: int, keys: int, dim: int) -> int:
    """Q·K^T and weights·V: two products of queries * keys * dim."""
    return 2 * queries * keys * dim


def step(i: int, dim: int, cached: bool) -> int:
    """Generating token i: over the whole sequence again, or for the new token alone."""
    return step_with_cache(i, dim) if cached else step_without_cache(i, dim)


def total(length: int, dim: int, cached: bool) -> int:
    """Generating `length` tokens: the sum of `step` over 1 .. length, in closed form."""
    return total_with_cache(length, dim) if cached else total_without_cache(length, dim)


def total_projections(length: int, dim: int, cached: bool) -> int:
    """The sum of the projections: T tokens with a cache, T(T+1)/2 without."""
    return projections(length if cached else length * (length + 1) // 2, dim)


def total_attention(length: int, dim: int, cached: bool) -> int:
    """The sum over i of 2·i·dim with a cache, of 2·i^2·dim without."""
    if cached:
        return attention(1, length * (length + 1) // 2, dim)
    return attention(1, length * (length + 1) * (2 * length + 1) // 6, dim)


def growth(cost: Cost, length: int) -> float:
    """How many times the cost grows when the length doubles (2: linear, 4: square, 8: cube)."""
    return cost(2 * length) / cost(length)


def degree(cost: Cost) -> int:
    """The power of the length with which a cost grows in the end (at a million times a
    million tokens, where lower powers have long dropped out)."""
    return round(math.log2(growth(cost, 10**12)))


def cache_numbers(layers: int, length: int, width: int, heads_share: float = 1.0) -> int:
    """Numbers in a cache of keys and values."""
    return round(layers * length * 2 * width * heads_share)
