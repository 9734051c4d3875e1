"""`check`: try laws on a subject, and report which held, which are broken, which were not asked.

A call that raises is an error and never a breach: no law says anything of it. Whether the model
answers one question twice alike is asked first; where it does not, nothing else is asked.
"""

from __future__ import annotations

import copy
import inspect
import unittest
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

import hypothesis
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky, HypothesisException

from .. import cache_laws as _cache_laws  # noqa: F401 (all enter their laws into the table)
from .. import generation_laws as _generation_laws  # noqa: F401
from .. import laws as _laws  # noqa: F401
from .. import mechanism_laws as _mechanism_laws  # noqa: F401
from .. import operator_laws as _operator_laws  # noqa: F401
from .. import own_laws as _own_laws  # noqa: F401
from ..calls import Call, CallFailed, Done, digits, first_calls, settled, watched
from ..errors import SubjectError
from ..laws.hidden import GROWTH, grows
from ..laws.law import KINDS, LAWS, Draw, Law, LawBroken, law_of
from ..subjects.declared import EDITS
from ..subjects.subject import CAPABILITIES, LOGITS, NUMTX, Subject, subject
from .report import (
    BROKEN,
    ERROR,
    PASSED,
    ROUNDING,
    SKIPPED,
    UNDECLARED,
    VACUOUS,
    Report,
    Result,
)
from .undeclared import SIGHT, Missing, explained, sight, with_options

__all__ = [
    "BROKEN", "ERROR", "LAWS", "PASSED", "ROUNDING", "SKIPPED", "UNDECLARED", "VACUOUS",
    "LawBroken", "LawSuite", "Report", "Result", "attempt", "check", "law_names",
]  # fmt: skip

# The families as they are shown: mask, softmax, variants, positions, cache, batching, ...
_ORDER = "KSVPCBRLGTDWA"
TWICE = "R1"  # the law that is asked first
Progress = Callable[[str, int, int], None]


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
    record: bool = False,
    **options: Any,
) -> Report:
    """Try laws on a model, after a few plain calls: where one of these fails, nothing is asked.

    model     a subject, or what `subject` makes one of; `options` go there
    laws      their names; None: all of them
    examples  so many drawn examples of each
    progress  called before each law is tried, with its name, how many were tried, and of how many
    record    keep the calls of what is broken or in error, from which tests can be written

    Raises `SubjectError` for a law that does not exist and an object that is no subject.
    """
    made = subject(model, **options)
    names = law_names(made.kind) if laws is None else laws
    chosen = [law_of(name, made.kind) for name in names]
    trial = Trial(made, seed, examples, shrink, record)
    own, stopped = trial.own, trial.first({law.name for law in chosen})
    if stopped is not None:
        return Report([stopped], notes_of(own))
    results = []
    for number, law in enumerate(chosen):
        if progress is not None:
            progress(law.name, number, len(chosen))
        results.append(trial.ask(law))
    return Report(results, notes_of(trial.own))


class Trial:
    """Laws asked of one subject, with the declarations that it turns out to lack."""

    def __init__(
        self,
        own: Subject,
        seed: int = 0,
        examples: int = 50,
        shrink: bool = True,
        record: bool = False,
    ):
        self.own = own
        self.missing: Missing | None = None
        self.options: dict[str, Any] = {
            "seed": seed, "examples": examples, "shrink": shrink, "record": record,
        }  # fmt: skip
        self.twice: Result | None = None

    def first(self, names: set[str]) -> Result | None:
        """What stops it: a plain call that fails, or the same call that gives something else."""
        failed = first_calls(self.own)
        if failed is not None:
            return _failed(self.own, failed)
        if NUMTX in self.own.capabilities or self.own.kind != LOGITS:
            return None
        self.own = settled(self.own)
        if LOGITS in self.own.capabilities:
            self.own.notes = (*self.own.notes, *digits(self.own))
            self.twice = attempt(law_of(TWICE), self.own, **self.options)
            if self.twice.status == BROKEN:
                return self.twice._replace(why=f"{self.twice.why}\n  {training(self.own)}")
        if names & SIGHT:
            self.missing = sight(self.own)
        return None

    def ask(self, law: Law) -> Result:
        if law.name == TWICE and self.twice is not None:
            return self.twice

        def once_more(own: Subject) -> Result:
            return attempt(law, own, **self.options)

        if self.missing is None:
            return explained(law, self.own, once_more(self.own), once_more)
        own = with_options(self.own, self.missing.options)
        result = explained(law, own, once_more(own), once_more)
        if law.name in self.missing.laws and result.status in (PASSED, VACUOUS, ROUNDING):
            why = f"{' '.join(self.missing.laws)} undeclared: {self.missing.text()}"
            return result._replace(status=UNDECLARED, why=why)
        return result


