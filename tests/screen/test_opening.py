"""The first screen: boxes whose lines are in line, every stage once, no more than a screen."""

from __future__ import annotations

import re

import pytest
from samples import run_of, some

from numtx.cli import main
from numtx.documents.acts import stages_of
from numtx.documents.scenes import ACTS
from numtx.examples.registry import EXAMPLES, load_example
from numtx.screen.opening import opening_text, spans
from numtx.show.grid import display_width
from numtx.show.stage_grid import Style


def numbers_in(text: str) -> list[int]:
    """The numbers of the stages at the end of a line of a box, or of the contents."""
    found = []
    for first, last in re.findall(r"(\d+)(?:-(\d+))?(?:, |$)", text):
        found += range(int(first), int(last or first) + 1)
    return found


def boxes_of(text: str) -> list[str]:
    """The lines of all boxes, those beside one another apart."""
    return re.findall(r"[|+][^|+\n]*[|+]", text)


def checked(text: str, count: int, width: int) -> None:
    """Boxes in line, and each stage in one of them and in one line of the contents."""
    lines = boxes_of(text)
    told = [n for line in lines for n in numbers_in(re.split(r"  ", line.rstrip(" |"))[-1])]
    assert sorted(told) == list(range(1, count + 1))
    ends: dict[int, set[int]] = {}
    for line in text.split("\n"):
        for match in re.finditer(r"[|+][^|+]*[|+]", line):
            start = display_width(line[: match.start()])
            ends.setdefault(start, set()).add(start + display_width(match[0]))
    beside = len(ends) > 1
    assert ends and (beside or len(next(iter(ends.values()))) <= 2)
    assert not beside or all(len(found) == 1 for found in ends.values())
    assert all(display_width(line) <= width for line in text.split("\n"))


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_fits_one_screen(name):
    trace = load_example(name).trace(gradients=False)
    acts = [
        (act.title, [n for scene in act.scenes for n in stages_of(trace, scene)])
        for act in ACTS.get(name, ())
    ]
    count = len(trace.graph.stages)
    for width in (60, 80, 140):
        for lang in ("zh", "en", "both"):
            text = opening_text(trace, Style(lang=lang, width=width), acts)
            checked(text, count, width)
            contents = text.split("\n\n")[-2]
            ends = re.findall(r"  (\d[\d, -]*)$", contents, re.M)
            told = [n for end in ends for n in numbers_in(end)]
            assert sorted(told) == list(range(1, count + 1))
            if width >= 80:
                assert text.count("\n") < (45 if lang == "both" else 40)


@pytest.mark.parametrize("name", some(6, __name__))
def test_models_of_every_kind_have_one(name):
    trace = run_of(name)
    checked(opening_text(trace, Style(lang="en")), len(trace.graph.stages), 80)


def test_what_is_shown_of_weather():
    text = opening_text(load_example("weather").trace(), Style(lang="en"))
    for part in (
        "encoder-decoder, 2 + 2 layers, width 4, 1 head, 1,136 parameters, loss 3.22",
        "Encoder: 今 天 天 气 很 好 <eos>", "Decoder: <bos> 今 天 天 气 很 好",
        "| output   [1,7,4]            40 |--->| layer 0        [1,7,4]          46-74 |",
    ):  # fmt: skip
        assert part in text
    contents = r"decoder\.0\.cross_attention +Decoder layer 0: cross-attention +58-69\n"
    assert re.search(contents, text)


def test_spans() -> None:
    assert spans([]) == "" and spans([3]) == "3"
    assert spans([5, 1, 2, 3, 7, 8]) == "1-3, 5, 7-8"


@pytest.mark.parametrize(
    ("more", "opens"), [([], True), (["--quiet"], False), (["--stage", "loss"], False)]
)
def test_it_opens_what_is_printed_whole(more, opens, capsys):
    assert main(["trace", "cat", "--lang", "en", *more]) == 0
    out = capsys.readouterr().out
    assert ("contents" in out.split("given by the document")[0]) == opens
