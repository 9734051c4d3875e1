"""The table of layers: one row for those that are alike."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from samples import config_of, random_parameters

from numtx import Batch
from numtx.cli import main
from numtx.models import MODELS
from numtx.page.page import Heading
from numtx.page.report import trace_report
from numtx.show.layers import layer_rows
from numtx.stages.leaf import Text
from numtx.trace.trace import record

NAME = "encoder, a first layer without a norm, widths of several layers"


def test_layers_that_are_alike_are_one_row() -> None:
    config = config_of(NAME, encoder_layers=14)
    rows = layer_rows(config)
    assert rows[0] == ["layers", "hidden", "norm_at", "window", "position_base"]
    cells = {tuple(row[1:]) for row in rows[1:]}
    assert ("7", "feed_forward", "none", "100") in cells and ("9", "all", "2", "10000") in cells
    where = [row[0] for row in rows[1:]]
    assert len(where) == len(set(where)) == 4
    assert "encoder 0, 6, 12" in where  # every third without a window, every other as wide
    assert layer_rows(config, "zh")[1][0].startswith("编码器 0")


def test_ranges_are_shortened() -> None:
    config = config_of(NAME, encoder_layers=30, hidden=7)
    assert layer_rows(config)[1][0] == "encoder 0, 3, 6, ..., 27"
    assert layer_rows(config)[2][0] == "encoder 1-2, 4-5, 7-8, ..., 28-29"


@pytest.mark.parametrize("name", MODELS)
def test_a_table_where_layers_differ(name: str) -> None:
    config = MODELS[name].config()
    lists = [n for n in vars(config) if n in config.to_dict() and len(config.values_of(n)) > 1]
    rows = layer_rows(config)
    assert bool(rows) == bool(lists)
    assert all(len(row) == len(lists) + 1 for row in rows)


def test_the_page_has_it() -> None:
    for name, there in ((NAME, True), ("encoder, latents, interleaved", False)):
        config = config_of(name)
        trace = record(config, random_parameters(config), Batch([[1, 2, 3]]))
        text = trace_report(trace, Heading(Text("例", "example")))
        assert ("Layers that differ" in text and "各层的不同" in text) == there
        assert ("<td>feed_forward</td>" in text) == there


@pytest.mark.parametrize(("lang", "head"), [("en", "layers"), ("zh", "层")])
def test_the_commands_print_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], lang: str, head: str
) -> None:
    file = tmp_path / "c.json"
    file.write_text(json.dumps(config_of(NAME).to_dict()))
    assert main(["init", "--fields", "--config", str(file), "--lang", lang]) == 0
    assert capsys.readouterr().out.startswith(f"{head} ")
    parameters = str(tmp_path / "p.npz")
    assert main(["init", "--config", str(file), "--out", parameters]) == 0
    own = ["stages", "--config", str(file), "--parameters", parameters, "--ids", "[1,2]"]
    capsys.readouterr()
    assert main([*own, "--lang", lang]) == 0
    assert capsys.readouterr().out.startswith(f"{head} ")
