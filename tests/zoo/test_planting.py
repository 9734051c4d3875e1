from __future__ import annotations

import os
import sys

import pytest

import numtx.errors

from .planting import Child, PlantingError, changed, planted

PERHAPS = ("errors", "did you mean", "perhaps")


# What the children are asked to do.


def hint(word: str) -> str:
    return numtx.errors.nearest(word, ["width"])


def norm_is_twice() -> list[bool]:
    """Whether a change is there for whoever imports the function."""
    import numpy as np

    import numtx.ops.norm
    import numtx.place

    same = numtx.place.norm_forward is numtx.ops.norm.norm_forward
    rows = np.array([[1.0, 3.0], [1.0, 3.0]])
    root = numtx.place.norm_forward(rows, np.ones(2), None, 0.0, True)[0]
    return [same, root.tolist() == [[-2.0, 2.0]] * 2]


def fail() -> None:
    print("no answer")
    raise ZeroDivisionError("on purpose")


def die() -> None:
    os._exit(7)


def test_a_child_is_changed_and_this_process_is_not():
    changes = [PERHAPS, ("errors", "n=1)", "n=2)")]
    assert planted(changes, "zoo.test_planting:hint", "widht") == "perhaps 'width'?"
    assert (
        hint("widht") == planted([], "zoo.test_planting:hint", "widht") == "did you mean 'width'?"
    )


def test_a_change_reaches_every_module():
    change = ("ops.norm", "normal = x * inverse", "normal = 2.0 * x * inverse")
    assert planted([change], "zoo.test_planting:norm_is_twice") == [True, True]
    assert planted([], "zoo.test_planting:norm_is_twice") == [True, False]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("ops.norm", "no such text", ""), "'no such text' occurs 0 times"),
        (("ops.norm", "width", ""), "exactly once"),
        (("ops.missing", "a", "b"), "no such module"),
    ],
)
def test_a_change_that_does_not_hit_one_place_is_an_error(change, message):
    for plant in (lambda: changed([change]), lambda: planted([change], "zoo.test_planting:die")):
        with pytest.raises(PlantingError, match=message) as caught:
            plant()
        assert "\n" not in str(caught.value)


def test_what_a_child_raises_is_no_answer():
    with pytest.raises(PlantingError, match="ZeroDivisionError: on purpose"):
        planted([], "zoo.test_planting:fail")
    with pytest.raises(PlantingError, match="the child ended with status"):
        planted([], "zoo.test_planting:die")
    assert planted([], "zoo.test_planting:hint", "widht")  # the next one is none the worse


def test_a_bug_is_planted_before_numtx_is_imported():
    assert "numtx" in sys.modules
    with pytest.raises(PlantingError, match="before the package is imported"):
        Child([PERHAPS], "zoo.test_planting:hint", "widht").answer()
