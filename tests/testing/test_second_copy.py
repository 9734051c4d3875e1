from __future__ import annotations

import ast
import sys

import pytest

import numtx.errors
import numtx.ops.norm
from numtx.errors import SubstitutionError
from numtx.testing.second_copy import second_copy


def test_a_copy_is_changed_and_the_package_is_not():
    with second_copy([("errors", "n=1)", "n=2)"), ("errors", "did you mean", "perhaps")]) as copy:
        hint = copy.module("errors").nearest("widht", ["width"])
        assert copy.module("errors").NumtxError is not numtx.errors.NumtxError
    assert hint == "perhaps 'width'?"
    assert numtx.errors.nearest("widht", ["width"]) == "did you mean 'width'?"


def test_a_change_reaches_every_module_of_the_copy():
    change = ("ops.norm", "normal = x * inverse", "normal = 2.0 * x * inverse")
    with second_copy([change]) as copy:
        place = copy.module("place")
        assert place.norm_forward.__module__ == f"{copy.name}.ops.norm"
        assert place.norm_forward is copy.module("ops.norm").norm_forward
        assert place.norm_forward is not numtx.ops.norm.norm_forward


def test_modules_load_when_they_are_asked_for_and_are_gone_afterwards():
    with second_copy() as copy:
        root = copy.module()
        assert root.__version__ == numtx.__version__
        assert f"{copy.name}.model" not in sys.modules
        assert root.forward.__module__ == f"{copy.name}.model"
        assert f"{copy.name}.model" in sys.modules
    assert not [name for name in sys.modules if name.startswith(copy.name)]
    with pytest.raises(ModuleNotFoundError):
        copy.module("errors")


def test_a_copy_that_fails_is_gone_too():
    with pytest.raises(ZeroDivisionError), second_copy() as copy:
        copy.module("errors")
        raise ZeroDivisionError
    assert copy.name not in sys.modules


def test_two_copies_live_side_by_side():
    change = ("errors", "did you mean", "perhaps")
    with second_copy([change]) as one, second_copy() as other:
        assert one.module("errors") is not other.module("errors")
        assert other.module("errors").nearest("a", ["ab"]) != one.module("errors").nearest(
            "a", ["ab"]
        )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("ops.norm", "no such text", ""), "'no such text' occurs 0 times"),
        (("ops.norm", "width", ""), "exactly once"),
        (("ops.missing", "a", "b"), "no such module"),
    ],
)
def test_a_change_that_does_not_hit_one_place_is_an_error(change, message):
    with pytest.raises(SubstitutionError, match=message) as caught, second_copy([change]):
        pass
    assert "\n" not in str(caught.value)


def test_a_transform_sees_every_source_and_says_what_runs():
    seen = []

    def transform(module: str, source: str) -> str:
        seen.append(module)
        tree = ast.parse(source)
        if module == "errors":
            tree.body.append(ast.parse("PLANTED = 7").body[0])
        return ast.unparse(tree)

    with second_copy(transform=transform) as copy:
        assert copy.module("errors").PLANTED == 7
        copy.module("ops.norm")
    assert seen == ["", "errors", "ops", "ops.norm", "shapes", "small_repr"]
