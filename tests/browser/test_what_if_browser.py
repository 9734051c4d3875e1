"""A cell set in the page: every stage, the loss and all gradients are those of a new run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from devtools import CHROMIUM, Browser
from page_traces import HEADING, PLACE, generation, silent, variant, written
from samples import config_of, ragged_batch, random_parameters

from numtx import load_example
from numtx.batch import Batch
from numtx.page.report import _fixed, trace_report
from numtx.show.stage_grid import Style
from numtx.tap import Pin
from numtx.trace.trace import Trace, record

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")

SET = """((value) => {
  const field = document.getElementById("set");
  field.value = value;
  field.dispatchEvent(new Event("change"));
  return Object.entries(numtx.data.arrays).map(([name, { values, gradient }]) => [
    name, ...[values, gradient || []].map((cells) => cells.map((x) => Number(x)).map(
      (x) => (Number.isFinite(x) ? x : String(x).replace("Infinity", "inf").toLowerCase()))),
  ]);
})(%r)"""
MODELS = {
    "decoder, rotary, grouped, gated": (f"{PLACE}.keys[0,1,3,2]", f"{PLACE}.w_v[1,2]"),
    "decoder, experts after a dense layer, grouped, window": (
        "decoder.1.feed_forward.norm[1,2,3]", "decoder.embedding[3,2]",
    ),
    "encoder-decoder, latents, window": ("encoder.input[0,1,2]", "output.w[1,2]"),
    "encoder-decoder": ("decoder.0.cross_attention.weights[0,1,2,1]", "embedding[2,1]"),
}  # fmt: skip


def close(found: list[Any], new: Trace) -> None:
    """Every array and every gradient of the page, and those of a new run."""
    names = [name for name, _, _ in found]
    assert names == list(new.arrays)
    for name, values, gradient in found:
        rights = [(values, new.arrays[name])]
        if name in new.gradients:
            rights.append((gradient, new.grad(name)))
        for got, right in rights:
            flat, cells = right.ravel().astype(float), np.array([float(x) for x in got])
            finite = np.isfinite(flat)
            assert np.array_equal(cells[~finite], flat[~finite], equal_nan=True), name
            size = max(1.0, float(np.abs(flat[finite]).max(initial=0.0)))
            assert np.abs(cells[finite] - flat[finite]).max(initial=0.0) <= 1e-12 * size, name


def parts(address: str) -> tuple[str, tuple[int, ...]]:
    name, _, index = address.rstrip("]").partition("[")
    return name, tuple(map(int, index.split(",")))


@pytest.mark.heavy
@pytest.mark.parametrize("name", MODELS)
def test_a_cell_of_a_stage(browser: Browser, name: str, tmp_path: Path) -> None:
    trace, (address, _) = variant(name), MODELS[name]
    browser.open(written(tmp_path / "page.html", trace, ["logits"]), f"#{address}")
    found = browser.run(SET % "0.75")
    stage, index = parts(address)
    where = np.zeros(trace[stage].shape, bool)
    where[index] = True
    config = config_of(name)
    pins = {stage: Pin(where, np.full(where.shape, 0.75))}
    batch = Batch(**ragged_batch(config))
    close(found, record(config, random_parameters(config), batch, pins=pins))
    assert browser.run("document.querySelectorAll('td.d').length") > 0
    browser.run("document.getElementById('undo').click()")
    assert browser.run("document.querySelectorAll('td.d').length") == 0
    silent(browser)


@pytest.mark.heavy
@pytest.mark.parametrize("name", MODELS)
def test_a_cell_of_a_parameter(browser: Browser, name: str, tmp_path: Path) -> None:
    address = MODELS[name][1]
    trace = variant(name)
    page = written(tmp_path / "page.html", trace, ["logits"])
    browser.open(page, f"#parameters/{address}")
    found = browser.run(SET % "-0.5")
    config, (parameter, index) = config_of(name), parts(address)
    parameters = {n: array.copy() for n, array in random_parameters(config).items()}
    parameters[parameter][index] = -0.5
    close(found, record(config, parameters, Batch(**ragged_batch(config))))
    silent(browser)


def test_tables_show_what_changed_and_all_comes_back(browser: Browser, weather: Path) -> None:
    browser.open(weather, f"#{PLACE}.scores[4,1]")
    shown = "[...document.querySelectorAll('table.grid td')].map((td) => td.textContent).join('|')"
    before = browser.run(shown)
    gradient = f"numtx.arithmetic('grad/{PLACE}.values', [0, 0, 2, 1]).value"
    was = browser.run(gradient)
    found = browser.run(SET % "3")
    example = load_example("weather")
    where = np.zeros((1, 1, 7, 7), bool)
    where[0, 0, 4, 1] = True
    new = example.trace(pins={f"{PLACE}.scores": Pin(where, np.full(where.shape, 3.0))})
    close(found, new)
    now = browser.run(gradient)  # what was worked out before is not kept
    assert abs(now - new.grad(f"{PLACE}.values")[0, 0, 2, 1]) < 1e-12 < abs(now - was)
    after = browser.run(f"""(() => {{
      const row = document.querySelector('[data-of="{PLACE}.weights"] tbody').rows[4];
      return [...row.cells].map((cell) => cell.textContent).join(" ");
    }})()""")
    weights = [f"{x:.2f}" for x in new[f"{PLACE}.weights"][0, 0, 4]]
    assert after.split()[2:7] == weights[:5] and after.endswith("sum 1.00  max 1 今")
    said = browser.run("document.querySelector('#what-if output').textContent")
    assert f"{new['loss'].item():.3f}" in said
    assert browser.run("document.querySelector('td.here').textContent") == "3.00*"
    browser.run(f"location.hash = '{PLACE}.context[4,1]'")
    browser.run("new Promise((done) => setTimeout(done, 60))")
    browser.run("document.getElementById('undo').click()")
    assert browser.run(shown) == before
    left = "JSON.stringify(['d', 'here'].map((x) => document.querySelectorAll('td.' + x).length))"
    assert browser.run(left) == "[0,1]"
    silent(browser)


def test_a_cell_is_set_by_keys_alone(browser: Browser, weather: Path) -> None:
    browser.open(weather, f"#{PLACE}.scores[4,1]")
    browser.press("e")
    assert browser.run("document.activeElement.id") == "set"
    browser.run("document.activeElement.select()")
    browser.type("-2")
    browser.press("Enter")
    assert browser.run("document.activeElement.id") == "set"
    assert browser.run("document.querySelector('td.here').textContent") == "-2.00*"
    browser.press("Escape")
    assert browser.run("document.activeElement.matches('td.here')")
    silent(browser)


def test_what_cannot_be_set_says_why(browser: Browser, weather: Path, tmp_path: Path) -> None:
    browser.open(weather, f"#{PLACE}.mask[4,1]")
    said = "document.getElementById('what-if').textContent"
    assert "truth values are not set" in browser.run(said)
    trace = variant("decoder, rotary, grouped, gated")
    part = replace(trace, values={n: trace[n] for n in list(trace)[:5]})
    config = config_of("encoder, multi-query, rotary, float32", dtype="float32")
    single = record(config, random_parameters(config), Batch(**ragged_batch(config)))
    for other, words in (
        (generation(True, "left"), "chooses its words"), (part, "not every stage"),
        (single, "in float64, this run did not"),
    ):  # fmt: skip
        reason = _fixed(other, Style(), None)
        assert reason is not None and words in reason.en and reason.zh
    assert _fixed(trace, Style(), None) is None
    page = tmp_path / "page.html"
    page.write_text(trace_report(single, HEADING, stages=["logits"]), encoding="utf-8")
    browser.open(page, "#logits[0,0,1]")
    assert "in float64" in browser.run(said) and not browser.run("!!document.getElementById('set')")
    assert json.loads(browser.run("JSON.stringify(numtx.data.fixed)"))


def test_a_model_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    trace = variant("decoder, rotary, grouped, gated")
    monkeypatch.setattr("numtx.page.report.READS", 1000)
    reason = _fixed(trace, Style(), None)
    assert reason is not None and "use --set" in reason.en
