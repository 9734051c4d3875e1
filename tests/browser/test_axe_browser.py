"""That pages keep nobody out, as axe-core sees it: a file that NUMTX_AXE names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from devtools import CHROMIUM, Browser
from page_traces import PLACE

AXE = os.environ.get("NUMTX_AXE", "")
pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium"),
    pytest.mark.skipif(not AXE, reason="NUMTX_AXE names no axe.min.js"),
]
LATER = "new Promise((done) => setTimeout(done, 60))"


@pytest.fixture(params=["light", "dark"])
def page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Browser]:
    browser.screen(1300, 800, request.param)
    yield browser
    browser.screen(1300, 800)


def serious(page: Browser) -> list[str]:
    """What axe-core finds that keeps people out."""
    page.run(LATER)
    page.run(Path(AXE).read_text(encoding="utf-8") + ";0")
    found: list[str] = page.run("""axe.run().then(({ violations }) => violations
      .filter(({ impact }) => ["serious", "critical"].includes(impact))
      .map(({ id, nodes }) => `${id} (${nodes.length}): ` + nodes.slice(0, 3).map(({ html, any }) =>
        `${html.slice(0, 120)} ${any[0]?.message || ""}`).join(" | ")))""")
    return found


@pytest.mark.parametrize("state", ["", "s", "/", "?"])
def test_a_run(page: Browser, weather: Path, state: str) -> None:
    page.open(weather, f"#{PLACE}.products[4,1]")
    for key in state:
        page.press(key)
    assert serious(page) == []


def test_gradients_and_their_products(page: Browser, weather: Path) -> None:
    page.open(weather, f"#grad/{PLACE}.queries[4,1]")
    assert serious(page) == []


@pytest.mark.parametrize("kind", ["pair", "steps", "lesson", "figures"])
def test_other_pages(page: Browser, kind: str, request: pytest.FixtureRequest) -> None:
    page.open(request.getfixturevalue(kind))
    assert serious(page) == []


def test_a_phone(page: Browser, weather: Path) -> None:
    page.screen(360, 700)
    page.open(weather)
    assert serious(page) == []


def test_what_keeps_people_out_is_found(page: Browser, weather: Path) -> None:
    page.open(weather)
    page.run("document.querySelector('main').append(document.createElement('button'))")
    assert any(found.startswith("button-name") for found in serious(page))
