"""Runs that several rows read, and what can be asked of two runs."""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from typing import Any

import numpy as np

from ...batch import Batch
from ...config import Config
from ...parameters import initialise
from ...shapes import Array
from ...trace.trace import Trace, record
from ..cat import cat, masked
from ..example import Example
from ..small import letters, memory, padding
from ..translation import concatenated, translation
from ..weather import weather

_MAKERS: dict[str, Any] = {
    "weather": weather, "cat": cat, "masked": masked, "letters": letters, "memory": memory,
    "padding": padding, "translation": translation, "concatenated": concatenated,
}  # fmt: skip


@lru_cache(maxsize=64)
def example(name: str, **options: Any) -> Example:
    """An example by name; `story` too, which is loaded late for it reads a file."""
    if name == "story":
        from ..story import story

        return story()
    made: Example = _MAKERS[name](**options)
    return made


@lru_cache(maxsize=64)
def trace(name: str, **options: Any) -> Trace:
    """The recorded forward pass of an example."""
    return example(name, **options).trace(gradients=False)


@lru_cache(maxsize=8)
def trained(name: str, **options: Any) -> Trace:
    """The same with gradients."""
    return example(name, **options).trace()


def shape(name: str, stage: str, **options: Any) -> tuple[int, ...]:
    """The shape of a stage without the axes of rows and of single heads."""
    found: tuple[int, ...] = trace(name, **options)[stage].shape
    while len(found) > 2 and found[0] == 1:
        found = found[1:]
    return found


def with_tokens(name: str, side: str, ids: list[int], **options: Any) -> Trace:
    """An example run on other tokens of one side (without labels)."""
    made = example(name, **options)
    field = "decoder_ids" if side == "decoder" and made.config.model == "encoder-decoder" else "ids"
    batch = dataclasses.replace(made.batch, **{field: [ids]}, labels=None)
    return record(made.config, made.parameters, batch, gradients=False)


def tokens(name: str, side: str, **options: Any) -> list[int]:
    """The token ids of the first row of a side."""
    ids: list[int] = trace(name, **options)[f"{side}.tokens"][0].tolist()
    return ids


def moved(before: Array, after: Array) -> list[bool]:
    """Which positions changed, bit for bit; positions are the last axis but one."""
    shared = min(before.shape[-2], after.shape[-2])
    cut = [array[..., :shared, :] for array in (before, after)]
    axes = tuple(i for i in range(before.ndim) if i != before.ndim - 2)
    changed: list[bool] = np.any(cut[0] != cut[1], axis=axes).tolist()
    return changed


def moves(name: str, side: str, position: int, stage: str, **options: Any) -> list[bool]:
    """Which positions of a stage move when one token of a side is another one."""
    ids = list(tokens(name, side, **options))
    size = example(name, **options).config.vocabulary_of(side)
    ids[position] = (ids[position] + 1) % size
    return moved(trace(name, **options)[stage], with_tokens(name, side, ids, **options)[stage])


@lru_cache(maxsize=8)
def encoder(positions: str | None, length: int = 4, **fields: Any) -> tuple[Config, Any]:
    """A small encoder (or, with model=..., another stack) over `length` different tokens."""
    settings: dict[str, Any] = {"model": "encoder-only", "encoder_layers": 1, **fields}
    if settings["model"] == "decoder-only":
        settings["encoder_layers"] = 0
        settings.setdefault("decoder_layers", 1)
    config = Config(width=6, heads=1, hidden=7, vocabulary=11, positions=positions, **settings)
    return config, initialise(config, 0)


def output(config: Config, parameters: Any, ids: list[int]) -> Array:
    """The last hidden states [T, d] of a model of one stack."""
    run = record(config, parameters, Batch([ids]), gradients=False)
    found: Array = run[f"{config.sides[-1]}.output"][0]
    return found


def softmax(x: Any) -> Array:
    """The plain softmax over the last axis, for arithmetic on stated numbers."""
    e = np.exp(np.asarray(x, float) - np.max(x, -1, keepdims=True))
    shares: Array = e / e.sum(-1, keepdims=True)
    return shares
