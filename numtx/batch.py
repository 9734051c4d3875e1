"""What goes into a model: token ids, which of them are real, labels; checked at the face."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np

from .config import Config
from .errors import BatchError, CacheError, MaskError
from .masks import check_mask
from .ops.lookup import padding_beyond
from .ops.loss import IGNORED
from .shapes import Array, all_true, describe
from .small_repr import small_repr


@small_repr()
@dataclass(frozen=True, eq=False)
class Batch:
    """The input of a run, rows first; every field may be a nested list or an array.

    ids               [B, T] token ids: of the encoder where there is one, else of the decoder
    decoder_ids       [B, T'] token ids of the decoder of an encoder-decoder
    labels            [B, T or T'] what each last-stack position should predict; -100: ignored
    mask              [B, T], True at real tokens, False at padding; None: all are real
    decoder_mask      [B, T'], the same for the decoder
    positions         [B, T]; None: counted over the real tokens of each row
    decoder_positions [B, T'], the same for the decoder
    segments          [B, T] segment ids, for a model that has segments (decoder_segments too)
    vectors           [B, T, d] in place of ids: what the embedding would give, before its scale;
                      decoder_vectors too. What backward gives has their gradient, under this name
    memory            [B, S, d] in place of the encoder's ids: its output; it does not run, and an
                      encoder-decoder with encoder_layers 0 has none. `mask` says which are real
    documents         [B, T], the number of the document that a token belongs to, where a row holds
                      several: none sees another, and positions begin anew in each. The label of
                      the last token of a document is the caller's affair: what follows it in the
                      row is no continuation (`next_tokens` knows that). decoder_documents too
    """

    ids: Any = None
    decoder_ids: Any = None
    labels: Any = None
    mask: Any = None
    decoder_mask: Any = None
    positions: Any = None
    decoder_positions: Any = None
    segments: Any = None
    decoder_segments: Any = None
    documents: Any = None
    decoder_documents: Any = None
    vectors: Any = None
    decoder_vectors: Any = None
    memory: Any = None


_OF_DECODERS = tuple(field.name for field in fields(Batch) if field.name.startswith("decoder_"))


@small_repr()
class SideInput(NamedTuple):
    """The checked input of one stack."""

    ids: Array  # [B, T] int64
    valid: Array  # [B, T] bool
    positions: Array  # [B, T] int64
    segments: Array | None  # [B, T] int64
    documents: Array | None = None  # [B, T] int64, where a row holds several
    vectors: Array | None = None  # [B, T, d], in place of ids


@small_repr()
class Inputs(NamedTuple):
    """The checked input of a run."""

    sides: dict[str, SideInput]
    labels: Array | None
    memory: tuple[Array, Array] | None = None  # [B, S, d], and which of them are real

    @property
    def lengths(self) -> dict[str, int]:
        """How many tokens, or vectors, the rows of each side have."""
        own = {side: given.ids.shape[1] for side, given in self.sides.items()}
        return own if self.memory is None else {"encoder": self.memory[1].shape[1], **own}


def check_batch(config: Config, batch: Batch) -> Inputs:
    """Every field as an array of the type and shape that the model needs.

    Raises `BatchError` or `MaskError`, naming the field, what was got and the mend.
    """
    if not isinstance(batch, Batch):
        raise BatchError(f"batch is {describe(batch)}; it is a numtx.Batch of ids, labels, ...")
    sides = {}
    memory = given_memory(config, batch)
    for side in config.sides:
        if side == "encoder" and memory is not None:
            continue
        prefix = "decoder_" if side == "decoder" and config.model == "encoder-decoder" else ""
        sides[side] = _side(config, side, batch, prefix)
    if config.model != "encoder-decoder":
        for name in _OF_DECODERS:
            if getattr(batch, name) is not None:
                raise BatchError(
                    f"{name} given to a model that is {config.model}; its input is `ids`"
                )
    else:
        if memory is None and config.lacks_encoder:
            raise without_memory(config)
        target_rows = len(sides["decoder"].ids)
        rows = len(sides["encoder"].ids) if memory is None else len(memory[0])
        if rows != target_rows:
            name = "ids" if memory is None else "memory"
            raise BatchError(f"{name} has {rows} rows and decoder_ids {target_rows}; give as many")
        if (batch.documents is None) != (batch.decoder_documents is None):
            raise BatchError(
                "documents and decoder_documents go together: what is read of a memory is the "
                "same document's; give both"
            )
    last = sides[config.sides[-1]]
    labels = None
    if batch.labels is not None:
        if config.head is None:
            raise BatchError("labels given to a model without a head; it has no loss: drop them")
        labels = _integers("labels", batch.labels)
        if labels.shape != last.ids.shape:
            raise BatchError(
                f"labels has shape {labels.shape}; it should be {last.ids.shape}, one for "
                "every position that predicts"
            )
        check_labels("labels", labels, config.vocabulary)
    return Inputs(sides, labels, memory)


def vectors_of(config: Config, batch: Batch) -> tuple[str, ...]:
    """The sides that are given vectors in place of ids, and `memory` where it is given."""
    given = [config.sides[0]] if batch.vectors is not None else []
    if batch.decoder_vectors is not None:
        given.append("decoder")
    return tuple(given if batch.memory is None else [*given, "memory"])


def without_memory(config: Config) -> BatchError:
    """What to say where a model without an encoder is given no memory."""
    return BatchError(
        "memory is missing; this model has no encoder (encoder_layers 0), so what its decoder "
        f"looks at is given: vectors (rows, tokens, {config.width}), memory in --vectors FILE"
    )


def given_memory(config: Config, batch: Batch) -> tuple[Array, Array] | None:
    """Memory as it is read, and which of its vectors are real; None: none is given."""
    if batch.memory is None:
        return None
    if config.model != "encoder-decoder":
        raise BatchError(f"memory given to a model that is {config.model}; it looks at none")
    for name in ("ids", "vectors", "positions", "segments", "documents"):
        if getattr(batch, name) is not None:
            mend = "the encoder does not run: give one"
            if config.lacks_encoder:
                mend = f"there is no encoder: what is the decoder's is decoder_{name}"
            raise BatchError(f"both memory and {name}; {mend}")
    memory = _vectors(config, "memory", batch.memory)
    mask = np.ones(memory.shape[:2], bool) if batch.mask is None else batch.mask
    valid = check_mask("mask", mask, memory.shape[:2]).copy()
    empty = np.flatnonzero(~valid.any(1))
    if empty.size:
        raise MaskError(f"mask: row {empty[0]} has no real vector; drop the row")
    _check_finite("memory", memory, valid)
    limit = config.padding_limit("decoder")
    beyond = padding_beyond(memory, valid, limit)
    return memory if beyond is None else np.where(beyond, 0.0, memory).astype(memory.dtype), valid


def _vectors(config: Config, name: str, given: Any) -> Array:
    """Vectors [B, T, d] in the type of the model, always a copy of the caller's."""
    try:
        array: Array = np.asarray(given)
    except ValueError:
        raise BatchError(
            f"{name}: the rows have different lengths; pad them to one and give a mask"
        ) from None
    if array.dtype.kind not in "fiu":
        raise BatchError(f"{name} is {describe(array)}; real numbers are needed")
    if array.ndim != 3 or array.shape[2:] != (config.width,) or not array.size:
        raise BatchError(
            f"{name} has shape {array.shape}; it should be (rows, tokens, {config.width}), one "
            "vector of the model's width a token"
        )
    return array.astype(config.dtype)


def _check_finite(name: str, vectors: Array, valid: Array) -> None:
    wrong = np.argwhere(~np.isfinite(vectors) & valid[..., None])
    if wrong.size:
        row, column, place = wrong[0].tolist()
        raise BatchError(
            f"{name}[{row},{column},{place}] is {vectors[row, column, place]}; only padding may "
            "be no finite number"
        )


def check_step(
    config: Config, batch: Batch, before: Array | None
) -> tuple[SideInput | None, SideInput]:
    """The checked input of a step of generation: of the encoder (None: it has run already, or a
    memory is given) and of the decoder.

    before  [B], the tokens of each row in the cache: positions go on from there, and a row may
            bring padding alone. None without a cache
    """
    if batch.documents is not None or batch.decoder_documents is not None:
        raise BatchError(
            "documents given to a step of a generation, which goes on with one text a row; "
            "give each document a row of its own"
        )
    if config.model != "encoder-decoder":
        side = config.sides[0]
        return None, _side(config, side, batch, "", before)
    given = _side(config, "decoder", batch, "decoder_", before)
    memory, source = given_memory(config, batch), None
    if memory is None and (batch.ids is not None or batch.vectors is not None):
        if config.lacks_encoder:
            raise without_memory(config)
        source = _side(config, "encoder", batch, "")
    for name, rows in (("memory", memory and memory[0]), ("ids", source and source.ids)):
        if rows is not None and len(rows) != len(given.ids):
            raise BatchError(
                f"{name} has {len(rows)} rows and decoder_ids {len(given.ids)}; give as many"
            )
    return source, given


def _side(
    config: Config, side: str, batch: Batch, prefix: str, before: Array | None = None
) -> SideInput:
    ids_name, mask_name = prefix + "ids", prefix + "mask"
    vectors = getattr(batch, prefix + "vectors")
    if vectors is not None:
        if getattr(batch, ids_name) is not None:
            raise BatchError(f"both {ids_name} and {prefix}vectors; give one")
        ids_name = prefix + "vectors"
        vectors = _vectors(config, ids_name, vectors)
        ids: Array = np.zeros(vectors.shape[:2], np.int64)
    else:
        if getattr(batch, ids_name) is None:
            raise BatchError(f"{ids_name} is missing; the {side} needs token ids")
        ids = _integers(ids_name, getattr(batch, ids_name))
        check_range(ids_name, ids, config.vocabulary_of(side))
    if before is not None and len(before) != len(ids):
        raise CacheError(
            f"cache holds {len(before)} rows and {ids_name} has {len(ids)}; give as many, or "
            "make a cache for this batch"
        )
    mask = getattr(batch, mask_name)
    documents = getattr(batch, prefix + "documents")
    if documents is not None:
        documents = _per_token(prefix + "documents", documents, ids)
    valid = np.ones(ids.shape, bool)
    if mask is not None:
        valid = check_mask(mask_name, mask, ids.shape).copy()
    if documents is None and (mask is None or all_true(valid)):
        positions = np.zeros(ids.shape, np.int64)
        positions += np.arange(ids.shape[1])
        if before is not None:
            positions += before[:, None]
    else:
        empty = np.flatnonzero(~valid.any(1))
        if empty.size and before is None:
            raise MaskError(f"{mask_name}: row {empty[0]} has no real token; drop the row")
        positions = count_positions(valid, before, documents)
    given = getattr(batch, prefix + "positions")
    if given is not None:
        positions = _per_token(prefix + "positions", given, ids)
        if positions.min() < 0:
            raise BatchError(f"{prefix}positions has {positions.min()}; positions start at 0")
    check_positions(config, positions)
    segments = _segments(config, side, batch, prefix, ids)
    if vectors is not None:
        _check_finite(ids_name, vectors, valid)
    return SideInput(ids, valid, positions, segments, documents, vectors)


def _per_token(name: str, given: Any, ids: Array) -> Array:
    numbers = _integers(name, given)
    if numbers.shape != ids.shape:
        raise BatchError(f"{name} has shape {numbers.shape}; it should be {ids.shape}")
    return numbers


def _segments(config: Config, side: str, batch: Batch, prefix: str, ids: Array) -> Array | None:
    name = prefix + "segments"
    given = getattr(batch, name)
    if not config.segments:
        if given is not None:
            raise BatchError(f"{name} given to a model without segments")
        return None
    if given is None:
        return np.zeros(ids.shape, np.int64)
    segments = _per_token(name, given, ids)
    check_range(name, segments, config.segments)
    return segments


def count_positions(
    valid: Array, before: Array | None = None, documents: Array | None = None
) -> Array:
    """[B, T] -> [B, T]: 0, 1, 2, ... over the real tokens of each row; padding before the
    first counts as 0, padding after a token as that token's position.

    before     [B], how many real tokens went before, in earlier calls; None: none
    documents  [B, T]; with them every document counts from 0
    """
    if documents is not None:
        found = np.zeros(valid.shape, np.int64)
        for number in np.unique(documents):
            own = documents == number
            found = np.where(own, count_positions(valid & own), found)
        return found
    count = np.cumsum(valid, 1) - 1
    if before is not None:
        count += before[:, None]
    positions: Array = np.maximum(count, 0)
    return positions


def check_positions(config: Config, positions: Array) -> None:
    """Raise `BatchError` for a position past the learned table."""
    limit = config.position_limit
    if limit is not None and positions.max() >= limit:
        raise BatchError(
            f"position {positions.max()} lies past the learned table of {limit}; "
            "shorten the row or raise position_limit"
        )


def _integers(name: str, value: Any) -> Array:
    """Token ids, labels or positions as int64 [B, T], always a copy of the caller's."""
    try:
        array = np.asarray(value)
    except ValueError:
        raise BatchError(
            f"{name}: the rows have different lengths; pad them to one length and give a mask "
            "of what is real (numtx.pad does both)"
        ) from None
    if array.size == 0:
        raise BatchError(f"{name} is empty, shape {array.shape}; give at least one token a row")
    if array.dtype.kind not in "iu":
        raise BatchError(f"{name} is {describe(array)}; whole numbers are needed")
    if array.ndim != 2:
        raise BatchError(
            f"{name} has {array.ndim} axes, shape {array.shape}; it has two: rows and tokens"
        )
    if array.dtype.kind == "u" and array.max() > np.iinfo(np.int64).max:
        raise BatchError(f"{name} has {array.max()}, too large for a token id")
    return array.astype(np.int64)


def next_tokens(ids: Any, mask: Any = None, documents: Any = None) -> Array:
    """Labels of a language model: of every token the one after it, of the same document; -100
    where there is none or it is padding.

    ids [B, T], mask [B, T], True at real tokens, documents [B, T] as a `Batch` has them
    """
    tokens = _integers("ids", ids)
    kept = np.zeros(tokens.shape, bool)
    real = np.ones(tokens.shape, bool) if mask is None else check_mask("mask", mask, tokens.shape)
    kept[:, :-1] = real[:, 1:] & real[:, :-1]
    if documents is not None:
        numbers = _integers("documents", documents)
        kept[:, :-1] &= numbers[:, 1:] == numbers[:, :-1]
    following: Array = np.where(kept, np.roll(tokens, -1, 1), IGNORED)
    return following


def check_labels(name: str, labels: Array, size: int) -> None:
    """Raise `BatchError` for a label outside the vocabulary, or where none counts."""
    check_range(name, labels, size, ignored=True)
    if all_true(labels == IGNORED):
        raise BatchError(f"{name}: every position is ignored ({IGNORED}); no loss is defined")


def check_range(name: str, ids: Array, size: int, ignored: bool = False) -> None:
    """Raise `BatchError` for an id outside 0 ... size - 1."""
    if np.maximum.reduce(ids.view(np.uint64), None) < size:  # a negative one would be large
        return
    wrong = (ids < 0) | (ids >= size)
    wrong &= not ignored or ids != IGNORED
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        also = f", or {IGNORED} to ignore the position" if ignored else ""
        raise BatchError(
            f"{name}[{row},{column}] is {ids[row, column]}; it should be 0 to {size - 1}{also}"
        )
