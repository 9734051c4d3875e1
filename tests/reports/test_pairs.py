"""Two runs side by side: what differs is marked on both sides, the first difference is open."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from numtx import load_example, load_trace
from numtx.cli import main
from numtx.compare.compare import compare
from numtx.compare.sides import Side, side_of
from numtx.reports.pairs import before_and_after, two_sides
from numtx.tap import Pin
from numtx.trace.files import arrays_of
from numtx.trace.trace import Trace

SCORES = "decoder.0.self_attention.scores"
WEIGHTS = "decoder.0.self_attention.weights"


@pytest.fixture(scope="module")
def before() -> Trace:
    return load_example("weather").trace()


def other(before: Trace, **changed: np.ndarray) -> Side:
    arrays = {**arrays_of(before), **changed}
    return Side("mine", {name: array for name, array in arrays.items() if name != "loss"}, None)


def test_before_and_after_mark_the_cells_that_changed(before: Trace) -> None:
    where = np.zeros(before[SCORES].shape, bool)
    where[0, 0, 4, 1] = True
    after = load_example("weather").trace(pins={SCORES: Pin(where, np.full(where.shape, 3.0))})
    found = before_and_after(before, after)
    assert found.leads and found.differing[SCORES].sum() == 1
    assert found.differing[WEIGHTS][0, 0].nonzero()[0].tolist() == [4] * 5  # one row, as it attends
    assert np.array_equal(found.arrays[SCORES], before[SCORES])
    for name in before:
        assert (name in found.differing) == (not np.array_equal(before[name], after[name]))
        assert (name in found.opened) == (name in found.differing)


def test_two_sides_open_the_first_difference_and_mark_what_is_beyond(before: Trace) -> None:
    wrong = before[SCORES].copy()
    wrong[0, 0, 2, 1] += 1e-3
    wrong[0, 0, 3, 0] += 1e-15  # rounding
    shape = np.zeros((3, 3))
    side = other(before, **{SCORES: wrong, "decoder.0.feed_forward.hidden": shape})
    found = compare(side_of(before, "ours"), side)
    pair = two_sides(found, side_of(before, "ours"), side)
    assert found.first is not None and pair.opened == {SCORES} == {found.first.name}
    assert [tuple(at) for at in np.argwhere(pair.differing[SCORES])] == [(0, 0, 2, 1)]
    assert set(pair.differing) == {SCORES}
    assert "shape (3, 3)" in pair.notes["decoder.0.feed_forward.hidden"].en
    assert pair.differs("decoder.0.feed_forward.hidden") and not pair.differs(WEIGHTS)
    assert "loss" not in pair.arrays and not pair.differs("loss")
    assert (pair.own.en, pair.other.en) == ("expected: ours", "got: mine")


def test_a_page_of_a_what_if(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.html"
    setting = f"{SCORES}[4,1]=3"
    run = ["trace", "--quiet", "--set", setting, "--stage", "decoder.0.self_attention.*"]
    assert main([*run, "--html", str(page)]) == 0
    text = page.read_text(encoding="utf-8")
    stage = text[text.index(f'id="{SCORES}"') : text.index('id="decoder.0.self_attention.mask"')]
    assert "≠ 1 of 49 cells" in stage and "≠ gradient: " in stage
    tables = re.findall(rf'data-of="{SCORES}" data-at="0,0"( data-other)?>', stage)
    assert tables == [" data-other", ""]  # before, after
    assert stage.partition('<div class="gradients">')[0].count('d">') == 2
    assert 'd">3.00*</td>' in stage and stage.count("*</td>") == 1
    products = "decoder.0.self_attention.products"
    assert f'<details class="stage differing" id="{products}"' in text  # its gradient alone
    assert f'<details class="stage" id="{products.replace("products", "mask")}"' in text
    assert f'<details open class="stage differing" id="{WEIGHTS}"' in text
    assert f'href="#{WEIGHTS}">≠ weights</a>' in text
    assert "what changed (* = held):" in text and "变化（* = 固定）：" in text


def test_a_page_of_a_comparison(
    tmp_path: Path, before: Trace, capsys: pytest.CaptureFixture[str]
) -> None:
    ours, mine, page = (str(tmp_path / name) for name in ("a.npz", "b.npz", "page.html"))
    assert main(["trace", "--quiet", "--npz", ours]) == 0
    arrays = arrays_of(load_trace(ours))
    np.savez(mine, **{SCORES: arrays[SCORES][0, 0] * 2, WEIGHTS: arrays[WEIGHTS]})
    assert main(["compare", ours, mine, "--html", page]) == 1
    assert capsys.readouterr().out.split()[-2:] == ["written:", str(page)]
    text = Path(page).read_text(encoding="utf-8")
    assert text.count('<details open class="stage') == 1
    assert f'<details open class="stage differing" id="{SCORES}"' in text
    assert "first difference: " in text and "cause: scale (missing)" in text
    assert "第一处不同: " in text and "not in the other; not compared" in text
    assert main(["compare", mine, mine, "--html", page]) == 2
    assert "give the trace first" in capsys.readouterr().err
    assert main(["compare", ours, mine, "--html", mine]) == 2
    assert "b.npz is read" in capsys.readouterr().err
