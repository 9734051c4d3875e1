from __future__ import annotations

import numpy as np
import pytest
from samples import all_leaves

from numtx.shapes import AXIS_NAMES, describe, parse, shape_of, without_leading_ones


def test_a_specification_is_parsed_into_axes():
    assert parse("btd,d(hk),(hk)->bhtk") == (
        (("b", "t", "d"), ("d", "hk"), ("hk",)),
        ("b", "h", "t", "k"),
    )
    assert parse("bt,bt->").result == ()
    assert parse("->bt").operands == ((),)


def test_shape_of_axes():
    sizes = {"b": 2, "t": 3, "h": 4, "k": 5}
    assert shape_of(("b", "t", "hk"), sizes) == (2, 3, 20)
    assert shape_of((), sizes) == ()


@pytest.mark.parametrize(
    ("shape", "keep", "expected"),
    [((1, 1, 3, 1), 0, (3, 1)), ((1, 1), 0, ()), ((1, 1, 1), 2, (1, 1)), ((2, 1), 0, (2, 1))],
)
def test_leading_ones(shape, keep, expected):
    assert without_leading_ones(shape, keep) == expected


def test_describe():
    assert describe(np.zeros((2, 3), np.float32)) == "float32 (2, 3)"
    assert describe("abc") == "str 'abc'"
    assert len(describe("x" * 500)) < 60


def test_every_letter_of_the_catalogue_is_declared():
    leaves = list(all_leaves().values())
    assert len(leaves) > 30
    for leaf in leaves:
        specification = parse(leaf.specification)
        axes = [*specification.result, *(a for axes in specification.operands for a in axes)]
        assert {letter for axis in axes for letter in axis} <= set(AXIS_NAMES), leaf.name
        assert leaf.title.zh and leaf.title.en and leaf.why.zh and leaf.why.en
