"""The table of benchmarks: every row runs or says why not, and none where two sides differ.

Times are not judged here.
"""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import peaks
import pytest
import rows_taps
import table
from children import python
from peaks import Peaks
from rows import DifferentNumbersError, Pair, Row, all_rows, same

TABLE = Path(__file__).with_name("table.py")
HAVE = importlib.util.find_spec("torch") is not None


def heavy_with_torch(test: Any) -> Any:
    """With it all rows run, without it few."""
    return pytest.mark.heavy(test) if HAVE else test


def lines(*arguments: str) -> dict[str, list[str]]:
    """Name -> the other cells of its line, of a table without failures."""
    done = python(str(TABLE), *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    cells = [[cell.strip() for cell in line.split("|")] for line in done.stdout.splitlines()]
    found = {name: rest for name, *rest in cells[2:] if rest}
    assert len(found) == sum(len(line) > 1 for line in cells[2:]), "a row has two lines"
    return found


def check(found: dict[str, list[str]]) -> None:
    """One line for every row: skipped where its peer is not installed, and nowhere else."""
    rows = all_rows()
    assert found.keys() == rows.keys()
    for name, (work, peer, *figures) in found.items():
        row = rows[name]
        assert (work, peer) == (row.work, row.peer)
        if lacking := row.lacks():
            assert figures == [f"skipped: {lacking} is not installed"]
        else:
            assert float(figures[0]) > 0, name


@heavy_with_torch
def test_every_row_runs_or_says_why_not() -> None:
    check(lines("--quick"))


@pytest.mark.benchmark
def test_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    done = python(str(TABLE))
    with capsys.disabled():
        print(f"\n{done.stdout}{done.stderr}")
    assert done.returncode == 0


def off(x: Any, y: Any) -> Row:
    return Row("work", "peer", 1, (), lambda quick: Pair(lambda: x, lambda: y))


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (np.ones(3), np.array([1, 1, 1 + 2e-4])),
        (np.ones(3), np.ones((1, 3))),
        (np.array([1, np.nan]), np.array([1, np.nan])),
        ([np.ones(2), 3.0], [np.ones(2), 3.001]),
        ([[5, 6, 7]], [[5, 6, 8]]),
    ],
)
def test_a_row_of_different_numbers_fails(x: Any, y: Any, capsys: Any) -> None:
    assert table.run({"name": off(x, y)}, quick=True) == 1
    assert "FAILED" in capsys.readouterr().out


def test_numbers_of_float32_are_the_same() -> None:
    ours, theirs = [np.ones(3, np.float32)], [np.ones(3) + 1e-6]
    same(ours, theirs)
    with pytest.raises(DifferentNumbersError):
        same(ours, theirs, 0)


def test_a_difference_in_a_later_call_is_noticed() -> None:
    calls = iter((1.0, 2.0, 3.1))
    with pytest.raises(DifferentNumbersError):
        Pair(lambda: next(calls), iter((1.0, 2.0, 3.0)).__next__, checked=3).measure(True)


def spoiled(numbers: Any) -> Any:
    """The same numbers, but for the first array's."""
    first, *others = numbers if isinstance(numbers, list) else [numbers]
    return [np.asarray(first) * 1.001, *others]


def notices(pair: Any) -> bool:
    """Whether numtx's numbers a little off are told from the peer's."""
    own = pair.own or pair.ours
    try:
        replace(pair, own=lambda: spoiled(own())).measure(True)
    except DifferentNumbersError:
        return True
    return False


@heavy_with_torch
@pytest.mark.filterwarnings("ignore")  # those of the peers
def test_every_row_compares_numbers() -> None:
    made = {name: row.make(True) for name, row in all_rows().items() if not row.lacks()}
    assert [n for n, pair in made.items() if isinstance(pair, Pair) and not notices(pair)] == []


def test_peaks_compare_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peaks, "child", lambda side, length: ({"a": 1.001}.get(side, 1.0), 2.0))
    Peaks("b", "c", 8).measure(True)
    with pytest.raises(DifferentNumbersError):
        Peaks("a", "b", 8).measure(True)


@pytest.mark.skipif(not HAVE, reason="needs torch")
@pytest.mark.parametrize(("name", "optimiser"), [("sgd", "sgd"), ("adam", "adamw")])
def test_a_wrong_update_is_noticed(
    name: str, optimiser: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import rows_training

    right = getattr(rows_training, optimiser)
    twice = lambda *given: (right(*given), right(*given))  # noqa: E731
    monkeypatch.setattr(rows_training, optimiser, twice)
    with pytest.raises(DifferentNumbersError):
        all_rows()[f"train-tiny-{name}"].make(True).measure(True)


def test_a_tap_left_standing_is_noticed() -> None:
    bare = rows_taps.bare_package(lambda module, source: source)
    with pytest.raises(AssertionError, match=r"the copy without taps .* its tap"):
        rows_taps.beside(bare, False, False).measure(True)
