"""Masks. One convention everywhere: boolean, True = may attend.

`allowed` makes the mask of an attention from what is known of its tokens. The converters
below are the only places that name another convention.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from .errors import MaskError
from .shapes import Array, all_true, describe
from .small_repr import small_repr


@small_repr()
class Mask(NamedTuple):
    """Who may attend to whom, and which keys somebody attends to at all."""

    allowed: Array  # [B, 1, T, S], the same for every head, or [B, H, T, S]; True = may attend
    live: Array | None  # [B, S], True = some query may attend; None: all keys are live
    full: bool = False  # every query may attend to every key


def allowed(
    valid: Array,
    queries: int,
    *,
    causal: bool = False,
    window: int | None = None,
    chunk: int | None = None,
    query_positions: Array | None = None,
    key_positions: Array | None = None,
    documents: tuple[Array, Array] | None = None,
) -> Mask:
    """The mask of an attention. A query may attend to a key that is a real token and

    - where the attention is causal, does not lie in its future,
    - with a window of w tokens, lies less than w positions away,
    - with chunks of c tokens, stands in the same chunk,
    - where a row holds several documents, belongs to the same one.

    valid            [B, S], True at real tokens of the attended side
    queries          T; the queries are the last T of the S places (aligned bottom right)
    query_positions  [B, T] and key_positions [B, S], the token counts that a window and chunks
                     measure
    documents        [B, T] and [B, S], the document of each query and of each key
    """
    keys = valid.shape[1]
    unpadded = window is None and chunk is None and documents is None and all_true(valid)
    if unpadded and queries == 1:  # the last of all
        return Mask(valid[:, None, None, :], None, True)
    seen = valid[:, None, None, :] & _reach(queries, keys, causal)
    if window is not None:
        assert query_positions is not None and key_positions is not None
        distance = query_positions[:, None, :, None] - key_positions[:, None, None, :]
        seen = seen & (np.abs(distance) < window)
    if chunk is not None:
        assert query_positions is not None and key_positions is not None
        blocks = query_positions // chunk, key_positions // chunk
        seen = seen & (blocks[0][:, None, :, None] == blocks[1][:, None, None, :])
    if documents is not None:
        seen = seen & (documents[0][:, None, :, None] == documents[1][:, None, None, :])
    if unpadded:
        return Mask(seen, None, not causal)
    return Mask(seen, live_keys(seen))


@lru_cache(maxsize=16)
def _reach(queries: int, keys: int, causal: bool) -> Array:
    """[T, S], the keys that do not lie in a query's future (or all keys), read-only"""
    reach = np.tri(queries, keys, keys - queries if causal else keys, dtype=bool)
    reach.setflags(write=False)
    return reach


def live_keys(mask: Array) -> Array | None:
    """[B, H, T, S] -> [B, S], the keys that some query may attend to; None if that is all."""
    live: Array = np.logical_or.reduce(mask, (1, 2))
    return None if all_true(live) else live


def check_mask(name: str, mask: object, shape: tuple[int, ...]) -> Array:
    """The mask as a boolean array of exactly this shape; nothing is broadcast in silence."""
    if not isinstance(mask, np.ndarray):
        mask = np.asarray(mask)
    if mask.dtype != np.bool_:
        raise MaskError(
            f"{name} is {describe(mask)}; a mask is boolean, True = may attend "
            "(from_additive and inverted convert other conventions)"
        )
    if mask.shape != shape:
        raise MaskError(f"{name} has shape {mask.shape}; it should be {shape}")
    return mask


def to_additive(mask: Array, dtype: str = "float64") -> Array:
    """True -> 0, False -> -inf: the form that is added to the scores."""
    return np.where(mask, 0.0, -np.inf).astype(dtype)


def from_additive(mask: Array) -> Array:
    """0 -> True, -inf -> False. Any other number is an error: it would be a bias, not a mask.

    A large negative number, as some code uses for -inf, is refused too: say `mask > -1e30`.
    """
    mask = np.asarray(mask)
    if mask.dtype.kind != "f" or not np.all((mask == 0.0) | (mask == -np.inf)):
        raise MaskError(
            f"additive mask is {describe(mask)} with values other than 0 and -inf; "
            "for finite sentinels pass a comparison such as mask > -1e30"
        )
    can_attend: Array = mask == 0.0
    return can_attend


def inverted(mask: Array) -> Array:
    """Between True = may attend and True = hidden, either way."""
    mask = np.asarray(mask)
    if mask.dtype != np.bool_:
        raise MaskError(f"mask is {describe(mask)}; a boolean mask is needed")
    return ~mask
