"""A trace as Markdown: every stage, all numbers that are shown, and tokens that are text."""

import re

import numpy as np
import pytest
from samples import config_of, ragged_batch, random_parameters, some

from numtx import Batch, load_example, record
from numtx.formats.markdown import escaped, table, trace_markdown
from numtx.show.grid import Grid
from numtx.show.numbers import fixed
from numtx.show.stage_grid import Style


def cells(line: str) -> list[str]:
    """The cells of a row, read as Markdown reads them."""
    parts = re.split(r"(?<!\\)(?:\\\\)*\|", line)[1:-1]
    return [re.sub(r"\\(.)", r"\1", part).strip() for part in parts]


@pytest.mark.parametrize("model", some(2, __name__, always=["weather"]))
def test_every_stage_has_a_heading_and_every_row_as_many_cells_as_its_head(model):
    config = config_of(model)
    trace = record(config, random_parameters(config), Batch(**ragged_batch(config, 4, "right")))
    blocks = list(trace_markdown(trace, gradients=True))
    heads = [block for block in blocks if block.startswith("### ")]
    assert len(heads) == len(trace.values)
    shown = [b for b in blocks if b.startswith(("梯度", "Gradient"))]
    assert len(shown) == sum(name in trace.gradients for name in trace.values)
    for block in blocks:
        if block.startswith("|"):
            assert len({len(cells(line)) for line in block.split("\n")}) == 1, block


def test_the_numbers_are_those_of_the_run():
    trace = load_example("weather").trace()
    name = "decoder.0.self_attention.scores"
    *_, block, why = trace_markdown(trace, Style(precision=4, lang="en"), [name])
    rows = [cells(line) for line in block.split("\n")]
    assert rows[0][1:3] == ["0 <bos>", "1 今"] and rows[2][0] == "0 <bos>"
    want = [[fixed(x, 4) for x in row] for row in trace[name][0, 0].tolist()]
    assert [row[1:] for row in rows[2:]] == want
    assert why.startswith("*") and why.endswith("*")


def test_what_is_marked_is_marked():
    blocks = trace_markdown(load_example("weather").trace(), Style(lang="en"))
    weights = next(b for b in blocks if "| 1 今 | 0.78 | 0.22 | . |" in b)
    assert "sum 1.00  max 0 \\<bos\\>" in weights


def test_a_token_is_text():
    hostile = ["a|b", "*x*", "`", "<b>", "[l](u)", "$1$", "a_b_", "\\", "&lt;"]
    found = table(Grid(hostile, ["c"], [["1"]] * len(hostile))).split("\n")
    assert [cells(line)[0] for line in found[2:]] == hostile
    assert all(re.search(r"(?<!\\)[*`<$_&]", escaped(token)) is None for token in hostile)


def test_a_large_array_is_shown_by_its_corners_unless_all_is_asked_for():
    config = config_of("weather", vocabulary=50)
    trace = record(config, random_parameters(config), Batch([[1, 2]], [[1, 2]], labels=[[1, 2]]))
    for full, count in ((False, 7), (True, 50)):
        *_, block, _ = trace_markdown(trace, Style(full=full), ["logits"])
        assert len(cells(block.split("\n")[0])) == count + 1
    assert np.isfinite(trace["logits"]).all()
