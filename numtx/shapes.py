"""Axis letters, index specifications and the shapes that follow from them.

One letter means one axis in the whole of numtx:

    b batch   t query (this side's tokens)   s key (the attended side's tokens)
    h head    g key/value head               k width of a query and a key, d_k
    c width of a value, d_v                  d model width    f feed-forward width
    v vocabulary

    and where keys and values come from a latent
    r width of the latent   q width of the queries' latent   p width that is rotated, d_r
    e d_k and d_r side by side   z the latent and d_r side by side

    and where there are experts
    x expert   m choice (an expert that a token goes through)   u width of the layer in an expert
    y width of the layer that is shared

A specification such as `bhtk,bgsk->bhts` names the axes of each operand and of the result.
Letters in brackets share one flattened axis, the first varying slowest: `d(hk)` is a
matrix (d, h*k). Where `h` and `g` both occur, head h belongs to group g = h // (H / G).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]


class Axis(NamedTuple):
    """What an axis letter stands for.

    name     in files
    word     what a place along it is called
    label    what stands before its number over a column
    panel    in Chinese and English, where each place has a matrix of its own
    word_zh  the word in Chinese
    """

    name: str
    word: str = "component"
    label: str = "d"
    panel: tuple[str, str] | None = None
    word_zh: str = "分量"


AXES = {
    "b": Axis("batch", "row", panel=("第 {} 行", "row {}")),
    "t": Axis("query"),
    "s": Axis("key"),
    "h": Axis("head", "head", panel=("头 {}", "head {}")),
    "g": Axis("key_value_head", "key/value head", panel=("键值头 {}", "key/value head {}")),
    "k": Axis("d_k"),
    "c": Axis("d_v"),
    "d": Axis("width"),
    "w": Axis("width"),  # once more, of what a layer of the head makes
    "f": Axis("hidden", "unit", "f", word_zh="单元"),
    "v": Axis("vocabulary", "word", "", word_zh="词"),
    "r": Axis("latent"),
    "q": Axis("query_latent"),
    "p": Axis("d_r"),
    "e": Axis("d_k+d_r"),
    "z": Axis("latent+d_r"),
    "n": Axis("buckets"),
    "x": Axis("expert", "expert", "e"),
    "m": Axis("choice", "choice", "k", panel=("选择 {}", "choice {}")),
    "u": Axis("expert_hidden", "unit", "f"),
    "y": Axis("shared_hidden", "unit", "f"),
}
AXIS_NAMES = {letter: axis.name for letter, axis in AXES.items()}
PANELS = frozenset(letter for letter, axis in AXES.items() if axis.panel is not None)


class Specification(NamedTuple):
    """A parsed index specification: for each operand and the result, its axes as letter groups."""

    operands: tuple[tuple[str, ...], ...]
    result: tuple[str, ...]


def _axes(text: str) -> tuple[str, ...]:
    axes: list[str] = []
    inside = False
    for letter in text:
        if letter == "(":
            inside = True
            axes.append("")
        elif letter == ")":
            inside = False
        elif inside:
            axes[-1] += letter
        else:
            axes.append(letter)
    return tuple(axes)


@cache
def parse(specification: str) -> Specification:
    """`bhtk,bgsk->bhts` -> its operands and its result, each a tuple of axes."""
    left, _, right = specification.partition("->")
    return Specification(tuple(_axes(part) for part in left.split(",")), _axes(right))


def shape_of(axes: tuple[str, ...], sizes: Mapping[str, int]) -> tuple[int, ...]:
    """The shape of axes such as ('b', 't', 'hk') for the given sizes of the letters."""
    shape = []
    for axis in axes:
        length = 1
        for letter in axis:
            length *= sizes[letter]
        shape.append(length)
    return tuple(shape)


def without_leading_ones(shape: tuple[int, ...], keep: int = 0) -> tuple[int, ...]:
    """Drop leading axes of size one, but keep the last `keep` axes."""
    while len(shape) > keep and shape[0] == 1:
        shape = shape[1:]
    return shape


def row_dots(x: Array, y: Array) -> Array:
    """The sum of x * y along the last axis, which stays as an axis of one    [..., n] -> [..., 1]

    On rows of some dozens of numbers several times faster than `np.add.reduce`.
    """
    dots: Array = np.vecdot(x, y)
    return dots[..., None]


def sum_rows(x: Array) -> Array:
    """The sum over the rows of a matrix    [n, d] -> [d]; a product is the fastest sum."""
    total: Array = constant_row(len(x), 1.0, x.dtype).dot(x)
    return total


@lru_cache(maxsize=64)
def constant_row(length: int, value: float, dtype: np.dtype[Any]) -> Array:
    """One number so many times, [n], read-only; the dot product with ones is a sum."""
    row = np.full(length, value, dtype)
    row.setflags(write=False)
    return row


def all_true(mask: Array) -> bool:
    """Whether a boolean array is True everywhere; a third of the time of `mask.all()`"""
    return bool(np.count_nonzero(mask) == mask.size)


def describe(value: object) -> str:
    """What a caller handed over, for an error message: `float64 (2, 5)` or `str 'abc'`."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {value.shape}"
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 40 else text[:37] + '...'}"
