"""Rounding, undeclared, an answer that changes: a right model is not accused, a wrong one is."""

from __future__ import annotations

import numpy as np
import pytest
from field_models import Cached, Experts, Leaking, Rows, V
from plain_models import Masked, Plain, Stepping, Windowed

from numtx.errors import SubjectError
from numtx.laws.hidden import grows
from numtx.laws.law import LAWS
from numtx.testing import LawSuite, check, subject

TYPES = [np.float32, np.float64]


def only(report):
    (result,) = report.results
    return result


@pytest.mark.parametrize("dtype", TYPES)
def test_a_few_roundings_are_no_breach_and_the_figure_is_told(dtype):
    report = check(Experts(dtype), ["K1", "K3", "B1"], examples=30)
    assert [result.status for result in report.results] == ["rounding", "passed", "passed"]
    assert report.ok and report.code == 0
    assert " at most, " in report.results[0].why and " eps of the largest logit" in report.table()


@pytest.mark.parametrize(("dtype", "hidden"), [(np.float32, -16.0), (np.float64, -36.0)])
def test_a_leak_as_small_as_rounding_is_told_by_its_growth(dtype, hidden):
    result = only(check(Leaking(hidden, dtype), ["K1"], examples=30))
    assert result.status == "broken" and "grows with what should be hidden" in result.why
    result = only(check(Leaking(hidden, dtype, padding=True), ["K6"], examples=30))
    assert result.status == "broken"


@pytest.mark.parametrize("dtype", TYPES)
def test_a_leak_of_more_than_rounding_is_broken_with_its_example(dtype):
    result = only(check(Leaking(-5.0, dtype), ["K1"], examples=30))
    assert result.status == "broken" and "allowed 0" in result.why and "  t: " in result.why
    assert only(check(Leaking(-np.inf, dtype), ["K1"], examples=30)).status == "passed"


def test_roundings_do_not_grow_and_leaks_do():
    hidden = LAWS["K1"].hidden
    assert grows(subject(Experts(np.float32), longest=40), hidden) is None
    assert grows(subject(Plain()), hidden) is None
    one, many = grows(subject(Leaking(-16.0, np.float32), longest=40), hidden)
    assert many > 4 * one


def test_nothing_is_rounding_where_the_law_is_numtx_own_or_within_a_tolerance():
    class Off(Stepping):
        def step(self, ids, state):
            logits, state = super().step(ids, state)
            return logits * (1 + 1e-15 * (int(ids.sum()) % 5)), state

    assert "rounding" not in {result.status for result in check(Off(), examples=10).results}


class Both(Windowed):
    """A window to both sides."""

    def __call__(self, ids):
        from plain_models import EMBEDDING, PLACES, attention

        away = np.abs(np.arange(ids.shape[1])[:, None] - np.arange(ids.shape[1]))
        return attention(EMBEDDING[ids] + PLACES[: ids.shape[1]], away < self.window)


@pytest.mark.parametrize(
    ("model", "laws", "said"),
    [
        (Rows(), "K1 K3", {"causal": False}),
        (Windowed(4), "K4", {"reach": 3}),
        (Both(4), "K1 K3 K4", {"causal": False, "reach": 3}),
    ],
)
def test_what_a_declaration_explains_is_told_which_and_holds_with_it(model, laws, said):
    report = check(model, ["K1", "K3", "K4", "K5", "P3", "B2"], examples=10)
    assert {result.law.name for result in report.undeclared} == set(laws.split())
    assert report.code == 2 and not report.broken
    for name, value in said.items():
        assert f"{name}={value}" in report.undeclared[0].why
    assert check(model, ["K1", "K3", "K4", "K5", "P3", "B2"], examples=10, **said).code == 0


@pytest.mark.parametrize("ahead", [1, 2, 5])
def test_a_mask_that_is_off_is_explained_by_nothing(ahead):
    assert only(check(Plain(ahead), ["K1"], examples=30)).status == "broken"


def test_what_says_that_it_is_causal_is_held_to_it():
    class BagForCausalLM(Rows): ...

    class Steps(Cached):
        def __call__(self, ids):
            return Rows()(ids)

    for model in (BagForCausalLM(), Steps()):
        assert only(check(model, ["K1"], examples=10)).status == "broken"
    assert only(check(Rows(), ["K1"], examples=10, causal=True)).status == "broken"


