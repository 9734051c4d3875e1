"""The cache of a decoder: what earlier calls computed of each token, so that no later call
computes it again.

Self-attention keeps its streams (keys and values, or latents) for every token seen so far, and
grows with each call. Cross-attention keeps those of the encoder's output, computed once. A call is

    reserve(columns)            room in every layer, or an error and nothing has changed
    mark(valid, positions)      which of the new columns are real tokens, and where they stand
    append(layer, **streams)    each layer's share; gives everything up to the new length
    commit()                    from now on it counts; rollback() drops it instead

A column is a place in every row; in some rows it may hold padding. A row's length counts its
real tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from operator import is_
from typing import Any

import numpy as np

from ..attention import Store, token_streams
from ..batch import count_positions
from ..config import Config
from ..errors import CacheError
from ..parameters import check_parameters, parameter_shapes
from ..shapes import Array, describe
from ..small_repr import in_notebook, small_repr
from .paged import BlockPool, Paged
from .ring import Ring
from .shift import check_counts, check_movable, shifted
from .storage import Contiguous, Storage

STORAGES = ("contiguous", "ring", "paged")


@in_notebook
@small_repr("batch", "length", "capacity", "storage", "config")
class Cache:
    """The cache of one model for one batch.

    config, parameters  the model; a call with other parameters is refused. Arrays that are
                        changed in place (by training) are not noticed: reset the cache then
    batch               rows
    capacity            the most columns (tokens, padding included) it may hold; None: no limit.
                        Of a ring: the tokens of each row that it holds; None: one window
    storage             contiguous: an array that grows. ring: for a model with a window, only
                        the last tokens of each row. paged: blocks of a pool, which forks share
    block_size, pool    of paged storage: columns in a block, and the pool of blocks; None: its own

    Raises `CacheError` for a model that has no cache: one whose decoder is not causal, or
    that has no decoder.
    """

    def __init__(
        self,
        config: Config,
        parameters: Mapping[str, Array],
        batch: int,
        capacity: int | None = None,
        storage: str = "contiguous",
        block_size: int = 16,
        pool: BlockPool | None = None,
    ) -> None:
        if "decoder" not in config.sides or not config.causal:
            what = "has no decoder" if config.causal else "is not causal"
            raise CacheError(
                f"a cache for a model that {what}; earlier tokens would not stay fixed"
            )
        for name, value in (("batch", batch), ("capacity", capacity)):
            if value is not None and (type(value) is not int or value < 1):
                raise CacheError(f"{name} is {describe(value)}; it is a whole number of at least 1")
        check_parameters(config, parameters)
        self.config = config
        self.batch = batch
        self._parameters = [parameters[name] for name in parameter_shapes(config)]
        self._storage = _storage(config, batch, capacity, storage, block_size, pool)
        self.storage = storage
        self._gone = np.zeros(batch, np.int64)  # real tokens that a ring has evicted
        self._valid = np.zeros((batch, 0), bool)
        self._positions = np.zeros((batch, 0), np.int64)
        self._marked: tuple[Array, Array] | None = None
        self._source: Array | None = None
        self._cross: list[dict[str, Array]] = []
        self._open = False
        self._source_is_new = False

    # What it holds.

    @property
    def length(self) -> int:
        """Columns that it holds, padding included."""
        return self._storage.length

    @property
    def capacity(self) -> int | None:
        """The most columns it may hold; None: no limit (a ring goes round)."""
        return self._storage.capacity

    @property
    def lengths(self) -> Array:
        """[B], the real tokens of each row: also the position of the row's next token."""
        lengths: Array = np.add.reduce(self._valid, 1, dtype=np.int64)
        return lengths + self._gone

    @property
    def valid(self) -> Array:
        """[B, length], True where a column holds a real token."""
        return self._valid.copy()

    @property
    def positions(self) -> Array:
        """[B, length], the position of each column."""
        return self._positions.copy()

    @property
    def source(self) -> Array | None:
        """[B, S], which of the encoder's tokens are real; None before the encoder has run."""
        return None if self._source is None else self._source.copy()

    @property
    def numbers(self) -> int:
        """How many numbers it holds: self-attention's and cross-attention's streams (those that
        it shares with forks included)."""
        cross = sum(array.size for layer in self._cross for array in layer.values())
        return self._storage.numbers + cross

    @property
    def bytes(self) -> int:
        """The bytes of these numbers (room that is not yet used is not counted)."""
        return self.numbers * np.dtype(self.config.dtype).itemsize

    # A call.

    def check(self, config: Config, parameters: Mapping[str, Array]) -> None:
        """Raise `CacheError` unless it belongs to this model."""
        if config is not self.config and config != self.config:
            raise CacheError("cache belongs to a model of another configuration; make a new one")
        names = parameter_shapes(config)
        given = map(parameters.get, names)
        if len(parameters) != len(names) or not all(map(is_, given, self._parameters)):
            raise CacheError(
                "cache belongs to other parameters: what it holds was computed by them; "
                "make a new one"
            )

    def reserve(self, columns: int) -> None:
        """Begin a call: room for so many more columns in every layer.

        Raises `CacheError` where they do not fit; nothing has changed then.
        """
        self._check_settled()
        self._storage.reserve(columns)
        self._open = True

    def mark(self, valid: Array, positions: Array) -> tuple[Array, Array]:
        """Which of the new columns hold a real token, and their positions; both for all columns
        up to the new length, [B, length]."""
        if isinstance(self._storage, Ring):
            moved = positions != count_positions(valid, self.lengths)
            if (moved & valid).any():
                raise CacheError(
                    "positions given with a ring: it keeps tokens by their count; leave them out"
                )
        self._marked = (
            np.concatenate((self._valid, valid), 1),
            np.concatenate((self._positions, positions), 1),
        )
        return self._marked

    def layer(self, layer: int) -> tuple[Store, Store | None]:
        """A block's places in the cache: of its self-attention, and of its cross-attention."""
        cross = None if self._source is None else partial(self.cross, layer)
        return partial(self.append, layer), cross

    def append(self, layer: int, **streams: Array) -> Mapping[str, Array]:
        """Write a layer's new columns; its streams up to the new length, read-only."""
        if not self._open:
            raise CacheError("append outside a call; reserve the columns first")
        return self._storage.append(layer, streams)

    def mark_source(self, valid: Array) -> None:
        """Which of the encoder's tokens are real; its streams follow, layer by layer."""
        if self._source is not None:
            raise CacheError(
                "the encoder's keys and values are in the cache already; give decoder_ids "
                "alone, or reset the cache"
            )
        self._source, self._source_is_new = valid.copy(), True

    def cross(self, layer: int, **streams: Array) -> Mapping[str, Array]:
        """Cross-attention's streams of a layer: kept when handed over, given back ever after."""
        if streams:
            kept = {name: array.copy() for name, array in streams.items()}
            for array in kept.values():
                array.setflags(write=False)
            assert layer == len(self._cross), "layers come in order, once"
            self._cross.append(kept)
        return self._cross[layer]

    def commit(self) -> None:
        """End a call: what was written counts from now on."""
        if not self._open or self._marked is None:
            raise CacheError("commit outside a call; reserve, mark and append first")
        valid, positions = self._marked
        stays = self._storage.commit(valid)
        if stays is not None:
            lengths = self._gone + np.add.reduce(valid, 1)
            rows = np.arange(self.batch)[:, None]
            valid, positions = valid[rows, stays] & (stays >= 0), positions[rows, stays]
            self._gone = lengths - np.add.reduce(valid, 1)
        self._valid, self._positions = valid, positions
        self._settle()

    def rollback(self) -> None:
        """End a call: what was written is dropped, the encoder's part too if it was new."""
        self._storage.rollback()
        if self._source_is_new:
            self._source, self._cross = None, []
        self._settle()

    def _settle(self) -> None:
        self._marked, self._open, self._source_is_new = None, False, False

    def _check_settled(self) -> None:
        self._storage.check_settled()
        if self._open:
            raise CacheError("cache is in the middle of a call; commit or roll back first")

    # Between calls.

    def fork(self) -> Cache:
        """A cache of the same content that lives on independently (of paged storage it shares
        the blocks until one of the two writes into them)."""
        self._check_settled()
        other = Cache.__new__(Cache)
        other.__dict__.update(self.__dict__)  # arrays here are replaced, never written to
        other._storage = self._storage.fork()
        other._cross = list(self._cross)
        return other

    def truncate(self, lengths: int | Sequence[int] | Array) -> None:
        """Keep the first lengths[b] real tokens of row b (of every row, where it is a number).

        As if the rest had never been appended; the encoder's part stays. Raises `CacheError`
        beyond a row's length, and where a ring has evicted what the next token would look at.
        """
        self._check_settled()
        wanted = _whole("truncate: lengths", lengths)
        own = self.lengths
        if wanted.ndim and wanted.shape != own.shape:
            raise CacheError(
                f"truncate: lengths has shape {wanted.shape}; it should be {own.shape}, one a row"
            )
        wanted = np.broadcast_to(wanted, own.shape)
        wrong = np.flatnonzero((wanted < 0) | (wanted > own))
        if wrong.size:
            row = wrong[0]
            raise CacheError(
                f"truncate: row {row} holds {own[row]} tokens and {wanted[row]} were to be kept; "
                f"give 0 to {own[row]}"
            )
        self._check_still_held(wanted)
        kept = self._valid & (np.cumsum(self._valid, 1) + self._gone[:, None] <= wanted[:, None])
        self._gone = np.minimum(self._gone, wanted)
        used = np.flatnonzero(kept.any(0))
        columns = int(used[-1]) + 1 if used.size else 0
        self._storage.truncate(columns)
        self._valid = kept[:, :columns].copy()
        self._positions = self._positions[:, :columns].copy()

    def _check_still_held(self, wanted: Array) -> None:
        """That of rows cut to so many tokens the last window is not partly evicted."""
        window = self.config.widest_window or 1
        first = np.maximum(wanted - (window - 1), 0)  # what the next token looks at begins here
        wrong = np.flatnonzero((first < self._gone) & (first < wanted))
        if wrong.size:
            row = wrong[0]
            raise CacheError(
                f"truncate: row {row} cut to {wanted[row]} tokens needs token {first[row]}, and "
                f"the first {self._gone[row]} are evicted; give the ring more capacity"
            )

    def hide(self, drop: int) -> None:
        """Later tokens do not see the first `drop` tokens of each row that it holds.

        Nothing moves, and the next token stands where it would have stood.
        """
        self._check_settled()
        check_counts("hide", self._valid, drop=drop)
        self._valid = self._valid & (np.cumsum(self._valid, 1) > drop)
        self._gone = self._gone + drop

    def shift(self, keep: int, drop: int) -> None:
        """Drop the `drop` tokens of every row after its first `keep`; those behind them move up
        to the places that become free, and so does the next token.

        Deeper layers of what stays have seen what is dropped, and keep what they saw of it.
        Raises `CacheError` for more tokens than a row holds, for positions that are added to the
        vectors (sinusoidal, learned), for a ring, and where a pool has no blocks for the copy.
        """
        self._check_settled()
        check_counts("shift", self._valid, keep=keep, drop=drop)
        check_movable(self.config, self._storage)
        self._storage, self._valid, self._positions = shifted(
            self.config, self._storage, self._valid, self._positions, keep, drop
        )

    def reorder(self, index: Sequence[int] | Array) -> None:
        """Row b becomes what row index[b] was, in every layer and in the encoder's part.

        A row may be taken several times, or left out: the batch then has len(index) rows.
        """
        self._check_settled()
        rows = _whole("reorder: index", index)
        if rows.ndim != 1 or not rows.size:
            raise CacheError(f"reorder: index has shape {rows.shape}; it is a list of rows")
        wrong = np.flatnonzero((rows < 0) | (rows >= self.batch))
        if wrong.size:
            raise CacheError(
                f"reorder: index[{wrong[0]}] is {rows[wrong[0]]}; rows are 0 to {self.batch - 1}"
            )
        self._storage.reorder(rows)
        self._valid, self._positions = self._valid[rows], self._positions[rows]
        self._gone = self._gone[rows]
        if self._source is not None:
            self._source = self._source[rows]
        self._cross = [{name: a[rows] for name, a in layer.items()} for layer in self._cross]
        self.batch = len(rows)

    def reset(self) -> None:
        """Forget every token, and the encoder's part."""
        self._storage.reset()
        self._valid, self._positions = self._valid[:, :0], self._positions[:, :0]
        self._source, self._cross = None, []
        self._gone = np.zeros(self.batch, np.int64)
        self._settle()

    def release(self) -> None:
        """Forget everything for good: the blocks of paged storage go back to their pool, as
        they do when the cache is no longer in use."""
        self.reset()
        self._storage.release()


