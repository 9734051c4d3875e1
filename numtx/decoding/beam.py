"""Beam search: several texts at once, of which the most probable ones live on.

At every step each running text is continued by every token; of all continuations of a prompt
the best go on. One that ends with a stop token leaves the search with the score

    log P(generated tokens) / length^length_penalty      length: generated tokens, the end included

and the search of a prompt stops when no running text can beat the worst one kept. These are
the rules of transformers' `generate` with early_stopping="never"; as there, one beam is greedy.
A repetition penalty acts on the logits here, before their softmax (there: on log-probabilities).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from ..batch import Batch
from ..cache import Cache
from ..config import Config
from ..ops.softmax import log_softmax_forward
from ..shapes import Array
from ..small_repr import in_notebook, small_repr
from ..step import step
from ..tap import NO_TAP, Tap
from .checks import check_number, check_whole
from .filters import (
    ban_repeated_ngrams,
    check_logits,
    check_ngram,
    check_penalty,
    penalise_repetition,
    rule_out,
)
from .generate import decoder_input


@small_repr()
class Hypothesis(NamedTuple):
    """A text that the search found.

    tokens           what was generated, with the token that ended it
    log_probability  the sum over its tokens
    score            log_probability / length^length_penalty
    ended            by a stop token; otherwise the length was used up
    """

    tokens: tuple[int, ...]
    log_probability: float
    score: float
    ended: bool


@small_repr()
class Candidate(NamedTuple):
    """A running text continued by a token, and what became of it.

    parent  the running text it continues, by its place in the step before
    fate    running: it goes on; ended: it left the search with a score; dead: others were better
    """

    parent: int
    tokens: tuple[int, ...]
    log_probability: float
    fate: str


@small_repr()
class BeamStep(NamedTuple):
    """One run of the decoder: the texts that it continued, in the order of the prompts, and for
    each prompt the best continuations, the most probable first (none once its search is over)."""

    phase: str
    rows: int
    candidates: list[list[Candidate]]


@in_notebook
@small_repr()
@dataclass(frozen=True, eq=False)
class BeamSearch:
    """What beam search found: for each prompt the hypotheses, the best score first."""

    prompt: list[list[int]]
    hypotheses: list[list[Hypothesis]]
    steps: list[BeamStep]

    @property
    def new(self) -> list[list[int]]:
        """The best hypothesis of each prompt, as `generate` gives its tokens."""
        return [list(row[0].tokens) for row in self.hypotheses]


class _Running(NamedTuple):
    parent: int
    tokens: tuple[int, ...]
    log_probability: float


@dataclass
class _Search:
    """The search that belongs to one prompt."""

    prompt: list[int]
    is_over: bool = False
    running: list[_Running] = field(default_factory=lambda: [_Running(0, (), 0.0)])
    finished: list[Hypothesis] = field(default_factory=list)
    candidates: list[Candidate] = field(default_factory=list)  # of the last step


@dataclass(frozen=True)
class _Rules:
    beams: int
    longest: int
    ends: frozenset[int]
    length_penalty: float
    shortest: int
    repetition_penalty: float
    no_repeat_ngram_size: int

    def check(self, vocabulary: int) -> None:
        check_whole("max_new_tokens", self.longest, 0)
        check_whole("num_beams", self.beams, 1)
        check_number("length_penalty", self.length_penalty, "from -10 to 10", -10, 10)
        check_whole("min_new_tokens", self.shortest, 0, self.longest)
        check_penalty(self.repetition_penalty)
        check_ngram(self.no_repeat_ngram_size)
        for token in self.ends:
            check_whole("stop", token, 0, vocabulary - 1)

    def filtered(self, logits: Array, going: list[_Search], number: int) -> Array:
        """The logits [R, V] of step `number`, after the filters."""
        seen = [[*search.prompt, *one.tokens] for search in going for one in search.running]
        logits = penalise_repetition(logits, seen, self.repetition_penalty)
        logits = ban_repeated_ngrams(logits, seen, self.no_repeat_ngram_size)
        return rule_out(logits, self.ends) if self.ends and number < self.shortest else logits

    def score(self, log_probability: float, length: int) -> float:
        """log_probability / length^length_penalty"""
        return float(log_probability / length**self.length_penalty)

    def is_done(self, search: _Search) -> bool:
        """Whether no running text can get among the finished ones that are kept."""
        if not search.running:
            return True
        if len(search.finished) < self.beams:
            return False
        if self.beams == 1:  # greedy: the one path has come to its end
            return True
        # A log-probability only falls; the penalty is kindest at one of the possible lengths.
        best = max(one.log_probability for one in search.running)
        lengths = (len(search.running[0].tokens) + 1, self.longest)
        attainable = max(self.score(best, length) for length in lengths)
        return attainable <= search.finished[-1].score


def beam_search(
    config: Config,
    parameters: Mapping[str, Array],
    prompt: Batch,
    *,
    max_new_tokens: int,
    num_beams: int,
    eos: int | None = None,
    stop: Sequence[int] = (),
    length_penalty: float = 1.0,
    min_new_tokens: int = 0,
    repetition_penalty: float = 1.0,
    no_repeat_ngram_size: int = 0,
    tap: Tap = NO_TAP,
) -> BeamSearch:
    """Search for the most probable continuations of each prompt row, `num_beams` at a time.

    prompt          as `generate` takes it; eos, stop and min_new_tokens as there
    length_penalty  above 0 favours long texts, 0 compares plain log-probabilities, below 0
                    favours short ones

    Raises `DecodingError` for an option that cannot be taken and for logits that no token can be
    chosen by, besides what `step` raises.
    """
    ends = frozenset(stop if eos is None else (eos, *stop))
    rules = _Rules(
        num_beams, max_new_tokens, ends, length_penalty, min_new_tokens, repetition_penalty,
        no_repeat_ngram_size,
    )  # fmt: skip
    rules.check(config.vocabulary)
    given = decoder_input(config, prompt, None)
    searches = [
        _Search(ids[valid].tolist()) for ids, valid in zip(given.ids, given.valid, strict=True)
    ]
    if not max_new_tokens:
        nothing = [[Hypothesis((), 0.0, 0.0, False)] for _ in searches]
        return BeamSearch([search.prompt for search in searches], nothing, [])
    cache = Cache(config, parameters, len(searches))
    steps: list[BeamStep] = []
    going = searches
    while going:
        number = len(steps)
        phase = f"decode.{number - 1}" if number else "prefill"
        batch = _next_tokens(config, going) if number else replace(prompt, labels=None)
        logits = step(config, parameters, batch, cache, phase=phase, tap=tap).logits[:, 0]
        check_logits(logits)
        logits = rules.filtered(logits, going, number)
        rows = _advance(going, logits, rules, is_last=number + 1 == max_new_tokens)
        steps.append(
            BeamStep(phase, len(logits), [[] if s.is_over else s.candidates for s in searches])
        )
        for search in going:
            search.is_over = rules.is_done(search)
        going = [search for search in searches if not search.is_over]
        if going:
            cache.reorder([row for s, r in rows if not s.is_over for row in r])
    return BeamSearch([s.prompt for s in searches], [s.finished for s in searches], steps)


def _next_tokens(config: Config, going: list[_Search]) -> Batch:
    ids = np.array([[one.tokens[-1]] for search in going for one in search.running])
    return Batch(None, ids) if config.model == "encoder-decoder" else Batch(ids)


def _advance(
    going: list[_Search], logits: Array, rules: _Rules, is_last: bool
) -> list[tuple[_Search, list[int]]]:
    """Continue every running text by every token [R, V], and settle what becomes of them.

    Gives for each search the rows that its running texts come from.
    """
    log_probabilities = log_softmax_forward(logits).astype(np.float64)
    sources, start = [], 0
    for search in going:
        rows = slice(start, start + len(search.running))
        before = np.array([one.log_probability for one in search.running])
        total = before[:, None] + log_probabilities[rows]  # [beams, V]
        _settle(search, total, logits[rows], rules, is_last)
        sources.append((search, [start + one.parent for one in search.running]))
        start = rows.stop
    return sources


def _settle(search: _Search, total: Array, logits: Array, rules: _Rules, is_last: bool) -> None:
    """Take a search one step on: the best continuations in order, each with its fate.

    So many are looked at that enough go on even where all beams' best tokens are stop tokens;
    a text may end only from among the first `num_beams`.
    """
    # Where sums are equal after rounding, the larger logit, then the older text and smaller id.
    order = np.lexsort((-logits.ravel(), -total.ravel()))[
        : rules.beams * max(2, 1 + len(rules.ends))
    ]
    search.candidates = []
    running: list[_Running] = []
    for rank, place in enumerate(order.tolist()):
        parent, token = divmod(place, total.shape[1])
        log_probability = float(total[parent, token])
        tokens = (*search.running[parent].tokens, token)
        ended, fate = token in rules.ends, "dead"
        if ended or is_last:
            if rank < rules.beams:
                fate = "ended"
                score = rules.score(log_probability, len(tokens))
                search.finished.append(Hypothesis(tokens, log_probability, score, ended))
        elif len(running) < rules.beams:
            fate = "running"
            running.append(_Running(parent, tokens, log_probability))
        search.candidates.append(Candidate(parent, tokens, log_probability, fate))
    search.running = running
    search.finished.sort(key=lambda one: -one.score)
    del search.finished[rules.beams :]
