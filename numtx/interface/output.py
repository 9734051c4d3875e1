"""What was computed as text, Markdown, JSON and HTML, as the command line prints and writes it."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from functools import singledispatch
from typing import Any

from ..answering.judge import Verdict
from ..answering.text import verdict_text
from ..arguments.options import LANGUAGES, VARIABLE
from ..backwards.check import OwnReport
from ..check.gradcheck import GradientReport
from ..check.verify import Verification
from ..checkpoints.folder import Folder
from ..compare.comparison import Comparison
from ..cost_tables import phases_text
from ..costs import StepCost
from ..decoding.beam import BeamSearch
from ..decoding.generate import Generation
from ..decoding.steps_text import generation_text
from ..decoding.text import hypotheses_text
from ..documents.row import Result
from ..documents.text import ledger_text
from ..errors import UsageError, nearest
from ..folders.inspect import as_json as folder_as_json
from ..folders.inspect import folder_text
from ..formats.markdown import trace_markdown
from ..formats.plain import json_text
from ..formats.results import arithmetic_of, costs_of
from ..formats.trace_json import trace_json
from ..gradchecks.gradcheck import report as print_gradients
from ..gradchecks.own import report as print_own
from ..page.page import Heading
from ..page.report import trace_report
from ..pictures.curve import curve_text
from ..reports.generation import generation_page
from ..reports.ledger import figure_page, ledger_page
from ..reports.pairs import before_and_after
from ..reports.runs import comparison_page
from ..show.chinese import chinese
from ..show.headings import pick, say
from ..show.stage_grid import Style
from ..show.table import table_text
from ..show.trace_text import trace_text
from ..show.wrap import fold
from ..stages.catalogue import Text
from ..stages.graph import Graph
from ..trace.trace import RecordedStage, Trace
from ..training.run import Run
from ..verdicts.compare_json import as_json as comparison_as_json
from ..verdicts.compare_report import report as comparison_text
from ..verdicts.verify import report_text as verified_text
from ..vocabulary import Vocabulary
from .cells import Explained, explained_text

CELLS = 5  # worst cells of a comparison that are shown


def language() -> str:
    """That of what is shown, unless it is said: NUMTX_LANG's, or both."""
    lang = os.environ.get(VARIABLE) or "both"
    if lang not in LANGUAGES:
        raise UsageError(f"{VARIABLE} is {lang!r}; it should be zh, en or both")
    return lang


def style_of(options: dict[str, Any]) -> Style:
    """A style from options by name."""
    known = [field.name for field in fields(Style)]
    for name in options:
        if name not in known:
            raise UsageError(f"unknown option {name!r}; {nearest(name, known)}")
    if options.get("lang") not in (None, *LANGUAGES):
        raise UsageError(f"lang is {options['lang']!r}; it should be zh, en or both")
    return Style(**{**options, "lang": options.get("lang") or language()})


def to_text(thing: Any, *stages: str, gradients: bool = False, **options: Any) -> str:
    """What the command line prints of a trace, a stage, a comparison, an explained cell, a
    generation, costs, a report of a check, a training run, laws, figures or a model's folder.

    stages     of a trace only those that match, such as 'decoder.0.*'
    gradients  of a trace those too
    options    lang ('zh', 'en', 'both'; by default NUMTX_LANG's), precision, width, full, row, last

    Raises `UsageError` for what has no such text, and `StageError` for a pattern that matches none.
    """
    style = style_of(options)
    if isinstance(thing, Trace):
        chosen = thing.graph.select(list(stages))
        return fold("\n\n".join(trace_text(thing, style, chosen, gradients)), style.width)
    if stages or gradients:
        raise UsageError("stages and gradients are chosen of a trace; leave them out")
    if isinstance(thing, list) and thing and isinstance(thing[0], StepCost):
        return fold(phases_text(thing, style.lang), style.width)
    if isinstance(thing, list) and thing and isinstance(thing[0], Result):
        return fold("\n".join(ledger_text(thing, style)), style.width)
    return fold("\n".join(_lines(thing, style)), style.width)


@singledispatch
def _lines(thing: Any, style: Style) -> Iterator[str]:
    if hasattr(thing, "table"):  # of laws, whose kit needs a package that may not be there
        return iter([thing.table(lang=style.lang)])
    raise UsageError(f"a {type(thing).__name__} has no text of its own; print it as it is")


@_lines.register
def _(thing: RecordedStage, style: Style) -> Iterator[str]:
    return trace_text(thing.trace, style, [thing.name], True)


@_lines.register
def _(thing: Explained, style: Style) -> Iterator[str]:
    yield "\n\n".join(explained_text(thing, style))


@_lines.register
def _(thing: Graph, style: Style) -> Iterator[str]:
    heads = [["", "阶段", "轴", "公式", "名称"], ["", "stage", "axes", "formula", "title"]]
    rows = [heads[style.lang != "zh"]]
    for number, stage in enumerate(thing, 1):
        title = say(stage.leaf.title, style.lang)
        formula = chinese(stage.formula, style.lang)
        rows.append([str(number), stage.name, f"[{','.join(stage.axes)}]", formula, title])
    yield table_text(rows, "rllll", width=style.width)


