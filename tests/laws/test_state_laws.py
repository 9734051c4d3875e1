"""C12, C13: models with something that outlives a call, right and wrong."""

from __future__ import annotations

import numpy as np
import pytest
from state_models import Prefixes, Shared, Stepped

from numtx.laws.law import LAWS
from numtx.testing import subject
from numtx.testing.trial import BROKEN, PASSED, attempt


def status(model, law, seed=0, examples=50):
    return attempt(LAWS[law], subject(model), seed=seed, examples=examples, shrink=False).status


@pytest.mark.parametrize("size", [13, 300, pytest.param(70000, marks=pytest.mark.heavy)])
@pytest.mark.parametrize("block", [2, pytest.param(16, marks=pytest.mark.heavy)])
def test_a_cache_of_prefixes(size, block):
    assert status(Prefixes("right", size, block), "C12", examples=20) == PASSED
    assert status(Prefixes("block", size, block), "C12") == BROKEN
    for mistake, least in (("byte", 256), ("two bytes", 65536)):
        wrong = size > least
        found = status(Prefixes(mistake, size, block), "C12", examples=50 if wrong else 20)
        assert found == (BROKEN if wrong else PASSED), mistake


def test_ids_that_are_alike_in_two_bytes():
    assert status(Prefixes("two bytes", 70000, 2), "C12", examples=12) == BROKEN


def test_requests_that_share_a_state():
    assert status(Shared(), "C12") == BROKEN


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.heavy) for n in (1, 2))])
def test_right_ones(dtype, seed):
    for law in ("C12", "C13"):
        assert status(Stepped("", dtype), law, seed) == PASSED


@pytest.mark.parametrize("mistake", ["tail kept", "one token kept", "positions go on"])
def test_a_rejected_draft_leaves_a_trace(mistake):
    assert status(Stepped(mistake), "C13") == BROKEN
