"""The walk of a contraction through its operands, and the fast path along it.

Nine tenths of the work of a check are contractions, so besides the formula over single numbers
(`operations`) they have two other ways, which a test holds equal to it: many cells at once, and
whole arrays. A gradient of a contraction is a contraction too, with the axes in other places.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from ..shapes import Array, parse


class Contraction:
    """Operands and a result named by axis letters; letters that the result lacks are summed.

    Where both h and g occur, head h stands as the pair (g, j) of its group and its number in it:
    then no axis needs a rule of its own.
    """

    def __init__(self, operands: Sequence[str], result: str, sizes: Mapping[str, int]) -> None:
        self.operands = list(operands)
        self.result = result
        self.sizes = sizes
        self.summed = [x for x in dict.fromkeys("".join(self.operands[:2])) if x not in self.result]
        self.count = math.prod(sizes[x] for x in self.summed)
        self._terms: list[Array] | None = None
        self._towards: dict[int, tuple[Contraction, list[int]]] = {}

    @classmethod
    @lru_cache(maxsize=1024)
    def of(
        cls,
        specification: str,
        shapes: tuple[tuple[int, ...], ...],
        result: tuple[int, ...] | None,
        known: tuple[tuple[str, int], ...],
    ) -> Contraction:
        """The contraction of a specification, for operands of these shapes.

        result  the shape of the result where it is known; it may name axes that are not summed
        known   sizes of the letters that stand in brackets
        """
        parsed = parse(specification)
        axes = [*parsed.operands[: len(shapes)], parsed.result]
        every = "".join(itertools.chain.from_iterable(axes))
        sizes = dict(known)
        heads = sizes["h"] if "h" in every and "g" in every else 0
        sizes["j"] = heads // sizes["g"] if heads else 1
        letters = []
        for operand, shape in zip(axes, [*shapes, result], strict=True):
            lengths: Sequence[int | None] = (None,) * len(operand) if shape is None else shape
            found = ""
            for axis, length in zip(operand, lengths, strict=True):
                part = axis.replace("h", "gj") if heads else axis
                if axis == "g" and heads and length == heads:
                    part = "gj"  # repeated for every query head
                if length is not None and part != "gj":
                    rest = math.prod(sizes[x] for x in part[:-1])
                    sizes[part[-1]] = length // rest
                found += part
            letters.append(found)
        return cls(letters[:-1], letters[-1], sizes)

    def shape(self, letters: str) -> list[int]:
        return [self.sizes[x] for x in letters]

    def strides(self, letters: str) -> dict[str, int]:
        """How far the flat place of a cell moves when a letter goes up by one."""
        found, step = {}, 1
        for letter in reversed(letters):
            found[letter] = step
            step *= self.sizes[letter]
        return found

    @property
    def terms(self) -> list[Array]:
        """For each term of the sum, how far each of two operands moves from its first place."""
        if self._terms is None:
            grids = np.indices([self.sizes[x] for x in self.summed]).reshape(
                len(self.summed), self.count
            )
            self._terms = []
            for letters in self.operands[:2]:
                steps = self.strides(letters)
                moves = [steps.get(x, 0) * n for x, n in zip(self.summed, grids, strict=True)]
                self._terms.append(sum(moves, start=np.zeros(self.count, np.int64)))
        return self._terms

    def starts(self, offset: Any) -> list[Any]:
        """The first place of each operand, for a cell of the result by its flat place; of many
        cells, for each."""
        bound = {}
        for letter in reversed(self.result):
            offset, bound[letter] = divmod(offset, self.sizes[letter])
        return [
            sum(step * bound[x] for x, step in self.strides(letters).items() if x in bound)
            for letters in self.operands
        ]

    def gather(
        self, flats: Sequence[Array], offsets: Array, selective: bool = False
    ) -> tuple[Array, Array]:
        """Many cells of the result by their flat places: the values, and their bounds."""
        starts = self.starts(offsets)
        factors = [
            flat[start[:, None] + moves].astype(np.float64)
            for flat, start, moves in zip(flats, starts, self.terms, strict=False)
        ]
        if len(factors) == 1:
            return factors[0].sum(-1), self.bound(np.abs(factors[0]).sum(-1), 0.0)
        first, second = factors
        if selective:
            second = np.where((first == 0.0) & ~np.isfinite(second), 0.0, second)
        products = first * second
        bias = flats[2][starts[2]].astype(np.float64) if len(flats) > 2 else 0.0
        return products.sum(-1) + bias, self.bound(np.abs(products).sum(-1), np.abs(bias))

    def bound(self, size: Array, bias: Array | float) -> Array:
        """The bound of a cell from the sum of its absolute products: each is rounded once, and
        once more when it is added."""
        if len(self.operands) == 1:
            return size if self.count > 1 else np.zeros_like(size)
        rounded = size if self.count > 1 or len(self.operands) > 2 else 0.0
        return size + rounded + bias

    def whole(self, arrays: Sequence[Array], selective: bool = False) -> tuple[Array, Array]:
        """Every cell of the result, flat: the values, and their bounds."""
        parts = [np.abs(x) for x in arrays]
        if selective:
            parts[1] = np.where(np.isfinite(parts[1]), parts[1], 0.0)
        size = self.einsum([self.taken_apart(k, x) for k, x in enumerate(parts[:2])])
        bound = self.bound(size, self.bias(parts)).reshape(-1)
        return self.values(arrays, selective), bound

    def values(self, arrays: Sequence[Array], selective: bool = False) -> Array:
        """Every cell of the result, flat."""
        parts = [self.taken_apart(k, x) for k, x in enumerate(arrays[:2])]
        blocked: Array | None = None
        if selective and not np.isfinite(parts[1]).all():
            # A factor of exactly 0 takes nothing, whatever stands there.
            bad = ~np.isfinite(parts[1])
            blocked = self.einsum([(parts[0] != 0.0) * 1.0, bad * 1.0]) > 0.0
            parts[1] = np.where(bad, 0.0, parts[1])
        found = self.einsum(parts) + self.bias(arrays)
        return (found if blocked is None else np.where(blocked, np.nan, found)).reshape(-1)

    def taken_apart(self, operand: int, array: Array) -> Array:
        """An operand with an axis for each of its letters."""
        return np.asarray(array, np.float64).reshape(self.shape(self.operands[operand]))

    def bias(self, arrays: Sequence[Array]) -> Array | float:
        """The third operand beside the result, 0 where there is none."""
        if len(arrays) < 3:
            return 0.0
        beside = [self.sizes[x] if x in self.operands[2] else 1 for x in self.result]
        return self.taken_apart(2, arrays[2]).reshape(beside)

    def einsum(self, parts: Sequence[Array]) -> Array:
        left = ",".join(self.operands[: len(parts)])
        many = self.count * math.prod(self.shape(self.result)) > 1 << 16  # a plan pays
        return np.asarray(np.einsum(f"{left}->{self.result}", *parts, optimize=many))

    def towards(self, operand: int) -> tuple[Contraction, list[int]]:
        """The contraction that gives the gradient of an operand from that of the result, and the
        operands whose arrays stand second in it."""
        if operand not in self._towards:
            others = [1 - operand] if operand < 2 and len(self.operands) > 1 else []
            letters = [self.result, *(self.operands[k] for k in others)]
            plan = Contraction(letters, self.operands[operand], self.sizes)
            self._towards[operand] = plan, others
        return self._towards[operand]