def training(own: Subject) -> str:
    """What may make a model give something else for the same ids."""
    model = getattr(own, "model", None)
    if getattr(model, "training", False) is True:
        return "it is in training mode, in which dropout draws anew; call .eval() before"
    return "nothing else is asked: no law can be told from chance"


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
    ids = (failed.call.given if failed.call else {}).get("ids")
    raised = not isinstance(failed.error, SubjectError)
    if ids is not None and raised and failed.taken and len(ids) not in failed.taken:
        rows = ", ".join(map(str, failed.taken))
        if len(failed.taken) == 1:
            missing = Missing({"fixed_rows": failed.taken[0]}, f"{rows} rows pass, others do not")
            why = f"call undeclared: {missing.text()}\n{failed}"
            return Result(PLAIN, own.name, UNDECLARED, 0, 1, why)
        return Result(PLAIN, own.name, ERROR, 0, 1, f"{failed}\n  inputs of {rows} rows passed")
    wanted = f"a model takes ids [B, T] of int64 and gives logits [B, T, {own.vocabulary_size}]"
    hint = "wrap what takes or gives something else in a function of ids"
    lines = [str(failed), f"  {wanted}; {hint}"]
    if ids is not None and ids.shape[1] > 3:
        told = f"longest=N says that it takes no {ids.shape[1]} tokens"
        lines[1:] = [f"  shorter inputs passed; {told}"]
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
    law: Law,
    subject: Subject,
    *,
    seed: int = 0,
    examples: int = 50,
    shrink: bool = True,
    record: bool = False,
    anew: bool = False,
) -> Result:
    """Try one law on a subject; anew: on a copy of it for each example."""
    lacking = law.needs - subject.capabilities
    missing = sorted(lacking, key=lambda name: (name not in CAPABILITIES, name))
    if missing:
        return Result(law, subject.name, SKIPPED, 0, 0, f"skipped: no {', no '.join(missing)}")
    found = _tried(_Run(law, subject, False, record, anew), seed, examples, shrink)
    if found.status != ERROR or NUMTX in subject.capabilities:
        return found
    # Where other calls do not raise, it may still be broken, which says more.
    again = _tried(_Run(law, subject, True, record, anew), seed, examples, shrink)
    if again.status != BROKEN:
        return found
    told = "\n".join(f"  {line}" for line in found.why.splitlines())
    return again._replace(why=f"{again.why}\n  and, in other examples:\n{told}")


