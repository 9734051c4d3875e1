"""Arrays of another implementation brought into the shape of a stage.

Others leave out axes of size one, have them in another order or flattened (`axes`), repeat keys and
values for every query head, keep the mean of the weights over the heads, or one row of positions
for all, write masks as {0, -inf} or for one head, and use a large negative number for -inf.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..shapes import Array
from .axes import as_it_stands, near, readings, squeezed

SENTINEL = -1e4  # a masked score at or below this is taken for -inf
SAID = {"b t (h k)": "heads were side by side", "(b t)": "rows taken apart into batch and tokens"}


class Fitted(NamedTuple):
    """The array in the stage's shape, what it is held against, and what was done to it."""

    array: Array
    expected: Array
    note: str


def fit(
    got: Array,
    expected: Array,
    axes: tuple[str, ...],
    leaf: str,
    orders: frozenset[str] = frozenset(),
) -> Fitted | None:
    """An array beside what is expected, both of one shape; None where they cannot be.

    orders  pairs of axes that stand the other way round in the whole file (`axes.orders_of`)
    """
    note = ""
    if leaf == "mask" and got.dtype.kind != "b":
        hidden = bool((got < 0).any())  # {0, -inf}; else {1, 0}
        got = got > SENTINEL if hidden else got != 0
        note = "read as {0, -inf}" if hidden else "read as {1, 0}"
    shaped = _shape(got, expected, axes, leaf, orders)
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
    got: Array, expected: Array, axes: tuple[str, ...], leaf: str, orders: frozenset[str]
) -> Fitted | None:
    want = expected.shape
    found = readings(got.shape, want, axes)
    if as_it_stands(got.shape, want):
        for reading in found:
            if not reading.plain and reading.changes <= orders:
                return Fitted(reading.array(got), expected, reading.words)
        note, plain = "", got.reshape(want)
        if len(found) > 1 and not near(plain, expected):
            right = [reading for reading in found if near(reading.array(got), expected)]
            note = f"equal, or nearly, if it has the {right[0].words}" if right else ""
        return Fitted(plain, expected, note)
    if leaf == "mask":
        return _mask(got, expected, axes)
    if found:
        right = [reading for reading in found if near(reading.array(got), expected)]
        reading = (right or found)[0]
        said = next((text for p, text in SAID.items() if reading.pattern.startswith(p)), None)
        return Fitted(reading.array(got), expected, said or reading.words)
    return _other(got, expected, axes, leaf)


def _other(got: Array, expected: Array, axes: tuple[str, ...], leaf: str) -> Fitted | None:
    """What is there for all rows or heads once, or several times."""
    want = expected.shape
    headed = len(axes) == 4 and axes[1] in "hg"
    if headed and leaf == "weights" and squeezed(got.shape) == squeezed((want[0], *want[2:])):
        mean = expected.mean(1)
        return Fitted(got.reshape(mean.shape), mean, "the mean of all heads")
    if headed and got.size > expected.size and expected.size:
        times, rest = divmod(got.size, expected.size)
        repeated = np.repeat(expected, times, 1)
        if not rest and times > 1 and axes[1] == "g":
            shaped = _shape(got, repeated, axes, "", frozenset())
            return shaped and shaped._replace(note="one for every query head")
    alike = leaf in ("positions", "bias") and squeezed(got.shape) == squeezed(want[1:])
    if alike:
        return Fitted(np.broadcast_to(got.reshape(1, *want[1:]), want), expected, "of every row")
    same_rows = got.shape[-1:] == want[-1:] or len(want) == 2
    if axes and axes[0] == "b" and got.ndim and got.size == expected.size and same_rows:
        return Fitted(got.reshape(want), expected, SAID["(b t)"])
    return None


def _mask(got: Array, expected: Array, axes: tuple[str, ...]) -> Fitted | None:
    want = expected.shape
    try:
        return Fitted(np.broadcast_to(got, want), expected, "broadcast")
    except ValueError:
        if got.ndim == 2 and len(axes) == 4 and got.shape == (want[0], want[3]):
            return Fitted(np.broadcast_to(got[:, None, None], want), expected, "broadcast")
        return None
