"""Search for parameters whose forward pass gives stated cells, by numtx's own backward pass.

An aim is a set of cells of one stage with the interval that a document states for each of them.
The loss is the squared distance beyond a part of the interval; its gradient enters the backward
pass at the aimed stages, through the tap.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..batch import Batch
from ..config import Config
from ..model import backward, forward
from ..ops.norm import norm_backward, norm_forward
from ..shapes import Array, without_leading_ones
from ..tap import Tap


class Aim(NamedTuple):
    """Cells of a stage and the interval of each.

    cells    an index of the stage's array without leading axes of size one
    combine  None: the cells themselves; else a matrix whose rows sum groups of them
    """

    stage: str
    cells: tuple[Any, ...]
    low: Array
    high: Array
    combine: Array | None = None

    def off(self, value: Array) -> Array:
        """How far the cells lie from the middle, in half intervals: at most 1 is within."""
        found = value.reshape(without_leading_ones(value.shape))[self.cells]
        got = found if self.combine is None else self.combine @ found
        off: Array = (got - (self.low + self.high) / 2) / ((self.high - self.low) / 2)
        return off

    def pull(self, value: Array, margin: float) -> Array:
        """The gradient of half the squared distance beyond `margin` half intervals."""
        off = self.off(value)
        beyond = np.sign(off) * np.maximum(np.abs(off) - margin, 0.0) / ((self.high - self.low) / 2)
        gradient = np.zeros(value.shape)
        flat = gradient.reshape(without_leading_ones(value.shape))
        flat[self.cells] = beyond if self.combine is None else self.combine.T @ beyond
        return gradient


def near(stage: str, cells: tuple[Any, ...], stated: object, half: float) -> Aim:
    """The aim that cells print as stated: within half a printed unit."""
    values = np.asarray(stated, float)
    return Aim(stage, cells, values - half, values + half)


def log_near(stage: str, cells: tuple[Any, ...], stated: object, half: float) -> Aim:
    """The same for log-probabilities, where probabilities are stated."""
    values = np.asarray(stated, float)
    return Aim(stage, cells, np.log(values - half), np.log(values + half))


class Pull:
    """A tap that adds the gradient of the aims' loss at their stages."""

    active = True

    def __init__(self, aims: Sequence[Aim], margin: float, prefix: str = "") -> None:
        self.aims = aims
        self.margin = margin
        self.prefix = prefix
        self.pulls: dict[str, Array] = {}
        self.worst: dict[str, float] = {}  # stage -> largest distance in half intervals

    def __call__(self, name: str, value: Array) -> Array:
        name = self.prefix + name
        for aim in self.aims:
            if aim.stage == name:
                self.pulls[name] = self.pulls.get(name, 0.0) + aim.pull(value, self.margin)
                worst = float(np.abs(aim.off(value)).max())
                self.worst[name] = max(self.worst.get(name, 0.0), worst)
        return value

    def show(self, name: str, value: Array) -> None:
        return None

    def grad(self, name: str, gradient: Array) -> Array:
        pull = self.pulls.get(self.prefix + name)
        return gradient if pull is None else gradient + pull

    def at(self, scope: str) -> Tap:
        scoped = Pull(self.aims, self.margin, f"{self.prefix}{scope}.")
        scoped.pulls, scoped.worst = self.pulls, self.worst
        return scoped

    def end(self) -> None:
        return None


def search(
    config: Config,
    parameters: Mapping[str, Array],
    batch: Batch,
    aims: Sequence[Aim],
    *,
    fixed: Mapping[str, Array],
    steps: int = 8000,
    rate: float = 0.02,
    margin: float = 0.6,
    enough: float = 0.75,
) -> tuple[dict[str, Array], float]:
    """Adam with a cosine rate, from `parameters` on; the batch needs labels.

    fixed   name -> where a parameter stays as it is
    enough  stop when every cell lies within this part of its half interval

    Returns the best parameters and their largest distance, in half intervals.
    """
    p = {name: array.copy() for name, array in parameters.items()}
    first = {name: np.zeros_like(array) for name, array in p.items()}
    second = {name: np.zeros_like(array) for name, array in p.items()}
    best, least = p, np.inf
    for step in range(1, steps + 1):
        tap = Pull(aims, margin)
        _, context = forward(config, p, batch, tap)
        worst = max(tap.worst.values())
        if worst < least:
            best, least = {name: array.copy() for name, array in p.items()}, worst
        if worst < enough:
            break
        speed = rate * 0.5 * (1.0 + np.cos(np.pi * step / steps))
        for name, gradient in backward(context, 0.0, tap).items():
            if name in fixed:
                gradient = np.where(fixed[name], 0.0, gradient)
            first[name] = 0.9 * first[name] + 0.1 * gradient
            second[name] = 0.999 * second[name] + 0.001 * gradient * gradient
            size = np.sqrt(second[name] / (1.0 - 0.999**step)) + 1e-8
            p[name] -= speed * first[name] / (1.0 - 0.9**step) / size
    return best, least


def search_norm(
    rows: Array, half: float, *, seed: int = 0, steps: int = 3000, rate: float = 0.02
) -> tuple[Array, Array, float]:
    """Gain and bias under which some rows on LayerNorm's sphere round to `rows`: descent on
    ever higher powers of the deviation, which approach the largest one.

    Returns gain, bias and the largest deviation, in half printed units.
    """
    generator = np.random.default_rng(seed)
    x = generator.standard_normal((1, *rows.shape))
    gain = np.abs(generator.standard_normal(rows.shape[1])) * 0.3 + 0.1
    gain *= generator.choice([-1.0, 1.0], rows.shape[1])
    values = [x, gain, rows.mean(0).copy()]
    first = [np.zeros_like(value) for value in values]
    second = [np.zeros_like(value) for value in values]
    best, least = (values[1], values[2]), np.inf
    for step in range(1, steps + 1):
        y, context = norm_forward(values[0], values[1], values[2], 1e-5, True)
        off = (y[0] - rows) / half
        worst = float(np.abs(off).max())
        if worst < least:
            best, least = (values[1].copy(), values[2].copy()), worst
        power = 1.0 + 6.0 * min(1.0, step / 2000)
        pull = np.sign(off) * np.abs(off / max(1.0, worst)) ** power
        speed = rate * 0.5 * (1.0 + np.cos(np.pi * step / steps))
        for i, gradient in enumerate(norm_backward(pull[None], context)):
            assert gradient is not None
            first[i] = 0.9 * first[i] + 0.1 * gradient
            second[i] = 0.99 * second[i] + 0.01 * gradient * gradient
            size = np.sqrt(second[i] / (1.0 - 0.99**step)) + 1e-9
            values[i] = values[i] - speed * first[i] / (1.0 - 0.9**step) / size
    return *best, least
