"""A sequence-to-sequence model of the `transformers` package as a subject."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..shapes import Array
from ..subjects.declared import arguments_of
from ..subjects.logits import as_logits
from ..subjects.subject import (
    FORK,
    LENGTHS,
    LOGITS,
    MASK,
    MEMORY,
    REORDER,
    STEP,
    STEP_MASK,
    TRUNCATE,
    Memory,
    Subject,
)
from .causal import crop, cut

MEMORY_LENGTH, LONGEST_MEMORY = 4, 36  # of the memory that is there without one, and to try


class Read(NamedTuple):
    """What the encoder gave, the mask of its tokens, the decoder's cache, and its columns' mask."""

    hidden: Any
    memory_mask: Array
    cache: Any
    mask: Array


class SequenceSubject(Subject):
    """The decoder's ids -> logits, beside a memory: the ids of the encoder.

    A decoder that counts its positions by columns, and cannot be told them, is padded on the
    right; one with relative positions on either side, never between tokens.
    """

    capabilities = frozenset(
        {LOGITS, MASK, STEP, STEP_MASK, FORK, TRUNCATE, REORDER, LENGTHS, MEMORY}
    )

    def __init__(self, model: Any) -> None:
        config = model.config
        self.model, self.name = model, type(model).__name__
        self.vocabulary_size = int(config.vocab_size)
        self.past = "cache" if "cache" in arguments_of(model) else "past_key_values"
        relative = hasattr(config, "relative_attention_num_buckets")
        self.limit = None if relative else getattr(config, "max_position_embeddings", None)
        self.paddings = ("left", "right") if relative else ("right",)
        self.longest_memory = min(LONGEST_MEMORY, self.limit or LONGEST_MEMORY)

    def new_memory(self, rows: int, length: int, seed: int) -> Memory:
        ids = np.random.default_rng(seed).integers(0, self.vocabulary_size, (rows, length))
        return Memory(ids, np.ones(ids.shape, bool))

    def _read(self, rows: int, memory: Memory | None) -> Read:
        import torch

        if memory is None:
            one = self.new_memory(1, MEMORY_LENGTH, 99)
            memory = Memory(one.ids.repeat(rows, 0), one.mask.repeat(rows, 0))
        with torch.no_grad():
            found = self.model.get_encoder()(
                input_ids=torch.as_tensor(memory.ids),
                attention_mask=torch.as_tensor(memory.mask.astype(np.int64)),
            )
        return Read(found.last_hidden_state, memory.mask, None, np.zeros((rows, 0), bool))

    def logits(self, ids: Array, mask: Array | None = None, memory: Memory | None = None) -> Array:
        return self._run(ids, mask, self._read(len(ids), memory), use_cache=False)[0]

    def step(
        self, ids: Array, state: Any = None, mask: Array | None = None, memory: Memory | None = None
    ) -> tuple[Array, Any]:
        state = self._read(len(ids), memory) if state is None else state
        return self._run(ids, mask, state, use_cache=True)

    def _run(
        self, ids: Array, new: Array | None, state: Read, use_cache: bool
    ) -> tuple[Array, Read]:
        import torch
        from transformers.modeling_outputs import (  # type: ignore[import-not-found]
            BaseModelOutput,
        )

        new = np.ones(ids.shape, bool) if new is None else new
        mask = np.concatenate([state.mask, new], 1)
        with torch.no_grad():
            found = self.model(
                encoder_outputs=BaseModelOutput(last_hidden_state=state.hidden),
                attention_mask=torch.as_tensor(state.memory_mask.astype(np.int64)),
                decoder_input_ids=torch.as_tensor(ids),
                decoder_attention_mask=torch.as_tensor(mask.astype(np.int64)),
                use_cache=use_cache,
                **{self.past: state.cache},
            )
        logits = as_logits(found.logits, ids, self.vocabulary_size, self.name, new, whole=True)
        return logits, state._replace(cache=getattr(found, self.past, None), mask=mask)

    def fork(self, state: Read) -> Read:
        return state._replace(cache=copy.deepcopy(state.cache))

    def truncate(self, state: Read, lengths: Sequence[int]) -> Read:
        kept, columns = cut(state.mask, lengths)
        if not columns:
            return state._replace(cache=None, mask=kept[:, :0])
        crop(state.cache.self_attention_cache, state.mask.shape[1] - columns)
        return state._replace(mask=kept[:, :columns])

    def reorder(self, state: Read, index: Sequence[int]) -> Read:
        import torch

        rows = list(index)
        if state.cache is not None:
            state.cache.reorder_cache(torch.as_tensor(rows))
        return Read(state.hidden[rows], state.memory_mask[rows], state.cache, state.mask[rows])

    def lengths(self, state: Read) -> list[int]:
        found: list[int] = state.mask.sum(1).tolist()
        return found
