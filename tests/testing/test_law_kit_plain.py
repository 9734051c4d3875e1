"""The kit on models that are not numtx's: it passes right ones and catches planted bugs."""

from __future__ import annotations

import numpy as np
import pytest
from plain_models import Masked, Plain, Stepping, V, Windowed, function
from samples import some

from numtx.errors import SubjectError
from numtx.laws.law import LawBroken
from numtx.testing import check, run_machine, subject

MASK_LAWS = {"K6", "B1-mask", "B3", "B4-mask"}
STEP_LAWS = {"K2", "C1", "C8"}
STATE_LAWS = {"C3", "C4", "C5", "C11", "C12", "C13"}


def statuses(report):
    found = {}
    for result in report.results:
        found.setdefault(result.status, set()).add(result.law.name)
    return found


@pytest.mark.parametrize(
    ("model", "more"),
    [(Plain(), set()), (Masked(), MASK_LAWS), (Stepping(), STEP_LAWS | STATE_LAWS)],
    ids=["plain", "masked", "stepping"],
)
def test_a_right_model_passes_what_it_is_capable_of(model, more):
    report = check(model, examples=12)
    assert report.ok, [result.why for result in report.broken]
    found = statuses(report)
    basic = {"K1", "K3", "K4", "P3", "R1", "B1", "B2", "B4"}
    logits_of_the_last_token = {"K2"} if isinstance(model, Stepping) else set()
    assert found["passed"] == (basic | more) - logits_of_the_last_token
    assert found["vacuous"] == {"K5"} | logits_of_the_last_token
    assert "S3" in found["skipped"] and (more or "C1" in found["skipped"])


def test_a_mask_off_by_one_is_caught_with_the_smallest_example():
    report = check(Plain(ahead=1), examples=20)
    assert {result.law.name for result in report.broken} == {"K1", "K3"}
    (told,) = [result.why for result in report.broken if result.law.name == "K1"]
    lines = told.splitlines()
    assert lines[0] == "K1 broken: tokens after t never move outputs at or before t"
    ids = next(line for line in lines if line.startswith("  ids: "))
    assert len(eval(ids.removeprefix("  ids: "))) == 1  # shrunk to one row of two tokens
    assert len(eval(ids.removeprefix("  ids: "))[0]) == 2
    assert "  t: 0" in lines
    assert "  positions that differ [row,token]: [0,0]" in lines
    assert any(line.startswith("  expected: [") for line in lines)
    assert any(line.startswith("  got:      [") for line in lines)


@pytest.mark.parametrize(
    ("model", "law"),
    [
        (Plain(ahead=2), "K1"), (Masked("ignored"), "K6"),
        (Masked("another row"), "B1-mask"), (Masked("columns"), "B3"), (Masked("queries"), "K6"),
        (Stepping("position"), "C1"), (Stepping("upper left"), "C1"), (Stepping("fork"), "C3"),
        (Stepping("truncate"), "C4"), (Stepping("reorder"), "C5"), (Stepping("fork"), "C11"),
        (Stepping("truncate"), "C11"), (Stepping("reorder"), "C11"),
    ],
    ids=lambda value: value if isinstance(value, str) else getattr(value, "bug", ""),
)  # fmt: skip
def test_a_planted_bug_is_caught(model, law):
    (result,) = check(model, [law], examples=40, shrink=False).results
    assert result.status == "broken"


def test_a_window_is_tried_where_it_is_said():
    assert statuses(check(Windowed(3), ["K5"], reach=2))["passed"] == {"K5"}
    for window in (2, 4):  # narrower and wider than it says
        assert statuses(check(Windowed(window), ["K5"], reach=2))["broken"] == {"K5"}
    assert statuses(check(Windowed(3), ["K4"]))["undeclared"] == {"K4"}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_dead_token_is_noticed(dtype):
    def forgetful(ids):
        return Plain()(np.where(np.arange(ids.shape[1]) == 1, 0, ids)).astype(dtype)

    (result,) = check(forgetful, ["K4"], vocabulary_size=V).results
    assert result.status == "broken" and "token: 1" in result.why


def test_noise_is_noticed():
    generator = np.random.default_rng()

    def noisy(ids):
        logits = Plain()(ids)
        return logits * (1.0 + 0.1 * generator.random(logits.shape))

    assert statuses(check(noisy, ["R1"], vocabulary_size=V))["broken"] == {"R1"}


def test_a_model_that_sees_both_ways():
    def both_ways(ids):
        return Plain(ahead=100)(ids)

    found = statuses(check(both_ways, ["K1", "K3", "K4"], vocabulary_size=V, causal=False))
    assert found == {"vacuous": {"K1", "K3"}, "passed": {"K4"}}


def test_float32_has_a_tolerance_of_its_own():
    def single(ids):
        return Plain()(ids).astype(np.float32)

    assert check(single, ["K1", "K3", "B4", "B2"], vocabulary_size=V).ok


@pytest.mark.parametrize("bug", some(1, __name__, ["fork", "truncate", "reorder"]))
def test_the_state_machine_finds(bug):
    with pytest.raises(LawBroken) as caught:
        run_machine(subject(Stepping(bug)), examples=400, steps=12)
    assert "script" in str(caught.value)


def test_the_state_machine_passes_a_right_model():
    run_machine(subject(Stepping()), examples=15, steps=10)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: subject(function), "function has no vocabulary_size"),
        (lambda: subject(3, 5), "int is int; give a callable"),
        (lambda: subject(function, V, colour=1), "no option 'colour'"),
        (lambda: subject(function, True), "no vocabulary_size"),
        (lambda: check(function, ["K99"], vocabulary_size=V), "law 'K99' does not exist"),
        (lambda: run_machine(subject(Plain())), "Plain has no step"),
    ],
)
def test_misuse_is_one_line(call, message):
    with pytest.raises(SubjectError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_the_same_seed_gives_the_same_examples():
    first, second = (check(Plain(1), ["K1"], seed=3).results[0].why for _ in range(2))
    assert first == second