@_lines.register
def _(thing: Comparison, style: Style) -> Iterator[str]:
    return comparison_text(thing, *thing.sides, style.full, CELLS, style.lang)


@_lines.register
def _(thing: Verification, style: Style) -> Iterator[str]:
    return verified_text(thing, style.lang)


@_lines.register
def _(thing: GradientReport, style: Style) -> Iterator[str]:
    args = argparse.Namespace(lang=style.lang, json=False)
    yield _printed(lambda: print_gradients(thing, args))


@_lines.register
def _(thing: OwnReport, style: Style) -> Iterator[str]:
    yield _printed(lambda: print_own(thing, style.lang))


@_lines.register
def _(thing: Generation, style: Style) -> Iterator[str]:
    words = words_of(thing.vocabulary, thing.config.vocabulary)
    yield generation_text(thing.config, thing, words, thing.cached, style.lang, style.width)


@_lines.register
def _(thing: BeamSearch, style: Style) -> Iterator[str]:
    tokens = [i for row in thing.hypotheses for one in row for i in one.tokens]
    words = words_of(None, max(tokens, default=0) + 1).tokens
    yield "\n\n".join(
        hypotheses_text(thing, words, row, style.lang, style.width)
        for row in range(len(thing.prompt))
    )


@_lines.register
def _(thing: StepCost, style: Style) -> Iterator[str]:
    yield phases_text([thing], style.lang)


@_lines.register
def _(thing: Run, style: Style) -> Iterator[str]:
    yield pick(style.lang, "损失随步数的变化", "loss against steps")
    yield curve_text(thing.losses, style.width)
    if thing.losses:
        yield f"{thing.losses[0]:.6f} -> {thing.losses[-1]:.6f}"


@_lines.register
def _(thing: Result, style: Style) -> Iterator[str]:
    return ledger_text([thing], style)


@_lines.register
def _(thing: Verdict, style: Style) -> Iterator[str]:
    yield verdict_text(thing, style.lang, style.width)


@_lines.register
def _(thing: Folder, style: Style) -> Iterator[str]:
    return folder_text(thing, style.lang)


def _printed(run: Callable[[], object]) -> str:
    """What a command prints."""
    with contextlib.redirect_stdout(io.StringIO()) as told:
        run()
    return told.getvalue().rstrip("\n")


def words_of(words: Sequence[str] | None, count: int) -> Vocabulary:
    """The vocabulary of a model; ids serve where its tokens have no names."""
    return Vocabulary(map(str, range(count)) if words is None else words)


def to_markdown(trace: Trace, *stages: str, gradients: bool = False, **options: Any) -> str:
    """A trace, or those of its stages that match, as Markdown with tables; options as in
    `to_text`."""
    chosen = trace.graph.select(list(stages))
    return "\n\n".join(trace_markdown(trace, style_of(options), chosen, gradients)) + "\n"


def to_html(
    thing: Any, *stages: str, title: str = "numtx", before: Trace | None = None, **options: Any
) -> str:
    """One page for a browser of a trace, of a generation with its trace (as `record_generation`
    gives them), a comparison whose first side is a trace, or figures.

    stages   of a trace only those that match
    before   another run of the same model and batch, to stand beside the trace
    options  as in `to_text`

    Raises `UsageError` for what has no page.
    """
    style, head = style_of(options), Text(title, title)
    if isinstance(thing, Comparison):
        zh, en = (to_text(thing, **{**options, "lang": lang}) for lang in ("zh", "en"))
        return comparison_page(thing, *thing.sides, Text(zh, en), style.lang)
    if isinstance(thing, Result):
        return figure_page(thing, style.lang)
    if isinstance(thing, list) and thing and isinstance(thing[0], Result):
        return ledger_page(thing, style.lang)
    if isinstance(thing, tuple) and [type(part) for part in thing] == [Generation, Trace]:
        found, trace = thing
        return generation_page(found, trace, head, [], style, trace.graph.select(list(stages)))
    if not isinstance(thing, Trace):
        raise UsageError(f"a {type(thing).__name__} has no page of its own; to_text prints it")
    beside = None if before is None else before_and_after(before, thing)
    return trace_report(thing, Heading(head), style, thing.graph.select(list(stages)), beside)


def to_json(thing: Any) -> str:
    """A result as one line of strict JSON: its fields by name, with what the command line leaves
    out left out; what is not finite is "inf", "-inf" or "nan"."""
    if isinstance(thing, Trace):
        return trace_json(thing)
    if isinstance(thing, Comparison):
        return json_text(comparison_as_json(thing))
    if isinstance(thing, Explained):
        return json_text([arithmetic_of(one) for one in thing.cells])
    if isinstance(thing, Folder):
        return json_text(folder_as_json(thing))
    if isinstance(thing, list) and thing and isinstance(thing[0], StepCost):
        return json_text(costs_of(thing))
    if isinstance(thing, list) and thing and isinstance(thing[0], Result):
        return json_text([one.to_dict(language()) for one in thing])
    if hasattr(thing, "to_json"):
        return str(thing.to_json()) + "\n"
    return json_text(thing)
