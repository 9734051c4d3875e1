"""How the streams of a cache are stored: contiguously, each layer an array that grows.

A stream is what the attention keeps of a token, such as its keys: an array
[B, G, columns, d]. All rows have the same columns; which of them hold a real token is the
business of the cache, not of its storage.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Protocol

import numpy as np

from ..errors import CacheError
from ..shapes import Array

Streams = Mapping[str, tuple[int, ...]]  # name -> the axes of one token


class Storage(Protocol):
    """What a cache asks of its storage. Columns are visible once they are committed."""

    length: int  # visible columns
    capacity: int | None  # the most columns it may hold; None: no limit

    def reserve(self, columns: int) -> None:
        """Make room for so many more columns in every layer; on failure nothing has changed."""

    def append(self, layer: int, streams: Mapping[str, Array]) -> dict[str, Array]:
        """Write the reserved columns of a layer; its streams up to and with them, read-only."""

    def commit(self) -> None:
        """Make the written columns visible."""

    def rollback(self) -> None:
        """Drop what was reserved and written since the last commit."""

    def truncate(self, columns: int) -> None:
        """Keep the first columns."""

    def fork(self) -> Storage:
        """A copy that shares nothing that either may write to."""

    def reorder(self, index: Array) -> None:
        """Row b becomes what row index[b] was."""

    def reset(self) -> None:
        """Forget everything."""

    @property
    def numbers(self) -> int:
        """How many numbers the visible columns hold."""

    @property
    def allocated(self) -> int:
        """How many numbers there is memory for."""


class Contiguous:
    """Every stream of every layer is one array [B, G, room, d], written in place.

    The room doubles when it is used up, but does not go past the capacity.
    """

    def __init__(
        self, layers: int, streams: Streams, batch: int, dtype: str, capacity: int | None
    ) -> None:
        self.length = 0
        self.capacity = capacity
        empty = {
            name: np.empty((batch, heads, 0, width), dtype)
            for name, (heads, width) in streams.items()
        }
        self._arrays = [empty] * layers
        self._room = 0
        self._reserved = 0
        self._written: set[int] = set()

    def reserve(self, columns: int) -> None:
        """Make room for so many more columns in every layer; on failure nothing has changed.

        Raises `CacheError` past the capacity.
        """
        self._check_settled()
        needed = self.length + columns
        if self.capacity is not None and needed > self.capacity:
            raise CacheError(
                f"cache is full: {self.length} of {self.capacity} columns are taken and "
                f"{columns} more were asked for; truncate or reset it, or raise its capacity"
            )
        if needed > self._room:
            self._grow(needed)
        self._reserved = columns

    def _grow(self, needed: int) -> None:
        room = max(needed, 2 * self._room)
        if self.capacity is not None:
            room = min(room, self.capacity)
        grown = []
        for layer in self._arrays:  # all of them first: memory may run out on the way
            larger = {}
            for name, old in layer.items():
                batch, heads, _, width = old.shape
                larger[name] = np.empty((batch, heads, room, width), old.dtype)
                larger[name][:, :, : self.length] = old[:, :, : self.length]
            grown.append(larger)
        self._arrays, self._room = grown, room

    def append(self, layer: int, streams: Mapping[str, Array]) -> dict[str, Array]:
        """Write the reserved columns of a layer; its streams up to and with them, read-only."""
        arrays = self._arrays[layer]
        if layer in self._written or streams.keys() != arrays.keys():
            raise CacheError(
                f"cache: layer {layer} was handed {', '.join(streams) or 'nothing'}; each call "
                f"writes {', '.join(arrays)} once"
            )
        end = self.length + self._reserved
        for name, new in streams.items():
            place = arrays[name][:, :, self.length : end]
            if new.shape != place.shape or new.dtype != place.dtype:
                raise CacheError(
                    f"cache: {name} of layer {layer} are {new.dtype} {new.shape}; room was "
                    f"reserved for {place.dtype} {place.shape}"
                )
            place[...] = new
        self._written.add(layer)
        views = {}
        for name, array in arrays.items():
            views[name] = array[:, :, :end]
            views[name].setflags(write=False)
        return views

    def commit(self) -> None:
        """Make the written columns visible."""
        if self._reserved and len(self._written) != len(self._arrays):
            raise CacheError(
                f"cache: {len(self._written)} of {len(self._arrays)} layers were written; "
                "commit after the last layer, or roll back"
            )
        self.length += self._reserved
        self.rollback()

    def rollback(self) -> None:
        """Drop what was reserved and written since the last commit."""
        self._reserved = 0
        self._written.clear()

    def truncate(self, columns: int) -> None:
        """Keep the first columns."""
        self._check_settled()
        self.length = min(self.length, columns)

    def fork(self) -> Contiguous:
        """A copy that shares nothing that either may write to."""
        self._check_settled()
        other = Contiguous.__new__(Contiguous)
        other.length, other.capacity = self.length, self.capacity
        other._room = self._room
        other._arrays = [{name: a.copy() for name, a in layer.items()} for layer in self._arrays]
        other._reserved, other._written = 0, set()
        return other

    def reorder(self, index: Array) -> None:
        """Row b becomes what row index[b] was."""
        self._check_settled()
        self._arrays = [{name: a[index] for name, a in layer.items()} for layer in self._arrays]

    def reset(self) -> None:
        """Forget everything; the memory is kept for the next use."""
        self.rollback()
        self.length = 0

    @property
    def numbers(self) -> int:
        """How many numbers the visible columns hold."""
        return sum(
            math.prod(array[:, :, : self.length].shape)
            for layer in self._arrays
            for array in layer.values()
        )

    @property
    def allocated(self) -> int:
        """How many numbers there is memory for."""
        return sum(array.size for layer in self._arrays for array in layer.values())

    def _check_settled(self) -> None:
        if self._reserved:
            raise CacheError("cache is in the middle of a call; commit or roll back first")
