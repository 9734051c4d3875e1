"""`check`: try laws on a subject, and report which held, which are broken, which were not asked.

A call that raises is an error and never a breach: no law says anything of it.
"""

from __future__ import annotations

import inspect
import json
import unittest
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import hypothesis
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.errors import HypothesisException

from .. import laws as _laws  # noqa: F401 (all enter their laws into the table)
from .. import operator_laws as _operator_laws  # noqa: F401
from .. import own_laws as _own_laws  # noqa: F401
from ..laws.exactness import row_independence
from ..laws.law import KINDS, LAWS, Draw, Law, LawBroken, law_of
from ..small_repr import small_repr
from ..subjects.calls import Call, CallFailed, first_calls, watched
from ..subjects.subject import CAPABILITIES, LOGITS, Subject, subject

__all__ = ["LAWS", "LawBroken", "LawSuite", "Report", "Result", "attempt", "check", "law_names"]

# The families as they are shown: mask, softmax, variants, positions, cache, batching, ...
_ORDER = "KSVPCBRLGTDWA"
PASSED, BROKEN, ERROR, SKIPPED, VACUOUS = "passed", "broken", "error", "skipped", "vacuous"
Progress = Callable[[str], None]


class Result(NamedTuple):
    """What became of one law on one subject.

    status     passed, broken, error (a call raised, or gave no logits), skipped (a capability
               is missing) or vacuous (no example exercised the law); only `passed` is a pass
    exercised  examples that did
    why        what is missing, how the law is broken, or what was raised, where and in which call
    """

    law: Law
    subject: str
    status: str
    exercised: int
    tried: int
    why: str = ""


@small_repr("ok", "broken", "results")
class Report(NamedTuple):
    """The results of all laws, on one subject or on several.

    notes  what of a subject looks like a declaration and is none, and the like
    """

    results: list[Result]
    notes: tuple[str, ...] = ()

    @property
    def broken(self) -> list[Result]:
        return [result for result in self.results if result.status == BROKEN]

    @property
    def errors(self) -> list[Result]:
        return [result for result in self.results if result.status == ERROR]

    @property
    def ok(self) -> bool:
        """Whether no law is broken or in error; skipped and vacuous ones did not pass either."""
        return not (self.broken or self.errors)

    def table(self, known: frozenset[str] = frozenset()) -> str:
        """One line a law. Over several subjects: the worst of them."""
        lines = [f"{'law':<10}  {'result':<8}  {'subjects':>8}  {'examples':>8}  says"]
        for name, of_law in self._by_law().items():
            status = self.status(of_law)
            shown = f"{status}*" if name in known and status == BROKEN else status
            passed = sum(result.status == PASSED for result in of_law)
            exercised = sum(result.exercised for result in of_law)
            says = of_law[0].why if status == SKIPPED else of_law[0].law.statement
            count = f"{passed}/{len(of_law)}"
            lines.append(f"{name:<10}  {shown:<8}  {count:>8}  {exercised:>8}  {says}")
        counts = {
            status: sum(self.status(of_law) == status for of_law in self._by_law().values())
            for status in (PASSED, BROKEN, ERROR, SKIPPED, VACUOUS)
        }
        told = (f"{n} {status}" for status, n in counts.items() if n or status != ERROR)
        notes = [*lines, *(f"note: {note}" for note in self.notes), ", ".join(told)]
        if not row_independence().contents and any(r.law.exact for r in self.results):
            notes.append(row_independence().note)
        return "\n".join(notes)

    def _by_law(self) -> dict[str, list[Result]]:
        found: dict[str, list[Result]] = {}
        for result in self.results:
            found.setdefault(result.law.name, []).append(result)
        return found

    @staticmethod
    def status(results: Sequence[Result]) -> str:
        """The worst of several: broken, error, then passed anywhere, then vacuous, skipped."""
        found = {result.status for result in results}
        order = (BROKEN, ERROR, PASSED, VACUOUS, SKIPPED)
        return next(status for status in order if status in found)

    def to_json(self) -> str:
        """The results as strict JSON."""
        rows = [
            {
                "law": result.law.name, "statement": result.law.statement,
                "statement_zh": result.law.statement_zh, "subject": result.subject,
                "status": result.status, "exercised": result.exercised, "tried": result.tried,
                "why": result.why,
            }
            for result in self.results
        ]  # fmt: skip
        told = {"results": rows, "notes": list(self.notes)}
        return json.dumps(told, ensure_ascii=False, indent=1, allow_nan=False)


def law_names(kind: str = LOGITS) -> list[str]:
    """All laws of a kind of subjects, by family and number."""
    return sorted(KINDS[kind], key=lambda name: (_ORDER.index(name[0]), _number(name), name))


def _number(name: str) -> int:
    return int(name[1:].partition("-")[0])


def check(
    model: Any,
    laws: Iterable[str] | None = None,
    *,
    seed: int = 0,
    examples: int = 50,
    shrink: bool = True,
    progress: Progress | None = None,
    **options: Any,
) -> Report:
    """Try laws on a model, after a few plain calls: where one of these fails, nothing is asked.

    model     a subject, or what `subject` makes one of; `options` go there
    laws      their names; None: all of them
    examples  so many drawn examples of each
    progress  called with each law's name before it is tried

    Raises `SubjectError` for a law that does not exist and an object that is no subject.
    """
    own = subject(model, **options)
    names = law_names(own.kind) if laws is None else laws
    chosen = [law_of(name, own.kind) for name in names]
    failed = first_calls(own)
    if failed is not None:
        return Report([_failed(own, failed)], notes_of(own))
    results = []
    for law in chosen:
        if progress is not None:
            progress(law.name)
        results.append(attempt(law, own, seed=seed, examples=examples, shrink=shrink))
    return Report(results, notes_of(own))


