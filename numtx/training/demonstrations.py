"""What the documents say of exposure bias and of residual connections, measured.

Each trains models of the example's kind and returns plain data. (`peeking` is the third.)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ..batch import Batch, check_batch
from ..config import Config
from ..errors import TrainingError
from ..model import forward
from ..ops.loss import IGNORED, mean_forward, pick_forward
from ..ops.softmax import log_softmax_forward
from ..parameters import initialise
from ..shapes import Array
from ..small_repr import small_repr
from ..trace.trace import record
from .greedy import last_log_probabilities, rows
from .loop import train
from .recipe import Recipe
from .run import Run


class Score(NamedTuple):
    """Mean of -log P(target) over the target words, and how many of them were most probable."""

    loss: float
    right: int
    words: int

    @property
    def share(self) -> float:
        return self.right / self.words


def forced_score(config: Config, parameters: Mapping[str, Array], batch: Batch) -> Score:
    """How a model does when every word is predicted after the right words (teacher forcing)."""
    labels = check_batch(config, batch).labels
    assert labels is not None
    logits = forward(config, parameters, batch)[0].logits
    losses = pick_forward(log_softmax_forward(logits), labels)
    counted = labels != IGNORED
    right = int(np.count_nonzero(np.argmax(logits, -1)[counted] == labels[counted]))
    return Score(float(mean_forward(losses, labels)), right, int(np.count_nonzero(counted)))


def free_score(
    config: Config, parameters: Mapping[str, Array], batch: Batch, first: int | None = None
) -> Score:
    """How a model does when every word is predicted after its own words.

    first   this word is put in place of each row's first one, and only the others are counted
    """
    losses: list[float] = []
    right = 0
    for row in rows(config, batch):
        tokens = list(row.prompt) + ([] if first is None else [first])
        for target in row.targets[0 if first is None else 1 :]:
            log_probabilities = last_log_probabilities(config, parameters, row, tokens)
            best = int(np.argmax(log_probabilities))
            losses.append(-float(log_probabilities[target]))
            right += best == target
            tokens.append(best)
    return Score(float(np.mean(losses)), right, len(losses))


@small_repr()
class Exposure(NamedTuple):
    """Exposure bias. A run's state after some steps, and at the end after a wrong first word.

    forced     after the right words
    free       after its own words
    stumbled   after its own words, the first of which was replaced by a wrong one: the mean
               over all wrong words
    """

    step: int
    forced: Score
    free: Score
    stumbled: Score


def exposure_bias(
    config: Config,
    parameters: Mapping[str, Array],
    batch: Batch,
    steps: Sequence[int] = (50, 100, 200, 400, 1000),
    recipe: Recipe | None = None,
) -> list[Exposure]:
    """Teacher-forced loss against running freely, while a model learns.

    In training every word follows the right words; running freely it follows the model's own,
    and after a mistake the model stands where it has never been.
    """
    needs_decoder(config)
    run = Run(config, parameters, recipe)
    found = []
    for stop in steps:
        train(run, batch, stop)
        found.append(
            Exposure(
                stop,
                forced_score(config, run.parameters, batch),
                free_score(config, run.parameters, batch),
                _stumbled(config, run.parameters, batch),
            )
        )
    return found


def _stumbled(config: Config, parameters: Mapping[str, Array], batch: Batch) -> Score:
    firsts = {row.targets[0] for row in rows(config, batch)}
    wrong = [word for word in range(config.vocabulary) if word not in firsts]
    scores = [free_score(config, parameters, batch, first=word) for word in wrong[:MOST_WORDS]]
    if not sum(score.words for score in scores):
        raise TrainingError("exposure bias needs a second word to predict in some row")
    return Score(
        float(np.mean([score.loss for score in scores])),
        sum(score.right for score in scores),
        sum(score.words for score in scores),
    )


MOST_WORDS = 50  # of a large vocabulary, so many are tried as a wrong word


@small_repr()
class Depth(NamedTuple):
    """Gradient norms by depth in a deep model, with or without residual connections.

    norms   of the gradient of the loss at the last stack's input and after each of its blocks
    loss    before training and after `steps` steps
    """

    residual: bool
    norms: list[float]
    loss_before: float
    loss_after: float


def gradient_depth(
    config: Config,
    batch: Batch,
    layers: int = 12,
    steps: int = 100,
    recipe: Recipe | None = None,
) -> list[Depth]:
    """A deeper model of the same kind with and without residual connections, freshly drawn."""
    recipe = Recipe() if recipe is None else recipe
    deeper = {f"{side}_layers": layers for side in config.sides}
    found = []
    for residual in (True, False):
        own = dataclasses.replace(config, residual_at=residual, **deeper)  # type: ignore[arg-type]
        parameters = initialise(own, recipe.seed)
        trace = record(own, parameters, batch)
        norms = [float(np.linalg.norm(trace.grad(name))) for name in _block_ends(own)]
        run = train(Run(own, parameters, recipe), batch, steps)
        after = forced_score(own, run.parameters, batch).loss
        found.append(Depth(residual, norms, float(trace["loss"]), after))
    return found


def _block_ends(config: Config) -> list[str]:
    """The stages between the blocks of the last stack: its input and what each block gives."""
    side = config.sides[-1]
    last = "output"
    if config.has_residual(f"{side}.feed_forward"):
        last = "residual"
    if config.norm_place == "post" and config.has_norm(f"{side}.feed_forward"):
        last = "norm"
    blocks = [f"{side}.{i}.feed_forward.{last}" for i in range(config.layers(side))]
    return [f"{side}.input", *blocks]


def needs_decoder(config: Config) -> None:
    """Raise `TrainingError` for a model that writes nothing."""
    if "decoder" not in config.sides:
        raise TrainingError(
            f"model {config.model!r} never runs freely; this demonstration needs a decoder"
        )
