"""R2: ways of one model to compute: declared by name, as functions, and read off its arguments."""

from __future__ import annotations

import numpy as np
import pytest
from plain_models import EMBEDDING, PLACES, V, attention

from numtx.cli import main
from numtx.errors import SubjectError
from numtx.testing import check, subject


class Ways:
    """Attention that can be run in float32, without its mask by mistake, or with weights."""

    vocabulary_size = V

    def __call__(self, ids, mask=None):
        return self.run(ids, mask)

    def run(self, ids, mask=None, dtype=float):
        real = np.ones(ids.shape, bool) if mask is None else mask
        places = np.maximum(np.cumsum(real, 1) - 1, 0)
        seen = real[:, None] & np.tri(ids.shape[1], dtype=bool)
        return attention((EMBEDDING[ids] + PLACES[places]).astype(dtype), seen).astype(dtype)

    def single(self, ids, mask=None):
        return self.run(ids, mask, np.float32)

    def all_seen(self, ids):
        x = EMBEDDING[ids] + PLACES[: ids.shape[1]]
        return attention(x, np.ones((ids.shape[1],) * 2, bool))

    def unpadded(self, ids, mask=None):
        return self.run(ids)

    def by_hand(self, ids):
        return self.run(ids)


class Weighing(Ways):
    """Returned weights: beside logits that are right, or that have seen what comes."""

    def __init__(self, wrong):
        self.wrong = wrong

    def __call__(self, ids, mask=None, return_weights=False):
        if not return_weights:
            return self.run(ids, mask)
        return (self.all_seen(ids) if self.wrong else self.run(ids, mask)), "weights"


def only(model, **options):
    (result,) = check(model, ["R2"], examples=20, shrink=False, **options).results
    return result


@pytest.mark.parametrize(
    "paths", ["single", "single,by_hand", ("single", "by_hand"), {"half": Ways().single}]
)
def test_ways_that_agree_pass_within_the_lower_type(paths):
    assert only(Ways(), paths=paths).status == "passed"
    declared = Ways()
    declared.paths = paths
    assert only(declared).status == "passed"


@pytest.mark.parametrize("path", ["all_seen", "unpadded"])
def test_a_way_that_differs_is_broken_and_named(path):
    result = only(Ways(), paths=("single", path))
    assert result.status == "broken" and f"path: {path}" in result.why
    assert f"{path} gives other logits" in result.why
    assert ("mask: [[" in result.why) == (path == "unpadded")


def test_a_difference_that_its_type_does_not_allow_is_broken():
    def noisy(ids, mask=None):
        return Ways().single(ids, mask) * np.float32(1.001)

    assert only(Ways(), paths={"noisy": noisy}).status == "broken"
    assert only(Ways(), paths={"noisy": noisy}, tolerance=0.01).status == "passed"


def test_returned_weights_are_a_way_without_a_word():
    assert only(Weighing(wrong=False)).status == "passed"
    result = only(Weighing(wrong=True))
    assert result.status == "broken" and "path: return_weights=True" in result.why


def test_a_model_of_one_way_is_not_asked():
    assert only(Ways()).why == "skipped: no paths"


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        ("fused", "paths: Ways has no method 'fused'"),
        ({"fused": 3}, "paths is .*; it should be names of its methods, or functions by name"),
        (4, "paths is 4; it should be names of its methods"),
        ("single,,", None),
    ],
)
def test_paths_that_are_none_are_an_error(paths, message):
    if message is None:
        assert set(subject(Ways(), paths=paths).paths) == {"single"}
        return
    with pytest.raises(SubjectError, match=message) as caught:
        subject(Ways(), paths=paths)
    assert "\n" not in str(caught.value)


def test_the_option_says_the_same(tmp_path, monkeypatch, capsys):
    (tmp_path / "ways.py").write_text("from test_law_kit_paths import Ways\nmodel = Ways()\n")
    monkeypatch.chdir(tmp_path)
    asked = ["laws", "./ways.py:model", "--law", "R2", "--examples", "20"]
    assert main([*asked, "--paths", "single"]) == 0
    assert main([*asked, "--paths", "single,all_seen"]) == 1
    assert "path: all_seen" in capsys.readouterr().out