# What is asked before any law; it has a row of its own only where it fails.
PLAIN = Law(
    "call", "ids [B, T] give logits [B, T, V], finite floats",
    "由 ids [B, T] 得到 logits [B, T, V], 皆为有限浮点数",
    False, False, frozenset({LOGITS}), lambda subject, draw: first_calls(subject) is None,
)  # fmt: skip


def _failed(own: Subject, failed: CallFailed) -> Result:
    """The result of a plain call that failed, and what would be right."""
    if own.kind != LOGITS:
        lines = [str(failed), f"  {own.wanted}"]
        return Result(PLAIN._replace(statement=own.wanted), own.name, ERROR, 0, 1, "\n".join(lines))
    wanted = f"a model takes ids [B, T] of int64 and gives logits [B, T, {own.vocabulary_size}]"
    hint = "wrap what takes or gives something else in a function of ids"
    lines = [str(failed), f"  {wanted}; {hint}"]
    if "ids" in (given := failed.call.given if failed.call else {}):
        length = given["ids"].shape[1]
        if length > 3:
            lines[1:] = [
                f"  shorter inputs passed; longest=N says that it takes no {length} tokens"
            ]
    return Result(PLAIN, own.name, ERROR, 0, 1, "\n".join(lines))


def notes_of(own: Subject) -> tuple[str, ...]:
    """What a report says of a subject beside the results."""
    if own.reach is None or own.longest >= own.reach + 2:
        return own.notes
    told = (
        f"reach {own.reach}: inputs of at most {own.longest} tokens are tried; longest=N says more"
    )
    return (*own.notes, told)


def attempt(
    law: Law, subject: Subject, *, seed: int = 0, examples: int = 50, shrink: bool = True
) -> Result:
    """Try one law on a subject."""
    lacking = law.needs - subject.capabilities
    missing = sorted(lacking, key=lambda name: (name not in CAPABILITIES, name))
    if missing:
        return Result(law, subject.name, SKIPPED, 0, 0, f"skipped: no {', no '.join(missing)}")
    own = subject
    if law.exact and not law.everywhere and "numtx" not in subject.capabilities and subject.exact:
        own = _inexact(subject)
    going_on: list[Call] = []
    own = watched(own, going_on)
    tried = exercised = 0
    found: list[LawBroken | CallFailed] = []

    def example(draw: Draw) -> None:
        nonlocal tried, exercised
        tried += 1
        going_on.clear()
        try:
            exercised += bool(law.run(own, draw))
        except LawBroken as broken:
            broken.law = law
            found.append(broken)
            raise
        except HypothesisException:
            raise
        except (Exception, SystemExit) as error:
            failed = CallFailed(law.name, error, going_on[0] if going_on else None)
            found.append(failed)
            raise failed from error

    # Short, for Hypothesis reads its source before each run.
    def run(data: st.DataObject) -> None:
        example(data.draw)

    asked = settings(
        max_examples=max(2, examples // law.cost), deadline=None, database=None, print_blob=False,
        phases=[Phase.generate, *([Phase.shrink] if shrink else [])],
        suppress_health_check=list(HealthCheck), report_multiple_bugs=False,
    )  # fmt: skip
    try:
        hypothesis.seed(seed)(asked(hypothesis.given(st.data())(run)))()
    except Exception:
        if not found:
            raise
        status = BROKEN if isinstance(found[-1], LawBroken) else ERROR
        return Result(law, subject.name, status, exercised, tried, str(found[-1]))
    if not exercised:
        why = f"vacuous: none of {tried} examples exercised it"
        return Result(law, subject.name, VACUOUS, 0, tried, why)
    return Result(law, subject.name, PASSED, exercised, tried)


def _inexact(own: Subject) -> Subject:
    """A foreign subject for a law that is asked of it within the tolerance only."""
    return subject(own, exact=False)


class LawSuite:
    """Laws as tests of pytest: one test a law.

        class TestMyModel(LawSuite):
            subject = subject(my_model, vocabulary_size=50)

    Skipped and vacuous laws show as skipped tests, with the reason. `laws`, `examples` and
    `seed` may be set too; `known_failures` names laws that may be broken, for now, and fails
    where one of them has come to hold.
    """

    subject: Any = None
    laws: ClassVar[Sequence[str] | None] = None
    examples = 50
    seed = 0
    known_failures: ClassVar[Mapping[str, str]] = {}

    def pytest_generate_tests(self, metafunc: Any) -> None:
        if "law_name" in metafunc.fixturenames:
            metafunc.parametrize("law_name", law_names() if self.laws is None else self.laws)

    def test_law(self, law_name: str) -> None:
        model = inspect.getattr_static(self, "subject")  # a function is not bound
        own = subject(model.__func__ if isinstance(model, staticmethod) else model)
        failed = first_calls(own)
        if failed is not None:
            raise AssertionError(_failed(own, failed).why)
        result = attempt(law_of(law_name), own, seed=self.seed, examples=self.examples)
        if result.status in (SKIPPED, VACUOUS):
            raise unittest.SkipTest("; ".join((result.why, *notes_of(own))))
        if result.status == ERROR:
            raise AssertionError(result.why)
        if law_name in self.known_failures:
            why = self.known_failures[law_name]
            assert result.status == BROKEN, f"{law_name} holds now; it was a known failure: {why}"
            raise unittest.SkipTest(f"known failure: {why}")
        if result.status == BROKEN:
            raise AssertionError(result.why)
