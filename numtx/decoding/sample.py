"""Sampling: a token drawn with its probability after the filters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import DecodingError
from ..shapes import Array
from .checks import check_whole
from .filters import Filters, probabilities_of
from .generate import Choose, greedy


def filtered_greedy(filters: Filters) -> Choose:
    """The most probable token after the filters (of which only the penalty can change it)."""

    def choose(logits: Array, rows: Sequence[Sequence[int]]) -> Array:
        return greedy(filters(logits, rows), rows)

    return choose


def sampler(filters: Filters, seed: int | list[int] | tuple[int, ...] = 0) -> Choose:
    """Draws a token from each row's filtered probabilities.

    seed  of each row; a single number s means s, s + 1, ... . Every row draws from generators
          of its own, one for each length, so it is continued alike alone and in any batch
    """
    for one in seed if isinstance(seed, list | tuple) else [seed]:
        check_whole("seed", one, 0)

    def choose(logits: Array, rows: Sequence[Sequence[int]]) -> Array:
        seeds = seed if isinstance(seed, list | tuple) else range(seed, seed + len(rows))
        if len(seeds) != len(rows):
            raise DecodingError(f"seed has {len(seeds)} numbers for {len(rows)} rows; one a row")
        draws = [
            np.random.default_rng([one, len(row)]).random()
            for one, row in zip(seeds, rows, strict=True)
        ]
        return draw(probabilities_of(filters(logits, rows)), np.array(draws))

    return choose


def draw(probabilities: Array, uniform: Array) -> Array:
    """[B, V] and [B] numbers in [0, 1) -> [B]: the first token at which the running sum of
    probabilities exceeds the number, so a token of probability 0 is never drawn."""
    total = np.cumsum(probabilities, -1, dtype=np.float64)
    # Rounding may leave the whole sum a little off 1.
    choice: Array = np.argmax(total > uniform[:, None] * total[:, -1:], -1)
    return choice
