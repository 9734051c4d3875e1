"""A row of the ledger: a function that computes, with what is stated and where."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar

from ..errors import ExampleError, nearest
from ..small_repr import in_notebook, small_repr
from ..stages.catalogue import Text
from ..trace.trace import Trace
from .judges import NOTHING, VERDICTS, Judge, Outcome, join

Compute = TypeVar("Compute", bound=Callable[..., Any])


@small_repr()
@dataclass(frozen=True)
class Row:
    """One figure, shape, sequence, table, procedure or claim of a document.

    id        document and name, `003.positions`
    section   where it stands, in the document's own numbering or heading
    text      what is stated, in words; the stated data are the judge's
    judge     stated data and how they are compared
    compute   runs numtx; told the stated data by the judge of an illustration
    note      what is to be said beside the numbers
    at        the lines of the document's text, with the numbers that the row covers where it is
              not all of the line: "159-165; 571: 0.12 0.18"
    stages    an example and the stages behind the row, for the long form: ("weather", "logits")
    labels    of the rows and of the columns, where a matrix is stated
    witness   the run to show in place of the example's own
    """

    id: str
    section: str
    text: Text
    judge: Judge
    compute: Callable[..., Any]
    note: Text = NOTHING
    at: str = ""
    stages: tuple[str, ...] = ()
    labels: tuple[Sequence[str], Sequence[str]] | None = None
    witness: Callable[[], Trace] | None = None

    @property
    def document(self) -> str:
        return self.id.split(".")[0]

    @property
    def stated(self) -> Text:
        """Words and data together."""
        data = self.judge.text()
        return Text(f"{self.text.zh}：{data.zh}", f"{self.text.en}: {data.en}")

    def run(self) -> Result:
        """Compute, compare, judge."""
        return Result(self, self.judge.run(self.compute))

    def restated(self, stated: Any) -> Row:
        """The row with other stated data."""
        return replace(self, judge=replace(self.judge, stated=stated))


@in_notebook
@small_repr()
class Result(NamedTuple):
    """A row that was run."""

    row: Row
    outcome: Outcome

    @property
    def verdict(self) -> str:
        return self.outcome.verdict

    @property
    def reason(self) -> Text:
        return join(self.outcome.reason, self.row.note)

    def to_dict(self, lang: str = "en") -> dict[str, str]:
        """The row as the command prints it in JSON; the names of verdicts stay English."""
        one = 0 if lang == "zh" else 1
        return {
            "id": self.row.id,
            "document": self.row.document,
            "section": self.row.section,
            "stated": self.row.stated[one],
            "computed": self.outcome.computed[one],
            "verdict": self.verdict,
            "reason": self.reason[one],
        }


ROWS: dict[str, Row] = {}


def row(
    name: str, section: str, zh: str, en: str, judge: Judge, *, note: tuple[str, str] = ("", ""),
    **more: Any,
) -> Callable[[Compute], Compute]:  # fmt: skip
    """Enter the decorated function in the ledger; `more` are fields of `Row`."""

    def enter(compute: Compute) -> Compute:
        assert name not in ROWS, f"{name} stands twice"
        ROWS[name] = Row(name, section, Text(zh, en), judge, compute, Text(*note), **more)
        return compute

    return enter


def run(rows: Iterable[Row]) -> list[Result]:
    """Run rows: every verdict is computed here."""
    return [one.run() for one in rows]


def changes(results: Iterable[Result], expected: Mapping[str, str]) -> list[str]:
    """Where verdicts are not the expected ones: one line each; a row too many or missing too."""
    found = {result.row.id: result.verdict for result in results}
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
        line = counts.setdefault(result.row.document, dict.fromkeys(VERDICTS, 0))
        line[result.verdict] += 1
    used = [name for name in VERDICTS if name != "open" or any(c["open"] for c in counts.values())]
    total = {name: sum(line[name] for line in counts.values()) for name in used}
    table = [
        [label, *(str(line[name]) for name in used), str(sum(line[name] for name in used))]
        for label, line in [*sorted(counts.items()), ("all", total)]
    ]
    return ["document", *used, "rows"], table


def check_verdict(name: str) -> str:
    """The name of a verdict, or an error that lists them."""
    if name not in VERDICTS:
        raise ExampleError(f"verdict {name!r} does not exist; {nearest(name, VERDICTS)}")
    return name
