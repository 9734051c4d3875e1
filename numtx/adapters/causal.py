"""A causal language model of the `transformers` package as a subject; loaded on demand."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..shapes import Array
from ..subjects.declared import arguments_of, offers
from ..subjects.logits import as_logits, as_tokens
from ..subjects.objects import Past
from ..subjects.subject import (
    FORK,
    LENGTHS,
    LOGITS,
    MASK,
    REORDER,
    SHIFT,
    SHORT,
    SPECULATE,
    STEP,
    STEP_MASK,
    TRUNCATE,
    Draft,
    Memory,
    Subject,
    beyond,
)

SLIDING, CHUNKED = "sliding_attention", "chunked_attention"
VISIBLE = 3  # hops from layer to layer that an effect surely outlasts in float32


def _kinds(config: Any) -> list[str]:
    """What kind each layer is, where the configuration says it."""
    return list(getattr(config, "layer_types", None) or ())


def _windows(model: Any, config: Any) -> list[int | None]:
    """How many tokens each layer sees, itself included; None: all, or nobody knows.

    A configuration without kinds of layers has one window for all of them, unless an attention
    says that it has none.
    """
    window = getattr(config, "sliding_window", None)
    if not getattr(config, "use_sliding_window", True):
        window = None
    sizes = {SLIDING: window, CHUNKED: getattr(config, "attention_chunk_size", None)}
    kinds = _kinds(config)
    if not kinds:
        own = [m.sliding_window for m in model.modules() if hasattr(m, "sliding_window")]
        kinds = [SLIDING if None not in own else ""] * int(config.num_hidden_layers)
    found = [sizes.get(kind) for kind in kinds]
    return [None if size is None else int(size) for size in found]


class LanguageModelSubject(Subject):
    """`model(input_ids, attention_mask, position_ids, cache, use_cache)`, or `past_key_values`.

    Positions are counted over the mask, as the package's own generation counts them. Its caches
    cut columns only: what a row loses beyond that is masked. A reach is taken where every layer
    has a sliding window, which counts columns; layers that see chunks are tried within one chunk.
    A cache that has let go of what a window has passed refuses to be cut.

    cache  dynamic (the package's own choice for the layers), or static
    """

    capabilities = frozenset({LOGITS, MASK, STEP, STEP_MASK, FORK, TRUNCATE, REORDER, LENGTHS})

    def __init__(self, model: Any, cache: str | None = None) -> None:
        config = model.config
        self.model, self.name = model, type(model).__name__
        self.static = cache == "static"
        config = config.get_text_config() if hasattr(config, "get_text_config") else config
        self.vocabulary_size = int(config.vocab_size)
        self.past = "cache" if "cache" in arguments_of(model) else "past_key_values"
        self.limit = getattr(config, "max_position_embeddings", None)
        widths = _windows(model, config)
        own = {one for one in (SHIFT, SPECULATE) if offers(model, one)}
        self.capabilities = self.capabilities | own
        if any(width is not None for width in widths):
            self.reach_by = "columns"
            self._look(widths, set(_kinds(config)))

    def _look(self, widths: list[int | None], kinds: set[str]) -> None:
        """The reach of layers that all have a window, and what to try."""
        own = [width for width in widths if width is not None]
        if len(own) < len(widths):
            self.longest = beyond(max(own), 0)
        elif kinds <= {SLIDING}:
            self.reach = sum(width - 1 for width in own)
            self.visible = VISIBLE * (min(own) - 1)
            self.longest = beyond(max(own), self.reach)
        else:
            self.longest = self.far = min(SHORT, *own)

    def logits(self, ids: Array, mask: Array | None = None, memory: Memory | None = None) -> Array:
        return self._run(ids, np.ones(ids.shape, bool) if mask is None else mask, None)[0]

    def step(
        self, ids: Array, state: Any = None, mask: Array | None = None, memory: Memory | None = None
    ) -> tuple[Array, Any]:
        new = np.ones(ids.shape, bool) if mask is None else mask
        state = state or Past(None, new[:, :0])
        if state.cache is None and self.static:
            state = state._replace(cache=self._static_cache())
        return self._run(ids, new, state, use_cache=True)

    def _static_cache(self) -> Any:
        from transformers import StaticCache  # type: ignore[import-not-found]

        return StaticCache(config=self.model.config, max_cache_len=self.far)

    def _run(self, ids: Array, new: Array, past: Any, **options: Any) -> tuple[Array, Any]:
        import torch

        past = Past(None, new[:, :0]) if past is None else past
        past = past._replace(mask=np.concatenate([past.mask, new], 1))
        with torch.no_grad():
            found = self.model(
                input_ids=torch.as_tensor(ids),
                attention_mask=torch.as_tensor(past.mask.astype(np.int64)),
                position_ids=torch.as_tensor(past.positions(ids.shape[1])),
                **{"use_cache": False, self.past: past.cache, **options},
            )
        logits = as_logits(found.logits, ids, self.vocabulary_size, self.name, new, whole=True)
        return logits, past._replace(cache=getattr(found, self.past, None))

    def fork(self, state: Past) -> Past:
        return state._replace(cache=copy.deepcopy(state.cache))

    def truncate(self, state: Past, lengths: Sequence[int]) -> Past:
        kept, columns = cut(state.mask, lengths)
        if not columns:  # an emptied cache of the package keeps its rows: begin anew
            return Past(None, kept[:, :0])
        crop(state.cache, state.mask.shape[1] - columns)
        return state._replace(mask=kept[:, :columns])

    def reorder(self, state: Past, index: Sequence[int]) -> Past:
        import torch

        if state.cache is not None:
            state.cache.reorder_cache(torch.as_tensor(list(index)))
        return state._replace(mask=state.mask[list(index)])

    def shift(self, state: Past, keep: int, drop: int) -> Past:
        return state.shifted(self.model.shift(state.cache, keep, drop), keep, drop)

    def hide(self, state: Past, drop: int) -> Past:
        return state.hiding(drop)

    def speculate(self, ids: Array, draft: Draft, max_new_tokens: int) -> Array:
        import torch

        def given(*asked: Any) -> Any:
            return torch.as_tensor(draft(*asked))

        with torch.no_grad():
            found = self.model.speculate(torch.as_tensor(ids), given, max_new_tokens)
        return as_tokens(found, self.name)

    def lengths(self, state: Past) -> list[int]:
        found: list[int] = state.mask.sum(1).tolist()
        return found


def cut(mask: Array, lengths: Sequence[int]) -> tuple[Array, int]:
    """The mask of so many real tokens of each row, and the columns that hold any of them."""
    kept: Array = mask & (np.cumsum(mask, 1) <= np.array(lengths)[:, None])
    used = np.flatnonzero(kept.any(0))
    return kept, int(used[-1]) + 1 if used.size else 0


def crop(cache: Any, columns: int) -> None:
    """Take the last columns away. Raises `NotImplementedError` where a layer has let them go."""
    if not columns:
        return
    for layer in cache.layers:
        window = getattr(layer, "sliding_window", None)
        passed = window is not None and layer.get_seq_length() >= window
        if passed or not getattr(layer, "is_croppable", True):
            raise NotImplementedError(
                f"{type(layer).__name__} cannot be cropped once its window is full"
            )
    cache.crop(-columns)
