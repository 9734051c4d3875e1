"""Runs with a cache and without one that the tests of the cache share."""

from __future__ import annotations

import itertools
from dataclasses import fields
from typing import Any

import numpy as np

from numtx.batch import Batch
from numtx.cache import Cache
from numtx.config import Config
from numtx.model import forward
from numtx.step import step


def batch_of(
    config: Config, ids: Any, mask: Any = None, source: Any = None, source_mask: Any = None
) -> Batch:
    """The tokens of the decoder, with the encoder's where it is to run."""
    if len(config.sides) == 2:
        return Batch(source, ids, mask=source_mask, decoder_mask=mask)
    return Batch(ids, mask=mask)


def tokens(config: Config, rows: int, columns: int, seed: int = 0, side: str = "decoder") -> Any:
    """Random ids [rows, columns] of a side."""
    size = config.vocabulary_of(side)
    return np.random.default_rng(seed).integers(0, size, (rows, columns))


def uncached(config: Config, parameters: Any, batch: Batch) -> np.ndarray:
    """The logits of a run of the whole model."""
    return forward(config, parameters, batch)[0].logits


def in_chunks(
    config: Config, parameters: Any, batch: Batch, chunks: tuple[int, ...], cache: Cache
) -> np.ndarray:
    """The logits of every position, the tokens handed over in chunks."""
    given = {f.name: getattr(batch, f.name) for f in fields(batch)}
    given = {name: np.asarray(value) for name, value in given.items() if value is not None}
    both = len(config.sides) == 2
    own = {n: a for n, a in given.items() if n.startswith("decoder_") or not both}
    source = {n: a for n, a in given.items() if n not in own}
    found, start = [], 0
    for length in chunks:
        part = {n: a[:, start : start + length] for n, a in own.items()}
        piece = Batch(**{"ids": None, **({} if start else source), **part})
        found.append(step(config, parameters, piece, cache, every_position=True).logits)
        start += length
    return np.concatenate(found, 1)


class StopsAt:
    """A tap that raises an error at one stage, given by the end of its name."""

    active = True

    def __init__(self, stage: str, error: type[BaseException], scope: str = "") -> None:
        self.stage, self.error, self.scope = stage, error, scope

    def __call__(self, name: str, value: Any) -> Any:
        if f"{self.scope}{name}".endswith(self.stage):
            raise self.error
        return value

    def show(self, name: str, value: Any) -> None:
        """Nothing is kept."""

    def grad(self, name: str, gradient: Any) -> Any:
        return gradient

    def at(self, scope: str) -> StopsAt:
        return StopsAt(self.stage, self.error, f"{self.scope}{scope}.")

    def end(self) -> None:
        """Nothing was kept."""


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
