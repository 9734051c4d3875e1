"""Errors, what they suggest, and the names of the package."""

from __future__ import annotations

import pytest

import numtx
from numtx.errors import NumtxError, nearest


def test_errors_are_one_family():
    family = [
        value
        for value in vars(numtx.errors).values()
        if isinstance(value, type) and issubclass(value, Exception)
    ]
    assert len(family) >= 10
    assert all(issubclass(kind, NumtxError) and kind.__doc__ for kind in family)
    assert issubclass(NumtxError, ValueError)


def test_nearest():
    assert nearest("widht", ["width", "heads"]) == "did you mean 'width'?"
    assert nearest("qqq", ["width", "heads"]) == "known: width, heads"
    assert nearest("qqq", map(str, range(20))).endswith("11, ...")


def test_the_face_is_lazy_and_complete():
    assert set(numtx.__all__) == set(dir(numtx))
    for name in numtx.__all__:
        assert getattr(numtx, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'forwards'"):
        _ = numtx.forwards
