"""What attention is computed from, and the gradients of it."""

from __future__ import annotations

from typing import NamedTuple

from ..shapes import Array
from ..small_repr import small_repr


@small_repr()
class AttendInputs(NamedTuple):
    """context = softmax(cap(queries·keys^T * scale) + bias, masked)·values

    Values of keys that nobody may attend to are finite; so are those keys, for a backward pass.
    """

    queries: Array  # [B, H, T, k]
    keys: Array  # [B, G, S, k]
    values: Array  # [B, G, S, c]
    mask: Array  # [B, H or 1, T, S], True = may attend
    scale: float
    bias: Array | None = None  # [B, H, T, S]
    cap: float | None = None
    sinks: Array | None = None  # [H]
    full: bool = False  # the mask is True everywhere


class AttendGradients(NamedTuple):
    """Of what attention is computed from."""

    queries: Array
    keys: Array
    values: Array
    sinks: Array | None  # where there are any
    bias: Array | None  # where it was asked for
