"""Results show themselves in a notebook: whole HTML, readable without scripts, within bounds."""

from __future__ import annotations

import json
import re
import sys
from functools import cache
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from children import environment
from samples import config_of, ragged_batch, random_parameters, some

import numtx
from numtx.examples.registry import example_for_text
from numtx.notebook import runs
from numtx.notebook.frame import LEVELS

VOID = {"br", "input", "path", "rect", "line"}


class Page(HTMLParser):
    """The tags of a piece of HTML, its classes, and its text outside style and scripts."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.open: list[str] = []
        self.classes: set[str] = set()
        self.words = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.classes |= set((dict(attrs).get("class") or "").split())
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self.open):
            self.words += data


@cache
def results() -> dict[str, Any]:
    """An object of every class that shows itself, with words that must be seen of it."""
    example = numtx.load_example("story")
    config, parameters, trace = example.config, example.parameters, example.trace()
    prompt = numtx.Batch(example.batch.ids, [[0]])
    words = example.vocabulary.tokens
    generation, _ = numtx.record_generation(
        config, parameters, prompt, max_new_tokens=3, vocabulary=words
    )
    costs = numtx.count_generation(config, parameters, prompt, max_new_tokens=3)
    cache = numtx.Cache(config, parameters, 1, capacity=8)
    numtx.generate(config, parameters, prompt, max_new_tokens=3, cache=cache)
    scores = "decoder.0.self_attention.scores"
    double = numtx.BackwardPass(np.square, lambda d, x: d * x, [np.ones(3)])
    model = config, parameters, example.batch
    named = {
        "Trace": (trace, "weights"),
        "RecordedStage": (trace.stage(scores), "gradient"),
        "Comparison": (numtx.compare_runs(trace, {scores: trace[scores] * 2.0}), "different"),
        "Verification": (trace.verify(), "right"),
        "GradientReport": (numtx.check_stages(*model, ["logits"], samples=1), "right"),
        "OwnReport": (numtx.check_backward(double), "wrong"),
        "Explained": (numtx.explain(trace, f"{scores}[2,1]"), "scores[2,1]"),
        "Generation": (generation, words[generation.new[0][0]]),
        "BeamSearch": (numtx.beam_search(*model[:2], prompt, max_new_tokens=2, num_beams=2),
                       "log P"),
        "StepCosts": (costs, "Q·K^T"),
        "StepCost": (costs[1], "decode.0"),
        "Cache": (cache, "contiguous"),
        "Graph": (trace.graph, "softmax"),
        "Run": (numtx.train(numtx.Run(config, parameters), example.batch, steps=2), "loss"),
        "Result": (numtx.figures(figure="004.hidden")[0], "004.hidden"),
        "Report": (numtx.check_laws(lambda ids: np.eye(3)[np.asarray(ids)], ["K1"],
                                    vocabulary_size=3, examples=1), "K1"),
        "Picture": (numtx.picture("cached-step"), "cat"),
    }  # fmt: skip
    assert all(type(thing).__name__ == name for name, (thing, _) in named.items())
    return named


OTHERS = {"Folder", "Verdict"}  # a folder of a model, and an exercise that was checked


def test_every_class_that_shows_itself_is_tried() -> None:
    results()
    modules = [m for name, m in list(sys.modules.items()) if name.startswith("numtx.")]
    kinds = {
        kind.__name__
        for module in modules
        for kind in vars(module).values()
        if isinstance(kind, type) and "_repr_html_" in vars(kind)
    }
    assert kinds == {*results(), *OTHERS}


@pytest.mark.parametrize("name", results())
def test_of_each_kind(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    thing, word = results()[name]
    monkeypatch.setenv("NUMTX_LANG", "en")
    html = thing._repr_html_()
    page = Page(html)
    assert page.open == [] and word in page.words
    assert len(html) < 500_000 and not any(text in html for text in ("http:", "https:", "@import"))
    is_run = name in ("Trace", "RecordedStage")
    assert page.seen.count("script") == (2 if is_run else 0)
    heat = {f"{sign}{level}" for sign in "pn" for level in range(1, LEVELS + 1)}
    warm = ("Trace", "RecordedStage", "Comparison", "OwnReport", "Generation", "StepCosts", "Cache")
    assert bool(heat & page.classes) or name not in warm
    monkeypatch.setenv("NUMTX_LANG", "zh")
    assert thing._repr_html_() != html


def test_a_stage_shows_what_the_page_shows() -> None:
    example = numtx.load_example("weather")
    words = Page(example.trace().stage("decoder.0.self_attention.weights")._repr_html_()).words
    assert "[53] decoder.0.self_attention.weights" in words and "每行" in words
    assert "A = softmax(S') per row" in words and "0.78" in words and "sum 1.00" in words


@pytest.mark.parametrize("name", some(3, __name__))
def test_of_each_kind_of_model(name: str) -> None:
    """The script has a shape for every table, and masks what they read."""
    config = config_of(name)
    batch = numtx.Batch(**ragged_batch(config))
    trace = numtx.record(config, random_parameters(config), batch)
    masks = [stage for stage in trace if stage.endswith(".mask")]
    for thing in (trace, trace.stage(masks[-1]), trace.stage(list(trace)[-1])):
        html = thing._repr_html_()
        found = re.search(r'<script type="application/json">(.*?)</script>', html, re.DOTALL)
        assert found is not None
        arrays = json.loads(found[1])["arrays"]
        shown = {name.removeprefix("grad/") for name in re.findall(r'data-of="([^"]+)"', html)}
        assert shown and shown | {*trace.inputs} <= {*arrays}


def test_hostile_tokens_are_text() -> None:
    trace = example_for_text("<script>\"'&\x1b</table>").trace()
    example = numtx.load_example("cat")
    words = [f"<script>{i}\x1b" for i in range(example.config.vocabulary)]
    generation, _ = numtx.record_generation(
        example.config, example.parameters, numtx.Batch([[0]]), max_new_tokens=2, vocabulary=words
    )
    arrays = {"logits": trace["logits"], "<script>\x1b": np.ones(2)}
    for thing in (
        trace, trace.stage("logits"), numtx.explain(trace, "logits[0,1]"), generation,
        numtx.compare_runs(trace, arrays),
    ):  # fmt: skip
        html = thing._repr_html_()
        page = Page(html)
        assert page.seen.count("script") in (0, 2) and page.open == []
        assert "\x1b" not in html


def test_a_large_run_stays_small(monkeypatch: pytest.MonkeyPatch) -> None:
    config = numtx.Config(model="decoder-only", width=32, decoder_layers=3, heads=8, hidden=64,
                          vocabulary=200)  # fmt: skip
    ids = np.arange(180).reshape(3, 60)
    trace = numtx.record(config, numtx.initialise(config), numtx.Batch(ids, labels=ids))
    for thing in (trace, trace.stage("logits"), trace.stage("decoder.1.self_attention.weights")):
        html = thing._repr_html_()
        assert len(html) < 700_000 and "float64[3," in html
        assert "..." in html and (thing is trace or html.count("float64[3,") == 2)
    monkeypatch.setattr(runs, "MOST_CELLS", 500)
    monkeypatch.setattr(runs, "MOST_STAGES", 40)
    few = trace._repr_html_()
    assert 100 < few.count("<td") < 800 and few.count("<b>[") == 40
    assert f"+ {len(trace.values) - 40}" in few


def test_under_jupyter() -> None:
    """What the last line of a cell gives is shown as HTML."""
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    code = 'import numtx\nnumtx.load_example("weather").trace().stage("logits")'
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    nbclient.NotebookClient(book, timeout=120).execute(env=environment(NUMTX_LANG="zh"))
    (shown,) = book.cells[0].outputs
    assert 'data-lang="zh"' in shown.data["text/html"] and "window.numtx" in shown.data["text/html"]
    assert shown.data["text/plain"].startswith("RecordedStage(name='logits'")
