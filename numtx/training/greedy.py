"""The most probable words: at every place of a teacher-forced run, and of a model running freely.

Running freely is the plain loop of document 003: the whole forward pass for every word, the
most probable word of the last place, appended.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..batch import Batch, check_batch
from ..config import Config
from ..model import forward
from ..ops.loss import IGNORED
from ..ops.softmax import log_softmax_forward
from ..shapes import Array


class Sentence(NamedTuple):
    """One row of a batch without its padding, as a model that runs freely sees it.

    source   the encoder's side of the batch, or its memory, one row; None where the decoder is
             alone
    prompt   the decoder's tokens up to the place of the first counted label
    targets  the counted labels from there on
    """

    source: dict[str, Any] | None
    prompt: list[int]
    targets: list[int]


def rows(config: Config, batch: Batch) -> list[Sentence]:
    """The rows of a batch with labels; the model has a decoder."""
    inputs = check_batch(config, batch)
    assert inputs.labels is not None
    decoder = inputs.sides["decoder"]
    found = []
    for i, labels in enumerate(inputs.labels):
        source = None
        if "encoder" in inputs.sides:
            side = inputs.sides["encoder"]
            source = {"ids": side.ids[i : i + 1], "mask": side.valid[i : i + 1]}
            source["positions"] = side.positions[i : i + 1]
            if side.segments is not None:
                source["segments"] = side.segments[i : i + 1]
            if side.vectors is not None:
                del source["ids"]
                source["vectors"] = side.vectors[i : i + 1]
        if inputs.memory is not None:
            memory, valid = inputs.memory
            source = {"memory": memory[i : i + 1], "mask": valid[i : i + 1]}
        real = decoder.valid[i]
        ids, wanted = decoder.ids[i][real], labels[real]
        counted = np.flatnonzero(wanted != IGNORED)
        prompt = ids[: counted[0] + 1].tolist() if counted.size else ids.tolist()
        found.append(Sentence(source, prompt, wanted[counted].tolist()))
    return found


def last_log_probabilities(
    config: Config, parameters: Mapping[str, Array], row: Sentence, tokens: Sequence[int]
) -> Array:
    """log P of the word after `tokens`: a whole forward pass, its last place taken    [V]"""
    if row.source is None:
        batch = Batch([list(tokens)])
    else:
        batch = Batch(**row.source, decoder_ids=[list(tokens)])
    outputs, _ = forward(config, parameters, batch)
    last: Array = log_softmax_forward(outputs.logits[0, -1])
    return last


def run_freely(
    config: Config, parameters: Mapping[str, Array], row: Sentence, eos: int | None = None
) -> list[int]:
    """What a model writes after the prompt: as many words as there are targets, or up to `eos`."""
    tokens = list(row.prompt)
    for _ in row.targets:
        tokens.append(int(np.argmax(last_log_probabilities(config, parameters, row, tokens))))
        if tokens[-1] == eos:
            break
    return tokens[len(row.prompt) :]


def predictions(config: Config, parameters: Mapping[str, Array], batch: Batch) -> Array:
    """The most probable word at every place, given the right words before it. [B, T]"""
    outputs, _ = forward(config, parameters, dataclasses.replace(batch, labels=None))
    best: Array = np.argmax(outputs.logits, -1)
    return best


class Answer(NamedTuple):
    """What a model gives for one row, and what it should give."""

    given: list[int]
    wanted: list[int]


def answers(
    config: Config, parameters: Mapping[str, Array], batch: Batch, eos: int | None = None
) -> list[Answer]:
    """The greedy output of every row against its target.

    A decoder runs freely; an encoder-only model answers at the places that have labels.
    """
    if "decoder" in config.sides:
        return [
            Answer(run_freely(config, parameters, row, eos), row.targets)
            for row in rows(config, batch)
        ]
    best = predictions(config, parameters, batch)
    labels = check_batch(config, batch).labels
    assert labels is not None
    return [
        Answer(given[wanted != IGNORED].tolist(), wanted[wanted != IGNORED].tolist())
        for given, wanted in zip(best, labels, strict=True)
    ]
