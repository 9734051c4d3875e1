"""What a right run in a coarser format would differ by: the run once more, rounded at each stage.

Each stage's numbers, and each gradient's, are rounded to the format, up or down by chance with the
mean kept, and the run goes on with them. So a rounding is amplified as this model amplifies it on
these numbers; a few runs give its size at every stage.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..batch import Batch
from ..errors import NumtxError
from ..fitting.precision import Precision
from ..model import backward, forward
from ..shapes import Array
from ..tap import Pin, Recorder, Tap
from ..trace.again import batch_of
from ..trace.trace import Trace

RUNS = 8  # of a small model; fewer, down to two, of one whose runs take long
CELLS = 20_000_000  # in all runs together
MOST = 60_000_000  # of one run; a larger one is not made again
# Others round within a stage too, and the runs are few.
TYPICAL, EXTREME = 24.0, 6.0


class Rounder:
    """A tap that rounds floating-point numbers and hands them on to another."""

    active = True

    def __init__(self, tap: Tap, precision: Precision, generator: np.random.Generator) -> None:
        self.tap, self.precision, self.generator = tap, precision, generator

    def __call__(self, name: str, value: Array) -> Array:
        return self.tap(name, self.rounded(value))

    def show(self, name: str, value: Array) -> None:
        self.tap.show(name, self.rounded(value))

    def grad(self, name: str, gradient: Array) -> Array:
        return self.tap.grad(name, self.rounded(gradient))

    def at(self, scope: str) -> Tap:
        return Rounder(self.tap.at(scope), self.precision, self.generator)

    def end(self) -> None:
        self.tap.end()

    def rounded(self, x: Array) -> Array:
        """The number of the format below or above, each as likely as it is near."""
        if x.dtype.kind != "f":
            return x
        finite = np.isfinite(x)
        whole = finite.all()
        steps = self.precision.steps(x if whole else np.where(finite, x, 0.0))
        near = np.floor(x / steps + self.generator.random(x.shape)) * steps
        return np.asarray(near) if whole else np.where(finite, near, x)


def roundings(trace: Trace, precision: Precision) -> dict[str, float]:
    """Stage, or `grad/NAME` -> what a right run in the format may differ by, relative to the size
    of a cell or to the root mean square of the array, whichever is larger.

    Empty where the run cannot be made again: a generation, a trace that leaves out parameters or
    the batch, or one that is very large. Without gradients where it is not known what backward
    started from.
    """
    own = {**trace.values, **{f"grad/{name}": array for name, array in trace.gradients.items()}}
    cells = sum(array.size for array in own.values())
    if cells > MOST:
        return {}
    found: dict[str, list[tuple[float, float]]] = {}
    sizes = {name: _sizes(array) for name, array in own.items() if array.dtype.kind == "f"}
    try:
        batch = batch_of(trace)
        for seed in range(min(RUNS, max(2, CELLS // max(1, cells)))):
            run = _rounded(trace, batch, precision, seed)
            for name in sizes.keys() & run.keys():
                found.setdefault(name, []).append(_apart(own[name], run[name], sizes[name]))
    except NumtxError:
        return {}
    return {
        name: max(
            TYPICAL * float(np.sqrt(np.mean([mean for mean, _ in runs]))),
            EXTREME * max(most for _, most in runs),
        )
        for name, runs in found.items()
    }


def _rounded(trace: Trace, batch: Batch, precision: Precision, seed: int) -> dict[str, Array]:
    """One run, rounded: stages, and gradients under `grad/NAME`."""
    recorder = Recorder({name: Pin(where, trace[name]) for name, where in trace.pins.items()})
    tap = Rounder(recorder, precision, np.random.default_rng(seed))
    parameters = {n: tap.rounded(a.astype(np.float64)) for n, a in trace.parameters.items()}
    config = replace(trace.config, dtype="float64")
    with np.errstate(all="ignore"):
        start = _cotangent(trace)
        _, context = forward(config, parameters, batch, tap, keep=start is not None)
        gradients: dict[str, Array] = {}
        if start is not None:
            own = backward(context, start, tap)
            gradients = {f"parameters/{name}": tap.rounded(array) for name, array in own.items()}
    gradients |= recorder.gradients
    return {**recorder.values, **{f"grad/{name}": array for name, array in gradients.items()}}


def _cotangent(trace: Trace) -> float | dict[str, Array] | None:
    """What the backward pass of a trace started from; None where nothing tells."""
    known = trace.gradients
    if "loss" in known:
        return float(known["loss"])
    ends = [(f"{side}.output", f"{side}_output") for side in trace.config.sides[-1:]]
    ends = [("capped_logits", "logits"), ("logits", "logits"), *ends]
    for stage, name in ends:
        if stage in known:
            return {name: known[stage]} if trace.outside in ((), (stage,)) else None
    return None


def _sizes(right: Array) -> Array:
    """What the differences of cells are relative to: of a cell, or the root mean square of all."""
    sizes: Array = np.abs(np.atleast_1d(right), dtype=np.float64)
    finite = np.isfinite(sizes)
    some = (sizes if finite.all() else sizes[finite]).reshape(-1)
    np.maximum(sizes, np.sqrt(some.dot(some) / some.size) if some.size else 0.0, out=sizes)
    sizes[sizes == 0.0] = 1.0
    return sizes


def _apart(right: Array, got: Array, sizes: Array) -> tuple[float, float]:
    """The mean square and the largest of the relative differences of the cells that are finite."""
    with np.errstate(all="ignore"):
        apart = (np.abs(right - got) / sizes).reshape(-1)
    finite = np.isfinite(apart)
    if not finite.all():
        apart = apart[finite]
    if not apart.size:
        return 0.0, 0.0
    return float(apart.dot(apart)) / apart.size, float(apart.max())
