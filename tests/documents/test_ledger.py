"""The ledger: its verdicts are the expected ones, and follow from what is stated and computed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ledger_checks import ROOMS
from ledger_runs import results, rooms

from numtx.documents.judges import VERDICTS, Can, Definition, Found, Illustration, Order, Printed
from numtx.documents.ledger import ROWS, row_of, rows_of
from numtx.documents.row import changes, summary
from numtx.documents.runs import trace as trace_of
from numtx.documents.text import grids_of, ledger_text, row_text, summary_text
from numtx.errors import ExampleError
from numtx.examples.choosing import BEAM_WORDS
from numtx.examples.translation import ENGLISH
from numtx.show.grid import display_width
from numtx.show.stage_grid import Style

README = Path(__file__).parents[2] / "README.md"
CHINESE = re.compile("[\u4e00-\u9fff，：；]")
EXPECTED = json.loads(
    (Path(__file__).parent / "expected_verdicts.json").read_text(encoding="utf-8")
)


def test_every_verdict_is_the_expected_one() -> None:
    assert changes(results().values(), EXPECTED) == []


def test_none_is_open_and_every_verdict_occurs() -> None:
    assert {result.verdict for result in results().values()} == set(VERDICTS) - {"open"}


def test_what_a_row_says_is_a_line_in_both_languages() -> None:
    for result in results().values():
        row = result.row
        assert row.text.zh == row.text.en or CHINESE.search(row.text.zh), row.id
        for lang in ("zh", "en"):
            assert not any("\n" in text for text in result.to_dict(lang).values())
        assert bool(result.reason.zh) == bool(result.reason.en), row.id
        assert result.verdict == "reproduced" or result.reason.en, row.id


def test_stages_behind_a_row_exist() -> None:
    for row in ROWS:
        if row.stages:
            name, *stages = row.stages
            trace = row.witness() if row.witness else trace_of(name)
            assert stages and all(stage in trace for stage in stages), row.id


def test_matrices_have_a_label_for_each_row_and_column() -> None:
    for row in ROWS:
        if row.labels is not None:
            shape = np.atleast_2d(np.asarray(row.judge.stated, float)).shape
            assert shape == tuple(map(len, row.labels)), row.id


def test_every_matrix_of_figures_is_a_labelled_grid() -> None:
    """Printed numbers in rows and columns, and lists that have names, stated and computed."""
    for name, result in results().items():
        judge = result.row.judge
        if isinstance(judge, Printed | Illustration) and np.ndim(judge.stated) == 2:
            assert result.row.labels is not None, name
        if result.row.labels is not None:
            titles = [title.en for title, _ in grids_of(result)]
            some = result.outcome.value is not None
            assert titles == ["stated", "computed"][: 1 + some], name


def test_names_that_are_put_in_order_are_chinese() -> None:
    """But for words of the documents and terms."""
    known = {"prefill", "decode", "very", *BEAM_WORDS, *ENGLISH, "eos"}
    for row in ROWS:
        judge = row.judge.stated if isinstance(row.judge, Can) else row.judge
        if isinstance(judge, Order):
            words = set(re.findall(r"[A-Za-z]{2,}", judge.text().zh)) - known
            assert all(word.isupper() for word in words), (row.id, words)


# Of what a row runs. A computation replaced by a constant, be it the right one, runs nothing.

PASSAGES = "文中的数"  # such a row compares two passages of the documents, and says so


def test_every_row_runs_numtx_or_says_that_it_compares_passages() -> None:
    idle = [
        name
        for name, result in results().items()
        if not rooms()[name]
        and not isinstance(result.row.judge, Definition)
        and result.verdict != "impossible"
        and PASSAGES not in result.row.note.zh
    ]
    assert idle == []


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_is_run_by_rows(room: str) -> None:
    module = ROOMS[room]
    found = [name for name, run in rooms().items() if module in run]
    assert len(found) >= 2, found


# Other computations give other verdicts.


def other(value: Any) -> Any:
    """A value of the same kind that is another one."""
    if isinstance(value, Found):
        return other(value.value)
    if isinstance(value, dict):  # the order turned round
        return dict(zip(value, list(value.values())[::-1], strict=True)) if len(value) > 1 else {}
    if isinstance(value, str):
        return value + "x"
    if value is None or isinstance(value, bool):
        return not value
    if isinstance(value, int | float | np.number):
        return value + 1000.5 if np.isfinite(value) else 0.0
    if isinstance(value, np.ndarray):
        return value + 1000.5
    return [other(value[0]), *value[1:]] if len(value) else ["x"]


def pair_apart(value: Any) -> Any:
    one, two = (np.asarray(array, float) for array in value)
    return one, two + 1.0


@pytest.mark.parametrize("row", [pytest.param(r, id=r.id) for r in ROWS])
def test_another_computation_gives_another_verdict(row: Any) -> None:
    """Or the row is a definition that takes nothing over, or an argument excludes it."""
    result = results()[row.id]
    verdict, value, kind = result.verdict, result.outcome.value, type(row.judge).__name__
    if value is None:
        assert verdict in ("definition", "impossible")
        return
    judge = row.judge.stated if kind == "Can" else row.judge
    if verdict == "contradicted":
        fitting = {"Same": lambda: (value[0], value[0]), "Within": lambda: judge.stated[0]}
        if type(judge).__name__ == "Order":
            made: Any = {name: -k for k, name in enumerate(judge.stated)}
        elif type(judge).__name__ == "Same" and not judge.stated:
            made = pair_apart(value)
        else:
            made = fitting.get(type(judge).__name__, lambda: judge.stated)()
        assert row.judge.judge(made).verdict == "reproduced"
        return
    if type(judge).__name__ == "Same":
        made = pair_apart(value) if judge.stated else (value[0], value[0])
    else:
        made = other(value)
    assert row.judge.judge(made).verdict not in (verdict, "reproduced"), (value, made)


def test_a_computation_that_fails_leaves_its_row_open() -> None:
    row = row_of("003.positions")
    outcome = row.judge.run(lambda: 1 // 0)
    assert outcome.verdict == "open" and "ZeroDivisionError" in outcome.reason.en


def test_changes_name_new_missing_and_changed_rows() -> None:
    expected = {"003.scores": "reproduced", "003.gone": "definition"}
    assert changes([results()["003.scores"], results()["003.losses"]], expected) == [
        "003.scores: contradicted, expected reproduced",
        "003.losses: reproduced, expected no such row",
        "003.gone: missing, expected definition",
    ]


def test_the_summary_counts_every_row_once() -> None:
    heads, table = summary(results().values())
    assert heads[0] == "document" and heads[-1] == "rows" and "open" not in heads
    assert table[-1][0] == "all" and table[-1][-1] == str(len(ROWS))
    for line in table:
        assert sum(map(int, line[1:-1])) == int(line[-1])


def test_rows_by_document_and_by_name() -> None:
    assert {row.document for row in rows_of(["3", "004"])} == {"003", "004"}
    assert row_of("003.scores").document == "003"
    with pytest.raises(ExampleError, match=r"known: 000, 001"):
        rows_of(["9"])
    with pytest.raises(ExampleError, match=r"did you mean '003\.scores'"):
        row_of("003.score")


# As text: within the width, in one language or both, matrices side by side.


@pytest.mark.parametrize("lang", ["zh", "en", "both"])
def test_every_row_fits_in_80_columns_and_is_whole(lang: str) -> None:
    lines = list(ledger_text(results().values(), Style(lang=lang, width=80)))
    assert max(map(display_width, lines)) <= 80
    assert not any(line.endswith(" ...") for line in lines)


def test_a_matrix_stands_beside_what_was_computed() -> None:
    lines = list(row_text(results()["003.scores"], Style(lang="en", width=80)))
    assert lines[1].split() == ["stated", "computed"]
    first = next(line for line in lines if line.startswith("今"))
    assert first.split()[1:4] == ["0.82", "0.69", "0.69"] and first.split()[8] == "1.69"
    assert lines[2].split() == [*"今天天气很好", "<eos>"] * 2
    narrow = list(row_text(results()["003.scores"], Style(lang="en", width=60)))
    assert [line for line in narrow if line in ("stated", "computed")] == ["stated", "computed"]


def test_one_language_says_nothing_in_the_other() -> None:
    result = results()["003.gpt-3"]
    zh, en = ("\n".join(row_text(result, Style(lang=lang, width=80))) for lang in ("zh", "en"))
    assert "该段自己的尺寸" in zh and "paragraph" not in zh
    assert "paragraph" in en and "该段" not in en


def test_the_readme_has_the_summary() -> None:
    readme = README.read_text(encoding="utf-8")
    for line in summary_text(results().values(), Style(lang="en", width=100)).splitlines():
        assert f"    {line.rstrip()}\n" in readme
