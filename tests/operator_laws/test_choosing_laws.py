"""Choosers of one's own: right ones are clean, each mistake is named by its law."""

from __future__ import annotations

import re

import numpy as np
import pytest
from choosers import MISTAKES, Choosers

from numtx.decoding import Filters, filters, sampler
from numtx.errors import SubjectError
from numtx.laws.law import KINDS
from numtx.operators.chooser import chooser
from numtx.subjects.kinds import CHOOSER, CHOOSER_CAPABILITIES
from numtx.testing import check, subject
from numtx.testing.trial import BROKEN, PASSED, SKIPPED, attempt

LAWS = KINDS[CHOOSER]


@pytest.mark.parametrize("mistake", MISTAKES)
def test_each_mistake_is_named(mistake):
    own = chooser(Choosers(mistake))
    found = attempt(LAWS[MISTAKES[mistake]], own, examples=60, shrink=False)
    assert found.status == BROKEN, found


def test_every_law_has_a_mistake():
    assert set(MISTAKES.values()) == set(LAWS)


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.heavy) for seed in (1, 2))]
)
def test_the_right_ones_are_clean(seed):
    report = check(Choosers(), seed=seed, examples=40)
    assert {result.status for result in report.results} == {PASSED}, report.table()


NUMTX = {
    "top_k": filters.keep_top_k,
    "top_p": filters.keep_top_p,
    "min_p": filters.keep_min_p,
    "temperature": filters.temper,
    "repetition_penalty": filters.penalise_repetition,
    "no_repeat_ngram": filters.ban_repeated_ngrams,
    "sample": lambda logits, seed: sampler(Filters(), seed)(
        np.maximum(logits, -1e300), [[]] * len(logits)
    ),
}


def test_numtxs_own_are_clean():
    report = check(chooser(**NUMTX, ties="id"), examples=25)
    assert report.ok, report.broken or report.errors
    assert {r.law.name for r in report.results if r.status == SKIPPED} == {"D6", "D8"}


def test_ties_as_declared():
    """Those that keep all that tie are right, unless the smaller id is said to come first."""
    assert check(Choosers(), ["D1"], examples=80).ok
    assert not check(Choosers(), ["D1"], examples=80, ties="id").ok


def test_a_part_of_them_is_asked_for_that_part():
    report = check(chooser(top_p=Choosers().top_p), examples=5)
    status = {result.law.name: result.status for result in report.results}
    assert status["D2"] == PASSED and status["D5"] == PASSED
    assert {name for name, one in status.items() if one == SKIPPED} == set(LAWS) - {"D2", "D5"}


WRONG = [
    ({}, "chooser has none of top_k, top_p"),
    ({"topk": len}, "a chooser has no 'topk'"),
    ({"top_k": 3}, "chooser: top_k is int; it is a function"),
    ({"top_k": len, "ties": "all"}, "ties is 'all'; it should be 'id' or 'any'"),
]


@pytest.mark.parametrize(("given", "told"), WRONG)
def test_what_is_no_chooser_is_one_line(given, told):
    with pytest.raises(SubjectError, match=re.escape(told)):
        chooser(**given)


def test_what_is_given_back_is_looked_at():
    for functions, told in (
        ({"top_k": lambda logits, k: logits[:, :k]}, "top_k gave float64 of shape (2, 2); it"),
        ({"top_p": lambda logits, p: logits * np.nan}, "top_p gave NaN or inf among its logits"),
        ({"sample": lambda logits, seed: logits}, "sample gave float64 of shape (2, 4); it should"),
        ({"sample": lambda logits, seed: np.array([0, 4])}, "should be ids of shape (2,), from 0"),
    ):
        report = check(chooser(**functions))
        assert [result.law.name for result in report.results] == ["call"]
        assert told in report.results[0].why
    searched = check(chooser(beam_search=lambda *given, **options: 3), ["D6"]).results[0]
    assert "gave int; it should be a list of (new tokens, score)" in searched.why


def test_it_is_read_off_its_kind():
    assert subject(Choosers()).kind == "chooser"
    assert subject(Choosers()).capabilities == set(CHOOSER_CAPABILITIES)


def test_tensors():
    torch = pytest.importorskip("torch")

    def top_k(logits, k):
        least = torch.topk(logits, k)[0][:, -1, None]
        return logits.masked_fill(logits < least, -torch.inf)

    def sample(logits, seed):
        generator = torch.Generator().manual_seed(seed)
        return torch.multinomial(logits.softmax(-1), 1, generator=generator)

    report = check(chooser(top_k=top_k, sample=sample, tensors=True), examples=20)
    assert report.ok, report.broken or report.errors