def _tried(run: _Run, seed: int, examples: int, shrink: bool) -> Result:
    """The law on its examples, drawn from a seed."""
    # Short, for Hypothesis reads its source before each run.
    asked = settings(
        max_examples=max(2, examples // run.law.cost), deadline=None, database=None,
        print_blob=False,
        phases=[Phase.generate, *([Phase.shrink] if shrink else [])],
        suppress_health_check=list(HealthCheck), report_multiple_bugs=False,
    )  # fmt: skip

    # A strategy of its own: around each draw of `st.data()` Hypothesis looks at the global state of
    # `random`, which takes longer than most draws.
    @st.composite
    def example(draw: st.DrawFn) -> None:
        run.example(draw)

    def tried(_: None) -> None: ...

    try:
        hypothesis.seed(seed)(asked(hypothesis.given(example())(tried)))()
    except Exception as error:
        if not run.found:
            raise
        return run.failed(isinstance(error, Flaky))
    return run.result(seed)


class _Run:
    """The examples of one law on one subject; lenient: those in which a call raises are none."""

    def __init__(self, law: Law, subject: Subject, lenient: bool, record: bool, anew: bool) -> None:
        self.law, self.name, self.lenient = law, subject.name, lenient
        own = copy.copy(subject)
        if law.exact and NUMTX not in subject.capabilities and subject.exact:
            if law.everywhere:
                own.roundings = []
            else:  # a foreign subject, asked within the tolerance only
                own.exact = False
        self.own, self.anew = own, anew
        self.going_on: list[Call] = []
        self.done: list[Done] | None = [] if record else None
        self.watched = watched(own, self.going_on, self.done)
        self.tried = self.exercised = 0
        self.refused = ""
        self.found: list[LawBroken | CallFailed] = []

    def example(self, draw: Draw) -> None:
        self.tried += 1
        self.going_on.clear()
        if self.done is not None:
            self.done.clear()
        if self.anew:
            self.watched = watched(copy.deepcopy(self.own), self.going_on, self.done)
        try:
            self.exercised += bool(self.law.run(self.watched, draw))
        except LawBroken as broken:
            broken.law = self.law
            self._keep(broken)
            raise
        except HypothesisException:
            raise
        except (Exception, SystemExit) as error:
            call = self.going_on[0] if self.going_on else None
            if isinstance(error, NotImplementedError) and call and call.method in EDITS:
                self.refused = f"{call.method} is refused: {' '.join(str(error).split())}"
                return
            if self.lenient:
                return
            failed = CallFailed(self.law.name, error, call)
            self._keep(failed)
            raise failed from error

    def _keep(self, found: LawBroken | CallFailed) -> None:
        """What was found last; what stood before it is forgotten."""
        found.calls = tuple(self.done or ())
        self.found[:] = [found]

    def failed(self, flaky: bool) -> Result:
        last = self.found[-1]
        status = BROKEN if isinstance(last, LawBroken) else ERROR
        more = "\n  the same example passed when asked again: what was asked before matters"
        result = self._result(status, str(last) + (more if flaky else ""))
        return result if self.done is None else result._replace(example=last)

    def result(self, seed: int) -> Result:
        if not self.exercised:
            why = f"vacuous: none of {self.tried} examples exercised it"
            if self.refused:
                why = f"vacuous: {self.refused}"
            return self._result(VACUOUS, why)
        if not self.own.roundings:
            return self._result(PASSED)
        size, roundings = max(self.own.roundings, key=lambda pair: pair[1])
        told = f"{size:.2g} at most, {roundings:.2g} eps of the largest logit"
        grown = None if self.law.hidden is None else grows(self.own, self.law.hidden, seed)
        if grown is None:
            return self._result(ROUNDING, told)
        one, many = grown
        lines = (
            f"{self.law.name} broken: {self.law.statement}",
            f"  a difference of {told}, which grows with what should be hidden: from {one:.2g} eps "
            f"by one token to {many:.2g} by many (rounding does not grow {GROWTH:g} times)",
        )
        return self._result(BROKEN, "\n".join(lines))

    def _result(self, status: str, why: str = "") -> Result:
        exercised = 0 if status == VACUOUS else self.exercised
        return Result(self.law, self.name, status, exercised, self.tried, why)


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
    _trial: ClassVar[tuple[Trial, Result | None]]

    def pytest_generate_tests(self, metafunc: Any) -> None:
        if "law_name" in metafunc.fixturenames:
            metafunc.parametrize("law_name", self._names())

    def test_law(self, law_name: str) -> None:
        trial, stopped = self._begun()
        result = stopped or trial.ask(law_of(law_name, trial.own.kind))
        if result.status in (SKIPPED, VACUOUS):
            raise unittest.SkipTest("; ".join((result.why, *notes_of(trial.own))))
        if result.status in (ERROR, UNDECLARED):
            raise AssertionError(result.why)
        if law_name in self.known_failures:
            why = self.known_failures[law_name]
            assert result.status == BROKEN, f"{law_name} holds now; it was a known failure: {why}"
            raise unittest.SkipTest(f"known failure: {why}")
        if result.status == BROKEN:
            raise AssertionError(result.why)

    @classmethod
    def _begun(cls) -> tuple[Trial, Result | None]:
        """What is asked first, once for all laws of the suite."""
        if "_trial" not in vars(cls):
            trial = Trial(cls._own(), cls.seed, cls.examples)
            cls._trial = trial, trial.first(set(cls._names()))
        return cls._trial

    @classmethod
    def _own(cls) -> Subject:
        model = inspect.getattr_static(cls, "subject")  # a function is not bound
        return subject(model.__func__ if isinstance(model, staticmethod) else model)

    @classmethod
    def _names(cls) -> Sequence[str]:
        """The laws that are asked: those of the kind of subject, unless some are named."""
        if cls.laws is not None:
            return cls.laws
        try:
            return law_names(cls._own().kind)
        except SubjectError:  # each test says it
            return law_names()
