"""What an attention operator says of itself, what is read off it, and what is said of the rest."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from numtx.cli import main
from numtx.errors import SubjectError
from numtx.operators.attention import attention, rounded
from numtx.testing import check, subject
from numtx.testing.trial import BROKEN, PASSED


def attend(q, k, v, lower_right=None, *, cap=None, window=None, nothing=0.0, scale=None):
    """[B, T, H, d]: the axes in another order; causal where a corner is given."""
    queries, keys = q.shape[1], k.shape[1]
    scores = np.einsum("bthd,bshd->bhts", q, k) * (q.shape[-1] ** -0.5 if scale is None else scale)
    if cap is not None:
        scores = cap * np.tanh(scores / cap)
    if lower_right is not None:
        offset = keys - queries if lower_right else 0
        seen = np.tri(queries, keys, offset, dtype=bool)
        if window is not None:
            seen &= ~np.tri(queries, keys, offset - window, dtype=bool)
        scores = np.where(seen, scores, -np.inf)
    top = np.maximum(scores.max(-1, keepdims=True), -1e4)
    powers = np.exp(scores - top)
    total = powers.sum(-1, keepdims=True)
    weights = np.where(total > 0, powers / np.where(total > 0, total, 1), nothing)
    return np.einsum("bhts,bshd->bthd", weights, v).astype(q.dtype)


def right(q, k, v):
    return attend(q, k, v, True)


def upper_left(q, k, v):
    return attend(q, k, v, False)


def both_ways(q, k, v):
    return attend(q, k, v)


def one_head(query, key, value):
    return attend(*(x[None, :, None] for x in (query, key, value)))[0, :, 0]


def in_float32(q, k, v):
    return both_ways(*(x.astype(np.float32) for x in (q, k, v))).astype(q.dtype)


def in_float16(q, k, v):
    return both_ways(*(x.astype(np.float16) for x in (q, k, v))).astype(q.dtype)


INNOCENT = [
    (right, {}, "layout='bthd', causal=True"),
    (both_ways, {}, "layout='bthd'"),
    (one_head, {}, "layout='td'"),
    (upper_left, {"causal": "upper left"}, "layout='bthd'"),
    (in_float32, {}, "float64 is computed as exactly as float32"),
    (in_float16, {"dtypes": "float32"}, "float32 is computed as exactly as float16"),
    (lambda q, k, v: attend(q, k, v, True, cap=2.0), {"softcap": 2.0, "causal": True}, "bthd"),
    (lambda q, k, v: attend(q, k, v, True, window=3), {"window": 3, "causal": True}, "bthd"),
    (lambda q, k, v: attend(q, k, v, scale=0.25), {"scale": 0.25}, "bthd"),
    (
        lambda q, k, v: attend(q, k, v, True, nothing=np.nan),
        {"empty": "nan", "causal": True, "layout": "bthd"},
        "",
    ),
]


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.heavy) for seed in (1, 2))]
)
@pytest.mark.parametrize(("function", "declared", "note"), INNOCENT)
def test_who_is_right_is_not_accused(function, declared, note, seed):
    report = check(function, seed=seed, examples=8, **declared)
    assert report.ok, report.broken or report.errors
    assert note in " ".join(report.notes)
    assert sum(result.status == PASSED for result in report.results) >= 3


GUILTY = [
    (upper_left, {}, "A2", "aligned upper left"),
    (right, {"causal": "upper left", "layout": "bthd"}, "A2", "aligned lower right"),
    (lambda q, k, v: attend(q, k, v, scale=1.0), {"layout": "bthd"}, "A1", "no scale"),
    (lambda q, k, v: attend(q, k, v, True, window=4), {"window": 3, "causal": True,
     "layout": "bthd"}, "A1", "one key more"),
    (lambda q, k, v: attend(q, k, v, True, nothing=0.5), {"causal": True, "layout": "bthd"},
     "A4", "empty="),
    (lambda q, k, v: attend(q, k, v, True), {"causal": True, "layout": "bthd", "empty": "nan"},
     "A4", "empty='nan'"),
]  # fmt: skip


@pytest.mark.parametrize(("function", "declared", "law", "words"), GUILTY)
def test_who_is_wrong_is_told(function, declared, law, words):
    report = check(function, [law], examples=40, **declared)
    assert [result.status for result in report.results] == [BROKEN]
    assert words in report.results[0].why


def plain(q, k, v, is_causal=False, mask=None):
    return q


WRONG = [
    ({"colour": 1}, "an attention operator has no option 'colour'"),
    ({"causal": "left"}, "causal is 'left'; it should be True or False or 'lower right' or"),
    ({"layout": "bhd"}, "layout is 'bhd'; it should be the letters of bhtd"),
    ({"window": 0}, "window is 0; it should be a whole number of at least 1"),
    ({"softcap": -1.0}, "softcap is -1.0; it should be a number above 0"),
    ({"dtypes": "int8"}, "dtypes is 'int8'; it should be some of float64, float32"),
    ({"lse": "bhx"}, "lse is 'bhx'; it should be True, or its axes"),
    ({"names": {"masks": "mask"}}, "it should be the operator's own names by causal, mask"),
    ({"widths": 0}, "widths is 0; it should be"),
]


@pytest.mark.parametrize(("declared", "told"), WRONG)
def test_a_wrong_declaration_is_one_line(declared, told):
    with pytest.raises(SubjectError, match=re.escape(told)) as caught:
        attention(plain, **declared)
    assert "\n" not in str(caught.value)


def test_what_is_an_argument_is_not_declared():
    def windowed(q, k, v, window=None):
        return q

    with pytest.raises(SubjectError, match="windowed takes window: it is not declared"):
        attention(windowed, window=3)
    with pytest.raises(SubjectError, match="int is no function"):
        attention(4)


def test_an_argument_under_another_name_is_told():
    found = attention(plain)
    assert "argument is_causal: never given; names={'causal': 'is_causal'}" in found.notes[0]
    assert "causal" in attention(plain, names={"causal": "is_causal"}).takes


def test_what_it_is_is_read_off_its_kind_or_its_arguments():
    class Own:
        kind = "attention"
        causal = True
        layout = "bthd"

        def __call__(self, q, k, v):
            return attend(q, k, v, True)

    assert subject(Own()).kind == "attention" and subject(Own()).always_causal
    assert subject(right).kind == "attention"

    def logits(ids):
        return ids

    logits.vocabulary_size = 4
    assert subject(logits).kind == "logits"


def test_errors_say_the_call():
    def raises(q, k, v):
        raise KeyError("no such thing")

    def ids(q, k, v):
        return q.astype(int)

    def short(q, k, v):
        return q[:, :, :1]

    for function, told in (
        (raises, "KeyError: 'no such thing'"),
        (ids, "gave an output of int64 of shape (2, 4, 3, 4); it should be floats of shape"),
        (short, "it should be floats of shape (2, 4, 3, 4) (b, h, t, d; layout= says"),
    ):
        report = check(function, layout="bhtd")
        assert [result.law.name for result in report.results] == ["call"]
        assert told in report.results[0].why and "attend(q [2, 4, 3, 4]" in report.results[0].why


def test_no_lse_beside_the_output():
    report = check(both_ways, lse=True, layout="bthd")
    assert "gave no lse beside the output" in report.results[0].why


def test_the_command_line(tmp_path, capsys):
    (tmp_path / "own_attention_file.py").write_text(
        "import numpy as np\n"
        "def right(q, k, v):\n"
        "    s = np.einsum('bhtd,bhsd->bhts', q, k) * q.dtype.type(q.shape[-1] ** -0.5)\n"
        "    w = np.exp(s - s.max(-1, keepdims=True))\n"
        "    return np.einsum('bhts,bhsd->bhtd', w / w.sum(-1, keepdims=True), v)\n"
        "def wrong(q, k, v):\n"
        "    return right(2 * q, k, v)\n"
    )
    file = tmp_path / "own_attention_file.py"
    seen = ["--examples", "10", "--json", str(tmp_path / "found.json")]
    assert main(["laws", f"{file}:right", *seen]) == 0
    found = json.loads((tmp_path / "found.json").read_text())
    assert {one["law"][0] for one in found["results"]} == {"A"}
    capsys.readouterr()
    assert main(["laws", f"{file}:wrong", "--law", "A1", *seen]) == 1
    assert "A1 broken" in capsys.readouterr().out
    assert main(["laws", "--list"]) == 0
    assert "A16-grouped" in capsys.readouterr().out


def test_rounding_to_bfloat16():
    assert rounded(np.array([1.0, 1.00390625, 1.01171875, -3.0]), "bfloat16").tolist() == [
        1.0, 1.0, 1.015625, -3.0,
    ]  # fmt: skip
