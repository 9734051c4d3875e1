"""The probability of a given text: P(w_1 .. w_n) = product over i of P(w_i | w_1 .. w_{i-1})."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ..batch import Batch
from ..config import Config
from ..errors import DecodingError
from ..model import forward
from ..ops.softmax import log_softmax_forward
from ..shapes import Array
from ..small_repr import small_repr
from .checks import check_whole
from .generate import decoder_input


@small_repr()
class SequenceProbability(NamedTuple):
    """The log-probability of each row's tokens.

    per_token  for each row [n], log P(w_i | everything before)
    total      [B], their sums: the logarithm of document 004's product
    """

    per_token: list[Array]
    total: Array


def sequence_log_probability(
    config: Config,
    parameters: Mapping[str, Array],
    prompt: Batch,
    tokens: Sequence[Sequence[int]],
) -> SequenceProbability:
    """The log-probability of going on from each row of a prompt with given tokens.

    prompt  as `generate` takes it; its own tokens do not count
    tokens  what follows in each row; rows may have different lengths

    One pass a row, since all tokens are known (teacher forcing).
    """
    given = decoder_input(config, prompt, None)
    if len(tokens) != len(given.ids):
        raise DecodingError(f"tokens has {len(tokens)} rows and the prompt {len(given.ids)}")
    per_token = []
    for row, after in enumerate(tokens):
        for token in after:
            check_whole(f"tokens: row {row}", token, 0, config.vocabulary - 1)
        before = given.ids[row][given.valid[row]].tolist()
        ids = [[*before, *after][:-1]] if after else [before]
        logits = forward(config, parameters, _row(config, prompt, row, ids))[0].logits[0]
        log_probabilities = log_softmax_forward(logits[len(before) - 1 :])
        places = np.arange(len(after)), np.array(after, np.int64)
        per_token.append(log_probabilities[places])
    return SequenceProbability(per_token, np.array([np.add.reduce(one) for one in per_token]))


def _row(config: Config, prompt: Batch, row: int, ids: list[list[int]]) -> Batch:
    """One row of the prompt, with other tokens for the decoder."""
    if config.model != "encoder-decoder":
        return Batch(ids)
    names = ("ids", "mask", "positions", "segments", "vectors", "memory")
    source = {name: getattr(prompt, name) for name in names}
    one = {n: None if a is None else np.asarray(a)[row : row + 1] for n, a in source.items()}
    return replace(prompt, **one, decoder_ids=ids, decoder_mask=None, labels=None)
