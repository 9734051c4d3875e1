"""What documents describe and no stage shows: it is run, and it is the same in both languages."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from numtx.documents import shown
from numtx.documents.acts import acts_notes
from numtx.documents.scenes import ACTS
from numtx.page.page import Heading, Tables, _notes
from numtx.show.grid import display_width, grid_text
from numtx.stages.catalogue import Text

RUNS = [scene.run for acts in ACTS.values() for act in acts for scene in act.scenes if scene.run]


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.__name__)
def test_tables_fit_and_say_the_same_in_both_languages(
    run: Callable[[str], list[shown.Table]],
) -> None:
    for zh, en in zip(run("zh"), run("en"), strict=True):
        assert re.search("[一-鿿]", zh.title) and not re.search("[一-鿿]", en.title)
        for _, grid in (zh, en):
            assert max(map(display_width, grid_text(grid, 80).split("\n"))) <= 80
        numbers = [
            re.findall(r"-?\d[\d.]*", " ".join(cell for row in grid.cells for cell in row))
            for _, grid in (zh, en)
        ]
        assert numbers[0] == numbers[1]


def test_the_branches_are_prefill_and_then_one_token_at_a_time() -> None:
    ((_, grid),) = shown.branches("en")
    assert list(grid.rows) == ["if is_prefill:", "else:", "else:"]
    inputs, attention, cache, writes = zip(*grid.cells, strict=True)
    assert inputs[1:] == ("tensor([[113182]])",) * 2 and set(writes) == {"113182"}
    assert attention == ("5 x 5", "1 x 6", "1 x 7") and cache == ("0 -> 5", "5 -> 6", "6 -> 7")


def test_the_loop_has_two_slips() -> None:
    whole, short = shown.loop_as_written("en")
    assert "first slip: <eos>" in whole.title and "second slip" in short.title
    assert [row[1] for row in whole.grid.cells][-1] == "<eos>"
    assert [row[2] for row in short.grid.cells] == ["2", "3"]  # <bos> counts


def test_penalties_choose_other_texts_and_beams_repeat_more() -> None:
    ((_, lengths),) = shown.length_penalties("en")
    best = [[i for i, row in enumerate(lengths.cells) if row[j].endswith("*")] for j in range(4)]
    scores = [[float(cell.rstrip("* ")) for cell in row] for row in lengths.cells]
    for j, rows in enumerate(best):
        column = [row[j] for row in scores]
        assert len(rows) == 1 and column[rows[0]] == max(column)
    assert best[0] != best[1] == best[2]
    ((_, beams),) = shown.more_beams("en")
    very = [row[0].split().count("very") for row in beams.cells]
    assert very == sorted(very) and very[0] < very[-1]


def test_a_page_has_stated_and_computed_as_tables_beside_each_other() -> None:
    notes = list(acts_notes("weather"))
    tables = {t.text.en.split()[0]: t for _, lines in notes for t in lines if isinstance(t, Tables)}
    (stated, one, _), (computed, other, _) = tables["003.scores"].grids
    assert (stated.en, computed.en) == ("stated", "computed")
    assert one.cells[0][0] == "0.82" and other.cells[0][0] == "1.69"
    html = _notes(Heading(Text("a", "a"), notes))
    line = html[html.index("003.scores ") :]
    assert line.index("<td>0.82</td>") < line.index("<td>1.69</td>") < line.index("</li>")
    assert html.count('<table class="stated">') > len(tables)


def test_a_table_that_differs_by_language_stands_on_a_page_in_both() -> None:
    html = _notes(Heading(Text("a", "a"), list(acts_notes("letters"))))
    assert (
        '<figure class="matrix" lang="zh">' in html and '<figure class="matrix" lang="en">' in html
    )
    assert html.count("tensor([[113182]])") == 4
