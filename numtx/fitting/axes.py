"""In which order an array of another implementation has the axes of a stage.

A reading is an order of the axes, some of them flattened into one: `t b d`, `(b h) t k`. Where only
one fits an array's shape, it is taken; where several do, the one whose numbers are near. An array
that has the stage's own shape is read as it stands: that its numbers would be right in another
order may be the very mistake that is looked for. It is read otherwise only where the whole file is
in that order (`orders_of`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from itertools import combinations
from typing import Final, NamedTuple

import numpy as np

from ..shapes import Array
from ..stages.graph import Graph

NEAR: Final = 0.02  # of the largest number; float16 and bfloat16 are nearer, another order is not
# Of squares the letters are others: their order is told for itself.
LETTERS: Final = {
    "b": "batch",
    "t": "token",
    "h": "head",
    "k": "d",
    "g": "head",
    "q": "query",
    "s": "key",
}
TOKENS: Final = ("b t {r}", "t b {r}", "(b t) {r}", "(t b) {r}")
HEADS: Final = (
    "b h t k", "b t h k", "b t (h k)", "t b h k", "t b (h k)", "(b h) t k", "(h b) t k", "h b t k",
    "t (b h) k", "(b t) h k", "(b t) (h k)", "(t b) (h k)",
)  # fmt: skip
SQUARES: Final = ("b g q s", "g b q s", "(b g) q s", "(g b) q s", "b q g s")


class Reading(NamedTuple):
    """One way in which an array may have the axes of a stage.

    pattern  the axes in the file; those in parentheses are one there, the first outside
    order    the axes longer than one, as they follow one another there
    sizes    of the stage's axes, in the stage's order
    """

    pattern: str
    order: tuple[str, ...]
    sizes: Mapping[str, int]

    @property
    def plain(self) -> bool:
        """Whether the numbers follow one another as in the stage."""
        return self.order == tuple(letter for letter, size in self.sizes.items() if size > 1)

    @property
    def changes(self) -> frozenset[str]:
        """The pairs of axes that stand the other way round: `t b`, `t h`, `h b`."""
        own = list(self.sizes)
        pairs = ((x, y) for n, x in enumerate(self.order) for y in self.order[n + 1 :])
        return frozenset(f"{x} {y}" for x, y in pairs if own.index(x) > own.index(y))

    def array(self, x: Array) -> Array:
        """The array with the stage's axes."""
        letters = [letter for axis in _axes(self.pattern) for letter in axis]
        apart = x.reshape([self.sizes[letter] for letter in letters])
        return apart.transpose([letters.index(letter) for letter in self.sizes])

    @property
    def words(self) -> str:
        """The axes in words."""
        axes = (" x ".join(LETTERS.get(x, "...") for x in axis) for axis in _axes(self.pattern))
        return f"axes ({', '.join(axes)})"


def readings(shape: tuple[int, ...], want: tuple[int, ...], axes: tuple[str, ...]) -> list[Reading]:
    """The readings of a shape as a stage of shape `want`, one for each order; the plain one first
    where it fits."""
    patterns, letters = _patterns(axes)
    sizes = dict(zip(letters, want, strict=True)) if patterns else {}
    found: dict[tuple[str, ...], Reading] = {}
    for pattern in patterns:
        groups = _axes(pattern)
        fits = [math.prod(sizes[letter] for letter in group) for group in groups]
        if squeezed(shape) == squeezed(fits):
            order = tuple(x for group in groups for x in group if sizes[x] > 1)
            found.setdefault(order, Reading(pattern, order, sizes))
    return sorted(found.values(), key=lambda reading: not reading.plain)


def orders_of(
    graph: Graph, theirs: Mapping[str, Array], ours: Mapping[str, Array]
) -> frozenset[str]:
    """The pairs of axes that a file has the other way round, though its shapes do not tell: other
    arrays in it do, by their shape; or several are near in that order alone, and none of the same
    kind is near as it stands. Of heads, which an implementation may have exchanged with the tokens
    by mistake, all that follows has to be near, too."""
    if not _may_be_exchanged(graph, ours):
        return frozenset()
    told: set[str] = set()
    alone: list[str] = []  # pairs without which an array of the stage's shape is not near
    not_so: set[str] = set()
    all_near = True
    for name in theirs:
        if name.removeprefix("grad/") not in graph or name not in ours:
            continue
        x, expected = theirs[name], ours[name]
        found = readings(x.shape, expected.shape, graph[name.removeprefix("grad/")].axes)
        right = [reading for reading in found if near(reading.array(x), expected)]
        all_near &= bool(right) or not found
        if not as_it_stands(x.shape, expected.shape):
            if right or len(found) == 1:
                told |= (right or found)[0].changes
        elif len(found) > 1 and len(right) == 1:
            if right[0].plain:
                not_so |= {pair for reading in found for pair in reading.changes}
            alone += right[0].changes
    several = {pair for pair in alone if alone.count(pair) > 1 and (pair == "t b" or all_near)}
    return frozenset((told | several) - not_so)


def _may_be_exchanged(graph: Graph, ours: Mapping[str, Array]) -> bool:
    """Whether two of rows, heads and tokens are as many, so that a shape does not tell them
    apart."""
    of_tokens = [s.name for s in graph if s.axes == ("b", "t") and s.name in ours]
    shapes = [ours[name].shape for name in of_tokens]
    heads = {graph.config.heads, graph.config.kv_heads}
    every = [{b for b, _ in shapes}, {t for _, t in shapes}, heads]
    return any((one & other) - {1} for one, other in combinations(every, 2))


def as_it_stands(shape: tuple[int, ...], want: tuple[int, ...]) -> bool:
    """Whether a shape is the stage's, but for axes of one."""
    return squeezed(shape) == squeezed(want)


def near(a: Array, b: Array) -> bool:
    """Whether numbers are the same but for rounding, and -inf and what others write for it."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    both = np.isfinite(b) & np.isfinite(a)
    size = float(np.abs(b[both]).max(initial=0.0))
    return float(np.abs(a[both] - b[both]).max(initial=0.0)) <= NEAR * size


def squeezed(shape: Iterable[int]) -> tuple[int, ...]:
    """A shape without axes of one."""
    return tuple(length for length in shape if length != 1)


def _patterns(axes: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The patterns for a stage with these axes, and their letters in its order."""
    if len(axes) == 4 and axes[0] == "b" and axes[1] in "hg":
        square = axes[2:] == ("t", "s")
        return (SQUARES, ("b", "g", "q", "s")) if square else (HEADS, ("b", "h", "t", "k"))
    if len(axes) >= 2 and axes[0] == "b" and axes[1] in "ts":
        rest = tuple(str(n) for n in range(len(axes) - 2))
        return tuple(form.format(r=" ".join(rest)) for form in TOKENS), ("b", "t", *rest)
    return (), ()


def _axes(pattern: str) -> list[list[str]]:
    """The axes of a pattern, each the letters that it is made of."""
    return list(_split(pattern))


def _split(pattern: str) -> Iterator[list[str]]:
    for part in pattern.replace("(", " ( ").replace(")", " ) ").split(" ( "):
        inside, bracket, after = part.partition(" ) ")
        if bracket:
            yield inside.split()
        yield from ([letter] for letter in (after if bracket else inside).split())
