"""What the causal mask is for: the same model trained with it and without it.

Without the mask a place sees the word that it should predict, for that is the next input word.
The loss falls because the model copies (document 000), and when it runs freely there is nothing
to copy.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ..batch import Batch, check_batch
from ..config import Config
from ..ops.loss import IGNORED
from ..parameters import initialise
from ..shapes import Array
from ..small_repr import small_repr
from .demonstrations import MOST_WORDS, Score, forced_score, free_score, needs_decoder
from .greedy import predictions, rows, run_freely
from .loop import train
from .recipe import Recipe
from .run import Run


@small_repr()
class Task(NamedTuple):
    """What a model learns and how it is judged.

    training  the batches to learn from
    test      judged word by word, after the right words
    written   judged running freely: what follows each row's first words
    best      the smallest loss that can be reached on `test` without peeking; None: 0
    """

    config: Config
    parameters: Mapping[str, Array]
    training: Sequence[Batch]
    test: Batch
    written: Batch
    best: float | None = None


@small_repr()
class Peeking(NamedTuple):
    """A model trained with or without the causal mask.

    forced    after the right words
    free      after its own words
    followed  the share of wrong words, put at the next place of the input, that the model then
              predicts: it copies what it peeks at
    given     what it writes running freely, by row
    wanted    what it should write
    """

    causal: bool
    forced: Score
    free: Score
    followed: float
    given: list[list[int]]
    wanted: list[list[int]]


def peeking(task: Task, steps: int = 600, recipe: Recipe | None = None) -> list[Peeking]:
    """A task learnt with the causal mask, then without."""
    needs_decoder(task.config)
    found = []
    for causal in (True, False):
        config = dataclasses.replace(task.config, causal=causal)
        parameters = train(Run(config, task.parameters, recipe), task.training, steps).parameters
        written = rows(config, task.written)
        found.append(
            Peeking(
                causal,
                forced_score(config, parameters, task.test),
                free_score(config, parameters, task.written),
                followed(config, parameters, task.test),
                [run_freely(config, parameters, row) for row in written],
                [row.targets for row in written],
            )
        )
    return found


def own_task(config: Config, parameters: Mapping[str, Array], batch: Batch) -> Task:
    """An example's own batch. A model can learn so little by heart, and need not copy."""
    return Task(config, parameters, [batch], batch, batch)


def counting_task(seed: int = 0, words: int = 7, length: int = 8, rate: float = 0.75) -> Task:
    """Counting in a circle with surprises, which cannot be learnt by heart.

    The next word is the successor with probability `rate`, else any word. The best that a
    causal model can do is the loss of this rule itself; a lower loss proves that it peeks.
    Running freely, the most probable word is always the successor.
    """
    config = Config(model="decoder-only", width=16, decoder_layers=1, hidden=32, vocabulary=words)
    generator = np.random.default_rng(seed)
    training = [_counted(generator, 32, words, length, rate) for _ in range(100)]
    test = _counted(generator, 64, words, length, rate)
    start = np.arange(words)[:, None]
    circle = (start + np.arange(length + 1)) % words
    written = Batch(circle[:, :-1], labels=circle[:, 1:])
    likely, unlikely = rate + (1.0 - rate) / words, (1.0 - rate) / words
    kept = np.asarray(test.labels) == (np.asarray(test.ids) + 1) % words
    best = -float(np.log(np.where(kept, likely, unlikely)).mean())
    return Task(config, initialise(config, seed), training, test, written, best)


def _counted(
    generator: np.random.Generator, count: int, words: int, length: int, rate: float
) -> Batch:
    ids = np.empty((count, length + 1), np.int64)
    ids[:, 0] = generator.integers(words, size=count)
    for t in range(length):
        keep = generator.random(count) < rate
        ids[:, t + 1] = np.where(
            keep, (ids[:, t] + 1) % words, generator.integers(words, size=count)
        )
    return Batch(ids[:, :-1], labels=ids[:, 1:])


def followed(config: Config, parameters: Mapping[str, Array], batch: Batch) -> float:
    """The share of wrong words, put at the next place of the input, that are then predicted."""
    inputs = check_batch(config, batch)
    assert inputs.labels is not None
    name = "ids" if config.model == "decoder-only" else "decoder_ids"
    decoder = inputs.sides["decoder"]
    hits = tried = 0
    for t in range(decoder.ids.shape[1] - 1):
        counted = (inputs.labels[:, t] != IGNORED) & decoder.valid[:, t + 1]
        for word in range(min(config.vocabulary, MOST_WORDS)):
            changed = counted & (decoder.ids[:, t + 1] != word)
            if changed.any():
                ids = decoder.ids.copy()
                ids[:, t + 1] = word
                best = predictions(config, parameters, dataclasses.replace(batch, **{name: ids}))
                tried += int(np.count_nonzero(changed))
                hits += int(np.count_nonzero(best[changed, t] == word))
    return hits / tried if tried else 0.0
