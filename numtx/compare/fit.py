"""Arrays of another implementation brought into the shape of a stage.

Others leave out axes of size one, keep heads side by side (B, T, H*k) or behind the tokens
(B, T, H, k), repeat keys and values for every query head, flatten the batch into the rows,
write masks as {0, -inf} or for one head, and use a large negative number for -inf.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..shapes import Array

SENTINEL = -1e4  # a masked score at or below this is taken for -inf


class Fitted(NamedTuple):
    """The array in the stage's shape, what it is held against, and what was done to it."""

    array: Array
    expected: Array
    note: str


def fit(got: Array, expected: Array, axes: tuple[str, ...], leaf: str) -> Fitted | None:
    """An array beside what is expected, both of one shape; None where they cannot be."""
    note = ""
    if leaf == "mask" and got.dtype.kind != "b":
        hidden = bool((got < 0).any())  # {0, -inf}; else {1, 0}
        got = got > SENTINEL if hidden else got != 0
        note = "read as {0, -inf}" if hidden else "read as {1, 0}"
    shaped = _shape(got, expected, axes, leaf)
    if shaped is None:
        return None
    got, expected, how = shaped
    if leaf == "masked_scores":
        meant = np.isneginf(expected) | (expected > SENTINEL)
        sentinel = (got <= SENTINEL) & np.isfinite(got) & meant
        if sentinel.any():
            note = f"{float(got[sentinel][0]):g} read as -inf"
            got = np.where(sentinel, -np.inf, got)
    return Fitted(got, expected, ", ".join(part for part in (how, note) if part))


def _shape(
    got: Array, expected: Array, axes: tuple[str, ...], leaf: str
) -> tuple[Array, Array, str] | None:
    want = expected.shape
    headed = len(axes) == 4 and axes[1] in "hg"
    if got.shape == want:
        # (B, T, H, k) looks the same where T = H: the layout that agrees is taken.
        if headed and want[1] == want[2] > 1 and leaf in ("queries", "keys", "values", "context"):
            swapped = got.swapaxes(1, 2)
            if _apart(swapped, expected) < 1e-3 * _apart(got, expected):
                return swapped, expected, "axes (batch, token, head, d)"
        return got, expected, ""
    if _squeezed(got.shape) == _squeezed(want):
        return got.reshape(want), expected, ""
    if leaf == "mask":
        try:
            return np.broadcast_to(got, want), expected, "broadcast"
        except ValueError:
            if got.ndim == 2 and headed and got.shape == (want[0], want[3]):
                return np.broadcast_to(got[:, None, None], want), expected, "broadcast"
            return None
    if headed:
        found = _heads(got, expected)
        if found is not None:
            return found
    same_rows = got.shape[-1:] == want[-1:] or len(want) == 2
    if axes and axes[0] == "b" and got.ndim and got.size == expected.size and same_rows:
        return got.reshape(want), expected, "rows taken apart into batch and tokens"
    return None


def _heads(got: Array, expected: Array) -> tuple[Array, Array, str] | None:
    """Heads merged, behind the tokens, or repeated for every query head."""
    batch, heads, length, width = expected.shape
    if (got.ndim == 2 and batch == 1) or (got.ndim == 3 and batch == 1 and got.shape[0] != 1):
        got = got[None]
    if got.shape == (batch, length, heads * width):
        parted = got.reshape(batch, length, heads, width).swapaxes(1, 2)
        return parted, expected, "heads were side by side"
    if got.shape == (batch, length, heads, width):
        return got.swapaxes(1, 2), expected, "axes (batch, token, head, d)"
    for swapped in (got, got.swapaxes(1, 2) if got.ndim == 4 else got):
        if swapped.ndim == 4 and swapped.shape[0] == batch and swapped.shape[2:] == (length, width):
            repeats, rest = divmod(swapped.shape[1], heads)
            if not rest and repeats > 1:
                return swapped, np.repeat(expected, repeats, 1), "one for every query head"
    return None


def _apart(a: Array, b: Array) -> float:
    return float(np.abs(a.astype(np.float64) - b.astype(np.float64)).max(initial=0.0))


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(length for length in shape if length != 1)
