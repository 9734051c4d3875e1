"""Parameters: a flat dictionary from names to arrays.

One function, `parameter_shapes`, goes from a configuration to names and shapes; it drives
initialisation, loading, counting and gradients. Row vectors throughout: `y = x @ w + b`, a
matrix is (in, out).
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from functools import lru_cache
from typing import Any

import numpy as np

from .attention import KINDS, MULTI_HEAD
from .config import Config
from .config.wiring import NORM_PLACES
from .errors import ConfigError, ParameterError, nearest
from .feed_forward import FEED_FORWARDS
from .head import head_parameters
from .memory import too_large
from .place import Shapes
from .shapes import Array

PER_ARRAY = 500  # bytes that a name and the head of an array take, about


@lru_cache(maxsize=64)
def parameter_shapes(config: Config) -> Mapping[str, tuple[int, ...]]:
    """Name -> shape of every parameter of a model, in order of computation.

    Raises `ParameterError` where the names alone do not fit into memory.
    """
    _check_size(config, 0)
    return dict(named_shapes(config))


def named_shapes(config: Config, most: int | None = None) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The same one after the other, of a model of any size.

    most  blocks of a side that are gone through; None: all
    """
    width = config.width
    if config.shared_embedding:
        yield "embedding", (config.vocabulary, width)
    for side in config.sides:
        if not config.shared_embedding:
            yield f"{side}.embedding", (config.vocabulary_of(side), width)
        if config.position_limit is not None:
            yield f"{side}.positions", (config.position_limit + config.position_offset, width)
        if "relative" in config.values_of("positions"):
            yield f"{side}.relative_bias", (config.relative_buckets, config.heads)
        if config.segments:
            yield f"{side}.segments", (config.segments, width)
        if config.embedding_norm:
            yield from _norm(config, f"{side}.embedding_norm")
        layers = config.layers(side)
        for i in range(layers if most is None else min(layers, most)):
            yield from _block(config.layer(side, i), side, i)
        if config.final_norm:
            yield from _norm(config, f"{side}.norm")
    yield from head_parameters(config)


def _block(config: Config, side: str, i: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    for sublayer in config.sublayers(side):
        name, place = f"{side}.{sublayer}", f"{side}.{i}.{sublayer}"
        for leaf, shape in _sublayer(config, name):
            yield f"{place}.{leaf}", shape
        if config.has_norm(name):
            for norm in NORM_PLACES[config.norm_place]:
                yield from _norm(config, f"{place}.{norm}")


def _sublayer(config: Config, name: str) -> Shapes:
    if name.endswith("feed_forward"):
        yield from FEED_FORWARDS[config.feed_forward].parameters(config)
        return
    own = name.endswith("self_attention")
    kind = KINDS[config.attention] if own else MULTI_HEAD
    yield from kind.parameters(config, config.has_output_projection(name))
    if own and config.sinks:
        yield "sinks", (config.heads,)


def _norm(config: Config, place: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{place}.gain", (config.width,)
    if config.norm == "layer" and config.has_bias("norm.bias"):
        yield f"{place}.bias", (config.width,)


def count_parameters(config: Config) -> int:
    """How many numbers a model learns."""
    return _count(config)[0]


def _count(config: Config) -> tuple[int, int]:
    """Numbers and arrays of a model, without going through blocks that are alike."""
    sizes = [math.prod(shape) for _, shape in named_shapes(config, most=1)]
    numbers, arrays = sum(sizes), len(sizes)
    for side in config.sides:
        layers, (different, which) = config.layers(side), config.stacks[side]
        for i, kind in enumerate(which):
            block = [math.prod(shape) for _, shape in _block(different[kind], side, 0)]
            count = (layers - i - 1) // len(which) + (i > 0)  # the first was counted
            numbers += count * sum(block)
            arrays += count * len(block)
    return numbers, arrays


def check_size(config: Config) -> None:
    """Raise `ParameterError` for a model whose parameters do not fit into memory."""
    _check_size(config, np.dtype(config.dtype).itemsize)


def _check_size(config: Config, itemsize: int) -> None:
    numbers, arrays = _count(config)
    refused = too_large(numbers * itemsize + arrays * PER_ARRAY)
    if refused is not None:
        raise ParameterError(
            f"config: the parameters of this model need {refused}; lower width, hidden, "
            "vocabulary or layers"
        )


def initialise(config: Config, seed: int = 0) -> dict[str, Array]:
    """Seeded parameters: matrices uniform in ±sqrt(6 / (in + out)) (Glorot and Bengio, 2010),
    embedding tables normal with deviation 1 / sqrt(width), gains 1, biases and sinks 0.

    Each tensor has a generator of its own, made from the seed and its name, so a change of
    the configuration elsewhere leaves it as it was.

    Raises `ParameterError` where they do not fit into memory.
    """
    check_size(config)
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ParameterError(f"seed is {seed!r}; it is a whole number of at least 0")
    return {
        name: _draw(config, name, shape, seed) for name, shape in parameter_shapes(config).items()
    }


def _draw(config: Config, name: str, shape: tuple[int, ...], seed: int) -> Array:
    leaf = name.rpartition(".")[2]
    if leaf == "gain":
        return np.full(shape, config.first_gain, config.dtype)
    if leaf in ("bias", "b", "sinks", "correction") or leaf.startswith("b_"):
        return np.zeros(shape, config.dtype)
    generator = np.random.default_rng([seed, zlib.crc32(name.encode())])
    if leaf in ("embedding", "positions", "segments"):
        return (generator.standard_normal(shape) / math.sqrt(config.width)).astype(config.dtype)
    limit = math.sqrt(6.0 / sum(shape[-2:]))  # of a stack, as of each of its matrices
    return generator.uniform(-limit, limit, shape).astype(config.dtype)


def hint_of(config: Config, name: str) -> str:
    """What may be meant by a parameter that a model has not: one of another name, or a part that
    the configuration leaves out."""
    for field in fields(config):
        if getattr(config, field.name) is False:
            changed: dict[str, Any] = {field.name: True}
            try:
                shapes = parameter_shapes(replace(config, **changed))
            except ConfigError:
                continue
            if name in shapes:
                return f'it is one where the configuration has "{field.name}": true'
    return nearest(name, parameter_shapes(config))


def check_parameters(config: Config, parameters: Mapping[str, Array]) -> None:
    """Raise `ParameterError` unless names, shapes and type are those of the configuration."""
    expected = parameter_shapes(config)
    dtype = np.dtype(config.dtype)
    for name, shape in expected.items():
        if name not in parameters:
            raise ParameterError(
                f"parameters: {name!r} is missing; the configuration needs shape {shape}"
            )
        array = parameters[name]
        if not isinstance(array, np.ndarray) or array.shape != shape:
            got = array.shape if isinstance(array, np.ndarray) else type(array).__name__
            raise ParameterError(f"parameters: {name!r} has shape {got}; it should be {shape}")
        if array.dtype != dtype:
            raise ParameterError(
                f"parameters: {name!r} is {array.dtype}; the configuration says {dtype}"
            )
    if len(parameters) != len(expected):
        extra = next(name for name in parameters if name not in expected)
        raise ParameterError(
            f"parameters: {extra!r} is not a parameter of this model; {hint_of(config, extra)}"
        )
