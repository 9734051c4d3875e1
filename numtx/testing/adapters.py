"""A causal language model of the `transformers` package as a subject; loaded on demand."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..errors import SubjectError
from ..shapes import Array
from .subjects import (
    FORK,
    LENGTHS,
    LOGITS,
    MASK,
    REORDER,
    STEP,
    STEP_MASK,
    TRUNCATE,
    Memory,
    Subject,
    as_logits,
)


class Past(NamedTuple):
    """The package's cache, and which of its columns hold real tokens."""

    cache: Any
    mask: Array


class LanguageModelSubject(Subject):
    """`model(input_ids, attention_mask, position_ids, past_key_values, use_cache)`.

    Positions are counted over the mask, as the package's own generation counts them. Its caches
    cut columns only: what a row loses beyond that is masked.
    """

    capabilities = frozenset({LOGITS, MASK, STEP, STEP_MASK, FORK, TRUNCATE, REORDER, LENGTHS})

    def __init__(self, model: Any) -> None:
        config = model.config
        self.model, self.name = model, type(model).__name__
        if getattr(config, "is_encoder_decoder", False):
            raise SubjectError(f"{self.name} has an encoder; the adapter takes causal models only")
        self.vocabulary_size = int(config.vocab_size)
        self.longest = min(self.longest, int(getattr(config, "max_position_embeddings", 8)))
        window = getattr(config, "sliding_window", None)
        if window is not None and getattr(config, "use_sliding_window", True):
            self.reach = int(config.num_hidden_layers) * (int(window) - 1)

    def logits(self, ids: Array, mask: Array | None = None, memory: Memory | None = None) -> Array:
        return self._run(ids, np.ones(ids.shape, bool) if mask is None else mask, None)[0]

    def step(
        self, ids: Array, state: Any = None, mask: Array | None = None, memory: Memory | None = None
    ) -> tuple[Array, Any]:
        new = np.ones(ids.shape, bool) if mask is None else mask
        return self._run(ids, new, state or Past(None, new[:, :0]), use_cache=True)

    def _run(self, ids: Array, new: Array, past: Any, **options: Any) -> tuple[Array, Any]:
        import torch

        mask = new if past is None else np.concatenate([past.mask, new], 1)
        positions = np.maximum(np.cumsum(mask, 1) - 1, 0)[:, -ids.shape[1] :]
        with torch.no_grad():
            found = self.model(
                input_ids=torch.as_tensor(ids),
                attention_mask=torch.as_tensor(mask.astype(np.int64)),
                position_ids=torch.as_tensor(positions),
                past_key_values=None if past is None else past.cache,
                **{"use_cache": False, **options},
            )
        logits = as_logits(found.logits, ids, self.vocabulary_size, self.name)
        return logits, Past(getattr(found, "past_key_values", None), mask)

    def fork(self, state: Past) -> Past:
        return Past(copy.deepcopy(state.cache), state.mask)

    def truncate(self, state: Past, lengths: Sequence[int]) -> Past:
        kept = state.mask & (np.cumsum(state.mask, 1) <= np.array(lengths)[:, None])
        used = np.flatnonzero(kept.any(0))
        columns = int(used[-1]) + 1 if used.size else 0
        if columns < state.mask.shape[1]:
            state.cache.crop(columns - state.mask.shape[1])  # how many to take away
        return Past(state.cache, kept[:, :columns])

    def reorder(self, state: Past, index: Sequence[int]) -> Past:
        import torch

        state.cache.reorder_cache(torch.as_tensor(list(index)))
        return Past(state.cache, state.mask[list(index)])

    def lengths(self, state: Past) -> list[int]:
        found: list[int] = state.mask.sum(1).tolist()
        return found
