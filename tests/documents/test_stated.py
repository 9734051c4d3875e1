"""Other figures in the documents give other verdicts, or leave them for a reason that is known;
nothing that a document might state makes the ledger fail."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from samples import DRAW

from numtx.documents.judges import Can, Definition, Equal, Illustration, Printed, Within
from numtx.documents.ledger import ROWS

DRAWN = 25  # of some 1,700 changed figures
EXPECTED = json.loads(
    (Path(__file__).parent / "expected_verdicts.json").read_text(encoding="utf-8")
)


def figures(stated: Any, path: tuple[int, ...] = ()) -> Iterator[tuple[int, ...]]:
    """Where numbers stand in stated data."""
    if isinstance(stated, bool | str):
        return
    if isinstance(stated, int | float | np.number):
        yield path
    elif isinstance(stated, list | tuple | np.ndarray):
        for i, item in enumerate(stated):
            yield from figures(item, (*path, i))


def moved(stated: Any, path: tuple[int, ...], by: float) -> Any:
    """The same data with one number moved."""
    if not path:
        return stated + by if np.isfinite(stated) else 0.0
    items = list(stated)
    items[path[0]] = moved(items[path[0]], path[1:], by)
    return tuple(items)


def unit(row: Any) -> float:
    """One in the last digit as it is printed."""
    judge = row.judge
    if isinstance(judge, Printed | Illustration):
        return float(10.0**-judge.decimals)
    flat = [x for x in np.ravel(np.array(judge.stated, object)) if isinstance(x, float)]
    return 0.1 if flat and any(x != int(x) for x in flat if np.isfinite(x)) else 1.0


def why_it_stays(row: Any, verdict: str, computes: bool) -> str:
    """Why a verdict may stand although one figure has changed; "" where it may not."""
    if verdict in ("contradicted", "impossible"):
        return "one digit does not make it right"
    if verdict == "rounding":
        return "another entry is rounded another way"
    if isinstance(row.judge, Within | Can):
        return "a range of numbers, for a number in words"
    if isinstance(row.judge, Definition):
        return "" if computes else "numtx takes nothing over"
    if verdict == "attainable" and tells(row):
        return "the witness is made for the numbers that it is told"
    return ""


def tells(row: Any) -> bool:
    """Whether a witness makes use of the numbers that it is told: others make another run."""
    stated = np.asarray(row.judge.stated, float)
    other = row.compute(stated * (1 - 0.01 * np.linspace(1, 0, stated.size).reshape(stated.shape)))
    return not np.allclose(np.asarray(other, float), row.compute(stated), rtol=0, atol=1e-9)


CASES = [
    (row, path, sign * unit(row))
    for row in ROWS
    if isinstance(row.judge, Printed | Illustration | Equal | Within | Definition)
    for path in figures(row.judge.stated)
    for sign in (1, -1)
]


def check(row: Any, path: tuple[int, ...], by: float) -> None:
    before = row.run()
    assert before.verdict == EXPECTED[row.id]
    after = row.restated(moved(row.judge.stated, path, by)).run()
    assert "failed" not in after.reason.en, after.reason.en
    if after.verdict == before.verdict:
        why = why_it_stays(row, before.verdict, before.outcome.value is not None)
        assert why, f"{row.id}{list(path)} moved by {by:g}: still {after.verdict}"


def test_a_changed_figure_changes_its_verdict_or_has_a_reason() -> None:
    for case in random.Random(DRAW).sample(CASES, DRAWN):
        check(*case)


@pytest.mark.heavy
@pytest.mark.parametrize("row", [pytest.param(r, id=r.id) for r in ROWS])
def test_every_changed_figure_changes_its_verdict_or_has_a_reason(row: Any) -> None:
    for case in CASES:
        if case[0] is row:
            check(*case)
