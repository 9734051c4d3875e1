"""Filters between logits and a choice: each takes logits [B, V] and gives logits [B, V], with
-inf where a token is ruled out.

The order is that of transformers' `generate`: repetition penalty, no repeated n-grams,
temperature, top-k, top-p, min-p. Each filter sees what the one before it left. Equal logits are
taken in the order of ids.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..errors import DecodingError
from ..ops.softmax import softmax_forward
from ..shapes import Array, describe
from ..small_repr import small_repr
from .checks import check_number, check_whole


def penalise_repetition(logits: Array, rows: Sequence[Sequence[int]], penalty: float) -> Array:
    """A seen token's logit divided by the penalty where it is positive, multiplied where it is
    negative: either way it falls (penalty > 1). A token counts once, however often it was seen.

    rows  the tokens of each row so far, prompt included, without padding
    """
    check_penalty(penalty)
    if penalty == 1.0:
        return logits
    most = float(np.finfo(logits.dtype).max)
    penalty = min(float(penalty), most)
    result = logits.copy()
    for row, seen in enumerate(rows):
        tokens = np.unique(np.asarray(seen, np.int64))
        if tokens.size and not 0 <= tokens[0] <= tokens[-1] < logits.shape[-1]:
            raise DecodingError(
                f"repetition_penalty: row {row} has token {tokens[0 if tokens[0] < 0 else -1]}; "
                f"ids are 0 to {logits.shape[-1] - 1}, and padding is left out"
            )
        old = logits[row, tokens]
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            result[row, tokens] = np.where(old > 0, old / penalty, old * penalty)
    # What overflows stays a number: a token is ruled out only if it was before.
    return np.where(np.isneginf(logits), logits, np.clip(result, -most, most))


def ban_repeated_ngrams(logits: Array, rows: Sequence[Sequence[int]], size: int) -> Array:
    """Rules out every token that, after the last size - 1 tokens of its row, would make a run of
    `size` tokens that the row holds already. 0: none; 1: no token comes twice.

    rows  as `penalise_repetition` takes them

    Raises `DecodingError` where a row is left without a token.
    """
    check_ngram(size)
    if size == 0:
        return logits
    banned = logits.copy()
    for row, seen in enumerate(rows):
        tokens = list(seen)
        last = tokens[len(tokens) - size + 1 :] if size > 1 else []
        if len(last) < size - 1:
            continue
        starts = range(len(tokens) - size + 1)
        again = [tokens[i + size - 1] for i in starts if tokens[i : i + size - 1] == last]
        banned[row, again] = -np.inf
        if again and np.isneginf(banned[row]).all():
            raise DecodingError(
                f"no_repeat_ngram_size={size} rules out every token of row {row}; take a larger one"
            )
    return banned


def rule_out(logits: Array, tokens: Collection[int]) -> Array:
    """-inf at some tokens, such as those that end a row before it is long enough.

    Raises `DecodingError` where a row is left without a token.
    """
    allowed = logits.copy()
    allowed[:, list(tokens)] = -np.inf
    empty = np.isneginf(allowed).all(-1)
    if empty.any():
        raise DecodingError(
            f"min_new_tokens: row {np.flatnonzero(empty)[0]} has no token that does not end it; "
            "take fewer stop tokens"
        )
    return allowed


def temper(logits: Array, temperature: float) -> Array:
    """logits / temperature; 0 leaves the largest logit alone, as greedy choice does."""
    check_temperature(temperature)
    if temperature == 1.0:
        return logits
    temperature, most = float(temperature), float(np.finfo(logits.dtype).max)
    rest, temperature = min(temperature / most, most), min(temperature, most)
    if logits.dtype.type(temperature) == 0:
        return keep_top_k(logits, 1)
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = logits / temperature
        if rest > 1.0:  # the type does not hold the temperature
            scaled /= rest
        far = (np.abs(scaled) > most / 4) & np.isfinite(logits)
        lost = np.logical_or.reduce(far, -1)
        if lost.any():  # too cold for these logits, or their differences: these are divided
            largest = np.maximum.reduce(logits[lost], -1, keepdims=True)
            scaled[lost] = (logits[lost] - largest) / temperature
    return scaled


def keep_top_k(logits: Array, k: int) -> Array:
    """The k largest logits: exactly min(k, V) of them."""
    check_whole("top_k", k, 1)
    if k >= logits.shape[-1]:
        return logits
    return _keep(logits, _descending(logits)[:, :k])


def keep_top_p(logits: Array, p: float) -> Array:
    """The smallest set of most probable tokens whose probability reaches p: the token that
    crosses p belongs to it, so it is never empty. p = 1 keeps everything."""
    check_top_p(p)
    if p == 1.0:
        return logits
    order = _descending(logits)
    probabilities = np.take_along_axis(probabilities_of(logits), order, -1)
    before = np.zeros(logits.shape)  # the probability of all tokens further up
    np.cumsum(probabilities[:, :-1], -1, out=before[:, 1:])
    return _keep(logits, order, before < p)


def keep_min_p(logits: Array, p: float) -> Array:
    """The tokens at least p times as probable as the most probable one. p = 0 keeps everything."""
    check_min_p(p)
    if p == 0.0:
        return logits
    least = np.maximum.reduce(logits, -1, keepdims=True) + math.log(p)
    return np.where(logits >= least, logits, -np.inf).astype(logits.dtype)


def probabilities_of(logits: Array) -> Array:
    """[B, V], softmax of logits of any size: a difference that overflows is -inf, its weight 0."""
    with np.errstate(over="ignore"):
        return softmax_forward(logits)


@small_repr()
class Filtered(NamedTuple):
    """The logits after a filter, and its name as an option: `top_k=3`."""

    name: str
    logits: Array  # [B, V]

    @property
    def probabilities(self) -> Array:
        """[B, V], softmax of the logits: what is ruled out has probability 0."""
        return probabilities_of(self.logits)


@small_repr()
@dataclass(frozen=True, kw_only=True)
class Filters:
    """Which filters stand between logits and choice, in this order.

    repetition_penalty  1: none; above 1 tokens seen before become less probable
    no_repeat_ngram_size  so many tokens in a row never come twice; 0: they may
    temperature         1: none; below 1 sharper, 0 greedy, above 1 flatter
    top_k               keep so many tokens; None: all
    top_p               keep the smallest set that reaches this probability; 1: all
    min_p               keep tokens with this share of the largest probability; 0: all

    Raises `DecodingError` for a value that is none.
    """

    repetition_penalty: float = 1.0
    no_repeat_ngram_size: int = 0
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float = 1.0
    min_p: float = 0.0

    def __post_init__(self) -> None:
        check_penalty(self.repetition_penalty)
        check_ngram(self.no_repeat_ngram_size)
        check_temperature(self.temperature)
        if self.top_k is not None:
            check_whole("top_k", self.top_k, 1)
        check_top_p(self.top_p)
        check_min_p(self.min_p)

    def __call__(self, logits: Array, rows: Sequence[Sequence[int]]) -> Array:
        """The logits after the last filter."""
        return self.steps(logits, rows)[-1].logits

    def steps(self, logits: Array, rows: Sequence[Sequence[int]]) -> list[Filtered]:
        """The logits as they came, and after each filter that is not left at `none`.

        Raises `DecodingError` for logits that no token can be chosen by: NaN, inf, or -inf
        throughout a row.
        """
        check_logits(logits)
        found = [Filtered("logits", logits)]

        def add(name: str, value: float, filtered: Array) -> None:
            found.append(Filtered(f"{name}={value:g}", filtered))

        if self.repetition_penalty != 1.0:
            logits = penalise_repetition(logits, rows, self.repetition_penalty)
            add("repetition_penalty", self.repetition_penalty, logits)
        if self.no_repeat_ngram_size:
            logits = ban_repeated_ngrams(logits, rows, self.no_repeat_ngram_size)
            add("no_repeat_ngram_size", self.no_repeat_ngram_size, logits)
        if self.temperature != 1.0:
            logits = temper(logits, self.temperature)
            add("temperature", self.temperature, logits)
        if self.top_k is not None:
            logits = keep_top_k(logits, self.top_k)
            add("top_k", self.top_k, logits)
        if self.top_p != 1.0:
            logits = keep_top_p(logits, self.top_p)
            add("top_p", self.top_p, logits)
        if self.min_p != 0.0:
            logits = keep_min_p(logits, self.min_p)
            add("min_p", self.min_p, logits)
        return found


def _descending(logits: Array) -> Array:
    """[B, V], the ids from the largest logit down; of equal ones the smaller id first."""
    order: Array = np.argsort(-logits, -1, kind="stable")
    return order


def _keep(logits: Array, ids: Array, chosen: Array | bool = True) -> Array:
    """The logits at the chosen ids [B, k]; -inf elsewhere."""
    kept = np.zeros(logits.shape, bool)
    np.put_along_axis(kept, ids, chosen, -1)
    return np.where(kept, logits, -np.inf).astype(logits.dtype)


def check_logits(logits: Array) -> None:
    """Raise `DecodingError` where a row of logits allows no choice."""
    if logits.ndim != 2 or logits.dtype.kind != "f":
        raise DecodingError(f"logits is {describe(logits)}; floats of shape (rows, V) are needed")
    wrong = np.isnan(logits) | np.isposinf(logits)
    if wrong.any():
        row, token = np.argwhere(wrong)[0]
        raise DecodingError(
            f"logits: row {row}, token {token} is {logits[row, token]}; no token can be chosen by "
            "logits that are NaN or inf; look for overflow in the parameters"
        )
    empty = np.isneginf(logits).all(-1)
    if empty.any():
        raise DecodingError(
            f"logits: row {np.flatnonzero(empty)[0]} is -inf throughout; leave one token to choose"
        )


def check_penalty(penalty: float) -> None:
    check_number("repetition_penalty", penalty, "above 0 (1: none)", 0, above=True)


def check_ngram(size: int) -> None:
    check_whole("no_repeat_ngram_size", size, 0)


def check_temperature(temperature: float) -> None:
    check_number("temperature", temperature, "from 0 up (0: greedy)", 0)


def check_top_p(p: float) -> None:
    check_number("top_p", p, "above 0 and at most 1 (1: all tokens)", 0, 1, above=True)


def check_min_p(p: float) -> None:
    check_number("min_p", p, "from 0 (all tokens) to 1", 0, 1)
