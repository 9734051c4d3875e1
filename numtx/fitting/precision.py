"""How precise numbers are, whatever the type of the array that holds them.

A float64 array may hold what was computed in float32 and copied, or what had passed through
bfloat16. Its numbers tell: they end in zeros where the right ones do not.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..shapes import Array

SAMPLE = 4096  # cells of an array that are looked at
ROUND = 0.5  # share of the numbers that may be round ones


class Precision(NamedTuple):
    """A floating-point format: bits of its significand, and its smallest step, 2 to the `least`."""

    name: str
    bits: int
    least: int

    @property
    def unit(self) -> float:
        """The largest relative error of one rounding."""
        return 2.0**-self.bits

    @property
    def coarser(self) -> Precision:
        """A format of a few bits less, that most of its numbers do not fit."""
        return self._replace(bits=self.bits - 4)

    def steps(self, x: Array) -> Array:
        """[...] -> [...]: how far apart the numbers of the format are around each number."""
        _, exponents = np.frexp(x)
        steps: Array = np.ldexp(1.0, np.maximum(exponents - self.bits, self.least))
        return steps

    def has(self, x: Array) -> Array:
        """[...] -> [...] bool: which numbers the format can hold; infinities and NaN count."""
        x = x.astype(np.float64)
        finite = np.where(np.isfinite(x), x, 0.0)
        steps = self.steps(finite)
        held: Array = np.rint(finite / steps) * steps == finite
        return held


FLOAT64 = Precision("float64", 53, -1074)
FLOAT32 = Precision("float32", 24, -149)
FLOAT16 = Precision("float16", 11, -24)
BFLOAT16 = Precision("bfloat16", 8, -133)
PRECISIONS = {one.name: one for one in (FLOAT64, FLOAT32, FLOAT16, BFLOAT16)}  # finest first


def coarsest(*precisions: Precision) -> Precision:
    return min(precisions, key=lambda one: one.bits, default=FLOAT64)


def content(got: Array, expected: Array) -> Precision:
    """The precision of an array's numbers: the coarsest format that holds them all, though it does
    not hold what they should be, or that of its type where that is coarser.

    got, expected  of one shape; of whole numbers nothing can be told
    """
    if got.dtype.kind != "f" or expected.dtype.kind != "f":
        return FLOAT64
    typed = PRECISIONS.get(got.dtype.name, FLOAT64)
    places = np.linspace(0, got.size - 1, min(got.size, SAMPLE), dtype=int)
    numbers, right = got.reshape(-1)[places], expected.reshape(-1)[places]
    told = np.isfinite(numbers) & np.isfinite(right)
    numbers, right = numbers[told], right[told]
    for one in reversed(PRECISIONS.values()):
        if one.bits < typed.bits and one.has(numbers).all():
            telling = numbers[~one.has(right)]
            # Zeros, ones and other round numbers, which a mistake may leave, fill no format.
            if telling.size and np.mean(one.coarser.has(telling)) < ROUND:
                return one
    return typed