def test_a_window_with_another_bug_is_not_explained():
    class Blind(Windowed):
        def __call__(self, ids):
            return super().__call__(np.where(np.arange(ids.shape[1]) == 1, 0, ids))

    assert only(check(Blind(4), ["K4"], examples=30)).status == "broken"


def test_whether_it_answers_twice_alike_is_asked_first_and_nothing_else_then():
    chance = np.random.default_rng(0)

    def noisy(ids):
        return Plain()(ids) * (1.0 + 0.1 * chance.random((*ids.shape, 1)))

    report = check(noisy, vocabulary_size=V)
    assert only(report).law.name == "R1" and report.code == 1
    assert "nothing else is asked" in only(report).why

    class Suite(LawSuite):
        subject = subject(noisy, V)
        laws = ("K1",)

    with pytest.raises(AssertionError, match="R1 broken"):
        Suite().test_law("K1")


class Fixed(Cached):
    """A cache of `rows` rows; where `all_calls`, no call takes another number of them."""

    def __init__(self, rows, all_calls=False):
        super().__init__()
        self.rows, self.all_calls = rows, all_calls

    def __call__(self, ids):
        if self.all_calls:
            assert len(ids) == self.rows, "rows"
        return Cached().prefill(ids)[0]

    def prefill(self, ids):
        assert len(ids) == self.rows, "rows"
        return super().prefill(ids)

    def fork(self, state):
        return state

    def reorder(self, state, index):
        assert len(index) == self.rows, "rows"
        return tuple(array[list(index)] for array in state)


@pytest.mark.parametrize(
    ("rows", "all_calls"),
    [
        (1, True),
        (3, False),
        *(pytest.param(*pair, marks=pytest.mark.heavy) for pair in ((1, False), (3, True))),
    ],
)
def test_fixed_rows_are_explained_and_tried_where_they_are_declared(rows, all_calls):
    report = check(Fixed(rows, all_calls), examples=5, shrink=False)
    assert report.code == 2 and report.undeclared and not report.broken + report.errors
    assert all(f"fixed_rows={rows}" in result.why for result in report.undeclared)
    told = check(Fixed(rows, all_calls), examples=5, fixed_rows=rows)
    passed = {result.law.name for result in told.results if result.status == "passed"}
    assert told.code == 0 and {"C1", "C11", "K2"} | ({"C5"} if rows > 1 else set()) <= passed
    wrong = Fixed(rows, all_calls)
    wrong.bug = "upper left"
    found = check(wrong, ["C1"], examples=15, shrink=False, fixed_rows=rows)
    assert only(found).status == "broken"


class Stuck(Stepping):
    """A cache that nothing can be taken away from; it says so, or just raises."""

    def __init__(self, error):
        super().__init__()
        self.error = error

    def truncate(self, state, lengths):
        raise self.error("it holds what it holds")


def test_a_cut_that_is_refused_is_not_asked_and_one_that_raises_is_explained():
    refused = check(Stuck(NotImplementedError), ["C4", "C11"], examples=20)
    assert [result.status for result in refused.results] == ["vacuous", "passed"]
    assert "truncate is refused: it holds what it holds" in refused.table()
    raised = check(Stuck(ValueError), ["C4", "C11"], examples=20)
    assert {result.status for result in raised.results} == {"undeclared"} and raised.code == 2
    assert "rollback=False" in raised.results[0].why and "--no-rollback" in raised.results[0].why
    told = check(Stuck(ValueError), ["C4", "C11"], examples=20, rollback=False)
    assert [result.status for result in told.results] == ["skipped", "passed"]


class Sides(Masked):
    """Padding on its sides only: what stands between tokens is taken for a token."""

    def __call__(self, ids, mask=None):
        mask = np.ones(ids.shape, bool) if mask is None else mask
        filled = np.maximum.accumulate(mask, 1) & np.maximum.accumulate(mask[:, ::-1], 1)[:, ::-1]
        return super().__call__(ids, filled)


def test_padding_that_is_not_taken_is_explained_or_declared():
    report = check(Sides(), ["K6", "B3"], examples=20, shrink=False)
    assert [result.status for result in report.results] == ["undeclared", "passed"]
    assert "paddings=('left', 'right')" in report.results[0].why
    assert "--paddings left,right" in report.results[0].why
    assert check(Sides(), ["K6", "B3"], examples=20, paddings="left,right").code == 0
    assert only(check(Masked("ignored"), ["K6"], shrink=False)).status == "broken"
    right_only = check(Masked("columns"), ["B3"], examples=20, paddings="right")
    assert only(right_only).status == "passed"
    none = check(Masked("columns"), ["B3", "K1"], examples=20, paddings="none")
    assert [result.status for result in none.results] == ["skipped", "passed"]


