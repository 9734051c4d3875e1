"""numtx itself as a subject."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..batch import Batch
from ..cache.cache import Cache
from ..cache.shift import movable
from ..config import Config
from ..model import forward
from ..models import MODELS, STORAGES, parameters_of
from ..parameters import initialise, parameter_shapes
from ..shapes import Array
from ..step import step
from ..trace.trace import Trace, record
from .subject import (
    CAPABILITIES,
    DOCUMENTS,
    LOGITS,
    MASK,
    MEMORY,
    NUMTX,
    PATHS,
    SHIFT,
    SPECULATE,
    TRUNCATE,
    Memory,
    Subject,
    beyond,
)

OTHER = {"float64": "float32", "float32": "float64"}
MEMORY_LENGTH = 4  # tokens of the memory that is there when a law does not bring one
WORDS = 13  # the vocabulary of what a model of its own has none of: more than one word, an encoder


class NumtxSubject(Subject):
    """A model of numtx.

    The tokens that the laws speak of are those of the last stack; an encoder in front of it
    reads a memory, the same for every row unless one is given.
    """

    def __init__(
        self,
        config: Config,
        parameters: Mapping[str, Array],
        name: str = "numtx",
        storage: Mapping[str, Any] | None = None,
    ) -> None:
        if config.vocabulary == 1:  # laws tell words apart
            config, parameters = grown(config, parameters, vocabulary=WORDS)
        if config.head is None:  # laws ask logits: a head of fixed numbers, which V15 takes off
            config, parameters = with_head(config, parameters)
        if config.lacks_encoder:  # laws give ids of a memory
            config, parameters = grown(
                config, parameters, encoder_layers=1, source_vocabulary=WORDS
            )
        self.config, self.parameters, self.name = config, dict(parameters), name
        self.storage = dict(storage or {})  # options of the cache
        self.vocabulary_size = config.vocabulary
        self.side = config.sides[-1]
        self.causal = self.side == "decoder" and config.causal
        self.two_stacks = len(config.sides) == 2
        layers = [config.layer(self.side, i) for i in range(config.layers(self.side))]
        self.ordered = any(layer.positions is not None for layer in layers)
        windows = [layer.window for layer in layers if layer.window is not None]
        if len(windows) == len(layers):
            self.reach_by = "tokens"
            self.reach = sum(windows) - len(layers)
            self.longest = beyond(max(windows), self.reach)
        chunks = {layer.chunk for layer in layers}
        if len(chunks) == 1:
            (self.chunk,) = chunks
        self.limit = config.position_limit
        self.tolerance = 1e-10 if config.dtype == "float64" else 1e-4
        self.paths = {OTHER[config.dtype]: self._in_the_other_type}  # T1 asks a recorded run
        every = set(CAPABILITIES) - {SPECULATE}
        own = every if self.causal else {LOGITS, MASK, MEMORY, DOCUMENTS, PATHS, NUMTX}
        if self.two_stacks:  # those of its memory are not asked
            own.discard(DOCUMENTS)
        if not movable(config):
            own.discard(SHIFT)
        if self.storage.get("storage") == "ring":  # it has forgotten what a truncation may need
            own -= {TRUNCATE, SHIFT}
        self.capabilities = frozenset(own if self.two_stacks else own - {MEMORY})

    def with_(self, parameters: Mapping[str, Array] | None = None, **fields: Any) -> NumtxSubject:
        """The same with other parameters, or other fields of its configuration."""
        config = Config(**{**self.config.to_dict(), **fields})
        own = self.parameters if parameters is None else parameters
        return NumtxSubject(config, own, self.name, self.storage)

    def new_memory(self, rows: int, length: int, seed: int) -> Memory | None:
        if not self.two_stacks:
            return None
        size = self.config.vocabulary_of("encoder")
        ids = np.random.default_rng(seed).integers(0, size, (rows, length))
        return Memory(ids, np.ones(ids.shape, bool))

    def batch(
        self,
        ids: Array,
        mask: Array | None = None,
        memory: Memory | None = None,
        labels: Array | None = None,
        positions: Array | None = None,
    ) -> Batch:
        """Tokens of the last stack, and of the encoder before it."""
        if not self.two_stacks:
            return Batch(ids, mask=mask, labels=labels, positions=positions)
        if memory is None:
            one = self.new_memory(1, MEMORY_LENGTH, 99)
            assert one is not None
            memory = Memory(one.ids.repeat(len(ids), 0), one.mask.repeat(len(ids), 0))
        return Batch(memory.ids, ids, labels, memory.mask, mask, decoder_positions=positions)

    def logits(self, ids: Array, mask: Array | None = None, memory: Memory | None = None) -> Array:
        return self._run(self.batch(ids, mask, memory))

    def _run(self, batch: Batch) -> Array:
        found: Array = forward(self.config, self.parameters, batch)[0].logits
        return found

    def in_documents(self, ids: Array, documents: Array) -> Array:
        return self._run(Batch(ids, documents=documents))

    def along(self, path: Callable[..., Any], ids: Array, mask: Array | None = None) -> Array:
        found: Array = path(ids, mask)
        return found

    def _in_the_other_type(self, ids: Array, mask: Array | None) -> Array:
        dtype = OTHER[self.config.dtype]
        own = {name: array.astype(dtype) for name, array in self.parameters.items()}
        return self.with_(own, dtype=dtype).logits(ids, mask)

    def record(self, batch: Batch, **options: Any) -> Trace:
        """The trace of a run."""
        return record(self.config, self.parameters, batch, **options)

    def new_cache(self, rows: int, capacity: int | None = None) -> Cache:
        return Cache(self.config, self.parameters, rows, capacity, **self.storage)

    def step(
        self, ids: Array, state: Any = None, mask: Array | None = None, memory: Memory | None = None
    ) -> tuple[Array, Any]:
        if state is None:
            state = self.new_cache(len(ids))
        batch = self.batch(ids, mask, memory)
        if self.two_stacks and state.source is not None:
            batch = Batch(None, ids, decoder_mask=mask)
        found = step(self.config, self.parameters, batch, state, every_position=True)
        return found.logits, state

    def fork(self, state: Any) -> Any:
        return state.fork()

    def truncate(self, state: Any, lengths: Sequence[int]) -> Any:
        state.truncate(list(lengths))
        return state

    def reorder(self, state: Any, index: Sequence[int]) -> Any:
        state.reorder(list(index))
        return state

    def reset(self, state: Any) -> Any:
        state.reset()
        return state

    def shift(self, state: Any, keep: int, drop: int) -> Any:
        state.shift(keep, drop)
        return state

    def hide(self, state: Any, drop: int) -> Any:
        state.hide(drop)
        return state

    def lengths(self, state: Any) -> list[int]:
        found: list[int] = state.lengths.tolist()
        return found


def with_head(
    config: Config, parameters: Mapping[str, Array]
) -> tuple[Config, Mapping[str, Array]]:
    """A model without a head, and a linear one on it."""
    shape = config.width, config.vocabulary
    w = np.random.default_rng(0).standard_normal(shape) / np.sqrt(config.width)
    own = {"output.w": w.astype(config.dtype), "output.b": np.zeros(shape[1], config.dtype)}
    config = dataclasses.replace(config, head="linear")
    return config, {**parameters, **{n: a for n, a in own.items() if n in parameter_shapes(config)}}


def grown(
    config: Config, parameters: Mapping[str, Array], **fields: int
) -> tuple[Config, Mapping[str, Array]]:
    """A model with other fields, and fixed numbers where it needs other parameters: a table of
    words in place of one, or a layer that makes the memory of ids."""
    config = dataclasses.replace(config, **fields)  # type: ignore[arg-type]
    drawn = initialise(config)
    kept = {n: a for n, a in parameters.items() if n in drawn and a.shape == drawn[n].shape}
    return config, {**drawn, **kept}


def every_kind() -> Iterator[NumtxSubject]:
    """numtx over the list of models, each with every storage that it is to be tried with; in
    float64, for most laws hold what is equal to the last digits (W4 is that of the types)."""
    for name, model in MODELS.items():
        config = model.config(dtype="float64")
        for storage in model.storages or ("none",):
            words = name if storage in ("none", "contiguous") else f"{name}, {storage}"
            yield NumtxSubject(config, parameters_of(config), words, STORAGES.get(storage))
