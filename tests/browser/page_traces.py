"""Runs whose pages a browser computes once more, and how a page is held to be quiet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from devtools import Browser
from samples import MODELS, config_of, ragged_batch, random_parameters

from numtx import load_example
from numtx.batch import Batch
from numtx.decoding import record_generation
from numtx.page.page import Heading
from numtx.page.report import trace_report
from numtx.show.stage_grid import Style
from numtx.stages.catalogue import Text
from numtx.trace.trace import Trace, record

HEADING = Heading(Text("标题", "title"))
PLACE = "decoder.0.self_attention"


def written(path: Path, trace: Trace, stages: list[str] | None = None) -> Path:
    """The page of a trace: every array, and the tables of some stages or of all."""
    path.write_text(trace_report(trace, HEADING, Style(full=True), stages), encoding="utf-8")
    return path


def silent(browser: Browser) -> None:
    """No error, no message, and no request but for the page."""
    for kind in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"):
        assert browser.seen(kind) == []
    requests = [event["request"]["url"] for event in browser.seen("Network.requestWillBeSent")]
    assert [url for url in requests if not url.startswith("data:")] == requests[:1]
    assert requests[0].startswith("file:")


def variant(name: str) -> Trace:
    config = config_of(name)
    return record(config, random_parameters(config), Batch(**ragged_batch(config)))


def generation_of(padding: str) -> tuple[Any, Any, Batch]:
    """A model, its parameters and two prompts, one of them padded."""
    config = config_of("encoder-decoder", positions="rotary", window=3)
    fields = ragged_batch(config, padding=padding)
    del fields["labels"]
    return config, random_parameters(config), Batch(**fields)


def generation(use_cache: bool, padding: str, chunk: int | None = None) -> Trace:
    """The steps that follow two prompts."""
    model = generation_of(padding)
    return record_generation(*model, max_new_tokens=2, use_cache=use_cache, chunk=chunk)[1]


def in_a_row() -> Trace:
    """Two documents in each row, of which the second is padded in one."""
    config = config_of("decoder, bias by buckets, grouped, window")
    ids = np.array([[3, 1, 4, 1, 5, 9], [2, 6, 5, 3, 5, 8]])
    own, mask = np.array([[0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 1, 1]]), np.ones(ids.shape, bool)
    mask[1, -1] = False
    batch = Batch(ids, labels=np.where(mask, ids, -100), mask=mask, documents=own)
    return record(config, random_parameters(config), batch)


def too_large() -> Trace:
    """A row of the embedding is infinite, and stands under padding only."""
    config = config_of("encoder-decoder")
    fields, parameters = ragged_batch(config), random_parameters(config)
    fields["ids"] = np.where(fields["mask"], fields["ids"] % 10, 10)
    fields["decoder_ids"] = np.where(fields["decoder_mask"], fields["decoder_ids"] % 10, 10)
    parameters["embedding"][10] = np.inf
    return record(config, parameters, Batch(**fields))


TRACES: dict[str, Any] = {
    "weather": lambda: load_example("weather").trace(),
    "cat, cells pinned": lambda: load_example("cat", as_stated=True).trace(),
    "documents in a row": in_a_row,
    "too large under padding": too_large,
    "generation": lambda: generation(True, "left", chunk=2),
    "generation without a cache": lambda: generation(False, "right"),
}

# By default a few of those whose cells are soon asked for.
EVERY = [name for name in (*MODELS, *TRACES) if name != "cat, cells pinned"]
CHEAP = [
    name
    for name in EVERY
    if name in TRACES or (MODELS[name].length < 10 and MODELS[name].fields["vocabulary"] < 100)
]
