"""The HTML report as text: its structure, its policy, its data, and hostile tokens."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import numtx
from numtx import load_example
from numtx.batch import Batch
from numtx.config import Config
from numtx.html.frame import script_json
from numtx.oracle.operations import OPERATIONS
from numtx.page.page import Heading
from numtx.page.report import trace_report
from numtx.parameters import initialise
from numtx.show.stage_grid import Style
from numtx.stages.catalogue import Text
from numtx.trace.trace import Trace, record

HEADING = Heading(Text("标题", "title"))
VOID = {"meta", "link", "input"}
HOSTILE = ["<script>bad()</script>", "\"'&", "\u202edlrow", "</td>", "天", "a\nb", "", "x"]


class Page(HTMLParser):
    """A page taken apart; every element must be closed in its turn."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
            self.texts.setdefault(tag, []).append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            self.texts[self.open[-1]][-1] += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def data(self) -> Any:
        return json.loads(self.texts["script"][0])


@pytest.fixture(scope="module")
def weather() -> Trace:
    return load_example("weather").trace()


@pytest.fixture(scope="module")
def text(weather: Trace) -> str:
    return trace_report(weather, HEADING)


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def hostile() -> Trace:
    config = Config(
        model="decoder-only", width=4, decoder_layers=1, heads=2, hidden=5, vocabulary=len(HOSTILE)
    )
    batch = Batch(ids=[list(range(7))], labels=[list(range(1, 8))])
    tokens = {"decoder": [HOSTILE[:7]], "labels": [HOSTILE[1:]]}
    return record(config, initialise(config, 0), batch, tokens=tokens, vocabulary=HOSTILE)


def long() -> Trace:
    config = Config(model="decoder-only", width=6, decoder_layers=1, hidden=150, vocabulary=11)
    batch = Batch(ids=[[i % 11 for i in range(40)]])
    return record(config, initialise(config, 0), batch, gradients=False)


def test_every_stage_folds_and_the_contents_lead_to_it(page: Page, weather: Trace) -> None:
    ids = [a["id"] for _, a in page.elements if "id" in a]
    assert len(ids) == len(set(ids))
    folded = [a["id"] for a in page.all("details") if a.get("class", "").startswith("stage")]
    parameters = [f"parameters/{name}" for name in weather.parameters]
    assert folded == [*weather.values, *parameters]
    links = [a["href"].removeprefix("#") for a in page.all("a") if a["href"].startswith("#")]
    assert set(weather.values) < set(links) <= set(ids)
    assert "解码器层 0：掩码自注意力" in page.texts["span"]
    assert "Decoder layer 0: masked self-attention" in page.texts["span"]


def test_cells_stand_in_the_page_itself(page: Page, weather: Trace, text: str) -> None:
    """Without a script the tables can be read: each row of a stage is there, rounded."""
    tables = {(a["data-of"], a["data-at"]) for a in page.all("table")}
    assert ("decoder.1.cross_attention.weights", "0,0") in tables
    assert ("grad/logits", "0") in tables
    start = text.index('data-of="encoder.0.self_attention.context" data-at="0,0"')
    cells = re.findall(r"<td[^>]*>([^<]*)</td>", text[start : text.index("</table>", start)])[1:]
    expected = [f"{x:.2f}" for x in weather["encoder.0.self_attention.context"].ravel()]
    assert cells == [x.replace("-0.00", "0.00") for x in expected]


def test_masked_cells_are_hatched_and_colour_follows_size(text: str) -> None:
    start = text.index('data-of="decoder.0.self_attention.weights"')
    table = text[start : text.index("</table>", start)]
    assert table.count("<td class=x>.</td>") == 21
    assert re.search(r"<td class=p5>1\.00</td>", table)
    assert "sum 1.00" in table
    start = text.index('data-of="decoder.0.self_attention.mask"')
    assert text[start : text.index("</table>", start)].count("<td class=x>0</td>") == 21
    assert re.search(r"<td class=n\d>-", text)


def test_data_is_whole_and_exact(page: Page, weather: Trace) -> None:
    assert list(page.data["stages"]) == list(weather.values)
    for name, array in weather.arrays.items():
        found = page.data["arrays"][name]
        assert found["shape"] == list(array.shape)
        numbers = [float(x) for x in found["values"]]  # "-inf" too
        np.testing.assert_array_equal(numbers, array.ravel(), strict=False)
        assert ("gradient" in found) == (name in weather.gradients)
    gradient = page.data["arrays"]["parameters/output.w"]["gradient"]
    assert gradient == weather.grad("parameters/output.w").ravel().tolist()


def test_size(text: str) -> None:
    assert len(text.encode()) < 1_000_000


