"""What a walkthrough is written with: prose in two languages, grids from traces, claims that
are checked, and key values that a test can read.

A lesson is a script that reads from top to bottom:

    from numtx.lessons import Lesson

    lesson = Lesson(
        zh="...", en="...",            # its question
        before=("...", "..."),         # what to know, zh and en
        document="003, 第二幕 场景 3",   # where the documents speak of it
    )
    # %%
    lesson.say(zh=f"... {n} ...", en=f"... {n} ...")
    lesson.show(trace, "encoder.input")
    lesson.check(np.allclose(...), zh="...", en="...")
    lesson.result(rows=7)

Run it with `--lang zh` or `--lang en` (the default). A lesson that reads `lesson.model` takes
`--model DIR`, a folder as transformers writes it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from .check.explain import explain, explain_gradient, find_cells
from .errors import LessonError
from .shapes import Array
from .show.cell_text import Names, cell_text
from .show.grid import Grid, grid_text
from .show.numbers import cell
from .show.stage_grid import Style
from .show.table import table_text
from .show.trace_text import trace_text
from .show.wrap import columns, tell, wrap
from .trace.trace import Trace


class Lesson:
    """One lesson being told. Its question, and what to know before, are printed first."""

    def __init__(
        self, *, zh: str, en: str, before: tuple[str, str], document: str, lang: str | None = None
    ) -> None:
        self.start(lang or _lang_of(sys.argv[1:]))
        question, known, place = {
            "zh": ("问题", "先要知道", "文档"),
            "en": ("Question", "To know before", "Document"),
        }[self.lang]
        tell(f"{question}: {self._choose(zh, en)}")
        tell(f"{known}: {self._choose(*before)}")
        tell(f"{place}: {document}")

    @property
    def model(self) -> str | None:
        """The folder of a saved model that the lesson was given, for a lesson that reads one."""
        parser = argparse.ArgumentParser(add_help=False)
        parser.add_argument("--model")
        model: str | None = parser.parse_known_args(sys.argv[1:])[0].model
        return model

    @classmethod
    def in_notebook(cls, lang: str) -> Lesson:
        """A lesson whose question and prose stand in cells of a notebook."""
        lesson = cls.__new__(cls)
        lesson.start(lang)
        return lesson

    def start(self, lang: str) -> None:
        """Nothing told yet."""
        self.lang = lang
        self.results: dict[str, Any] = {}
        self.claims = 0
        self.width = columns()

    def say(self, *, zh: str, en: str) -> None:
        """A paragraph."""
        self._paragraph(self._choose(zh, en))

    def lines(self, text: str) -> None:
        """Lines as they are; what is too long goes on below."""
        tell(text, width=self.width)

    def word(self, *, zh: str, en: str) -> str:
        """A word or a label in the language of the lesson, for tables."""
        return self._choose(zh, en)

    def head(self, *, zh: str, en: str) -> None:
        """A heading."""
        tell(f"\n== {self._choose(zh, en)} ==")

    def show(
        self,
        trace: Trace,
        *stages: str,
        precision: int = 2,
        gradients: bool = False,
        row: int | None = None,
    ) -> None:
        """Stages of a trace with formulas, shapes and grids; patterns as on the command line.

        row  of the batch, where only one is to be seen
        """
        style = Style(precision=precision, lang=self.lang, width=self.width, row=row)
        for block in trace_text(trace, style, trace.graph.select(list(stages)), gradients):
            print("\n" + block)

    def explain(self, trace: Trace, cell: str, *, gradient: bool = False, depth: int = 1) -> None:
        """The arithmetic of a cell such as `logits[4,1]`, as `numtx cell` writes it."""
        names = Names(trace, self.lang)
        how = explain_gradient if gradient else explain
        for address in find_cells(trace, cell):
            explained = how(trace, address.name, address.cell, depth)
            for block in cell_text(explained, names, Style(lang=self.lang, width=self.width)):
                print("\n" + block)

    def grid(
        self,
        array: Array,
        rows: Sequence[str],
        names: Sequence[str],
        *,
        decimals: int = 2,
    ) -> None:
        """A matrix that is no stage, with its labels."""
        cells = [[cell(x, decimals) for x in row] for row in array.tolist()]
        print("\n" + grid_text(Grid(list(rows), list(names), cells), self.width))

    def table(self, head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Rows of words and numbers; the first column is the label."""
        lines = [list(head), *([str(x) for x in row] for row in rows)]
        print("\n" + table_text(lines, "l" + "r" * (len(head) - 1), width=self.width))

    def check(self, holds: bool | Any, *, zh: str, en: str) -> None:
        """A claim, proved by the run; a claim that does not hold stops the lesson."""
        if not bool(holds):
            raise LessonError(f"the claim does not hold: {en}")
        self.claims += 1
        self._paragraph(f"[ok] {self._choose(zh, en)}")

    def exercise(self, *, zh: str, en: str) -> None:
        """A question to the reader; the answer follows, checked by code."""
        word = {"zh": "练习: ", "en": "Exercise: "}[self.lang]
        self._paragraph(word + self._choose(zh, en))

    def result(self, **values: Any) -> None:
        """Key values of the lesson, for its test."""
        self.results.update(values)

    def _paragraph(self, text: str) -> None:
        print("\n" + "\n".join(wrap(" ".join(text.split()), self.width)))

    def _choose(self, zh: str, en: str) -> str:
        return zh if self.lang == "zh" else en


def _lang_of(arguments: list[str]) -> str:
    parser = argparse.ArgumentParser(description="A lesson of numtx.")
    parser.add_argument("--lang", choices=("zh", "en"), default="en")
    parser.add_argument("--model", metavar="DIR", help="a saved model, for a lesson that reads one")
    lang: str = parser.parse_args(arguments).lang
    return lang