def _storage(
    config: Config,
    batch: int,
    capacity: int | None,
    storage: str,
    block_size: int,
    pool: BlockPool | None,
) -> Storage:
    if storage not in STORAGES:
        raise CacheError(f"storage is {storage!r}; it is one of {', '.join(STORAGES)}")
    layers, streams = config.decoder_layers, token_streams(config)
    if pool is not None and storage != "paged":
        raise CacheError(f"pool given with storage {storage!r}; only paged storage has one")
    if storage == "contiguous":
        return Contiguous(layers, streams, batch, config.dtype, capacity)
    if storage == "ring":
        window = config.widest_window
        room = window if capacity is None else capacity
        if window is None or room is None or room < window:
            what = f"room for {capacity}"
            if window is None:
                none = config.values_of("window") == (None,)
                what = f"{'a model' if none else 'layers'} without a window"
            raise CacheError(f"ring storage with {what}; it holds at least one window ({window})")
        return Ring(layers, streams, batch, config.dtype, room)
    if pool is None:
        pool = BlockPool(config, block_size)
    if (pool.layers, pool.streams, pool.dtype) != (layers, streams, config.dtype):
        raise CacheError(
            f"pool is of blocks for {pool.layers} layers of {dict(pool.streams)} {pool.dtype}; the "
            f"model has {layers} of {streams} {config.dtype}"
        )
    return Paged(pool, batch, capacity)


def _whole(name: str, value: Any) -> Array:
    array = np.asarray(value)
    if array.dtype.kind not in "iu":
        raise CacheError(f"{name} is {describe(value)}; whole numbers are needed")
    return array.astype(np.int64)
