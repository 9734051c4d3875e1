"""What the laws compare with: half of what is allowed is no difference, one and a half is."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from numtx.calls import _traced
from numtx.laws import law
from numtx.laws.exactness import RowIndependence
from numtx.laws.law import LawBroken, expect, moved, unmoved
from numtx.subjects.logits import Widened, eps_of

BY_TYPE = {"float64": 1e-10, "float32": 1e-4, "float16": 3e-2, "bfloat16": 0.1}


def subject(**fields: Any) -> Any:
    return SimpleNamespace(
        **{"tolerance": None, "capabilities": (), "exact": True, "roundings": None, **fields}
    )


def is_broken(who: Any, expected: Any, got: Any, **options: Any) -> bool:
    try:
        expect(who, "law", expected, got, {}, **options)
    except LawBroken:
        return True
    return False


def array(numbers: Any, dtype: str) -> Any:
    """Of a type, or widened from one that NumPy has not."""
    return (
        np.array(numbers, np.float32).view(Widened)
        if dtype == "bfloat16"
        else np.array(numbers, dtype)
    )


@pytest.mark.parametrize("dtype", BY_TYPE)
@pytest.mark.parametrize("size", [1e-3, 1.0, 50.0])
@pytest.mark.parametrize("own", [None, 1e-2])
def test_relative_to_the_largest_number(dtype: str, size: float, own: float | None) -> None:
    """In any cell; by the type where the subject says nothing of its own."""
    room = (BY_TYPE[dtype] if own is None else own) * size
    expected = array([[[size, 0.0], [0.25 * size, 0.0]]], dtype)
    for cell in ((0, 1, 1), (0, 0, 1)):
        for share in (0.5, 1.5):
            got = expected.copy()
            got[cell] += share * room
            assert is_broken(subject(tolerance=own), expected, got) == (share > 1.0)


def test_exact_is_bit_for_bit_where_subject_and_machine_are(monkeypatch: Any) -> None:
    expected = np.array([[[1.0, 2.0]]])
    got = expected * (1.0 + np.finfo(float).eps)
    for contents in (True, False):
        machine = RowIndependence(contents, contents)
        monkeypatch.setattr(law, "row_independence", lambda machine=machine: machine)
        for exact in (True, False):
            found = is_broken(subject(exact=exact), expected, got, exact=True)
            assert found == (contents and exact)
        assert not is_broken(subject(), expected, expected.copy(), exact=True)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("exact", [True, False])
def test_what_is_not_finite_is_right_beside_itself_at_most(wrong: float, exact: bool) -> None:
    expected = np.array([[[1.0, 2.0], [3.0, 4.0]]])
    other = expected.copy()
    other[0, 1, 1] = wrong
    assert is_broken(subject(), expected, other, exact=exact)
    assert is_broken(subject(), other, expected, exact=exact)
    assert is_broken(subject(), other, other.copy(), exact=exact) == np.isnan(wrong)


def test_tokens_that_count_shapes_and_the_last_tokens() -> None:
    expected = np.arange(12.0).reshape(2, 3, 2)
    got = expected.copy()
    got[1, 0] += 5.0
    real = np.ones((2, 3), bool)
    assert is_broken(subject(), expected, got, real=real)
    real[1, 0] = False
    assert not is_broken(subject(), expected, got, real=real)
    assert not is_broken(subject(), expected, got[:, 1:])
    assert is_broken(subject(), expected, got[:, :2])
    assert is_broken(subject(), expected, expected[:1])
    assert is_broken(subject(), expected, expected[..., :1])


@pytest.mark.parametrize("dtype", BY_TYPE)
def test_moved_is_by_more_than_four_roundings(dtype: str) -> None:
    before = array([[[3.0, 1.0], [2.0, 0.0]]], dtype)
    for share, found in ((0.5, False), (1.5, True)):
        after = before.copy()
        after[0, 1, 0] += share * 4.0 * eps_of(before) * 3.0
        assert moved(before, after).tolist() == [[False, found]]


@pytest.mark.parametrize("dtype", BY_TYPE)
def test_what_does_not_move_is_broken_where_the_type_has_the_digits(dtype: str) -> None:
    before, where = array([[[3.0, 1.0], [2.0, 0.0]]], dtype), np.array([[False, True]])
    try:
        assert not unmoved("law", {}, before, [before.copy()], where)
        assert dtype in ("float16", "bfloat16")
    except LawBroken:
        assert dtype in ("float64", "float32")


def test_bfloat16_is_known_after_it_was_widened() -> None:
    given = array([[[3.0, 1.0], [2.0, 0.0]]], "bfloat16")
    for part in (given, given[:, 1:], np.concatenate([given, given]), _traced(given, 1)[0]):
        assert eps_of(part) == 2.0**-7
    assert eps_of(np.arange(3)) == 0.0
