"""Finding one's way in a page: search, contents, a way back, keys alone, speaker mode, phone, dark
and print; and that it can be used by everybody."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from devtools import CHROMIUM, Browser
from page_traces import PLACE, silent, variant, written

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")

LATER = "new Promise((done) => setTimeout(done, 60))"  # the page has drawn itself once more
NOW = "document.querySelector('.stage.now')?.id"


@pytest.fixture
def page(browser: Browser, weather: Path) -> Iterator[Browser]:
    """The page of weather in a window of the usual size."""
    browser.screen(1300, 800)
    browser.open(weather)
    yield browser
    silent(browser)
    browser.screen(1300, 800)


def press(page: Browser, *keys: str) -> Any:
    """Press keys, and say which stage is read then."""
    for key in keys:
        page.press(key)
    page.run(LATER)
    return page.run(NOW)


def focus(page: Browser) -> Any:
    """The link, the id or the text of what has the focus."""
    text = "at.getAttribute('href') || at.id || at.textContent.trim()"
    return page.run(f"((at) => {text})(document.activeElement)")


def test_search_finds_stages_headings_and_tokens_by_keys_alone(page: Browser) -> None:
    press(page, "/")
    assert focus(page) == "search"
    page.type("masked SCORES")
    found = page.run("[...document.querySelectorAll('#found a')].map((a) => a.hash).join()")
    assert found == f"#{PLACE}.masked_scores"
    assert page.run("document.getElementById('count').textContent") == "1"
    assert press(page, "Enter") == f"{PLACE}.masked_scores"
    assert page.run("location.hash") == f"#{PLACE}.masked_scores"
    assert page.run("document.getElementById('results').hidden")
    press(page, "/")
    page.type("j")  # a letter that is a key elsewhere
    assert focus(page) == "search"
    assert press(page, "Escape") == f"{PLACE}.masked_scores"
    assert page.run("document.getElementById('search').value") == ""
    press(page, "/")
    page.type("数据 <b>")  # nothing has this name, and it is text
    assert page.run("document.getElementById('count').textContent") == "0"


@pytest.mark.heavy
def test_search_goes_through_what_it_found(browser: Browser, tmp_path: Path) -> None:
    browser.open(written(tmp_path / "page.html", variant("decoder, rotary, grouped, gated")))
    press(browser, "/")
    browser.type("decoder")
    assert browser.run("document.getElementById('count').textContent").startswith("40 / ")
    press(browser, "ArrowDown", "ArrowDown")
    second = focus(browser)
    assert second == browser.run("document.querySelectorAll('#found a')[1].getAttribute('href')")
    press(browser, "ArrowUp", "ArrowUp")
    assert focus(browser) == "search"
    token = browser.run("numtx.data.tokens.decoder[1][2]")
    press(browser, "Escape", "/")
    browser.type(token)
    assert "#decoder.tokens[1,2]" in browser.run(
        "[...document.querySelectorAll('#found a')].map((a) => a.hash).join(' ')"
    )
    silent(browser)


def test_contents_stay_in_view_and_follow(page: Browser) -> None:
    page.run(f"document.getElementById('{PLACE}.residual').scrollIntoView()")
    page.run(LATER)
    top = page.run("document.querySelector('nav').getBoundingClientRect().top")
    assert top == 0
    now = page.run(NOW)
    assert now.startswith(PLACE) and now != f"{PLACE}.queries"
    marked = page.run("""[...document.querySelectorAll("nav [aria-current=location]")]
        .map((link) => link.getAttribute("href")).join()""").split(",")
    # In the list and in the picture: the part as a line and a box, the stage as a link and a box.
    assert sorted(marked) == sorted(2 * [f"#{now}", f"#from-{PLACE}.queries"])
    assert (
        page.run("""[...document.querySelectorAll(".drawn")]
        .filter((svg) => svg.getBoundingClientRect().height).map((svg) => svg.dataset.of).join()
    """)
        == f"from-{PLACE}.queries"
    )
    inside = """((link) => {
      const box = (element) => element.getBoundingClientRect();
      const [own, nav] = [box(link), box(document.querySelector("nav"))];
      return own.top >= nav.top && own.bottom <= nav.bottom;
    })(document.querySelector(".drawn a.now"))"""
    assert page.run(inside)
    where = "document.getElementById('where').textContent"
    assert now.rpartition(".")[2] in page.run(where) and "解码器层 0" in page.run(where)
    page.run("document.getElementById('lang-en').click()")
    assert "解码器层 0" not in page.run(where) and "Decoder layer 0" in page.run(where)


def test_a_way_back_from_a_link(page: Browser) -> None:
    back = "document.getElementById('back').disabled"
    assert page.run(back)
    press(page, "j", "j", "j")
    page.run(f"""document.querySelector('nav li a[href="#{PLACE}.norm"]').click()""")
    assert press(page) == f"{PLACE}.norm" and not page.run(back)
    page.run(f"""document.querySelector('nav li a[href="#{PLACE}.keys"]').click()""")
    assert press(page) == f"{PLACE}.keys"
    page.run(f"document.querySelector('[data-of=\"{PLACE}.keys\"] tbody td').click()")
    assert press(page, "b") == f"{PLACE}.norm"
    assert page.run("location.hash") == f"#{PLACE}.norm"
    press(page, "b")
    assert page.run("location.hash") == "" and page.run(back)
    press(page, "b")  # there is nothing before
    assert page.run("location.hash") == ""


def test_everything_by_keys(page: Browser) -> None:
    first = press(page, "j")
    assert first == page.run("document.querySelectorAll('.stage')[1].id")
    assert focus(page).startswith(page.run("document.querySelector('.now h3').textContent"))
    assert press(page, "ArrowDown") == page.run("document.querySelectorAll('.stage')[2].id")
    assert press(page, "k", "ArrowUp", "k", "k") == "encoder.embedding"  # nothing is above
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    assert page.run(outline) != "none"
    stages = page.run("[...document.querySelectorAll('.stage')].map((x) => x.id).join()")
    order = stages.split(",")  # those beside one another too, each in its turn
    assert [press(page, "j") for _ in order[1:]] == order[1:]
    assert press(page, *len(order) * "k") == "encoder.embedding"
    opened = "document.querySelector('.stage.now').open"
    press(page, "Enter")
    assert not page.run(opened)
    press(page, "Enter")
    assert page.run(opened)
    press(page, "Tab")
    assert page.run("document.activeElement.matches('.grid td')")
    assert press(page, "ArrowRight", "Enter") == "encoder.embedding"
    assert not page.run("document.getElementById('panel').hidden")
    press(page, "Escape")
    assert page.run("document.getElementById('panel').hidden")
    assert page.run("document.activeElement.matches('.now > summary')")
    press(page, "?")
    assert page.run("document.getElementById('keys').open")


def test_speaker_mode_shows_one_stage_a_screen(page: Browser) -> None:
    shown = """[...document.querySelectorAll("h1, nav, .stage")]
        .filter((x) => x.getBoundingClientRect().height).map((x) => x.id || x.localName).join()"""
    size = (
        "parseFloat(getComputedStyle(document.querySelector('.now .grid')).fontSize) * "
        "document.querySelector('.stage.now').currentCSSZoom"
    )
    before = page.run("parseFloat(getComputedStyle(document.querySelector('.grid')).fontSize)")
    press(page, "j", "s")
    second = page.run("document.querySelectorAll('.stage')[1].id")
    assert page.run(shown) == second
    assert page.run(size) > 1.3 * before
    assert page.run("document.getElementById('number').textContent").startswith("2 / ")
    third = press(page, "ArrowRight")
    assert page.run(shown) == third != second
    assert press(page, "PageDown", "ArrowLeft", "PageUp") == second
    page.run("document.querySelector('.now td[tabindex]').focus()")
    assert press(page, "ArrowRight") == second  # that moves in the table
    press(page, "Escape")
    assert page.run(shown) == second
    press(page, "Escape")
    assert page.run("document.querySelector('nav').offsetHeight") > 0
    assert page.run(NOW) == second
    assert page.run("document.querySelector('.stage.now').style.zoom") == ""


@pytest.mark.heavy
@pytest.mark.parametrize("width", [320, 400])
def test_a_phone_scrolls_tables_and_never_the_page(
    page: Browser, weather: Path, width: int
) -> None:
    page.screen(width, 700)
    page.open(weather, f"#{PLACE}.scores[4,1]")
    page.run(LATER)
    assert page.run("document.documentElement.scrollWidth") <= width
    assert page.run("document.querySelector('nav').getBoundingClientRect().height") < 140
    assert page.run("""((td) => {
      const own = td.getBoundingClientRect();
      return td === document.elementFromPoint(own.left + own.width / 2, own.top + own.height / 2);
    })(document.querySelector("td.here"))""")  # neither the contents nor the panel lie over it
    page.run("document.querySelector('#contents > summary').click()")
    assert page.run("document.querySelector('nav').getBoundingClientRect().height") <= 700


@pytest.mark.heavy
def test_dark_is_dark_everywhere(page: Browser) -> None:
    page.screen(1300, 800, "dark")
    bright = page.run("""(() => {
      const bright = (color) => {
        const [r, g, b, alpha = 1] = color.match(/[\\d.]+/g).map(Number);
        return alpha > 0.5 && Math.min(r, g, b) > 150;
      };
      return [...document.querySelectorAll("body, nav, .box, .drawn rect, button, input, td, th")]
        .filter((x) => x.getBoundingClientRect().height)
        .map((x) => getComputedStyle(x)[x.localName === "rect" ? "fill" : "backgroundColor"])
        .filter(bright).length;
    })()""")
    assert bright == 0
    assert page.run("getComputedStyle(document.querySelector('.drawn text')).fill") == (
        page.run("getComputedStyle(document.body).color")
    )


@pytest.mark.heavy
def test_paper_shows_every_stage_and_no_switch(page: Browser) -> None:
    page.run("document.getElementById('close-all').click()")
    page.screen(800, 1100, "dark", "print")
    height = "x.getBoundingClientRect().height"
    seen = f"[...document.querySelectorAll('{{}}')].filter((x) => {height}).length"
    assert page.run(seen.format("nav, button, input, #panel, kbd")) == 0
    page.run("dispatchEvent(new Event('beforeprint'))")
    assert page.run(seen.format(".stage .grid")) == page.run(
        "document.querySelectorAll('.values .grid').length"
    )
    assert page.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


@pytest.mark.heavy
def test_two_runs_side_by_side(page: Browser, pair: Path) -> None:
    page.open(pair, f"#{PLACE}.weights[4,1]")
    here = page.run("""[...document.querySelectorAll("td.here")].map((td) =>
      [Number(td.textContent), td.getBoundingClientRect().left].join()).join(" ")""")
    (was, left), (now, right) = (map(float, one.split(",")) for one in here.split())
    assert (was, now) == (0.25, 0.85) and left < right  # beside one another, before first
    line = page.run("document.getElementById('beside').textContent")
    numbers = [float(x) for x in re.findall(r"\d\.\d+", line)]
    assert numbers[2] == abs(numbers[0] - numbers[1]) and round(numbers[2], 2) == 0.6
    page.run("document.querySelector('[data-other][data-of$=\"context\"] td.d').click()")
    assert page.run("document.querySelectorAll('td.here').length") == 2
    assert page.run("document.getElementById('cell').textContent").startswith(
        f"{PLACE}.context[4,0]"
    )
    assert press(page, "Escape", "k", "k", "k", "k") == f"{PLACE}.scores"
    press(page, "k")
    assert press(page, "d") == f"{PLACE}.scores"  # the first that differs after this
    assert press(page, "d") == f"{PLACE}.masked_scores"


@pytest.mark.heavy
def test_a_slider_goes_through_the_steps_of_a_generation(page: Browser, steps: Path) -> None:
    page.open(steps)
    shown = (
        "[...document.querySelectorAll('.step:not([hidden])')].map((x) => x.dataset.phase).join()"
    )
    told = "document.getElementById('phase').textContent"
    kinds = """['new', 'read'].map((kind) => [...document.querySelectorAll('.step td.' + kind)]
        .filter((td) => td.getBoundingClientRect().height).length)"""
    assert page.run(shown) == "prefill" and page.run(told) == "prefill (1 / 3)"
    new, read = page.run(kinds)
    assert new > 0 == read
    page.run("slider.focus()")
    press(page, "ArrowRight")
    assert page.run(shown) == "decode.0" and page.run(told) == "decode.0 (2 / 3)"
    assert page.run(kinds)[1] == new > page.run(kinds)[0]
    page.run("document.getElementById('after').click()")
    page.run("document.getElementById('after').click()")  # there is no more
    assert page.run(shown) == "decode.1"
    page.run("document.getElementById('before').click()")
    assert page.run("slider.value") == "1"
    page.run("document.activeElement.blur()")
    press(page, "s")
    assert page.run(shown) == "decode.0" and press(page) == "steps"
    press(page, "Escape")
    page.screen(1300, 800, media="print")
    assert page.run("[...document.querySelectorAll('.step')].every((x) => x.offsetHeight)")
