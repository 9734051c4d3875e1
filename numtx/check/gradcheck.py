"""A gradient checker: what backward gives beside central differences, in float64.

    (f(x + h·u) - f(x - h·u)) / 2h    beside    sum of gradient * u

f is made a number by a random cotangent (with one of all ones, the gradient of a softmax is
0 and nothing is proved). u runs over single cells and, where not every cell is tried, over
a random direction of length 1, in which every cell has a share.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ..batch import Batch
from ..config import Config
from ..errors import NumtxError, StageError, nearest
from ..feed_forward.routing import group_scores, keep_groups
from ..head import Outputs
from ..model import forward
from ..shapes import Array
from ..small_repr import in_notebook, small_repr
from ..stages.graph import Stage
from ..tap import Recorder
from ..trace.trace import Trace, record

STEP = 1e-5


class CheckedGradient(NamedTuple):
    """One array: where the two differ most. `worst` is in units of the tolerance, so above 1
    the gradient is wrong; `cell` is None where it is the random direction."""

    name: str
    cells: int
    worst: float
    cell: tuple[int, ...] | None
    numeric: float
    analytic: float

    @property
    def ok(self) -> bool:
        return self.worst <= 1.0

    def __str__(self) -> str:
        place = " along a random direction"
        if self.cell is not None:
            place = f"[{','.join(map(str, self.cell))}]" if self.cell else ""
        return (
            f"gradient of {self.name}{place}: central differences say {self.numeric:.10g}, "
            f"backward says {self.analytic:.10g} ({self.worst:.3g} times the tolerance)"
        )


@in_notebook
@small_repr("ok", "comparisons", "kinks")
class GradientReport(NamedTuple):
    """The comparison of every array, and how many numbers were too near to where an operation has
    no slope (a relu at 0), for the differences to be trusted."""

    comparisons: list[CheckedGradient]
    kinks: int = 0

    @property
    def ok(self) -> bool:
        return all(comparison.ok for comparison in self.comparisons)

    @property
    def worst(self) -> CheckedGradient:
        """The array that differs most."""
        return max(self.comparisons, key=lambda comparison: comparison.worst)


def check_operation(
    forward_of: Callable[..., Array],
    vjp: Callable[..., Sequence[Array | None]],
    arrays: Sequence[Array],
    *,
    names: Sequence[str] = (),
    samples: int | None = None,
    seed: int = 0,
) -> GradientReport:
    """Check one operation of anybody's.

    forward_of  f(*arrays) -> array
    vjp         vjp(cotangent, *arrays) -> the gradient of sum(f * cotangent) at each array, or
                None where there is none
    samples     so many random cells of each array; None: all of them

    Floating arrays are taken to float64. Raises `NumtxError` for a gradient of another shape.
    """
    # Not the stream of the seed alone: the arrays may have been drawn from that.
    generator = np.random.default_rng((seed, 2))
    given = [np.asarray(a, np.float64) if np.asarray(a).dtype.kind == "f" else a for a in arrays]
    cotangent = generator.standard_normal(np.shape(forward_of(*given)))
    values: dict[str, Array] = {}
    gradients: dict[str, Array] = {}
    places: dict[str, int] = {}
    found = vjp(cotangent, *given)
    if len(found) != len(given):
        raise NumtxError(f"vjp gave {len(found)} gradients for {len(given)} arrays")
    for place, gradient in enumerate(found):
        if gradient is not None:
            name = names[place] if place < len(names) else f"argument {place}"
            values[name], gradients[name], places[name] = given[place], gradient, place

    def objective(name: str, value: Array) -> float:
        moved = [value if place == places[name] else a for place, a in enumerate(given)]
        return float(np.sum(forward_of(*moved) * cotangent))

    return GradientReport(_compare(values, gradients, objective, generator, samples))


def check_stages(
    config: Config,
    parameters: Mapping[str, Array],
    batch: Batch,
    stages: Sequence[str],
    *,
    samples: int | None = 20,
    seed: int = 0,
) -> GradientReport:
    """Check the gradient at stages of a model: each is pinned to its value with a cell moved.

    Raises `StageError` for a stage that does not exist or has no gradient.
    """
    trace, cotangent, generator = _run(config, parameters, batch, seed)
    for name in stages:
        if name not in trace.gradients or name.startswith("parameters/"):
            trace[name]
            raise StageError(
                f"stage {name!r} has no gradient; {nearest(name, _with_gradient(trace))}"
            )
    known = {name: trace[name] for name in stages}

    def objective(name: str, value: Array) -> float:
        pins = Recorder({name: value})
        outputs, _ = forward(trace.config, trace.parameters, batch, pins)
        return _number(outputs, cotangent)

    gradients = {name: trace.grad(name) for name in stages}
    return GradientReport(
        _compare(known, gradients, objective, generator, samples), count_kinks(trace)
    )


def check_model(
    config: Config,
    parameters: Mapping[str, Array],
    batch: Batch,
    *,
    samples: int | None = 20,
    seed: int = 0,
) -> GradientReport:
    """Check the gradient of every parameter of a model: `samples` cells of each array and a
    random direction, or with None every cell."""
    trace, cotangent, generator = _run(config, parameters, batch, seed)

    def objective(name: str, value: Array) -> float:
        moved = {**trace.parameters, name: value}
        outputs, _ = forward(trace.config, moved, batch)
        return _number(outputs, cotangent)

    gradients = {name: trace.grad(f"parameters/{name}") for name in trace.parameters}
    return GradientReport(
        _compare(trace.parameters, gradients, objective, generator, samples), count_kinks(trace)
    )


def with_gradient(config: Config, parameters: Mapping[str, Array], batch: Batch) -> list[str]:
    """The stages of a run that have a gradient, in order of computation."""
    return _with_gradient(_run(config, parameters, batch, 0)[0])


def count_kinks(trace: Trace) -> int:
    """How many numbers lie within ten steps of a place where an operation has no slope."""
    return sum(
        int(np.count_nonzero(KINKS[stage.operation](trace, stage) < 10.0 * STEP))
        for stage in trace.graph
        if stage.operation in KINKS and stage.name in trace
    )


def _from_zero(trace: Trace, stage: Stage) -> Array:
    """Of a relu."""
    x = trace[stage.inputs[0]]
    return np.abs(x) if stage.attributes["kind"] == "relu" else np.full(1, np.inf)


def _from_limits(trace: Trace, stage: Stage) -> Array:
    """Of a clamp."""
    limits = [x for x in (stage.attributes["low"], stage.attributes["high"]) if x is not None]
    return np.abs(np.subtract.outer(limits, trace[stage.inputs[0]]))


def _from_ties(trace: Trace, stage: Stage) -> Array:
    """Of a choice: how far the last group and the last expert that are chosen are from the first
    that are not."""
    a, scores = stage.attributes, np.asarray(sum(trace.arrays[name] for name in stage.inputs))
    if not a["best"]:
        return _margin(scores, a["count"])
    groups = _margin(group_scores(scores, a["groups"], a["best"]), a["kept"])
    kept = keep_groups(scores, a["groups"], a["kept"], a["best"])
    return np.minimum(groups, _margin(kept, a["count"]))


def _margin(scores: Array, count: int) -> Array:
    """[..., E] -> [...], infinite where all are chosen"""
    if count == scores.shape[-1]:
        return np.full(scores.shape[:-1], np.inf)
    ordered = -np.sort(-scores, -1)
    return np.asarray(ordered[..., count - 1] - ordered[..., count])


# How far the inputs of an operation are from such places.
KINKS: dict[str, Callable[[Trace, Stage], Array]] = {
    "activation": _from_zero,
    "clamp": _from_limits,
    "choose": _from_ties,
}


def _with_gradient(trace: Trace) -> list[str]:
    return [name for name in trace if name in trace.gradients]


def _run(
    config: Config, parameters: Mapping[str, Array], batch: Batch, seed: int
) -> tuple[Trace, dict[str, Array], np.random.Generator]:
    """The run to be checked, in float64, with a random cotangent of its loss, or of what it gives
    without one."""
    generator = np.random.default_rng(seed)
    config = replace(config, dtype="float64")
    parameters = {name: array.astype(np.float64) for name, array in parameters.items()}
    outputs, _ = forward(config, parameters, batch)
    cotangent = random_cotangent(outputs, generator)
    return record(config, parameters, batch, cotangent=cotangent), cotangent, generator


def random_cotangent(outputs: Outputs, generator: np.random.Generator) -> dict[str, Array]:
    """Random gradients of what a run gives in the end."""
    return {
        name: generator.uniform(0.5, 2.0, getattr(outputs, name).shape)
        if name == "loss"
        else generator.standard_normal(getattr(outputs, name).shape)
        for name in outputs.ends
    }


def _number(outputs: Outputs, cotangent: Mapping[str, Array]) -> float:
    return float(sum(np.sum(getattr(outputs, name) * one) for name, one in cotangent.items()))


def _compare(
    values: Mapping[str, Array],
    gradients: Mapping[str, Array],
    objective: Callable[[str, Array], float],
    generator: np.random.Generator,
    samples: int | None,
) -> list[CheckedGradient]:
    """Each array within 1e-6 of the larger of its largest gradient and a thousandth of the
    largest anywhere, and what rounding may do to the objective."""
    for name, value in values.items():
        if gradients[name].shape != value.shape:
            raise NumtxError(
                f"gradient of {name} has shape {gradients[name].shape}; it should be {value.shape}"
            )
    largest = max((_size(gradient) for gradient in gradients.values()), default=0.0)
    found = []
    for name, value in values.items():
        gradient = gradients[name]
        rounding = 16.0 * np.finfo(np.float64).eps * abs(objective(name, value)) / STEP
        tolerance = 1e-6 * max(_size(gradient), 1e-3 * largest) + float(rounding)
        worst = CheckedGradient(name, 0, -1.0, None, 0.0, 0.0)
        finite = np.flatnonzero(np.isfinite(value))  # a masked score is -inf: nothing to move
        for place in _places(finite, generator, samples):
            direction = np.zeros(value.shape)
            if place is None:
                direction.ravel()[finite] = generator.standard_normal(finite.size)
                direction /= np.sqrt(np.sum(direction * direction))
            else:
                direction.ravel()[place] = 1.0
            ahead = objective(name, value + STEP * direction)
            numeric = (ahead - objective(name, value - STEP * direction)) / (2.0 * STEP)
            with np.errstate(invalid="ignore"):  # 0 * inf, of a gradient that is wrong anyway
                analytic = float(np.sum(gradient * direction))
            error = abs(numeric - analytic) / tolerance if tolerance else abs(numeric - analytic)
            if not error <= worst.worst:  # NaN is worst of all
                error = error if error == error else np.inf
                cell = None if place is None else np.unravel_index(place, value.shape)
                index = None if cell is None else tuple(int(i) for i in cell)
                worst = CheckedGradient(name, 0, float(error), index, numeric, analytic)
        cells = finite.size if samples is None else min(samples, finite.size)
        found.append(worst._replace(cells=int(cells), worst=max(worst.worst, 0.0)))
    return found


def _places(finite: Array, generator: np.random.Generator, samples: int | None) -> list[int | None]:
    """The cells to try; None stands for a random direction."""
    if samples is None or samples >= finite.size:
        return [int(place) for place in finite]
    return [None, *(int(i) for i in generator.choice(finite, samples, replace=False))]


def _size(gradient: Array) -> float:
    """The largest cell; one that is no finite number is wrong, and makes nothing else right."""
    return float(np.abs(gradient[np.isfinite(gradient)]).max(initial=0.0))
