"""A step of generation: the same model, given the new tokens and the cache of earlier ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from .batch import Batch, SideInput, check_step, given_memory, without_memory
from .cache import Cache
from .config import Config
from .errors import BatchError
from .head import head_forward
from .model import Memory, memory_forward, stack_forward
from .parameters import check_parameters
from .place import Place
from .shapes import Array, all_true
from .small_repr import small_repr
from .tap import NO_TAP, Tap


@small_repr()
class Encoded(NamedTuple):
    """The encoder's output, which stays the same for a whole generation."""

    output: Array  # [B, S, d]
    valid: Array  # [B, S]


@small_repr()
class StepOutputs(NamedTuple):
    """What a step of generation gives."""

    logits: Array  # [B, 1, V] at each row's last real token; [B, T, V] with every position
    encoded: Encoded | None  # where the encoder ran in this step, or was handed in


def step(
    config: Config,
    parameters: Mapping[str, Array],
    batch: Batch,
    cache: Cache | None = None,
    *,
    encoded: Encoded | None = None,
    phase: str = "",
    every_position: bool = False,
    tap: Tap = NO_TAP,
) -> StepOutputs:
    """Run the tokens of one step of generation; there is no backward pass.

    batch           the new tokens. An encoder-decoder's first step gives `ids` too, or a memory;
                    later ones leave them None, and the encoder does not run again
    cache           what earlier steps computed; this step's share is added to it, unless an
                    error is raised: then it is as before. None: the batch is all there is
    encoded         what the encoder gave in an earlier step, where no cache keeps it
    phase           put before the names of the decoder's stages: `prefill`, `decode.0`, ...
    every_position  logits of every token, not only of each row's last one

    Raises `CacheError` for a cache that is full, or of another model or batch, besides what
    `forward` raises.
    """
    at = Place(parameters, tap)
    if cache is None:
        check_parameters(config, parameters)
        return _step(config, at, batch, None, encoded, phase, every_position)
    cache.check(config, parameters)
    try:
        outputs = _step(config, at, batch, cache, encoded, phase, every_position)
        cache.commit()
    except BaseException:
        cache.rollback()
        raise
    return outputs


def _step(
    config: Config,
    at: Place,
    batch: Batch,
    cache: Cache | None,
    encoded: Encoded | None,
    phase: str,
    every_position: bool,
) -> StepOutputs:
    source, given = check_step(config, batch, None if cache is None else cache.lengths)
    if cache is not None:
        cache.reserve(given.ids.shape[1])
    if source is not None:
        output, stack = stack_forward(config, "encoder", at, source, None, None, False)
        encoded = Encoded(output, stack.valid)
    elif (given_in_place := given_memory(config, batch)) is not None:
        output, looked_at = memory_forward(at, *given_in_place)
        encoded = Encoded(output, looked_at.valid)
    if phase:  # before the names of stages; parameters have none
        at = Place(at.parameters, at.tap.at(phase))
    memory = _step_memory(config, given, encoded, cache)
    hidden, _ = stack_forward(config, "decoder", at, given, memory, cache, False)
    if not every_position:
        hidden = at("last_output", last_real(hidden, given.valid))
    ends, _ = head_forward(config, at, hidden, given.valid, None, False)
    return StepOutputs(ends["logits"], encoded)


def _step_memory(
    config: Config, given: SideInput, encoded: Encoded | None, cache: Cache | None
) -> Memory | None:
    """The encoder's output (None where the cache has its keys and values), and its padding mask"""
    if config.model != "encoder-decoder":
        return None
    kept = None if cache is None else cache.source
    if encoded is not None and cache is not None:
        cache.mark_source(encoded.valid)
    valid = kept if encoded is None else encoded.valid
    if valid is None:
        if config.lacks_encoder:
            raise without_memory(config)
        raise BatchError("ids is missing; the encoder has not run yet and needs token ids")
    if len(valid) != len(given.ids):
        raise BatchError(f"encoded has {len(valid)} rows and decoder_ids {len(given.ids)}")
    return Memory(None if encoded is None else encoded.output, valid)


def last_real(hidden: Array, valid: Array) -> Array:
    """[B, T, d] -> [B, 1, d], at each row's last real token (a row of padding: the last place)"""
    if hidden.shape[1] == 1 or all_true(valid[:, -1]):
        return hidden[:, -1:]
    last: Array = hidden[np.arange(len(hidden)), last_places(valid)][:, None]
    return last


def last_places(valid: Array) -> Array:
    """[B, T] -> [B], the place of each row's last real token (a row of padding: the last place)"""
    places: Array = valid.shape[1] - 1 - np.argmax(valid[:, ::-1], 1)
    return places
