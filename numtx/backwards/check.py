"""The check: each gradient beside differences, and what a wrong one is."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np

from ..errors import UsageError
from ..shapes import Array
from ..small_repr import in_notebook, small_repr
from ..stages.leaf import Text
from .differences import jacobian
from .known import known
from .own import Own
from .relations import Wrong, relations

TOLERANCE = 1e-6  # of a gradient's largest number, or of a thousandth of the largest of all


class WrongCell(NamedTuple):
    cell: tuple[int, ...]
    numeric: float
    analytic: float


@small_repr("name", "worst")
class Checked(NamedTuple):
    """One gradient.

    cells   how many of its numbers were tried; kinks: how many lie where there is no slope
    worst   the largest difference in units of the tolerance; wrong: the worst cells
    kinds   what a wrong gradient is
    """

    name: str
    cells: int
    kinks: int
    worst: float
    differing: int
    wrong: tuple[WrongCell, ...]
    kinds: tuple[Text, ...] = ()

    @property
    def ok(self) -> bool:
        return self.worst <= 1.0


@in_notebook
@small_repr("checked", "missing")
class OwnReport(NamedTuple):
    """Every gradient, and the inputs that backward gives none for."""

    checked: list[Checked]
    missing: list[str]

    @property
    def ok(self) -> bool:
        return all(one.ok for one in self.checked)


def check(own: Own, samples: int | None = None, seed: int = 0, cells: int = 5) -> OwnReport:
    """Hold a backward pass against differences of its forward pass, with a random cotangent.

    samples  so many random cells of each input; None: all, of what is not very large
    cells    wrong cells to name
    """
    # Not the stream of the seed alone: the inputs may have been drawn from that.
    generator = np.random.default_rng((seed, 2))
    result = own.forward(own.given)
    if not np.array_equal(result, own.forward(own.given), equal_nan=True):
        raise UsageError(f"{own.where}: forward gives other numbers each time; fix its seed")
    finite = np.isfinite(result)
    cotangent = np.where(finite, generator.standard_normal(result.shape), 0.0)
    gradients = own.gradients(cotangent)
    again = own.gradients(cotangent)
    if any(not np.array_equal(x, again[k], equal_nan=True) for k, x in gradients.items()):
        raise UsageError(f"{own.where}: backward gives other numbers each time; fix its seed")
    found: dict[int, tuple[Checked, Wrong | None]] = {}
    tried = {
        k: jacobian(partial(own.moved, k), own.given[k], generator, samples) for k in gradients
    }
    numbers = {k: one.slopes @ cotangent.reshape(-1) for k, one in tried.items()}
    largest = max((_largest(x) for x in numbers.values()), default=0.0)
    noise = 1e-11 * _largest(result) * float(np.sqrt(np.sum(cotangent**2)))
    ids = tuple(own.given[k] for k in own.arrays if own.given[k].dtype.kind in "iu")
    for k, gradient in gradients.items():
        one, right = tried[k], numbers[k]
        got = gradient.reshape(-1)[one.cells].astype(np.float64)
        tolerance = TOLERANCE * max(_largest(right), 1e-3 * largest) + noise
        kinks = one.jumps @ np.abs(cotangent.reshape(-1))
        with np.errstate(invalid="ignore"):
            error = np.maximum(np.abs(got - right) - kinks, 0.0) / (tolerance or 1e-300)
        error = np.where(np.isnan(error), np.inf, error)
        order = [int(i) for i in np.argsort(-error) if error[i] > 1.0]
        wrong = tuple(
            WrongCell(tuple(int(i) for i in np.unravel_index(one.cells[i], gradient.shape)),
                      float(right[i]), float(got[i])) for i in order[:cells]
        )  # fmt: skip
        checked = Checked(own.names[k], one.cells.size, int((kinks > tolerance).sum()),
                          float(error.max(initial=0.0)), len(order), wrong)  # fmt: skip
        about = None
        if order and one.cells.size == gradient.size:
            room = (np.maximum(tolerance, kinks)).reshape(gradient.shape)
            about = Wrong(own.given[k], gradient.astype(np.float64), right.reshape(gradient.shape),
                          one.slopes, cotangent, result, room, ids)  # fmt: skip
        found[k] = (checked, about)
    kinds = _kinds(own, result, cotangent, found)
    missing = [own.names[k] for k in own.floats if k not in gradients]
    return OwnReport(
        [one._replace(kinds=kinds.get(k, ())) for k, (one, _) in found.items()], missing
    )


def _kinds(
    own: Own, result: Array, cotangent: Array, found: dict[int, tuple[Checked, Wrong | None]]
) -> dict[int, tuple[Text, ...]]:
    """Of every wrong gradient: a known mistake of an operation, else what it is in general."""
    wrong = {k: about for k, (_, about) in found.items() if about is not None}
    if not wrong:
        return {}
    operation = known(own.given, result)
    named: dict[int, list[Text]] = {k: [] for k in wrong}
    if operation is not None:
        got = {k: w.got for k, w in wrong.items() if np.isfinite(w.got).all()}
        right = {k for k, (one, _) in found.items() if one.ok}
        for k, cause in operation.causes(cotangent, got, right):
            named[k].append(Text(cause.zh, cause.cause))
    return {k: tuple(texts or relations(wrong[k])) for k, texts in named.items()}


def _largest(x: Array) -> float:
    return float(np.abs(x).max(initial=0.0, where=np.isfinite(x)))
