"""Outputs of a notebook in a real browser, put into the page as notebooks do: the arithmetic of
cells by pointer and by keys, and one script for all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from devtools import CHROMIUM, Browser

from numtx import load_example

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")

# An output comes as inner HTML, in which no script runs, and its scripts are made once more.
PUT = """(html) => {
  const host = document.body.appendChild(document.createElement("div"));
  host.innerHTML = html;
  for (const old of [...host.querySelectorAll("script")]) {
    const made = document.createElement("script");
    for (const { name, value } of old.attributes) made.setAttribute(name, value);
    made.textContent = old.textContent;
    old.replaceWith(made);
  }
}"""
# Every cell of the tables of an output: what stands in it, its address and the last number of its
# arithmetic.
CELLS = """(() => [...document.querySelectorAll(".numtx")[OUTPUT].querySelectorAll(
  ".grid tbody td:not(.note)")].map((td) => {
    td.dispatchEvent(new PointerEvent("pointerover", { bubbles: true, pointerType: "mouse" }));
    const panel = td.closest(".numtx").querySelector(".panel");
    return [td.textContent, panel.querySelector("b").textContent,
      panel.querySelector("pre").textContent.split(/[ =]+/).at(-1)];
  }))()"""
STAGE = "decoder.0.self_attention.weights"


def test_arithmetic_of_every_cell_of_outputs_beside_one_another(
    browser: Browser, tmp_path: Path
) -> None:
    trace = load_example("weather").trace()
    (tmp_path / "page.html").write_text("<!doctype html><meta charset=utf-8><body></body>")
    browser.open(tmp_path / "page.html")
    shown = [trace.stage(STAGE), trace.stage("encoder.0.feed_forward.norm"), trace]
    for k, thing in enumerate(shown):
        browser.run(f"({PUT})({json.dumps(thing._repr_html_())})")
        browser.run(f"window.first ??= window.numtx, window.first === window.numtx || k{k}")
    assert browser.run("document.querySelectorAll('.numtx.alive').length") == 3
    for k, output in enumerate(shown[:2]):
        cells = browser.run(CELLS.replace("OUTPUT", str(k)))
        assert len(cells) == 2 * output.value.size
        for text, address, result in cells:
            near = 0.0 if text == "." else float(text)
            assert address.removeprefix("grad/").startswith(f"{output.name}[")
            assert abs(float(result) - near) <= 0.006
    # The whole trace has the values of every stage, and no gradients.
    cells = browser.run(CELLS.replace("OUTPUT", "2"))
    assert {address.partition("[")[0] for _, address, _ in cells} == set(trace)
    assert browser.seen("Runtime.exceptionThrown") == []


def test_a_click_holds_and_keys_walk(browser: Browser, tmp_path: Path) -> None:
    html = load_example("weather").trace(gradients=False).stage(STAGE)._repr_html_()
    page = tmp_path / "page.html"
    page.write_text(f"<!doctype html><meta charset=utf-8><body>{html}</body>", encoding="utf-8")
    browser.open(page)
    panel = "document.querySelector('.panel')"
    browser.run("document.querySelectorAll('.grid tbody td')[0].click()")
    browser.run("document.querySelectorAll('.grid tbody td')[0].focus()")
    assert browser.run(f"{panel}.querySelector('b').textContent") == f"{STAGE}[0,0]"
    browser.press("ArrowDown")
    assert browser.run(f"{panel}.querySelector('b').textContent") == f"{STAGE}[1,0]"
    over = "new PointerEvent('pointerover', { bubbles: true })"
    browser.run(f"document.querySelectorAll('.grid tbody td')[20].dispatchEvent({over})")
    assert browser.run(f"{panel}.querySelector('b').textContent") == f"{STAGE}[1,0]"
    browser.press("Escape")
    assert browser.run(f"{panel}.hidden") is True
