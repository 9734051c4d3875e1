"""A call that raises or gives no logits is an error with its line, and never a breach."""

from __future__ import annotations

import inspect
import json

import numpy as np
import pytest
from plain_models import D, Plain, Stepping, V

import numtx
from numtx import calls
from numtx.laws.law import KINDS
from numtx.testing import LawSuite, Subject, check


def own(function):
    function.vocabulary_size = V
    return function


def only(report):
    (result,) = report.results
    return result


@own
def two_rows_only(ids):
    return Plain()(ids) if len(ids) == 2 else Plain()(ids)[:, :, :5]


@own
def five_at_most(ids):
    if ids.shape[1] > 5:
        raise IndexError("a long\ntext")
    return Plain()(ids)


@own
def three_arguments(ids, k, v):
    return ids


@own
def leaves(ids):
    raise SystemExit(0)


def gives(change):
    return own(lambda ids: change(Plain()(ids)))


PLAIN_CALLS = [
    (gives(lambda a: a[:, -1]), "logits of shape (2, 13) for ids of shape (2, 3); they should be"),
    (gives(lambda a: 0.0 * a[:, -1]), "they should be (2, 3, 13)"),
    (gives(lambda a: a[:, :2]), "logits of shape (2, 2, 13)"),
    (gives(lambda a: a[:1]), "logits of shape (1, 3, 13)"),
    (gives(lambda a: a[..., None]), "logits of shape (2, 3, 13, 1)"),
    (gives(lambda a: a.round().astype(int)), "logits of type int64; they should be floats"),
    (gives(lambda a: a > 0), "logits of type bool"),
    (gives(lambda a: a + 0j), "logits of type complex128"),
    (gives(lambda a: np.where(a == a[0, 1, 2], np.nan, a)), "nan at [0,1,2] of logits"),
    (gives(lambda a: np.where(a == a[1, 0, 3], -np.inf, a)), "-inf at [1,0,3] of logits"),
    (gives(lambda a: None), "gave NoneType; it should be logits of shape (2, 3, 13)"),
    (gives(lambda a: [[1.0], [1.0, 2.0]]), "gave list; it should be logits"),
    (two_rows_only, "(1, 2, 5) for ids of shape (1, 2); they should be (1, 2, 13)"),
    (five_at_most, "IndexError: a long text"),
    (three_arguments, "missing 2 required positional arguments: 'k' and 'v'"),
    (leaves, "SystemExit: 0"),
]


@pytest.mark.parametrize(("model", "told"), PLAIN_CALLS, ids=[told for _, told in PLAIN_CALLS])
def test_what_a_plain_call_gives_is_one_error_and_nothing_else_is_asked(model, told):
    report = check(model, examples=2)
    result = only(report)
    assert (result.law.name, result.status, report.ok) == ("call", "error", False)
    assert not report.broken and report.errors == [result]
    assert (
        told in result.why and "  call: logits(ids [" in result.why and "\n  ids: [[" in result.why
    )
    assert report.table().endswith("0 passed, 0 broken, 1 error")
    assert json.loads(report.to_json())["results"][0]["status"] == "error"


def test_an_error_shows_the_models_own_line():
    lines = only(check(five_at_most)).why.splitlines()
    assert lines[0] == "call error: IndexError: a long text"
    assert lines[1].startswith("  line: test_law_kit_calls.py:")
    assert lines[1].endswith('raise IndexError("a long\\ntext")')
    assert lines[2] == "  call: logits(ids [1, 8])"
    assert lines[-1] == "  shorter inputs passed; longest=N says that it takes no 8 tokens"
    assert check(five_at_most, ["K1", "B2"], longest=5, examples=5).ok


def test_a_line_of_the_model_is_told_before_one_of_a_library():
    @own
    def inside_numpy(ids):
        return np.linalg.inv(np.zeros((2, 3)))

    assert ": return np.linalg.inv(np.zeros((2, 3)))" in only(check(inside_numpy)).why


class Raises(Stepping):
    """Its step fails where the cache holds three tokens."""

    def step(self, ids, state):
        if state["keys"].shape[1] == 3:
            raise ZeroDivisionError("at three")
        return super().step(ids, state)


def test_a_step_that_raises_is_an_error_of_the_law_that_called_it():
    report = check(Raises(), ["K1", "C1", "C4"], examples=60)
    found = {result.law.name: result for result in report.results}
    assert [found[name].status for name in ("K1", "C1", "C4")] == ["passed", "error", "error"]
    why = found["C1"].why
    assert why.startswith("C1 error: ZeroDivisionError: at three\n  line: test_law_kit_calls.py:")
    assert "  call: step(ids [1, 1], state)\n  ids: [[" in why
    assert "C1          error" in report.table() and not report.broken


class Gives(Stepping):
    def __init__(self, what):
        super().__init__()
        self.what = what

    def prefill(self, ids):
        return self.what(ids, *super().prefill(ids))


@pytest.mark.parametrize(
    ("what", "told"),
    [
        (lambda ids, logits, state: logits, "Gives.prefill gave ndarray; it should give (logits,"),
        (lambda ids, logits, state: (logits, state, 1), "Gives.prefill gave 3 things"),
        (lambda ids, logits, state: (logits[:, :4], state), "they should be"),
        (lambda ids, logits, state: (np.full_like(logits, np.nan), state), "should be finite"),
        (lambda ids, logits, state: (logits.astype(int), state), "of type int64"),
    ],
)
def test_a_prefill_that_gives_something_else_is_an_error(what, told):
    result = only(check(Gives(what), ["C1"], examples=5))
    assert result.status == "error" and told in result.why and "call: prefill(ids [" in result.why


def test_nothing_need_be_finite_under_padding():
    def blank(ids, mask=None):
        logits = Plain()(ids)
        return logits if mask is None else np.where(mask[..., None], logits, np.nan)

    assert check(blank, ["B4-mask"], vocabulary_size=V, examples=10).ok
    worse = only(check(lambda ids, mask=None: Plain()(ids) * (1.0 if mask is None else np.nan),
                       ["B4-mask"], vocabulary_size=V, examples=10))  # fmt: skip
    assert worse.status == "error" and "finite" in worse.why and "\n  mask: [[" in worse.why


def test_a_subject_of_ones_own_is_looked_at_too():
    class Own(Subject):
        vocabulary_size = V

        def logits(self, ids, mask=None, memory=None):
            return np.zeros((len(ids), D))

    result = only(check(Own()))
    assert result.law.name == "call" and "they should be (2, 3, 13)" in result.why


def test_a_suite_fails_with_the_error_and_knows_it_for_no_breach():
    class Suite(LawSuite):
        subject = five_at_most
        known_failures = {"K1": "why"}  # noqa: RUF012

    class Later(Suite):
        subject = Raises()
        known_failures = {"C1": "why"}  # noqa: RUF012

    with pytest.raises(AssertionError, match="call error: IndexError"):
        Suite().test_law("K1")
    with pytest.raises(AssertionError, match="C1 error: ZeroDivisionError"):
        Later().test_law("C1")


def test_no_line_of_a_law_is_taken_for_the_models_own():
    for table in KINDS.values():
        for law in table.values():
            assert inspect.getfile(law.run).startswith(calls._KIT), law.name
    assert not inspect.getfile(numtx.forward).startswith(calls._KIT)
