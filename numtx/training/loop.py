"""The training loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ..batch import Batch
from ..errors import TrainingError
from ..files import target
from .checkpoint import save_run
from .run import Progress, Run


def train(
    run: Run,
    batches: Batch | Sequence[Batch],
    steps: int,
    *,
    on_step: Callable[[Progress], None] | None = None,
    save: str | Path | None = None,
    save_every: int = 100,
) -> Run:
    """Go on with a run until it has taken `steps` steps, counted from its very start.

    on_step  is called after every step
    save     a checkpoint is written there after every `save_every` steps and at the end; only
             at the end where it is a pipe or a device, which keeps no last one

    The same run, batches and steps always end bit for bit alike, resumed or not. Raises
    `TrainingError` when the loss is no longer finite; the last good checkpoint then stays.
    Raises `FileError` before the first step where `save` cannot be written.
    """
    if isinstance(batches, Batch):
        batches = [batches]
    if not batches:
        raise TrainingError("no batch to train on; give at least one")
    if type(steps) is not int or steps < run.step:
        raise TrainingError(
            f"steps is {steps!r} and the run has taken {run.step}; give a whole number, "
            "at least that many"
        )
    if save is not None and target(save).straight:
        save_every = steps
    while run.step < steps:
        # Numbers that overflow end the run with an error of their own, which says more.
        with np.errstate(over="ignore", invalid="ignore"):
            progress = run.advance(batches)
        if on_step is not None:
            on_step(progress)
        if save is not None and run.step % save_every == 0 and run.step < steps:
            save_run(save, run)
    if save is not None:
        save_run(save, run)
    return run
