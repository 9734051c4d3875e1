"""The matrix product under the pointer: what it is drawn from, and that it is what is recorded."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from devtools import CHROMIUM, Browser
from page_traces import CHEAP, TRACES, silent, variant, written

from numtx import load_example
from numtx.tap import Pin
from numtx.trace.trace import Trace

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")

# Every cell that is one of a matrix product, or whose gradient is a sum of such: by how much the
# sum of the terms misses what is recorded, relative to their size; and how many cells that were.
PRODUCTS = """(() => {
  const { calculate, data } = numtx;
  const bare = (target) => target.replace(/^grad\\//, "");
  const number = (target, offset) => {
    const cells = calculate.array(bare(target));
    return (bare(target) === target ? cells.flat : cells.gradient)[offset];
  };
  const found = { value: [0, 0], gradient: [0, 0] };
  const weigh = (kind, products, right) => {
    const terms = products.flatMap(({ left, right: other, terms, bias }) => [
      ...terms.map(([i, j]) => number(left, i) * number(other, j)),
      ...(bias ? [number(...bias)] : []),
    ]);
    const size = terms.reduce((sum, x) => sum + Math.abs(x), 1);
    const off = Math.abs(terms.reduce((sum, x) => sum + x, 0) - right) / size;
    found[kind] = [Math.max(found[kind][0], off), found[kind][1] + 1];
  };
  const readers = (name) => Object.values(data.stages).filter((stage) =>
    stage.inputs.includes(name) && "gradient" in data.arrays[stage.name]);
  for (const [name, { values, gradient }] of Object.entries(data.arrays)) {
    const only = readers(name).length && readers(name).every((stage) =>
      stage.operation === "contract" && stage.inputs.length > 1 && stage.inputs[2] !== name);
    values.forEach((value, offset) => {
      const index = calculate.indexOf(name, offset);
      const own = data.stages[name] ? calculate.productOf(name, index) : [];
      if (own.length) weigh("value", own, value);
      if (gradient && only) {
        weigh("gradient", calculate.productsOfGradient(name, index), gradient[offset]);
      }
    });
  }
  return JSON.stringify(found);
})()"""


@pytest.mark.heavy
@pytest.mark.parametrize("name", [*CHEAP, "cat, cells pinned"])
def test_products_are_what_is_recorded(browser: Browser, name: str, tmp_path: Path) -> None:
    trace: Trace = TRACES[name]() if name in TRACES else variant(name)
    browser.open(written(tmp_path / "page.html", trace, list(trace)[-1:]))
    found = json.loads(browser.run(PRODUCTS))
    assert found["value"][0] < 1e-12 and found["value"][1] > 50
    assert found["gradient"][0] < 1e-12 and (found["gradient"][1] > 50 or not trace.gradients)


@pytest.mark.heavy
def test_a_product_that_is_held_hands_nothing_on(browser: Browser, tmp_path: Path) -> None:
    where = np.zeros((1, 1, 7, 7), bool)
    where[0, 0, 4, 1] = True
    pins = {"decoder.0.self_attention.products": Pin(where, np.full(where.shape, 0.5))}
    trace = load_example("weather").trace(pins=pins)
    browser.open(written(tmp_path / "page.html", trace, ["loss"]))
    found = json.loads(browser.run(PRODUCTS))
    assert found["gradient"][0] < 1e-12 and found["value"][0] < 1e-12


DRAWN = """JSON.stringify([...document.querySelectorAll(".product")].map((product) => ({
  title: product.querySelector("b").textContent.trim(),
  factors: [...product.querySelectorAll("figcaption a")].map((a) => a.textContent),
  numbers: [...product.querySelectorAll("table")].map((table) =>
    [...table.querySelectorAll("td")].map((td) => Number(td.textContent))),
  labels: [...product.querySelectorAll("th")].map((th) => th.textContent),
  cell: Number(product.querySelector("output").textContent),
})))"""


def test_a_product_is_drawn_with_both_factors_and_every_head(
    browser: Browser, tmp_path: Path
) -> None:
    trace = variant("decoder, rotary, grouped, gated")
    at = "decoder.0.self_attention"
    page = written(tmp_path / "page.html", trace, trace.graph.select([f"{at}.[wvc]*"]))
    browser.open(page, f"#{at}.context[1,1,4,2]")
    heads = json.loads(browser.run(DRAWN))
    assert [one["title"] for one in heads] == [
        f"{'▸ ' * (h == 1)}头 {h} {'▸ ' * (h == 1)}head {h}" for h in (1, 0, 2, 3)
    ]
    for h, one in zip((1, 0, 2, 3), heads, strict=True):
        assert one["factors"] == [f"{at}.weights[1,{h},4,:]", f"{at}.values[1,{h // 2},:,2]"]
        row = trace[f"{at}.weights"][1, h, 4]
        column = trace[f"{at}.values"][1, h // 2, :, 2]
        np.testing.assert_allclose(one["numbers"], [row, column], atol=5e-4)
        assert abs(one["cell"] - row @ column) < 5e-4
        tokens = [f"{t} {token}" for t, token in enumerate(trace.tokens["decoder"][1])]
        assert one["labels"] == 2 * tokens
    browser.open(page, f"#grad/{at}.weights[1,1,4,2]")
    gradient = json.loads(browser.run(DRAWN))[0]
    assert gradient["factors"] == [f"grad/{at}.context[1,1,4,:]", f"{at}.values[1,0,2,:]"]
    assert abs(gradient["cell"] - trace.grad(f"{at}.weights")[1, 1, 4, 2]) < 1e-6
    browser.open(page, f"#grad/parameters/{at}.w_v[2,1]")
    (gradient,) = json.loads(browser.run(DRAWN))
    assert gradient["factors"] == [f"{at}.norm[:,:,2]", f"grad/{at}.values[:,0,:,1]"]
    browser.open(page, f"#{at}.weights[1,1,4,2]")
    assert json.loads(browser.run(DRAWN)) == []
    silent(browser)
