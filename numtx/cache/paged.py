"""Paged storage: fixed-size blocks from a pool, and for each row a table of its blocks.

Forks share blocks; the first to write into a shared one writes into a copy of its own.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Iterable, Mapping

import numpy as np

from ..attention import token_streams
from ..config import Config
from ..errors import CacheError
from ..shapes import Array, describe
from ..small_repr import small_repr
from .storage import Storage


@small_repr("block_size", "limit", "used", "free")
class BlockPool:
    """Blocks for the caches of one kind of model. A block holds `block_size` columns of one
    row, all streams of all layers.

    blocks   the most blocks there may be; None: no limit

    Every place in a table counts as one reference; a block without any is free.
    """

    def __init__(self, config: Config, block_size: int = 16, blocks: int | None = None) -> None:
        for name, value in (("block_size", block_size), ("blocks", blocks)):
            if value is not None and (type(value) is not int or value < 1):
                raise CacheError(f"{name} is {describe(value)}; it is a whole number of at least 1")
        self.block_size, self.limit = block_size, blocks
        self.layers, self.streams = config.decoder_layers, token_streams(config)
        self.dtype = config.dtype
        self._references: list[int] = []
        self._free: list[int] = []
        self.arrays = [self._empty(0)] * self.layers

    @property
    def used(self) -> int:
        """Blocks that some table holds."""
        return len(self._references) - len(self._free)

    @property
    def free(self) -> int | None:
        """Blocks that can still be taken; None: no limit."""
        return None if self.limit is None else self.limit - self.used

    @property
    def numbers(self) -> int:
        """How many numbers the used blocks have room for, each block counted once."""
        return self.used * self.block_numbers

    @property
    def block_numbers(self) -> int:
        """How many numbers a block has room for."""
        return self.layers * self.block_size * sum(map(math.prod, self.streams.values()))

    def references(self, block: int) -> int:
        """How many places in tables hold a block."""
        return self._references[block]

    def take(self, count: int) -> list[int]:
        """So many free blocks, with one reference each.

        Raises `CacheError` where there are not as many; nothing has changed then.
        """
        if self.free is not None and count > self.free:
            raise CacheError(
                f"pool is full: {self.used} of {self.limit} blocks are used and {count} more were "
                "asked for; release a cache, or make a pool of more blocks"
            )
        if count > len(self._free):
            self._grow(self.used + count)
        taken = [self._free.pop() for _ in range(count)]
        for block in taken:
            self._references[block] = 1
        return taken

    def share(self, blocks: Iterable[int]) -> None:
        """One reference more to each block."""
        for block in blocks:
            self._references[block] += 1

    def give_back(self, blocks: Iterable[int]) -> None:
        """One reference less to each block; without any it is free."""
        for block in blocks:
            self._references[block] -= 1
            if not self._references[block]:
                self._free.append(block)

    def copy(self, source: int, target: int) -> None:
        """The content of a block, in every layer."""
        for arrays in self.arrays:
            for array in arrays.values():
                array[target] = array[source]

    def _empty(self, blocks: int) -> dict[str, Array]:
        return {
            name: np.zeros((blocks, self.block_size, *axes), self.dtype)
            for name, axes in self.streams.items()
        }

    def _grow(self, needed: int) -> None:
        known = len(self._references)
        blocks = max(needed, 2 * known)
        if self.limit is not None:
            blocks = min(blocks, self.limit)
        grown = [self._empty(blocks) for _ in self.arrays]
        for arrays, old in zip(grown, self.arrays, strict=True):
            for name, array in old.items():
                arrays[name][:known] = array
        self.arrays = grown
        self._references += [0] * (blocks - known)
        self._free += range(blocks - 1, known - 1, -1)


class Paged(Storage):
    """A table of blocks for each row. What `append` gives is gathered from them, a copy."""

    def __init__(self, pool: BlockPool, batch: int, capacity: int | None) -> None:
        super().__init__(pool.layers, pool.streams, batch, pool.dtype, capacity)
        self.pool = pool
        self.table: list[list[int]] = [[] for _ in range(batch)]  # changed in place, ever the same
        self._finalizer = weakref.finalize(self, _give_back_all, pool, self.table)

    def _blocks(self, columns: int) -> int:
        """Blocks that so many columns need."""
        return -(-columns // self.pool.block_size)

    def _make_room(self, needed: int) -> None:
        copied: list[int] = []  # rows whose last block, partly filled, is not theirs alone
        if self.length % self.pool.block_size:
            users: dict[int, int] = {}
            for row, blocks in enumerate(self.table):
                last = blocks[-1]
                users.setdefault(last, self.pool.references(last))
                if users[last] > 1:
                    copied.append(row)
                    users[last] -= 1
        more = self._blocks(needed) - self._blocks(self.length)
        new = self.pool.take(len(copied) + more * self.batch)
        for row in copied:
            shared, own = self.table[row][-1], new.pop()
            self.pool.copy(shared, own)
            self.table[row][-1] = own
            self.pool.give_back([shared])
        for blocks in self.table:
            blocks.extend(new.pop() for _ in range(more))

    def _write(self, layer: int, streams: Mapping[str, Array]) -> dict[str, Array]:
        end = self.length + self._reserved
        blocks, lines = np.divmod(np.arange(end), self.pool.block_size)
        where = np.array(self.table, np.int64).reshape(self.batch, -1)[:, blocks], lines
        new = where[0][:, self.length :], lines[self.length :]
        every = {}
        for name, array in self.pool.arrays[layer].items():  # [blocks, block_size, G, d]
            array[new] = np.moveaxis(streams[name], -2, 1)
            every[name] = np.ascontiguousarray(np.moveaxis(array[where], 1, -2))
        return every

    def _trim(self) -> None:
        """Give back the blocks past the visible columns."""
        kept = self._blocks(self.length)
        for blocks in self.table:
            self.pool.give_back(blocks[kept:])
            del blocks[kept:]

    def rollback(self) -> None:
        """Drop what was reserved and written since the last commit."""
        super().rollback()
        self._trim()

    def truncate(self, columns: int) -> None:
        """Keep the first columns."""
        super().truncate(columns)
        self._trim()

    def fork(self) -> Paged:
        """The same blocks under another table."""
        self.check_settled()
        other = Paged(self.pool, self.batch, self.capacity)
        other.length = self.length
        for mine, theirs in zip(self.table, other.table, strict=True):
            self.pool.share(mine)
            theirs.extend(mine)
        return other

    def reorder(self, index: Array) -> None:
        """Row b becomes what row index[b] was: no block is copied."""
        self.check_settled()
        old = list(self.table)
        new = [list(old[row]) for row in index]
        for blocks in new:
            self.pool.share(blocks)
        for blocks in old:
            self.pool.give_back(blocks)
        self.table[:] = new
        self.batch = len(index)

    def reset(self) -> None:
        """Forget everything, and give the blocks back."""
        super().reset()
        self._trim()


def _give_back_all(pool: BlockPool, table: list[list[int]]) -> None:
    for blocks in table:
        pool.give_back(blocks)
