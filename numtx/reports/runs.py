"""The page of a run that the command line made, and of two that it compared."""

from __future__ import annotations

import sys

from ..compare.comparison import Comparison
from ..compare.sides import Side
from ..documents.acts import acts_notes
from ..documents.scenes import ACTS
from ..errors import UsageError
from ..examples.example import Example
from ..page.page import Heading, Tables
from ..page.report import trace_report
from ..show.stage_grid import Style
from ..stages.catalogue import Text
from ..trace.trace import Trace
from .pairs import before_and_after, two_sides

LARGE = 2_000_000  # numbers; a page of so many is slow to open


def run_page(
    example: Example,
    trace: Trace,
    style: Style,
    stages: list[str],
    before: tuple[Trace, Text] | None = None,
) -> str:
    """The page of a run, with what the example says above it; `before`: the run beside it, without
    the cells that were set, and what that changed."""
    zh, en = example.title
    notes: list[tuple[Text, list[Text | Tables]]] = [
        (Text("文中给出", "given by the document"), [*example.given]),
        (Text("自行设定", "chosen here"), [*example.chosen]),
        *((title, [*lines]) for title, lines in
          (acts_notes(example.name) if example.name in ACTS else ())),
    ]  # fmt: skip
    beside = None
    if before is not None:
        notes.insert(0, (Text("前后对照", "Before and after"), [before[1], _NEXT]))
        beside = before_and_after(before[0], trace)
    numbers = sum(array.size for array in (*trace.arrays.values(), *trace.gradients.values()))
    if style.full and numbers > LARGE:
        print(
            f"numtx: {numbers:,} numbers make a page of about {numbers * 60 / 1e6:,.0f} MB; "
            "without --full large arrays are summaries",
            file=sys.stderr,
        )
    heading = Heading(Text(f"{example.name}：{zh}", f"{example.name}: {en}"), notes)
    return trace_report(trace, heading, style, stages, beside)


def comparison_page(found: Comparison, first: Side, second: Side, told: Text, lang: str) -> str:
    """The first side with the second beside it, under what the comparison says.

    Raises `UsageError` where the first side is no trace.
    """
    trace = first.trace
    if trace is None:
        raise UsageError(f"--html shows a trace, and {first.name} is none: give the trace first")
    title = Text(f"{first.name} 与 {second.name}", f"{first.name} and {second.name}")
    heading = Heading(title, [(Text("比较", "Comparison"), [told, _NEXT])])
    return trace_report(trace, heading, Style(lang=lang), None, two_sides(found, first, second))


_NEXT = Text(
    "不同的阶段标有 ≠，不同的格子下有红线；按 d 到下一个不同的阶段",
    "stages that differ are marked ≠, their cells have a red line beneath; d goes to the next one",
)
