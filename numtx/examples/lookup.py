"""A model that says what a table says: built by hand, so that its probabilities are exact."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from ..config import Config
from ..parameters import parameter_shapes
from ..shapes import Array
from ..vocabulary import Vocabulary

# From a position and the word that stands there to the probabilities of the next word. The words
# that are not named share what is left.
Table = Mapping[tuple[int, str], Mapping[str, float]]

LEAST = 1e-9  # where nothing is left: a logit is a finite number
LEVEL = 5.0  # added to every logit: softmax does not see it, a repetition penalty does


def lookup_model(
    vocabulary: Vocabulary, table: Table, positions: int
) -> tuple[Config, dict[str, Array]]:
    """A decoder of one block whose logits are log(probability) + 5.

    The width is three parts: which word (V), which position, and the logits to come (V). A unit
    of the feed-forward layer is active where its word stands at its position, and adds its
    line of the table; attention adds nothing (W_O = 0). A place that the table does not know
    finds every word alike.
    """
    words = len(vocabulary)
    width = words + positions + words
    config = Config(
        model="decoder-only", width=width, decoder_layers=1, heads=1, key_width=1,
        hidden=len(table), vocabulary=words, norm=None, positions="learned",
        position_limit=positions, biases=("b_in",),
    )  # fmt: skip
    p = {name: np.zeros(shape) for name, shape in parameter_shapes(config).items()}
    p["decoder.embedding"][:, :words] = np.eye(words)
    p["decoder.positions"][:, words : words + positions] = np.eye(positions)
    w_in, w_out = p["decoder.0.feed_forward.w_in"], p["decoder.0.feed_forward.w_out"]
    p["decoder.0.feed_forward.b_in"][:] = -1.5
    for unit, ((position, word), line) in enumerate(table.items()):
        w_in[vocabulary[word], unit] = w_in[words + position, unit] = 1.0
        logits = [math.log(probability) + LEVEL for probability in _whole(vocabulary.tokens, line)]
        w_out[unit, words + positions :] = 2.0 * np.array(logits)  # an active unit is 1 + 1 - 1.5
    p["output.w"][words + positions :] = np.eye(words)
    return config, p


def _whole(words: Sequence[str], line: Mapping[str, float]) -> list[float]:
    """A probability for every word."""
    others = len(words) - len(line)
    share = max(1.0 - math.fsum(line.values()), 0.0) / others if others else 0.0
    return [line.get(word, max(share, LEAST)) for word in words]
