"""What became of laws: the result of each, and a report as short as what there is to say."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ..calls import CallFailed
from ..laws.exactness import row_independence
from ..laws.law import Law, LawBroken
from ..show.grid import display_width
from ..small_repr import in_notebook, small_repr
from ..subjects.declared import EDITS
from ..subjects.subject import CAPABILITIES, DOCUMENTS, MASK, MEMORY, NUMTX, STEP, STEP_MASK

PASSED, ROUNDING, UNDECLARED, BROKEN, ERROR, SKIPPED, VACUOUS = STATUSES = (
    "passed", "rounding", "undeclared", "broken", "error", "skipped", "vacuous",
)  # fmt: skip
# What would let more laws be asked, in words; by capability.
GIVES = {
    MASK: "a mask",
    STEP: "prefill and step",
    STEP_MASK: "a mask of prefill and step",
    MEMORY: "a memory",
    DOCUMENTS: "documents",
}


GIVES_ZH = {
    MASK: "掩码",
    STEP: " prefill 与 step",
    STEP_MASK: " prefill 与 step 的掩码",
    MEMORY: "记忆（编码器输出）",
    DOCUMENTS: "文档编号",
}
STATUSES_ZH = dict(
    zip(STATUSES, ("通过", "舍入", "未声明", "不成立", "出错", "跳过", "空转"), strict=True)
)
HEADS = ("law", "result", "subjects", "examples", "says")


@small_repr()
class Result(NamedTuple):
    """What became of one law on one subject.

    status     passed; rounding (passed, but for a few roundings where it says bit for bit);
               undeclared (it fails exactly as a declaration would explain); broken; error (a call
               raised, or gave no logits); skipped (a capability is missing); vacuous (no example
               exercised the law)
    exercised  examples that did
    why        what is missing, how the law is broken, or what was raised, where and in which call
    example    what was broken or raised, with its calls, where these are kept
    """

    law: Law
    subject: str
    status: str
    exercised: int
    tried: int
    why: str = ""
    example: LawBroken | CallFailed | None = None


@in_notebook
@small_repr("ok", "broken", "results")
class Report(NamedTuple):
    """The results of all laws, on one subject or on several.

    notes  what of a subject looks like a declaration and is none, and the like
    """

    results: list[Result]
    notes: tuple[str, ...] = ()

    @property
    def broken(self) -> list[Result]:
        return self._of(BROKEN)

    @property
    def errors(self) -> list[Result]:
        return self._of(ERROR)

    @property
    def undeclared(self) -> list[Result]:
        return self._of(UNDECLARED)

    def _of(self, status: str) -> list[Result]:
        return [result for result in self.results if result.status == status]

    @property
    def ok(self) -> bool:
        """Whether no law is broken, in error or undeclared; skipped and vacuous ones did not
        pass either."""
        return not (self.broken or self.errors or self.undeclared)

    @property
    def code(self) -> int:
        """The exit code: 1 where a law is broken or in error, 2 where a declaration is missing."""
        return 1 if self.broken or self.errors else 2 if self.undeclared else 0

    def table(self, known: frozenset[str] = frozenset(), lang: str = "en") -> str:
        """One line for each law that was asked, and one for all that were not. Over several
        subjects: the worst of them."""
        several = len({result.subject for result in self.results}) > 1
        heads = ("定律", "结果", "对象", "例子", "内容") if lang == "zh" else HEADS
        law, one, subjects, examples, content = heads
        count = f"{_right(subjects, 8)}  " if several else ""
        lines = [f"{_left(law, 10)}  {_left(one, 10)}  {count}{_right(examples, 8)}  {content}"]
        for name, of_law in self._by_law().items():
            status = self.status(of_law)
            if status in (SKIPPED, VACUOUS):
                continue
            shown = STATUSES_ZH[status] if lang == "zh" else status
            shown += "*" if name in known and status == BROKEN else ""
            passed = sum(result.status in (PASSED, ROUNDING) for result in of_law)
            exercised = sum(result.exercised for result in of_law)
            count = f"{f'{passed}/{len(of_law)}':>8}  " if several else ""
            law_of = of_law[0].law
            says = law_of.statement_zh if lang == "zh" else law_of.statement
            if status == ROUNDING:
                says += f" ({next(r.why for r in of_law if r.status == ROUNDING)})"
            lines.append(f"{name:<10}  {_left(shown, 10)}  {count}{exercised:>8}  {says}")
        if len(lines) == 1:
            lines = []
        head = "注意" if lang == "zh" else "note"
        lines += [*self._not_asked(lang), *(f"{head}: {note}" for note in self.notes)]
        counts = {
            status: sum(self.status(of_law) == status for of_law in self._by_law().values())
            for status in STATUSES
        }
        shown_always = (PASSED, BROKEN)
        counts[SKIPPED] = len(self._skipped())
        words = STATUSES_ZH if lang == "zh" else {status: status for status in STATUSES}
        told = (f"{n} {words[one]}" for one, n in counts.items() if n or one in shown_always)
        lines.append(", ".join(told))
        if not row_independence().contents and any(r.law.exact for r in self.results):
            lines.append(row_independence().note)
        return "\n".join(lines)

    def _not_asked(self, lang: str) -> Iterator[str]:
        """One line for what no example exercised, one for what was skipped, and what it needs."""
        by_law = self._by_law()
        vacuous = [name for name, found in by_law.items() if self.status(found) == VACUOUS]
        if vacuous:
            whys = {found.why for name in vacuous for found in by_law[name] if found.why}
            refused = sorted(why for why in whys if not why.startswith("vacuous: none of"))
            names = " ".join(vacuous)
            said = f"vacuous: {names}: no example exercised them"
            said = f"空转：{names}：没有例子用到" if lang == "zh" else said
            yield said + "".join(f"; {why.removeprefix('vacuous: ')}" for why in refused)
        skipped = self._skipped()
        of_any = [result for result in skipped if NUMTX not in result.law.needs]
        missing = {one for result in of_any for one in missing_of(result)}
        if STEP in missing:
            missing -= {*EDITS, STEP_MASK}
        if of_any:
            gives = GIVES_ZH if lang == "zh" else GIVES
            words = [gives.get(one, one) for one in CAPABILITIES if one in missing]
            names = " ".join(result.law.name for result in of_any)
            others = sorted(missing - set(CAPABILITIES))  # of another kind than models
            words += others
            if lang == "zh":
                yield f"没有问：{names}；还能给出{'、'.join(words)}的才问（说明：numtx.testing）"
                return
            more = f"more is asked of {'one' if others else 'a model'} with"
            yield f"not asked: {names}; {more} {', '.join(words)} (help: numtx.testing)"
        elif skipped and len(skipped) == len(by_law):
            names = " ".join(result.law.name for result in skipped)
            said = f"not asked: {names}, of numtx alone"
            yield f"没有问：{names}，只问 numtx 自己" if lang == "zh" else said

    def _skipped(self) -> list[Result]:
        """What was skipped, each law once; of numtx alone only where no other was."""
        every = [found[0] for found in self._by_law().values() if self.status(found) == SKIPPED]
        return [result for result in every if NUMTX not in result.law.needs] or every

    def _by_law(self) -> dict[str, list[Result]]:
        found: dict[str, list[Result]] = {}
        for result in self.results:
            found.setdefault(result.law.name, []).append(result)
        return found

    @staticmethod
    def status(results: Sequence[Result]) -> str:
        """The worst of several; but passed anywhere before vacuous and skipped."""
        found = {result.status for result in results}
        order = (BROKEN, ERROR, UNDECLARED, ROUNDING, PASSED, VACUOUS, SKIPPED)
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


def missing_of(result: Result) -> list[str]:
    """The capabilities that a skipped law missed."""
    return result.why.removeprefix("skipped: no ").split(", no ")


def _left(text: str, width: int) -> str:
    return text + " " * (width - display_width(text))


def _right(text: str, width: int) -> str:
    return " " * (width - display_width(text)) + text
