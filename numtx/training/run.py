"""A training run between two steps, and one step of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ..batch import Batch
from ..config import Config
from ..errors import TrainingError
from ..model import backward, forward
from ..parameters import check_parameters
from ..shapes import Array
from ..small_repr import in_notebook, small_repr
from .flat import pack, unpack
from .optimisers import adamw, clip, norm, sgd
from .recipe import Recipe


class Progress(NamedTuple):
    """What a step tells: its number, the loss before its update, the length of the gradient
    before clipping, and the learning rate."""

    step: int
    loss: float
    gradient_norm: float
    rate: float


@in_notebook
@small_repr("config", "recipe", "step", "losses", "weights")
class Run:
    """A training run between two steps.

    config, recipe  the model and how it is trained
    step            steps taken
    losses          the loss before each of them
    weights         all parameters as one vector [N]; `parameters` are views into it
    moments         what the optimiser remembers, by name; nothing for sgd
    """

    def __init__(
        self, config: Config, parameters: Mapping[str, Array], recipe: Recipe | None = None
    ) -> None:
        check_parameters(config, parameters)
        self.config = config
        self.recipe = Recipe() if recipe is None else recipe
        self.step = 0
        self.losses: list[float] = []
        self.weights = pack(config, parameters)
        self.parameters = unpack(config, self.weights)
        names = ("first", "second") if self.recipe.optimiser == "adamw" else ()
        self.moments = {name: np.zeros_like(self.weights) for name in names}
        self._gradient = np.empty_like(self.weights)

    def advance(self, batches: Sequence[Batch]) -> Progress:
        """One step: forward, backward, update.

        Raises `TrainingError` when the loss or the gradient is not finite; the parameters then
        are those before the step.
        """
        recipe, number = self.recipe, self.step + 1
        batch = batches[batch_number(recipe.seed, self.step, len(batches))]
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            outputs, context = forward(self.config, self.parameters, batch)
            if outputs.loss is None:
                raise TrainingError("the batch has no labels; training needs them")
            loss = float(outputs.loss)
            gradient = pack(self.config, backward(context), self._gradient)
            length = norm(gradient)
        rate = recipe.rate(number, self.config)
        if not (math.isfinite(loss) and math.isfinite(length)):
            raise TrainingError(
                f"step {number}: the loss is {loss:g} and its gradient has length {length:g}; "
                f"lower the learning rate (it was {rate:g}) or clip the gradient"
            )
        if recipe.clip is not None:
            clip(gradient, length, recipe.clip)
        if recipe.optimiser == "sgd":
            sgd(self.weights, gradient, rate)
        else:
            first, second = self.moments["first"], self.moments["second"]
            adamw(self.weights, gradient, first, second, number, rate, recipe.decay)
        self.step = number
        self.losses.append(loss)
        return Progress(number, loss, length, rate)


def batch_number(seed: int, step: int, count: int) -> int:
    """Which of `count` batches a step takes: every epoch goes through all, in an order of its own.

    The order follows from the seed and the epoch alone, so a resumed run needs to know no more
    than the seed and the step.
    """
    if count == 1:
        return 0
    epoch, place = divmod(step, count)
    return int(np.random.default_rng([seed, epoch]).permutation(count)[place])
