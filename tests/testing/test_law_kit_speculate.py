"""D9: a model's own speculative decoding is held to plain greedy, ties and rejected tails too."""

from __future__ import annotations

import numpy as np
import pytest
from plain_models import Stepping

from numtx.testing import check


class Speculating(Stepping):
    """Drafts are verified in one call of its cache, or with a bug.

    tied  the output has every word twice, so that logits tie exactly
    """

    def __init__(self, bug="", tied=False):
        super().__init__("")
        self.of_speculation, self.tied = bug, tied
        self.vocabulary_size = 2 * Stepping.vocabulary_size if tied else Stepping.vocabulary_size

    def _into(self, ids):
        return ids % Stepping.vocabulary_size

    def _out(self, logits):
        return np.concatenate([logits, logits], -1) if self.tied else logits

    def __call__(self, ids):
        return self._out(super().__call__(self._into(ids)))

    def prefill(self, ids):
        logits, state = super().prefill(self._into(ids))
        return self._out(logits), state

    def step(self, ids, state):
        logits, state = super().step(self._into(ids), state)
        return self._out(logits), state

    def _accepts(self, logits, token):
        best = logits.argmax()
        if self.of_speculation == "ties are accepted":
            return logits[token] == logits.max()
        if self.of_speculation == "what is near is accepted":
            return logits[token] > logits.max() - 1.0
        return token == best

    def speculate(self, ids, draft, max_new_tokens):
        bug, prompt = self.of_speculation, ids.shape[1]
        while (done := ids.shape[1] - prompt) < max_new_tokens:
            room = max_new_tokens - done
            proposed = draft(ids, room)[:, : room - (bug != "one token too many")]
            whole = np.concatenate([ids, proposed], 1)
            rows = self(whole)[0, ids.shape[1] - 1 :]
            accepted = int(bug == "the first is not verified" and proposed.size > 0)
            while accepted < proposed.shape[1]:
                if not self._accepts(rows[accepted], proposed[0, accepted]):
                    break
                accepted += 1
            new = [*proposed[0, :accepted], rows[accepted].argmax()]
            if bug == "the tail stays" and accepted < proposed.shape[1]:
                new = [*new, *proposed[0, accepted + 1 :]]
            if bug == "the last is lost" and accepted == proposed.shape[1]:
                new[-1] = rows[accepted - 1].argmax()
            ids = np.concatenate([ids, [new]], 1)
        new = ids[:, prompt:]
        return new if bug == "one token too many" else new[:, :max_new_tokens]


def asked(model):
    (result,) = check(model, ["D9"], examples=60, shrink=False).results
    return result


@pytest.mark.parametrize("tied", [False, True])
def test_right_speculation_passes(tied):
    assert asked(Speculating(tied=tied)).status == "passed"


@pytest.mark.parametrize(
    "bug",
    [
        "what is near is accepted", "the first is not verified", "the tail stays",
        "the last is lost", "one token too many",
    ],
)  # fmt: skip
def test_wrong_speculation_is_broken(bug):
    for tied in (False, True):
        result = asked(Speculating(bug, tied))
        assert result.status == "broken" and "drafts: [[" in result.why


def test_a_tie_is_accepted_wrongly_only_where_logits_tie():
    result = asked(Speculating("ties are accepted", tied=True))
    assert result.status == "broken" and "is not the greedy one" in result.why
    assert asked(Speculating("ties are accepted")).status == "passed"


def test_rounding_between_two_tokens_decides_nothing():
    """The logits of a longer text differ in their last bits, and so may what is best of two."""

    class Rounding(Speculating):
        def __call__(self, ids):
            found = super().__call__(ids)
            return found * (1.0 + 1e-15 * np.arange(found.shape[-1]) * (ids.shape[1] % 2))

    assert asked(Rounding(tied=True)).status == "passed"


def test_what_are_no_tokens_is_an_error():
    class Wrong(Speculating):
        def speculate(self, ids, draft, max_new_tokens):
            return [[0.5]]

    result = asked(Wrong())
    assert result.status == "error" and "give ids [1, n]" in result.why
    assert "call: speculate(ids [" in result.why


def test_a_method_that_takes_something_else_is_told():
    class Other(Stepping):
        def speculate(self, ids):
            return ids

    report = check(Other(), ["K1"], examples=3)
    assert report.notes == ("speculate(): not asked; it should take ids, draft, max_new_tokens",)
