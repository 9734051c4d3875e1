"""How the streams of a cache are stored: contiguously, each layer an array that grows.

A stream is what the attention keeps of a token, such as its keys: an array
[B, G, columns, d], or [B, columns, r] where no heads are told apart. All rows have the same
columns; which of them hold a real token is the business of the cache, not of its storage.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TypeVar

import numpy as np

from ..errors import CacheError
from ..shapes import Array

Streams = Mapping[str, tuple[int, ...]]  # name -> the axes of one token
Self = TypeVar("Self", bound="Storage")


class Storage(ABC):
    """What a cache asks of its storage. Columns are visible once they are committed.

    Kinds differ in `_make_room`, `_write` and in what they do besides.
    """

    def __init__(
        self, layers: int, streams: Streams, batch: int, dtype: str, capacity: int | None
    ) -> None:
        self.layers, self.streams, self.batch, self.dtype = layers, streams, batch, dtype
        self.length = 0  # visible columns
        self.capacity = capacity  # the most columns it may hold; None: no limit
        self._reserved = 0
        self._wanted: dict[str, tuple[int, ...]] = {}  # the shapes of new columns
        self._written: set[int] = set()
        self._released = False

    def reserve(self, columns: int) -> None:
        """Make room for so many more columns in every layer; on failure nothing has changed.

        Raises `CacheError` past the capacity.
        """
        self.check_settled()
        needed = self.length + columns
        if self.capacity is not None and needed > self.capacity:
            raise CacheError(
                f"cache is full: {self.length} of {self.capacity} columns are taken and "
                f"{columns} more were asked for; truncate or reset it, or raise its capacity"
            )
        self._make_room(needed)
        self._reserved = columns
        self._wanted = {name: self._shape(name, columns) for name in self.streams}

    def append(self, layer: int, streams: Mapping[str, Array]) -> dict[str, Array]:
        """Write the reserved columns of a layer; its streams up to and with them, read-only."""
        if layer in self._written or streams.keys() != self.streams.keys():
            raise CacheError(
                f"cache: layer {layer} was handed {', '.join(streams) or 'nothing'}; each call "
                f"writes {', '.join(self.streams)} once"
            )
        for name, new in streams.items():
            shape = self._wanted[name]
            if new.shape != shape or new.dtype != self.dtype:
                raise CacheError(
                    f"cache: {name} of layer {layer} are {new.dtype} {new.shape}; room was "
                    f"reserved for {self.dtype} {shape}"
                )
        every = self._write(layer, streams)
        self._written.add(layer)
        for array in every.values():
            array.setflags(False)  # type: ignore[call-arg]  # `write`, faster than by name
        return every

    def read(self, layer: int) -> dict[str, Array]:
        """The streams of a layer up to the length."""
        self.check_settled()
        nothing = {name: np.empty(self._shape(name, 0), self.dtype) for name in self.streams}
        return self._write(layer, nothing)

    def commit(self, valid: Array) -> Array | None:
        """Make the written columns visible.

        valid   [B, columns], which of all columns that were given back hold a real token
        Returns which of them stay, [B, length], with -1 for none; None: all.
        """
        self._check_written()
        self.length += self._reserved
        self.rollback()
        return None

    def rollback(self) -> None:
        """Drop what was reserved and written since the last commit."""
        self._reserved = 0
        self._written.clear()

    def truncate(self, columns: int) -> None:
        """Keep the first columns."""
        self.check_settled()
        self.length = min(self.length, columns)

    @abstractmethod
    def fork(self: Self) -> Self:
        """A copy that shares nothing that either may write to."""

    @abstractmethod
    def reorder(self, index: Array) -> None:
        """Row b becomes what row index[b] was."""

    def reset(self) -> None:
        """Forget everything; memory of its own is kept for the next use."""
        self.rollback()
        self.length = 0

    def release(self) -> None:
        """Forget everything for good."""
        self.reset()
        self._released = True

    @property
    def numbers(self) -> int:
        """How many numbers the visible columns hold."""
        return self.layers * sum(math.prod(self._shape(n, self.length)) for n in self.streams)

    def check_settled(self) -> None:
        """Raise `CacheError` in the middle of a call, and after the release."""
        if self._released:
            raise CacheError("cache has been released; make a new one")
        if self._reserved:
            raise CacheError("cache is in the middle of a call; commit or roll back first")

    def _check_written(self) -> None:
        if self._reserved and len(self._written) != self.layers:
            raise CacheError(
                f"cache: {len(self._written)} of {self.layers} layers were written; "
                "commit after the last layer, or roll back"
            )

    def _shape(self, name: str, columns: int) -> tuple[int, ...]:
        axes = self.streams[name]
        return (self.batch, *axes[:-1], columns, axes[-1])

    @abstractmethod
    def _make_room(self, needed: int) -> None:
        """Room for so many columns in all, or an error and nothing has changed."""

    @abstractmethod
    def _write(self, layer: int, streams: Mapping[str, Array]) -> dict[str, Array]:
        """Put new columns in their place; the streams up to and with them."""


class Contiguous(Storage):
    """Every stream of every layer is one array [B, G, room, d], written in place.

    The room doubles when it is used up, but does not go past the capacity.
    """

    def __init__(
        self, layers: int, streams: Streams, batch: int, dtype: str, capacity: int | None
    ) -> None:
        super().__init__(layers, streams, batch, dtype, capacity)
        self._arrays = [{name: np.empty(self._shape(name, 0), dtype) for name in streams}] * layers
        self._room = 0

    def _make_room(self, needed: int) -> None:
        if needed > self._room:
            self._grow(needed)

    def _grow(self, needed: int) -> None:
        room = max(needed, 2 * self._room)
        if self.capacity is not None:
            room = min(room, self.capacity)
        grown = []
        for layer in self._arrays:  # all of them first: memory may run out on the way
            larger = {}
            for name, old in layer.items():
                larger[name] = np.empty(self._shape(name, room), old.dtype)
                larger[name][..., : self.length, :] = old[..., : self.length, :]
            grown.append(larger)
        self._arrays, self._room = grown, room

    def _write(self, layer: int, streams: Mapping[str, Array]) -> dict[str, Array]:
        arrays, end = self._arrays[layer], self.length + self._reserved
        for name, new in streams.items():
            arrays[name][..., self.length : end, :] = new
        return {name: array[..., :end, :] for name, array in arrays.items()}

    def fork(self) -> Contiguous:
        """A copy that shares nothing that either may write to."""
        self.check_settled()
        other = Contiguous(self.layers, self.streams, self.batch, self.dtype, self.capacity)
        other.length, other._room = self.length, self._room
        other._arrays = [{name: a.copy() for name, a in layer.items()} for layer in self._arrays]
        return other

    def reorder(self, index: Array) -> None:
        """Row b becomes what row index[b] was."""
        self.check_settled()
        self._arrays = [{name: a[index] for name, a in layer.items()} for layer in self._arrays]
        self.batch = len(index)