def test_the_policy_admits_these_scripts_and_styles_and_nothing_else(text: str, page: Page) -> None:
    metas = [a["content"] for a in page.all("meta") if a.get("http-equiv")]
    assert len(metas) == 1
    policy = dict(part.strip().split(" ", 1) for part in metas[0].split(";"))
    assert policy["default-src"] == "'none'"
    assert "unsafe" not in metas[0]

    def quoted(content: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"

    styles, scripts = page.texts["style"], page.texts["script"]
    assert policy["style-src"] == quoted(*styles)
    assert policy["script-src"] == quoted(scripts[1])
    assert [a.get("type") for a in page.all("script")] == ["application/json", None]
    for _, attributes in page.elements:  # what the policy would refuse is not there
        assert not any(name == "style" or name.startswith("on") for name in attributes)


def test_nothing_is_fetched(text: str, page: Page) -> None:
    assert not re.search(r"https?:|url\(|@import|fetch\(|XMLHttpRequest|//[a-z]+\.[a-z]", text)
    for _, attributes in page.elements:
        assert "src" not in attributes
        assert (attributes.get("href") or "#").startswith(("#", "data:,"))


def test_assets_end_no_element() -> None:
    home = Path(numtx.__file__).parent
    for file in [*home.rglob("*.js"), *home.rglob("*.css")]:
        content = file.read_text(encoding="utf-8")
        assert not re.search(r"</?(script|style)|<!--", content), file.name
        assert "\r" not in content


def test_the_page_knows_every_operation() -> None:
    """The same operations as the oracle, in the same order."""
    file = Path(numtx.__file__).parent / "oracle" / "operations.js"
    known = re.findall(
        r"^    (\w+)(?:\(r\) \{|: \(r\) =>)", file.read_text(encoding="utf-8"), re.MULTILINE
    )
    assert known == list(OPERATIONS)


def test_hostile_tokens_are_text() -> None:
    text = trace_report(hostile(), Heading(Text("<b>", "\u202e"), [(Text("<i>", ""), [])]))
    page = Page(text)
    assert len(page.all("script")) == 2
    assert "\u202e" not in text
    assert "b" not in page.texts
    heads = page.texts["th"]
    assert "0 <script>bad()</script>" in heads
    assert "2 \\u202edlrow" in heads
    assert "3 </td>" in heads
    assert page.data["vocabulary"][0] == HOSTILE[0]


def test_script_json_ends_no_element() -> None:
    text = script_json({"a": "</script><!--", "b": [1.5, "天"]})
    assert "<" not in text
    assert json.loads(text) == {"a": "</script><!--", "b": [1.5, "天"]}


def test_large_arrays_are_summaries() -> None:
    trace = long()
    text = trace_report(trace, HEADING)
    start = text.index('<div class="values">', text.index('id="decoder.0.feed_forward.hidden"'))
    values = text[start : text.index("</table>", start)]
    assert "float64[1,40,150]  mean" in values
    assert values.count("<tr>") == 1 + 7
    assert values.count("<td>...</td>") == 6 + 7
    whole = trace_report(trace, HEADING, Style(full=True))
    start = whole.index("<table", whole.index('id="decoder.0.feed_forward.hidden"'))
    assert whole[start : whole.index("</table>", start)].count("<tr>") == 1 + 40
    assert 'id="show-gradients"' not in text


def test_arrays_too_large_for_the_page_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("numtx.page.report.EMBEDDED", 1000)
    arrays = Page(trace_report(long(), HEADING)).data["arrays"]
    assert "values" not in arrays["decoder.0.feed_forward.hidden"]
    assert "values" in arrays["decoder.input"]
    arrays = Page(trace_report(long(), HEADING, Style(full=True))).data["arrays"]
    assert len(arrays["decoder.0.feed_forward.hidden"]["values"]) == 40 * 150


@pytest.mark.parametrize(("lang", "root"), [("zh", "zh"), ("en", "en"), ("both", "zh")])
def test_languages(weather: Trace, lang: str, root: str) -> None:
    page = Page(trace_report(weather, HEADING, Style(lang=lang), ["loss"]))
    assert page.all("html")[0]["lang"] == root
    chosen = [a["id"] for a in page.all("input") if a.get("name") == "lang" and "checked" in a]
    assert chosen == [f"lang-{lang}"]


def test_a_part_of_the_stages(weather: Trace) -> None:
    names = weather.graph.select(["decoder.0.self_attention.q*", "loss"])
    page = Page(trace_report(weather, HEADING, stages=names))
    folded = [a["id"] for a in page.all("details") if a.get("class", "").startswith("stage")]
    assert folded == [
        "decoder.0.self_attention.queries", "loss", "parameters/decoder.0.self_attention.w_q",
    ]  # fmt: skip


def test_one_row_of_a_batch() -> None:
    trace = load_example("padding").trace()
    page = Page(trace_report(trace, HEADING, Style(row=1)))
    at = {a["data-at"].split(",")[0] for a in page.all("table")}
    assert at == {"1", ""}  # parameters and the loss have no row