class Counted(Masked):
    """A window that counts columns, or real tokens."""

    def __init__(self, by):
        super().__init__()
        self.by = by

    def __call__(self, ids, mask=None):
        from plain_models import EMBEDDING, PLACES, attention

        mask = np.ones(ids.shape, bool) if mask is None else mask
        tokens = np.maximum(np.cumsum(mask, 1) - 1, 0)
        columns = np.arange(ids.shape[1])[None].repeat(len(ids), 0)
        places = tokens if self.by == "tokens" else columns
        away = places[:, :, None] - places[:, None]
        causal = np.tri(ids.shape[1], dtype=bool)
        return attention(EMBEDDING[ids] + PLACES[tokens], mask[:, None] & causal & (away < 3))


@pytest.mark.parametrize("by", ["tokens", "columns"])
def test_what_a_reach_counts_is_asked_where_it_is_said(by):
    laws = ["K5", "K6", "B3"]
    assert check(Counted(by), laws, reach=2, reach_by=by, examples=20).code == 0
    assert check(Counted(by), laws, reach=2, examples=20).code == 0
    if by == "tokens":  # it reaches farther than so many columns
        report = check(Counted(by), laws, reach=2, reach_by="columns", examples=25, shrink=False)
        assert {result.law.name for result in report.broken} == {"K5"}


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("reach_by", "rows", "'columns' or 'tokens'"), ("paddings", "top", "left, right, holes"),
        ("paddings", 3, "left, right, holes"), ("fixed_rows", 0, "at least 1"),
        ("rollback", "no", "True or False"), ("documents", 1, "True or False"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_an_error(name, value, told):
    with pytest.raises(SubjectError, match=f"{name} is .*{told}"):
        subject(Plain(), **{name: value})


class Familiar(Cached):
    """Arguments by the names of a known package."""

    prefill = step = None

    def __init__(self, bug="", gives=True):
        super().__init__(bug)
        self.gives = gives

    def __call__(self, ids, attention_mask=None, past_key_values=None, position_ids=None):
        past = past_key_values or (np.zeros((len(ids), 0, 8)),) * 3
        columns = past[0].shape[1] + ids.shape[1]
        real = np.ones((len(ids), columns), bool)
        if attention_mask is not None:
            assert attention_mask.dtype == np.int64 and attention_mask.shape == real.shape
            real = attention_mask == 1
        from field_models import PLACES, W_K, W_O, W_Q, W_V, attend
        from plain_models import EMBEDDING

        at = (
            np.arange(columns - ids.shape[1], columns)[None]
            if position_ids is None
            else position_ids
        )
        x = EMBEDDING[ids] + PLACES[at if self.bug != "position" else at - at[:, :1]]
        k, v = (np.concatenate([a, x @ w], 1) for a, w in zip(past, (W_K, W_V), strict=False))
        seen = np.tri(ids.shape[1], columns, columns - ids.shape[1], dtype=bool)
        y = attend(x @ W_Q, k, v, seen & real[:, None])
        logits = (x + y) @ W_O[:V].T
        return (logits, (k, v)) if self.gives else logits


def test_a_mask_and_a_past_by_their_known_names_are_taken():
    own = subject(Familiar())
    assert {"mask", "step", "step with mask", "fork"} <= own.capabilities
    report = check(Familiar(), examples=10)
    assert report.code == 0, report.broken + report.errors + report.undeclared
    assert {"C1", "C2", "C11", "K6", "B3"} <= {
        result.law.name for result in report.results if result.status == "passed"
    }
    assert only(check(Familiar("position"), ["C1"], shrink=False)).status == "broken"


def test_a_past_that_is_never_given_back_is_none_and_is_told():
    report = check(Familiar(gives=False), ["C1", "K1"], examples=10)
    assert [result.status for result in report.results] == ["skipped", "passed"]
    (note,) = report.notes
    assert note.startswith("argument past_key_values: not asked; Familiar gave no past_key_values")


def test_the_report_is_short():
    lines = check(Plain(), examples=5).table().splitlines()
    assert len(lines) == 12 and lines[-3].startswith("vacuous: K5")
    assert lines[-2].startswith("not asked: K2 K6") and "with a mask, prefill and step" in lines[-2]
    assert lines[-1].startswith("8 passed, 0 broken, ") and lines[-1].endswith(" 1 vacuous")
