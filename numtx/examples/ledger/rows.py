"""A row of the ledger, and what comes of it when it is run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from ...trace.trace import Trace
from .verdicts import VERDICTS, Figures, Illustration, Judge, Outcome, numbers, show


@dataclass(frozen=True)
class Row:
    """One figure, shape, sequence, table, procedure or claim of a document.

    id       document and name, `003.positions`
    section  where it stands, in the document's own numbering or heading
    text     what is stated, in words; the stated data are the judge's
    judge    stated data and how they are judged
    note     one line of reason, beside what the judge says itself
    at       the lines of the document's text, with the numbers that the row covers where it is
             not all of the line: "159-165; 571: 0.12 0.18"
    stages   an example and the stages behind the row, for the long form: ("weather", "logits")
    trace    the run to show in place of the example's own: that of the row's witness
    """

    id: str
    section: str
    text: str
    judge: Judge
    note: str = ""
    at: str = ""
    stages: tuple[str, ...] = ()
    trace: Callable[[], Trace] | None = None

    @property
    def document(self) -> str:
        return self.id.split(".")[0]

    @property
    def stated(self) -> str:
        """Words and data together."""
        data = self.judge.stated
        if isinstance(data, bool):
            return self.text if data else f"{self.text}: no"
        if isinstance(self.judge, Figures | Illustration):
            return f"{self.text}: {numbers(data, max(0, self.judge.decimals))}"
        return f"{self.text}: {show(data)}"


class Result(NamedTuple):
    """A row that was run."""

    row: Row
    outcome: Outcome

    @property
    def reason(self) -> str:
        return "; ".join(part for part in (self.outcome.reason, self.row.note) if part)

    def to_dict(self) -> dict[str, str]:
        """The row as the command prints it in JSON."""
        return {
            "id": self.row.id,
            "document": self.row.document,
            "section": self.row.section,
            "stated": self.row.stated,
            "computed": self.outcome.computed,
            "verdict": self.outcome.verdict,
            "reason": self.reason,
        }


def run(rows: Iterable[Row]) -> list[Result]:
    """Run rows: every verdict is computed here."""
    return [Result(row, row.judge.judge()) for row in rows]


def changes(results: Iterable[Result], expected: Mapping[str, str]) -> list[str]:
    """Where verdicts are not the expected ones: one line each; a row too many or missing too."""
    found = {result.row.id: result.outcome.verdict for result in results}
    lines = [
        f"{name}: {verdict}, expected {expected.get(name, 'no such row')}"
        for name, verdict in found.items()
        if expected.get(name) != verdict
    ]
    return lines + [
        f"{name}: missing, expected {expected[name]}" for name in expected if name not in found
    ]


def summary(results: Iterable[Result]) -> tuple[list[str], list[list[str]]]:
    """Counts by document and verdict: the heads of the columns, and the rows with a total."""
    counts: dict[str, dict[str, int]] = {}
    for result in results:
        row = counts.setdefault(result.row.document, dict.fromkeys(VERDICTS, 0))
        row[result.outcome.verdict] += 1
    used = [name for name in VERDICTS if name != "open" or any(c["open"] for c in counts.values())]
    total = {name: sum(row[name] for row in counts.values()) for name in used}
    table = [
        [label, *(str(row[name]) for name in used), str(sum(row[name] for name in used))]
        for label, row in [*sorted(counts.items()), ("all", total)]
    ]
    return ["document", *used, "rows"], table
