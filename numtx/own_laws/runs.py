"""Batches that the laws of numtx's own models draw, and runs that are compared."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from ..batch import Batch
from ..head import tied_name
from ..laws.law import Draw, draw_ids, expect, seeds
from ..laws.strategies import padding_masks
from ..ops.loss import IGNORED
from ..shapes import Array
from ..subjects.own import NumtxSubject
from ..trace.trace import Trace

# An epsilon as good as none, by which a row of zeros (an expert of relus that are all closed) stays
# one where it is normed.
TINY = 1e-30


def labelled(
    subject: NumtxSubject, draw: Draw, padded: bool = True, ignored: bool = True
) -> tuple[Batch, dict[str, Any], Array, Array]:
    """A batch with labels; the example in words, its mask and its labels.

    padded   rows of every stack have some padding
    ignored  some labels are ignored; False: none is, those of padding neither
    """
    ids = draw_ids(subject, draw, 2, draw(st.integers(2, 3)))
    mask = draw(padding_masks(*ids.shape)) if padded else np.ones(ids.shape, bool)
    generator = np.random.default_rng(draw(seeds))
    labels = generator.integers(0, subject.vocabulary_size, ids.shape)
    if ignored:
        if draw(st.booleans()):
            labels[~mask] = IGNORED
        labels[generator.random(ids.shape) < 0.2] = IGNORED
        labels[0, np.flatnonzero(mask[0])[0]] = 1
    memory = subject.new_memory(len(ids), 4, draw(seeds))
    if memory is not None and padded:
        memory = memory._replace(mask=draw(padding_masks(len(ids), 4)))
    batch = subject.batch(ids, mask, memory, labels)
    if subject.config.segments:
        shapes = {prefix: getattr(batch, f"{prefix}ids").shape for prefix in prefixes(subject)}
        batch = replace(batch, **{
            f"{prefix}segments": generator.integers(0, subject.config.segments, shape)
            for prefix, shape in shapes.items()
        })  # fmt: skip
    example = {name: array for name, array in vars(batch).items() if array is not None}
    return batch, example, mask, labels


def prefixes(subject: NumtxSubject) -> dict[str, str]:
    """What the names of a side's fields in a batch begin with, and the side."""
    sides = subject.config.sides
    return {"decoder_" * (side != sides[0]): side for side in sides}


def rows_of(batch: Batch, index: Any) -> Batch:
    """Some rows of a batch, or all of them in another order."""
    arrays = {field.name: getattr(batch, field.name) for field in fields(batch)}
    return Batch(**{name: array[index] for name, array in arrays.items() if array is not None})


def untied(subject: NumtxSubject) -> NumtxSubject:
    """The same model with an output matrix of its own."""
    if not subject.config.tied_output:
        return subject
    own = subject.parameters
    matrix = own[tied_name(subject.config)].T.copy()
    return subject.with_({**own, "output.w": matrix}, tied_output=False)


def logits_of(trace: Trace, gradient: bool = False) -> Array:
    """The logits that the loss is taken of, or their gradient: capped, where they are."""
    name = trace.graph["log_probabilities"].inputs[0]
    return trace.grad(name) if gradient else trace[name]


def divisor(trace: Trace, labels: int) -> int:
    """What the sum of the losses of so many labels is divided by."""
    return labels if trace.graph["loss"].operation == "mean" else 1


def sink_shares(subject: NumtxSubject, trace: Trace, place: str) -> Array:
    """What the sinks of an attention take of its rows that see some key    -> [B, H, T]"""
    sinks = subject.parameters.get(f"{place}.sinks")
    scores = trace[f"{place}.masked_scores"].astype(np.float64)
    if sinks is None:
        return np.zeros(scores.shape[:-1])
    others = np.logaddexp.reduce(scores, -1)
    share: Array = 1.0 / (1.0 + np.exp(others - sinks[:, None]))
    return np.where(np.isfinite(others), share, 0.0)


def attentions(trace: Iterable[str]) -> list[str]:
    """The places of attention in a run."""
    return [n.removesuffix(".weights") for n in trace if n.endswith("attention.weights")]


def expect_gradients(
    subject: NumtxSubject,
    what: str,
    runs: tuple[Trace, Trace],
    example: dict[str, Any],
    exact: bool = False,
) -> None:
    """Raise `LawBroken` unless two runs, the right one first, have equal losses and gradients."""
    before, after = (np.reshape(run["loss"], (1, 1)) for run in runs)
    expect(subject, f"{what} changed the loss", before, after, example, exact=exact)
    for name in subject.parameters:
        before, after = (run.grad(f"parameters/{name}").reshape(1, -1) for run in runs)
        told = f"{what} changed the gradient of {name}"
        expect(subject, told, before, after, example, exact=exact)
