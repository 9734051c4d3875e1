"""A trace shows itself in a notebook."""

from html.parser import HTMLParser

from numtx import load_example
from numtx.examples.registry import example_for_text


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.seen.append(tag)
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_every_stage_is_a_section_and_nothing_runs() -> None:
    trace = load_example("weather").trace()
    page = trace._repr_html_()
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    assert tags.seen.count("details") == len(trace.values)
    assert "script" not in tags.seen
    assert "-0.42" in page
    assert "http" not in page


def test_hostile_tokens_are_text() -> None:
    page = example_for_text("<script>\"'&").trace()._repr_html_()
    tags = Tags()
    tags.feed(page)
    assert "script" not in tags.seen
    assert "0 &lt;" in page
