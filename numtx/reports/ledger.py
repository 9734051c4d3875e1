"""The ledger of the documents' figures as a page: a chapter a section, a part a figure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from ..documents.judges import VERDICTS
from ..documents.row import Result
from ..documents.text import COMPUTED, LINES, STATED, WHY, at_length, grids_of, summary_text
from ..html.frame import bilingual, both, plain_table, preformatted, text_of
from ..html.plain import Chapter, plain_page
from ..show.stage_grid import Style
from ..stages.catalogue import Text


def ledger_page(results: Sequence[Result], lang: str) -> str:
    """Every figure with its verdict, under the counts."""
    return plain_page(Text("文档的数字", "The documents' figures"), list(_chapters(results)), lang)


def figure_page(result: Result, lang: str) -> str:
    """One figure, with the stages behind it."""
    printed = "".join(
        preformatted("\n".join(at_length(result, Style(lang=one, width=100))), one)
        for one in ("zh", "en")
    )
    title = Text(result.row.id, result.row.id)
    behind = Chapter("behind", Text("背后的阶段", "The stages behind it"), printed)
    return plain_page(title, [Chapter("figure", title, "", [_figure(result)]), behind], lang)


def _chapters(results: Sequence[Result]) -> Iterator[Chapter]:
    counts = "".join(
        preformatted(summary_text(results, Style(lang=one, width=100)), one) for one in ("zh", "en")
    )
    yield Chapter("summary", Text("合计", "Counts"), counts)
    groups = groupby(results, lambda result: (result.row.document, result.row.section))
    for k, ((document, section), rows) in enumerate(groups):
        title = Text(f"{document}，{section}", f"{document}, {section}")
        yield Chapter(f"section-{k}", title, "", [_figure(result) for result in rows])


def _figure(result: Result) -> tuple[str, str]:
    """A figure's id, and what is stated, what is computed, and why the verdict follows."""
    row, grids = result.row, grids_of(result)
    verdict = bilingual(Text(VERDICTS[result.verdict], result.verdict))
    tables = "".join(plain_table(title, grid) for title, grid in grids)
    parts = [
        (STATED, row.text if grids else row.stated), (COMPUTED, None if grids else
         result.outcome.computed), (WHY, result.reason), (LINES, Text(row.at, row.at)),
    ]  # fmt: skip
    said = "".join(
        f"<dt>{bilingual(head)}</dt><dd>{_once(text)}</dd>"
        for head, text in parts
        if text is not None and text.en not in ("", "-")
    )
    return row.id, (
        f'<h3 tabindex="-1">{text_of(row.id)}<span class="verdict">{verdict}</span></h3>'
        f'<div class="matrices">{tables}</div><dl class="figure">{said}</dl>'
    )


def _once(text: Text) -> str:
    return text_of(text.en) if text.zh == text.en else both(text)
