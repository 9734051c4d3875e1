"""The HTML report in a real browser: its arithmetic, its keys, its links, and its silence."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from devtools import CHROMIUM, Browser
from page_traces import CHEAP, EVERY, HEADING, PLACE, TRACES, silent, variant, written
from samples import assert_close, random_parameters, some

from numtx import load_example
from numtx.batch import Batch
from numtx.config import Config
from numtx.page.report import trace_report
from numtx.trace.trace import Trace, record

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")

LONG = "decoder, long rows, far positions"

# For each cell of an array, and of its gradient: the value and the written steps, of which each
# stands once among `lines`, for the cells of a row have most of theirs in common.
EVERY_CELL = """((name) => {
  const { shape, values, gradient } = numtx.data.arrays[name];
  const index = (offset) => {
    const made = [];
    for (const n of [...shape].reverse()) {
      made.unshift(offset % n);
      offset = Math.floor(offset / n);
    }
    return made;
  };
  const strict = (x) => (Number.isFinite(Number(x)) ? x : String(x).replace("Infinity", "inf"));
  const lines = new Map();
  const known = (line) => {
    if (!lines.has(line)) lines.set(line, lines.size);
    return lines.get(line);
  };
  const cells = (target, flat) => flat.map((_, i) => {
    const { value, steps } = numtx.arithmetic(target, index(i));
    return [strict(value), steps.map(([name, line]) => [name, known(line)])];
  });
  const found = { values: cells(name, values), gradients: cells("grad/" + name, gradient || []) };
  return JSON.stringify({ ...found, lines: [...lines.keys()] });
})"""


DEAR = [pytest.param(n, id=n, marks=pytest.mark.heavy) for n in EVERY if n not in CHEAP]

NAMES: dict[str, Any] = {
    "exp": math.exp, "ln": math.log, "sqrt": math.sqrt, "sin": math.sin, "cos": math.cos,
    "tanh": math.tanh, "erfc": math.erfc, "pi": math.pi, "inf": math.inf,
    "max": lambda *x: max(x), "min": lambda *x: min(x), "abs": abs, "sorted": sorted,
    "__builtins__": {},
}  # fmt: skip


class Found:
    """What the page says of the cells of an array."""

    def __init__(self, browser: Browser, name: str) -> None:
        found = json.loads(browser.run(f"{EVERY_CELL}({json.dumps(name)})"))
        self.lines = found["lines"]
        self.results: dict[tuple[int, ...], float] = {}
        self.values, self.written = self._cells(found["values"])
        self.gradients, self.written_gradients = self._cells(found["gradients"])

    def _cells(self, cells: list[Any]) -> tuple[Any, Any]:
        """The values, and what the written arithmetic comes to."""
        values = np.array([float(value) for value, _ in cells])
        return values, np.array([self._evaluated(steps) for _, steps in cells], float)

    def _evaluated(self, steps: list[tuple[str, int]]) -> float:
        """What written arithmetic comes to, each line with the results of the lines before."""
        known: dict[str, float] = {}
        before: tuple[int, ...] = ()
        for name, line in steps:
            before = (*before, line)
            if before not in self.results:
                text = self.lines[line].replace("·", "*").replace("^", "**")
                self.results[before] = float(eval(text, {**NAMES, **known}))
            known[name] = self.results[before]
        return known[""]


def near(got: Any, right: Any, room: Any) -> Any:
    """Where numbers are equal, or near."""
    with np.errstate(invalid="ignore"):
        return (got == right) | (np.abs(got - right) <= room)


@pytest.mark.parametrize("name", [*some(1, __name__, CHEAP, ["cat, cells pinned"]), *DEAR])
def test_arithmetic_is_the_oracles(browser: Browser, name: str, tmp_path: Path) -> None:
    """Every cell of every stage and of every gradient, and the arithmetic written of it."""
    trace: Trace = TRACES[name]() if name in TRACES else variant(name)
    browser.open(written(tmp_path / "page.html", trace, list(trace)[-1:]))
    oracle, unit = trace.oracle(), 8.0 * np.finfo(np.float64).eps
    for source in {**dict.fromkeys(trace), **trace.gradients}:
        found = Found(browser, source)
        if source in trace.graph:
            right, bound = oracle.recomputed(trace.graph[source])
            pinned = trace.pins.get(source, np.zeros(trace[source].shape, bool)).ravel()
            right = np.where(pinned, trace[source].ravel(), right)
            room = unit * bound + 1e-300
            assert near(found.values, right, room).all(), source
            assert near(found.written, right, 2 * room).all(), source
        gradient = trace.grad(source).ravel() if source in trace.gradients else np.zeros(0)
        size = max(1.0, float(np.abs(gradient).max(initial=0.0)))
        assert_close(found.gradients / size, gradient / size, 1e-12)
        assert_close(found.written_gradients / size, gradient / size, 1e-12)
    silent(browser)


@pytest.mark.parametrize("name", ["weather", pytest.param(LONG, id=LONG, marks=pytest.mark.heavy)])
def test_every_table_cell_knows_its_address(browser: Browser, name: str, tmp_path: Path) -> None:
    trace: Trace = TRACES[name]() if name in TRACES else variant(name)
    browser.open(written(tmp_path / "page.html", trace))
    wrong = browser.run("""(() => {
      let wrong = [];
      let right = 0;
      for (const td of document.querySelectorAll(".grid tbody td:not(.note)")) {
        const [target, index] = numtx.addressOf(td);
        const number = Number(td.textContent.replace("inf", "Infinity"));
        const real = Number(numtx.recorded(target, index));
        const same = number === real || Math.abs(number - real) <= 0.00501;
        const hidden = td.classList.contains("x");
        if (numtx.cellAt(target, index) === td && (same || hidden)) right++;
        else wrong.push(`${target}[${index}] ${td.textContent} ${real}`);
      }
      return right > 10000 ? wrong.slice(0, 5) : ["too few", right];
    })()""")
    assert wrong == []


STATE = """(() => {
  const at = (td) => td.matches("td") && numtx.addressOf(td).join(" ");
  const all = (style) => [...document.querySelectorAll(".grid td." + style)]
    .filter((td) => td.offsetParent).map(at);
  return JSON.stringify({
    here: all("here"), a: all("a"), b: all("b"), c: all("c"),
    hidden: document.getElementById("panel").hidden,
    title: document.getElementById("cell").textContent,
    text: document.getElementById("arithmetic").textContent,
    focus: at(document.activeElement),
    hash: location.hash,
    seen: [...document.querySelectorAll(".here")].every((td) => {
      const box = td.getBoundingClientRect();
      return box.top >= 0 && box.bottom <= innerHeight;
    }),
  });
})()"""


def state(browser: Browser) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(browser.run(STATE))
    return found


LATER = "new Promise((done) => setTimeout(done, 30))"  # the page has heard of a new hash


@pytest.mark.parametrize("address", ["[4,1]", "[0,0,4,1]"])
def test_a_deep_link_opens_its_cell(browser: Browser, weather: Path, address: str) -> None:
    browser.open(weather, f"#{PLACE}.products{address}")
    found = state(browser)
    assert found["here"] == [f"{PLACE}.products 0,0,4,1"]
    assert found["a"] == [f"{PLACE}.queries 0,0,4,{k}" for k in range(4)]
    assert found["b"] == [f"{PLACE}.keys 0,0,1,{k}" for k in range(4)]
    assert found["title"] == f"{PLACE}.products[4,1]  4 气 → 1 今"
    assert found["text"].count("·") == 4
    assert found["seen"] and not found["hidden"]
    silent(browser)


def test_a_deep_link_to_a_gradient(browser: Browser, weather: Path) -> None:
    browser.open(weather, f"#grad/{PLACE}.weights[4,1]")
    found = state(browser)
    assert found["here"] == [f"grad/{PLACE}.weights 0,0,4,1"]
    assert found["a"] == [f"grad/{PLACE}.context 0,0,4,{k}" for k in range(4)]
    assert browser.run("document.getElementById('show-gradients').checked")


def test_a_link_to_nothing_is_quiet(browser: Browser, weather: Path) -> None:
    browser.open(weather, "#nowhere[1]")
    assert state(browser)["here"] == []
    for hash in (f"{PLACE}.products[9,9]", "%ff", "", "logits", "[1]", "from-logits"):
        browser.run(f"location.hash = '{hash}'")
        browser.run(LATER)
        assert state(browser)["here"] == []
    silent(browser)


def test_a_link_opens_what_is_folded(browser: Browser, weather: Path) -> None:
    browser.open(weather)
    browser.run("document.getElementById('close-all').click()")
    assert browser.run("document.querySelectorAll('main details[open]').length") == 0
    browser.run(f"location.hash = '{PLACE}.scores[2,0]'")
    browser.run(LATER)
    assert browser.run(f"document.getElementById('{PLACE}.scores').open")
    assert state(browser)["here"] == [f"{PLACE}.scores 0,0,2,0"]


def test_keys(browser: Browser, weather: Path) -> None:
    browser.open(weather, f"#{PLACE}.scores[4,1]")
    for key in ("ArrowRight", "ArrowDown", "ArrowDown", "ArrowLeft", "ArrowLeft", "ArrowLeft"):
        browser.press(key)
    found = state(browser)  # the last move left has nowhere to go
    assert found["here"] == [found["focus"]] == [f"{PLACE}.scores 0,0,6,0"]
    assert found["hash"] == f"#{PLACE}.scores[6,0]"
    assert found["seen"]
    browser.press("Escape")
    assert state(browser)["hidden"] and state(browser)["here"] == []


def test_mouse(browser: Browser, weather: Path) -> None:
    browser.open(weather)

    def middle(of: str) -> tuple[float, float]:
        box = browser.run(f"""(() => {{
          const td = numtx.cellAt(...{of});
          td.scrollIntoView({{ block: "center" }});
          const {{ x, y, width, height }} = td.getBoundingClientRect();
          return JSON.stringify([x + width / 2, y + height / 2]);
        }})()""")
        x, y = json.loads(box)
        return x, y

    browser.mouse("mouseMoved", *middle("['encoder.embedding', [0, 2, 1]]"))
    assert state(browser)["here"] == ["encoder.embedding 0,2,1"]
    at = middle("['encoder.embedding', [0, 3, 2]]")
    for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
        browser.mouse(kind, *at)
    browser.mouse("mouseMoved", *middle("['encoder.embedding', [0, 5, 0]]"))
    assert state(browser)["here"] == ["encoder.embedding 0,3,2"]  # held


def test_switches(browser: Browser, weather: Path) -> None:
    browser.open(weather)

    def choose(name: str) -> None:
        browser.run(f"document.getElementById('{name}').click()")

    def shown(selector: str) -> bool:
        return bool(browser.run(f"document.querySelector('{selector}').offsetParent !== null"))

    assert shown("main [lang=zh]") and shown("main [lang=en]")
    choose("lang-en")
    assert not shown("main [lang=zh]") and shown("main [lang=en]")
    choose("lang-zh")
    assert shown("main [lang=zh]") and not shown("main [lang=en]")
    assert shown(".values") and not shown(".gradients")
    choose("show-gradients")
    assert not shown(".values") and shown(".gradients")
    color = "getComputedStyle(document.body).backgroundColor"
    choose("theme-dark")
    dark = browser.run(color)
    choose("theme-light")
    assert (dark, browser.run(color)) == ("rgb(22, 24, 29)", "rgb(255, 255, 255)")
    choose("show-values")
    browser.run(f"location.hash = '{PLACE}.scores[4,1]'")
    browser.run(LATER)
    short = state(browser)["text"]
    choose("exact")
    assert len(state(browser)["text"]) > len(short) + 10


def test_the_policy_holds(browser: Browser, weather: Path) -> None:
    browser.open(weather)
    browser.run("""(() => {
      const script = document.createElement("script");
      script.textContent = "window.bad = 1";
      document.body.append(script);
    })()""")
    assert browser.run("window.bad === undefined")
    assert any("Content Security" in e["entry"]["text"] for e in browser.seen("Log.entryAdded"))


def test_hostile_tokens_are_text(browser: Browser, tmp_path: Path) -> None:
    evil = ["<script>bad = 1</script>", "<img src=x onerror='bad = 1'>", "\u202ex", "\"'&", "天"]
    config = Config(model="decoder-only", width=4, decoder_layers=1, hidden=6, vocabulary=5)
    batch = Batch(ids=[list(range(5))])
    trace = record(
        config, random_parameters(config), batch, tokens={"decoder": [evil]}, vocabulary=evil
    )
    path = tmp_path / "page.html"
    path.write_text(trace_report(trace, HEADING), encoding="utf-8")
    browser.open(path, "#logits[1,0]")
    silent(browser)
    assert browser.run("window.bad === undefined")
    assert state(browser)["title"] == f"logits[1,0]  1 {evil[1]} → 0 {evil[0]}"
    heads = browser.run("[...document.querySelectorAll('th')].map((th) => th.textContent).join()")
    assert "2 \\u202ex" in heads and "\u202e" not in heads


def test_a_cell_that_no_table_shows_leads_to_its_stage(browser: Browser, tmp_path: Path) -> None:
    trace = load_example("weather").trace()
    path = tmp_path / "page.html"
    stages = trace.graph.select([f"{PLACE}.*"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("numtx.page.report.LARGEST", 6)
        patch.setattr("numtx.page.report.CORNER", 2)
        patch.setattr("numtx.show.stage_grid.LARGEST", 6)
        patch.setattr("numtx.show.stage_grid.CORNER", 2)
        path.write_text(trace_report(trace, HEADING, stages=stages), encoding="utf-8")
    browser.open(path, f"#{PLACE}.context[3,1]")
    found = state(browser)
    assert found["here"] == [] and found["title"].startswith(f"{PLACE}.context[3,1]")
    top = f"document.getElementById('{PLACE}.context').getBoundingClientRect().top"
    assert abs(browser.run(top)) < 100


@pytest.mark.parametrize("address", [f"{PLACE}.queries[1,2,3,4]", f"grad/{PLACE}.norm[1,2,3]"])
def test_arrays_that_are_not_in_the_page(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    """A value that is not there; and a gradient that comes from cells that are not there."""
    monkeypatch.setattr("numtx.page.report.EMBEDDED", 100)
    trace = variant("decoder, rotary, grouped, gated")
    path = tmp_path / "page.html"
    path.write_text(trace_report(trace, HEADING, stages=["loss"]), encoding="utf-8")
    browser.open(path, f"#{address}")
    note = browser.run("document.getElementById('from').textContent")
    assert f"{PLACE}.queries is too large" in note
    silent(browser)
