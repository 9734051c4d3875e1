"""Batches that the laws of numtx's own models draw, and runs that are compared."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from ..batch import Batch
from ..laws.law import Draw, draw_ids, seeds
from ..laws.strategies import padding_masks
from ..ops.loss import IGNORED
from ..shapes import Array
from ..subjects.own import NumtxSubject


def labelled(
    subject: NumtxSubject, draw: Draw, padded: bool = True
) -> tuple[Batch, dict[str, Any], Array, Array]:
    """A batch with labels, some ignored; the example in words, its mask and its labels."""
    ids = draw_ids(subject, draw, 2, draw(st.integers(2, 3)))
    mask = draw(padding_masks(*ids.shape)) if padded else np.ones(ids.shape, bool)
    generator = np.random.default_rng(draw(seeds))
    labels = generator.integers(0, subject.vocabulary_size, ids.shape)
    if draw(st.booleans()):
        labels[~mask] = IGNORED
    labels[generator.random(ids.shape) < 0.2] = IGNORED
    labels[0, np.flatnonzero(mask[0])[0]] = 1
    memory = subject.new_memory(len(ids), 4, draw(seeds))
    if memory is not None:
        memory = memory._replace(mask=draw(padding_masks(len(ids), 4)))
    batch = subject.batch(ids, mask, memory, labels)
    return batch, {"ids": ids, "mask": mask, "labels": labels}, mask, labels


def attentions(trace: Any) -> list[str]:
    return [name.removesuffix(".weights") for name in trace if name.endswith(".weights")]
