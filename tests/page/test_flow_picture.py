"""The picture of the data flow shows the table of stages, and nothing lies over anything else."""

from __future__ import annotations

import itertools
import re

import pytest
from samples import config_of, ragged_batch, random_parameters, some

from numtx import load_example
from numtx.batch import Batch
from numtx.decoding import record_generation
from numtx.page.flow import ACROSS, HIGH, WIDE, flow
from numtx.page.page import Entry, Heading, Section
from numtx.page.report import trace_report
from numtx.show.headings import section_of, section_title
from numtx.show.walk import shapes_of
from numtx.stages.catalogue import Text
from numtx.trace.trace import Trace, record


def traces() -> dict[str, Trace]:
    config = config_of("encoder-decoder")
    fields = ragged_batch(config, padding="left")
    del fields["labels"]
    _, trace = record_generation(
        config, random_parameters(config), Batch(**fields), max_new_tokens=2
    )
    return {"weather": load_example("weather").trace(), "generation": trace}


@pytest.fixture(scope="module", params=["weather", "generation"])
def trace(request: pytest.FixtureRequest) -> Trace:
    return traces()[request.param]


def parts_of(trace: Trace) -> list[Section]:
    """The parts of the model, without tables."""
    groups = itertools.groupby(trace, section_of)
    return [
        Section(name, section_title(name, trace.config), [Entry(n, n, "", None, "") for n in names])
        for name, names in groups
    ]


def test_every_stage_is_a_box_and_every_input_a_line(trace: Trace) -> None:
    parts = parts_of(trace)
    text = flow(parts, trace.graph, shapes_of(trace))
    drawn = re.findall(r'<svg class="drawn" data-of="([^"]+)".*?</svg>', text)
    assert drawn == [part.anchor for part in parts]
    for part, svg in zip(parts, re.findall(r"<svg.*?</svg>", text), strict=False):
        own = [entry.name for entry in part.entries]
        read = {name: {*trace.graph[name].inputs} & {*trace.graph.stages} for name in own}
        links = re.findall(r'href="#([^"]+)"', svg)
        assert sorted(links) == sorted({*own}.union(*read.values()))
        assert svg.count("<path") == sum(map(len, read.values()))
        ports = re.findall(r'class="port" href="#([^"]+)"', svg)
        assert all(name not in own for name in ports)


def test_boxes_lie_apart_and_inputs_above(trace: Trace) -> None:
    text = flow(parts_of(trace), trace.graph, shapes_of(trace))
    for svg in re.findall(r"<svg.*?</svg>", text):
        found = re.findall(
            r'<a( class="port")? href="#([^"]+)"><rect x="([-\d.]+)" y="([-\d.]+)"', svg
        )
        boxes = {name: (float(x), float(y)) for _, name, x, y in found}
        places = sorted((y, x) for x, y in boxes.values())
        for (y, x), (other_y, other_x) in itertools.pairwise(places):
            assert other_y - y > HIGH or (other_y == y and other_x - x >= ACROSS > WIDE)
        width, height = map(float, re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)[0])
        assert all(x >= 0 and x + WIDE <= width and y + HIGH <= height for x, y in boxes.values())
        for port, name, _, y in found:
            sources = {*trace.graph[name].inputs} & {*boxes} if not port else set()
            assert all(boxes[source][1] < float(y) for source in sources)


def test_the_overview_has_a_box_a_part_and_says_what_comes_from_the_encoder() -> None:
    trace = load_example("weather").trace()
    text = flow(parts_of(trace), trace.graph, shapes_of(trace))
    stacks = re.findall(r'<div class="stack">(.*?)</div>', text)
    assert len(stacks) == 2
    boxes = [re.findall(r'class="box" href="#from-([^"]+)"', stack) for stack in stacks]
    assert boxes[0][1] == "encoder.0.self_attention.queries" and len(boxes[0]) == 2 + 2 * 2
    assert boxes[1][-1] == "labels" and len(boxes[1]) == 3 + 2 * 3
    ports = re.findall(r'class="port" href="#([^"]+)"', stacks[1])
    assert ports == ["encoder.output", "encoder.mask"] * 2
    assert '<span lang="en">Decoder layer 1</span>' in stacks[1]
    assert "<code>[7,4]</code>" in stacks[0]


def test_of_some_stages_no_link_leads_nowhere() -> None:
    trace = load_example("weather").trace()
    stages = trace.graph.select(["decoder.0.cross_attention.*"])
    text = trace_report(trace, Heading(Text("a", "a")), stages=stages)
    ids = set(re.findall(r' id="([^"]+)"', text))
    assert set(re.findall(r' href="#([^"]+)"', text)) <= ids
    assert '<g class="port">' in text
    loss = trace_report(trace, Heading(Text("a", "a")), stages=["loss"])
    assert loss.count("<svg") == 1


@pytest.mark.parametrize("name", some(2, __name__))
def test_other_models(name: str) -> None:
    config = config_of(name)
    trace = record(config, random_parameters(config), Batch(**ragged_batch(config)))
    test_every_stage_is_a_box_and_every_input_a_line(trace)
    test_boxes_lie_apart_and_inputs_above(trace)
