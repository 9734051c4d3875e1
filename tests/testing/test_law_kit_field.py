"""Kinds of models that people reported: each right one breaks nothing, each bug is named."""

from __future__ import annotations

import numpy as np
import pytest
from field_models import Cached, Packed, Ring, Rows, Shared, Sloped

from numtx.testing import check


def of(report, status):
    return {result.law.name for result in report.results if result.status == status}


def why(report, law):
    return next(result.why for result in report.results if result.law.name == law)


RIGHT = [
    Cached(), Ring(4), Ring(16), Sloped(), Shared(), Shared(vocabulary_size=300), Shared(block=16),
    Packed(),
]  # fmt: skip


@pytest.mark.parametrize("examples", [4, pytest.param(40, marks=pytest.mark.heavy)])
@pytest.mark.parametrize("model", RIGHT, ids=lambda model: type(model).__name__)
def test_a_right_one_breaks_nothing(model, examples):
    report = check(model, examples=examples)
    assert report.code == 0, report.broken + report.errors + report.undeclared


@pytest.mark.parametrize(
    ("model", "laws"),
    [
        (Cached("upper left"), {"C1"}), (Ring(4, "early"), {"C1", "K2"}),
        (Ring(16, "early"), {"C1", "K2"}), (Sloped("queries"), {"C1"}),
        (Shared("parent"), {"C1"}), (Shared("parent", 300), {"C1"}),
        (Shared("byte", 300), {"C1"}), (Shared("parent", 300, block=16), {"C1"}),
        (Packed("seen"), {"B6"}),
    ],
    ids=lambda value: f"{type(value).__name__} {value.bug}" if hasattr(value, "bug") else "",
)  # fmt: skip
def test_a_bug_is_caught_by_the_law_that_names_it(model, laws):
    report = check(model, sorted(laws), examples=60, shrink=False)
    assert of(report, "broken") == laws and report.code == 1
    assert check(model, ["K1", "K3", "B2"], examples=15).code == 0


@pytest.mark.parametrize("model", [Cached("upper left"), Sloped("queries"), Ring(4, "early")])
def test_what_goes_wrong_alone_is_not_laid_to_the_requests_before(model):
    assert of(check(model, ["C1", "C12"], examples=20, shrink=False), "broken") == {"C1"}


def test_an_encoder_that_nobody_declared_is_told_so_and_one_over_the_batch_is_broken():
    report = check(Rows(), examples=8)
    assert of(report, "undeclared") == {"K1", "K3"} and not report.broken and report.code == 2
    assert "declare causal=False" in why(report, "K1") and "--no-causal" in why(report, "K1")
    assert check(Rows(), causal=False, examples=8).code == 0
    for options in ({}, {"causal": False}):
        wrong = check(Rows("batch"), examples=8, shrink=False, **options)
        assert {"B1", "K4"} <= of(wrong, "broken") and wrong.code == 1


def test_places_are_those_of_the_whole_input_and_masks_are_shown():
    told = why(check(Cached("upper left"), ["C1"]), "C1")
    assert "chunks: (1, 1)" in told and "positions that differ [row,token]: [0,1]" in told

    class Padded(Packed):
        def __call__(self, ids, mask=None):
            return super().__call__(ids, None if mask is None else np.cumsum(~mask, 1))

    told = why(check(Padded(), ["B3"]), "B3")
    assert "  mask: [[" in told and "  padded: [[" in told
