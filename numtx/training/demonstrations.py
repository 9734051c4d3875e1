"""Three things that the documents say of training, measured.

Each trains small models from the example's parameters or beside them, and returns plain data.
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
from ..trace.trace import record
from .greedy import Row, last_log_probabilities, predictions, rows
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
    _needs_decoder(config)
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
    return Score(
        float(np.mean([score.loss for score in scores])),
        sum(score.right for score in scores),
        sum(score.words for score in scores),
    )


MOST_WORDS = 50  # of a large vocabulary, so many are tried as a wrong word


class Peeking(NamedTuple):
    """A model trained with or without the causal mask.

    forced     after the right words
    free       after its own words
    followed   the share of places whose prediction becomes the next input word when that is
               replaced by another one: the model copies what it peeks at
    written    what it writes running freely, by row, against `targets`
    """

    causal: bool
    forced: Score
    free: Score
    followed: float
    written: list[list[int]]
    targets: list[list[int]]


def peeking(
    config: Config,
    parameters: Mapping[str, Array],
    batch: Batch,
    steps: int = 1000,
    recipe: Recipe | None = None,
) -> list[Peeking]:
    """The same model trained with and without the causal mask.

    Without it a place sees the word that it should predict, which is the next input word: its
    loss falls by copying, and there is nothing to copy when the model runs freely.
    """
    _needs_decoder(config)
    found = []
    for causal in (True, False):
        own = dataclasses.replace(config, causal=causal)
        run = train(Run(own, parameters, recipe), batch, steps)
        given = rows(own, batch)
        found.append(
            Peeking(
                causal,
                forced_score(own, run.parameters, batch),
                free_score(own, run.parameters, batch),
                _followed(own, run.parameters, batch),
                [_written(own, run.parameters, row) for row in given],
                [row.targets for row in given],
            )
        )
    return found


def _written(config: Config, parameters: Mapping[str, Array], row: Row) -> list[int]:
    tokens = list(row.prompt)
    for _ in row.targets:
        tokens.append(int(np.argmax(last_log_probabilities(config, parameters, row, tokens))))
    return tokens[len(row.prompt) :]


def _followed(config: Config, parameters: Mapping[str, Array], batch: Batch) -> float:
    """How often the prediction at a place is the wrong word that was put at the next place."""
    inputs = check_batch(config, batch)
    assert inputs.labels is not None
    name = "ids" if config.model == "decoder-only" else "decoder_ids"
    ids = inputs.sides["decoder"].ids
    followed = tried = 0
    for t in range(ids.shape[1] - 1):
        counted = (inputs.labels[:, t] != IGNORED) & inputs.sides["decoder"].valid[:, t + 1]
        for word in range(min(config.vocabulary, MOST_WORDS)):
            changed = counted & (ids[:, t + 1] != word)
            if not changed.any():
                continue
            other = ids.copy()
            other[:, t + 1] = word
            best = predictions(config, parameters, dataclasses.replace(batch, **{name: other}))
            tried += int(np.count_nonzero(changed))
            followed += int(np.count_nonzero(best[changed, t] == word))
    return followed / tried if tried else 0.0


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


def _needs_decoder(config: Config) -> None:
    if "decoder" not in config.sides:
        raise TrainingError(
            f"model {config.model!r} never runs freely; this demonstration needs a decoder"
        )
