"""The ledger: its verdicts are the expected ones, follow from the data, and can be otherwise."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from numtx import load_example
from numtx.errors import ExampleError
from numtx.examples.ledger.ledger import ROWS, row_of, rows_of
from numtx.examples.ledger.rows import Result, changes, run, summary
from numtx.examples.ledger.verdicts import (
    VERDICTS,
    Claim,
    Figures,
    Given,
    Illustration,
    Possible,
    Same,
    rounding_of,
)

EXPECTED = json.loads(
    (Path(__file__).parent / "expected_verdicts.json").read_text(encoding="utf-8")
)
RESULTS = {result.row.id: result for result in run(ROWS)}


def test_every_verdict_is_the_expected_one() -> None:
    assert changes(RESULTS.values(), EXPECTED) == []


def test_two_hundred_rows_or_more_and_none_open() -> None:
    assert len(ROWS) >= 200
    assert len(RESULTS) == len(ROWS), "an id stands twice"
    assert {result.outcome.verdict for result in RESULTS.values()} == set(VERDICTS) - {"open"}


def test_what_a_row_says_is_one_line() -> None:
    for result in RESULTS.values():
        for text in result.to_dict().values():
            assert (text and "\n" not in text) or text == ""
        assert result.outcome.verdict == "reproduced" or result.reason, result.row.id


def test_stages_behind_a_row_exist() -> None:
    for row in ROWS:
        if row.stages:
            name, *stages = row.stages
            trace = row.trace() if row.trace else load_example(name).trace(gradients=False)
            assert stages and all(stage in trace for stage in stages), row.id


# Changing what is stated changes the verdict, row by row.


def _verdict(judge: Any, **changed: Any) -> str:
    verdict: str = dataclasses.replace(judge, **changed).judge().verdict
    return verdict


def _of(kind: type) -> list[Any]:
    return [pytest.param(row, id=row.id) for row in ROWS if isinstance(row.judge, kind)]


@pytest.mark.parametrize("row", _of(Figures))
def test_other_figures_give_another_verdict(row: Any) -> None:
    judge, verdict = row.judge, RESULTS[row.id].outcome.verdict
    computed = np.asarray(judge.compute(), float)
    if verdict == "contradicted":
        assert _verdict(judge, stated=computed.round(judge.decimals)) == "reproduced"
    else:
        moved = np.array(judge.stated, float)
        moved.flat[-1] += 3 * 10.0**-judge.decimals
        assert _verdict(judge, stated=moved) == "contradicted"


@pytest.mark.parametrize("row", _of(Same))
def test_other_data_give_another_verdict(row: Any) -> None:
    if RESULTS[row.id].outcome.verdict == "contradicted":
        assert _verdict(row.judge, stated=row.judge.compute()) == "reproduced"
    else:
        assert _verdict(row.judge, stated="something else") == "contradicted"


@pytest.mark.parametrize("row", _of(Claim))
def test_the_opposite_claim_gives_another_verdict(row: Any) -> None:
    if RESULTS[row.id].outcome.verdict == "contradicted":
        assert _verdict(row.judge, stated=row.judge.run()[0]) == "reproduced"
    else:
        assert _verdict(row.judge, stated="something else") == "contradicted"


@pytest.mark.parametrize("row", [p for p in _of(Given) if p.values[0].judge.taken is not None])  # type: ignore[attr-defined]
def test_an_input_that_is_not_taken_over_is_seen(row: Any) -> None:
    assert _verdict(row.judge, stated="something else") == "contradicted"


@pytest.mark.parametrize("row", _of(Illustration))
def test_each_illustration_has_a_witness_that_runs_or_an_argument_that_holds(row: Any) -> None:
    judge, outcome = row.judge, RESULTS[row.id].outcome
    stated, half = np.array(judge.stated, float), 0.5 * 10.0**-judge.decimals
    if outcome.verdict == "attainable":
        assert all(argument(stated, half) is None for argument in judge.arguments)
        got = np.asarray(judge.witness(stated), float)
        assert np.abs(got - stated).max() <= half + 1e-9
        moved = stated.copy()
        moved.flat[0] += 1.5  # no probability, no weight, and past the reach of the rest
        assert _verdict(judge, stated=moved) != "attainable" or row.id in ("003.logits-0",)
    else:
        assert outcome.verdict == "impossible"
        assert any(argument(stated, half) is not None for argument in judge.arguments)


def test_a_row_of_logits_can_be_any_ten_numbers() -> None:
    judge: Any = row_of("003.logits-0").judge
    assert _verdict(judge, stated=np.arange(10.0)) == "attainable"
    assert _verdict(judge, stated=np.arange(10.0), witness=lambda stated: stated + 1) == "open"


# Each impossible row beside a nearby case that can be: cells of a run, rounded as they would be
# printed, or what another passage states.
def _near() -> dict[str, Any]:
    weather = load_example("weather").trace(gradients=False)
    stated = load_example("weather", as_stated=True).trace(gradients=False)
    cross = stated["decoder.0.cross_attention.weights"][0, 0]
    scores = (-1.5, -1.9, -2.5, -2.1, -2.4)
    return {
        "003.scores-rank": weather["encoder.0.self_attention.scores"][0, 0].round(2),
        "003.encoder-output": weather["encoder.output"][0].round(1),
        "003.cross-row-with-h": cross[2].round(2),
        "003.cross-row-1-with-h": cross[3].round(2),
        "003.cross-row-2-with-h": cross[4].round(2),
        "003.probabilities-0-sum": (
            0.085, 0.082, 0.080, 0.167, 0.118, 0.094, 0.103, 0.100, 0.088, 0.083,
        ),
        "003.probability-0-with-logits": 0.167,
        "003.self-row-changes": ((0.4, 0.6), (0.4, 0.6)),
        "003.beam-first-rest": (0.35, 0.28, 0.08, 0.12, 0.0, 0.17),
        "003.beam-scores": scores,
        "003.beam-scores-sum": scores,
        "003.beam-scores-mean": scores,
        "003.beam-scores-log10": scores,
        "003.very-cumulative": "conditional",
    }  # fmt: skip


NEAR = _near()


def test_every_impossible_row_has_a_near_case() -> None:
    impossible = {name for name, r in RESULTS.items() if r.outcome.verdict == "impossible"}
    assert impossible == set(NEAR)


@pytest.mark.parametrize("name", NEAR)
def test_the_argument_fails_for_a_near_case_that_can_be(name: str) -> None:
    judge: Any = row_of(name).judge
    if isinstance(judge, Possible):
        assert _verdict(judge, stated=NEAR[name]) == "attainable"
    else:
        near = np.array(NEAR[name], float)
        assert near.shape == np.shape(judge.stated)
        half = 0.5 * 10.0**-judge.decimals
        assert all(argument(near, half) is None for argument in judge.arguments)
        assert _verdict(judge, stated=near) != "impossible"


@pytest.mark.parametrize("row", _of(Possible))
def test_a_possibility_has_an_example_or_an_argument(row: Any) -> None:
    verdict = RESULTS[row.id].outcome.verdict
    if isinstance(row.judge.stated, bool):
        assert verdict == "attainable" and _verdict(row.judge, stated=False) == "open"
    elif row.id == "003.joint":
        assert _verdict(row.judge, stated=(0.01, 0.35)) == "open"
    else:
        assert {verdict, _verdict(row.judge, stated="cumulative")} == {verdict, "impossible"}


@pytest.mark.parametrize(
    ("stated", "computed", "how"),
    [
        (0.99, 0.99501, "cut"), (1.00, 0.99501, "rounded"), (0.99, 0.9949, "rounded"),
        (0.95, 0.9553, "cut"), (-0.98, -0.9899, "cut"), (-0.99, -0.9899, "rounded"),
        (0.55, 0.5419, "raised"), (-0.55, -0.5419, "raised"), (0.50, 0.5250, "off"),
        (0.12, 0.125, "rounded"), (0.13, 0.125, "rounded"), (0.14, 0.125, "off"),
        (0.10, 0.1, "rounded"), (0.0, 0.004, "rounded"), (0.0, 0.009, "cut"),
    ],
)  # fmt: skip
def test_how_a_number_was_rounded(stated: float, computed: float, how: str) -> None:
    assert rounding_of(stated, computed, 2) == how


def test_each_entry_has_its_own_rounding() -> None:
    outcome = Figures((0.99, 0.12), lambda: (0.99501, 0.1249)).judge()
    assert outcome.verdict == "rounding" and outcome.reason == "[0] 0.9950 cut to 0.99"
    assert Figures((0.99, 0.14), lambda: (0.99501, 0.1249)).judge().verdict == "contradicted"
    assert "shape" in Figures((1.0, 2.0), lambda: (1.0,)).judge().reason


@pytest.mark.parametrize("decimals", [1, 2, 4])
def test_a_witness_within_half_a_printed_unit_and_none_further(decimals: int) -> None:
    """Of each entry, and of as many as were stated."""
    unit, stated = 10.0**-decimals, np.array([[0.3, -1.2], [0.0, 2.5]])
    for place in np.ndindex(stated.shape):
        for share, verdict in ((0.49, "attainable"), (0.51, "open"), (1.0, "open"), (-1.0, "open")):
            run = stated.copy()
            run[place] += share * unit
            judge = Illustration(stated, lambda _, run=run: run, decimals=decimals)
            assert judge.judge().verdict == verdict, (place, share)
    for odd in (stated[:1], stated[None], stated * np.nan):
        assert Illustration(stated, lambda _, odd=odd: odd).judge().verdict == "open"
    assert Illustration(stated, None).judge().verdict == "open"


def test_an_argument_comes_before_a_witness_and_is_told_half_a_unit() -> None:
    told: list[float] = []

    def excludes(stated: Any, half: float) -> str:
        told.append(half)
        return "cannot be"

    judge = Illustration([0.5], lambda stated: stated, [lambda s, h: None, excludes], 3)
    assert judge.judge().verdict == "impossible"
    assert told == [pytest.approx(0.0005)]


@pytest.mark.parametrize("decimals", [0, 2, 5])
def test_a_figure_is_off_by_one_printed_unit(decimals: int) -> None:
    unit = 10.0**-decimals
    for share, verdict in (
        (0.49, "reproduced"),
        (0.51, "rounding"),
        (0.99, "rounding"),
        (1.01, "contradicted"),
        (-0.51, "rounding"),
        (-1.01, "contradicted"),
    ):
        judge = Figures([2.0, 3.0], lambda share=share: [2.0, 3.0 + share * unit], decimals)
        assert judge.judge().verdict == verdict, share


def test_changes_name_new_missing_and_changed_rows() -> None:
    results = [RESULTS["003.scores"], RESULTS["003.losses"]]
    expected = {"003.scores": "reproduced", "003.gone": "definition"}
    assert changes(results, expected) == [
        "003.scores: contradicted, expected reproduced",
        "003.losses: reproduced, expected no such row",
        "003.gone: missing, expected definition",
    ]


def test_the_summary_counts_every_row_once() -> None:
    heads, table = summary(RESULTS.values())
    assert heads[0] == "document" and heads[-1] == "rows" and "open" not in heads
    assert table[-1][0] == "all" and table[-1][-1] == str(len(ROWS))
    for row in table:
        assert sum(map(int, row[1:-1])) == int(row[-1])


def test_rows_by_document_and_by_name() -> None:
    assert {row.document for row in rows_of(["3", "004"])} == {"003", "004"}
    assert row_of("003.scores").document == "003"
    with pytest.raises(ExampleError, match=r"known: 000, 001"):
        rows_of(["9"])
    with pytest.raises(ExampleError, match=r"did you mean '003\.scores'"):
        row_of("003.score")


def test_a_result_as_a_dictionary() -> None:
    result: Result = RESULTS["003.losses"]
    assert list(result.to_dict()) == [
        "id", "document", "section", "stated", "computed", "verdict", "reason",
    ]  # fmt: skip
