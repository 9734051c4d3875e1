"""Attention operators of one's own: right ones are clean, each mistake is named by its law."""

from __future__ import annotations

import pytest
from attention_operators import MISTAKES, Operator

from numtx.laws.law import KINDS
from numtx.subjects.attention import attention
from numtx.subjects.kinds import ATTENTION
from numtx.testing import check
from numtx.testing.trial import BROKEN, PASSED, attempt

LAWS = KINDS[ATTENTION]
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of wrong operators


def status(subject, name, seed=0, examples=50):
    return attempt(LAWS[name], subject, seed=seed, examples=examples, shrink=False)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_each_mistake_is_named(mistake):
    found = status(attention(Operator(mistake)), MISTAKES[mistake])
    assert found.status == BROKEN, found


def test_every_law_has_a_mistake():
    assert set(MISTAKES.values()) == set(LAWS)


@pytest.mark.parametrize("seed", range(3))
def test_the_right_one_is_clean(seed):
    report = check(Operator(), dtypes=("float64", "float32", "float16"), seed=seed, examples=30)
    assert {result.status for result in report.results} == {PASSED}, report.table()
