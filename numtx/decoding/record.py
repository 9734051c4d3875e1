"""A trace of a whole generation: the encoder once, then prefill and each step of decode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..batch import Batch, check_step, count_positions, vectors_of
from ..config import Config
from ..errors import DecodingError
from ..shapes import Array
from ..step import last_places
from ..tap import Pin, Recorder
from ..trace.trace import NO_TOKEN, Trace
from .generate import Generation, Step, generate


def record_generation(
    config: Config,
    parameters: Mapping[str, Array],
    prompt: Batch,
    *,
    pins: Mapping[str, Array | Pin] | None = None,
    source_tokens: Sequence[Sequence[str]] | None = None,
    vocabulary: Sequence[str] | None = None,
    use_cache: bool = True,
    **options: Any,
) -> tuple[Generation, Trace]:
    """`generate` with every stage kept, under `encoder.*`, `prefill.*` and `decode.{n}.*`.

    options are those of `generate`; the names of the encoder's tokens are `source_tokens`, those
    of the decoder's come from the vocabulary. A generation begins with an empty cache here.
    """
    cache = options.get("cache")
    if cache is not None and cache.storage == "ring":
        raise DecodingError(
            "a recorded generation with a ring: the stages of a step are those of all tokens so "
            "far, and a ring drops some; record with contiguous or paged storage"
        )
    recorder = Recorder(pins)
    generation = generate(config, parameters, prompt, use_cache=use_cache, tap=recorder, **options)
    generation = replace(generation, vocabulary=vocabulary)
    recorder.end()
    inputs, tokens = _of_source(config, prompt, recorder, source_tokens)
    before = np.zeros(len(generation.prompt), np.int64)
    every: list[tuple[Array, Array]] = []
    for step in generation.steps:
        scope = f"{step.phase}.decoder"
        positions = count_positions(step.valid, before)
        had = recorder.values[f"{scope}.tokens"]  # a pin may hold another token
        every.append((had, positions))
        inputs[f"inputs/{scope}.positions"] = positions
        inputs[f"inputs/{scope}.last"] = last_places(step.valid)
        if config.segments:
            inputs[f"inputs/{scope}.segments"] = np.zeros_like(step.ids)
        tokens[scope] = _names(had, vocabulary)
        tokens[f"{step.phase}.last"] = _names(_last(had, step), vocabulary)
        if use_cache:
            ids, places = (np.concatenate(parts, 1) for parts in zip(*every, strict=True))
            inputs[f"inputs/{scope}.all_positions"] = places
            tokens[f"{scope}.all"] = _names(ids, vocabulary)
            before = before + np.add.reduce(step.valid, 1)
    phases = tuple(step.phase for step in generation.steps)
    return generation, Trace(
        config, recorder.values, {}, dict(parameters), inputs, tokens, vocabulary,
        {name: pin.where for name, pin in recorder.pins.items()}, phases, use_cache,
        vectors=vectors_of(config, prompt),
    )  # fmt: skip


def _of_source(
    config: Config,
    prompt: Batch,
    recorder: Recorder,
    named: Sequence[Sequence[str]] | None,
) -> tuple[dict[str, Array], dict[str, Sequence[Sequence[str]]]]:
    """What an encoder was given beside tokens, and the names of its tokens or of the memory's."""
    source, _ = check_step(config, prompt, None)
    inputs: dict[str, Array] = {}
    if source is not None:
        inputs["inputs/encoder.positions"] = np.array(source.positions)
        if source.segments is not None:
            inputs["inputs/encoder.segments"] = source.segments
    if vectors_of(config, prompt):
        given = prompt.vectors if prompt.memory is None else prompt.memory
        return inputs, {"encoder": [[NO_TOKEN] * len(row) for row in given]}
    if source is None:
        return inputs, {}
    had = recorder.values.get("encoder.tokens", source.ids)  # nothing ran: none
    same = np.array_equal(source.ids, had)
    return inputs, {"encoder": _names(had, None) if named is None or not same else named}


def _last(ids: Array, step: Step) -> Array:
    return ids[np.arange(len(ids)), last_places(step.valid)][:, None]


def _names(ids: Array, vocabulary: Sequence[str] | None) -> list[list[str]]:
    return [[str(i) if vocabulary is None else vocabulary[i] for i in row] for row in ids.tolist()]
