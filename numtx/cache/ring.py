"""A ring: of each row the last tokens only, as many as a window reaches."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..shapes import Array
from .storage import Storage, Streams


class Ring(Storage):
    """Every stream of every layer is an array [B, G, room, d]; a row's next real token is written
    over its oldest one. Padding is not stored.

    The visible columns are the tokens of each row that are still held, the newest last. A call
    sees them and its own, and only its commit evicts.
    """

    def __init__(self, layers: int, streams: Streams, batch: int, dtype: str, room: int) -> None:
        super().__init__(layers, streams, batch, dtype, None)
        self.room = room
        self._arrays = [
            {name: np.zeros(self._shape(name, room), dtype) for name in streams}
            for _ in range(layers)
        ]
        self._slots = np.zeros((batch, 0), np.int64)  # where each visible column stands
        self._seen: dict[int, dict[str, Array]] = {}  # what the layers of this call were given

    def _make_room(self, needed: int) -> None:
        """There is always room."""

    def _write(self, layer: int, streams: Mapping[str, Array]) -> dict[str, Array]:
        every = {}
        for name, new in streams.items():
            array = self._arrays[layer][name]
            lines = self._slots.reshape(self.batch, *(1,) * (array.ndim - 3), -1, 1)
            every[name] = np.concatenate((np.take_along_axis(array, lines, -2), new), -2)
        self._seen[layer] = every
        return dict(every)

    def commit(self, valid: Array) -> Array | None:
        """Write the new tokens over the oldest ones.

        Returns the columns that stay: the last real ones of each row, as many as there is room.
        """
        self._check_written()
        if not self._reserved:
            return None
        later = np.cumsum(valid[:, ::-1], 1)[:, ::-1]  # real tokens from here to the end
        stays = valid & (later <= self.room)
        length = int(np.add.reduce(stays, 1).max())
        columns = np.full((self.batch, length), -1)
        slots = np.zeros((self.batch, length), np.int64)
        for row in range(self.batch):
            old = np.flatnonzero(valid[row, : self.length])
            kept = np.flatnonzero(stays[row])
            new = kept[kept >= self.length]
            first = self._slots[row, old[-1]] + 1 if old.size else 0
            places = (first + np.arange(new.size)) % self.room
            columns[row, length - kept.size :] = kept
            before = self._slots[row, kept[: kept.size - new.size]]
            slots[row, length - kept.size :] = np.concatenate((before, places))
            for layer, every in self._seen.items():
                for name, array in self._arrays[layer].items():
                    array[row][..., places, :] = every[name][row][..., new, :]
        self.length, self._slots = length, slots
        self.rollback()
        return columns

    def rollback(self) -> None:
        """Drop what was reserved and written since the last commit."""
        super().rollback()
        self._seen = {}

    def truncate(self, columns: int) -> None:
        """Keep the first visible columns."""
        super().truncate(columns)
        self._slots = self._slots[:, :columns]

    def fork(self) -> Ring:
        """A copy that shares nothing that either may write to."""
        self.check_settled()
        other = Ring(self.layers, self.streams, self.batch, self.dtype, self.room)
        other.length, other._slots = self.length, self._slots
        other._arrays = [{name: a.copy() for name, a in layer.items()} for layer in self._arrays]
        return other

    def reorder(self, index: Array) -> None:
        """Row b becomes what row index[b] was."""
        self.check_settled()
        self._arrays = [{name: a[index] for name, a in layer.items()} for layer in self._arrays]
        self._slots, self.batch = self._slots[index], len(index)

    def reset(self) -> None:
        """Forget everything; the memory is kept for the next use."""
        super().reset()
        self._slots = self._slots[:, :0]
