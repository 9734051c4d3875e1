"""How a verdict follows from what is stated and what is computed.

A judge holds stated data; what it is handed is computed by the row. Nothing here knows which
verdict a row should have: it is worked out whenever the ledger runs.

    reproduced     computed, and equal at the printed precision
    rounding       differs only by how it was rounded or cut
    contradicted   the document's own inputs, another passage or a theorem give something else
    attainable     an illustration or a possibility, and parameters were run that give it
    impossible     an illustration that an argument excludes, for every value that prints so
    definition     a convention, a name or an input; a fact about other systems, with its source
    open           none of these was shown, or the computation failed (no row should be open)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import gt
from typing import Any, ClassVar, NamedTuple

import numpy as np

from ..shapes import Array
from ..small_repr import small_repr
from ..stages.catalogue import Text

# Names of what rows put in order, in Chinese; words of the documents stay as they are.
ORDERED = {
    "with": "有", "without": "没有", "before": "之前", "after": "之后", "same": "相同的",
    "different": "不同的", "after right words": "对的词之后", "after a wrong word": "错的词之后",
    "others": "其余", "cross": "交叉注意力", "self": "自注意力", "greedy": "贪心",
    "one beam": "一个束", "five beams": "五个束", "the set": "选出的集合",
    "one word fewer": "少一个词", "largest distance": "最大距离", "sums": "总和", "means": "平均",
    "three deviations": "三倍标准差", "a step of the numbers": "数的一格",
    **{f"step {n}": f"第 {n} 步" for n in range(1, 7)},
}  # fmt: skip
VERDICTS = {
    "reproduced": "相符", "rounding": "舍入", "contradicted": "不符", "attainable": "可达",
    "impossible": "不可能", "definition": "约定", "open": "未决",
}  # fmt: skip
NOTHING = Text("", "")
_SLACK = 1e-9  # a value exactly between two printed ones may go either way
_EXACT = 1e-9  # how far two ways of computing one thing may differ, beside their size

# An argument says why a stated illustration cannot be, for every value within half a printed
# unit of it; None where it does not apply.
Argument = Callable[[Array, float], Text | None]


class Found(NamedTuple):
    """What a row computed, and what is to be said of it."""

    value: Any
    zh: str
    en: str


@small_repr()
class Outcome(NamedTuple):
    """A verdict, what was computed as a value and as text, and the reason."""

    verdict: str
    value: Any
    computed: Text
    reason: Text


@dataclass(frozen=True)
class Judge:
    """Stated data with a way to compare.

    computes  False: the row computes nothing that the verdict could depend on
    """

    stated: Any
    computes: ClassVar[bool] = True

    def judge(self, value: Any) -> Outcome:
        """The verdict on what a row computed."""
        raise NotImplementedError

    def run(self, compute: Callable[..., Any]) -> Outcome:
        """Compute and judge; a computation that fails leaves the row open."""
        try:
            with np.errstate(all="ignore"):  # what came of it is judged
                found = self.computed(compute)
            said = NOTHING
            if isinstance(found, Found):
                found, said = found.value, Text(found.zh, found.en)
            outcome = self.judge(found)
        except Exception as error:  # whatever stated data that do not fit may raise
            what = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
            reason = Text(f"算不下去：{what}", f"the computation failed: {what}")
            return Outcome("open", None, Text("-", "-"), reason)
        return outcome._replace(reason=join(outcome.reason, said))

    def computed(self, compute: Callable[..., Any]) -> Any:
        return compute()

    def text(self) -> Text:
        """The stated data as text."""
        return both(show(self.stated))


@dataclass(frozen=True)
class Equal(Judge):
    """Data that is equal or not: shapes, sequences, counts, names."""

    def judge(self, value: Any) -> Outcome:
        equal = bool(plain(self.stated) == plain(value))
        return Outcome("reproduced" if equal else "contradicted", value, both(show(value)), NOTHING)


@dataclass(frozen=True)
class Printed(Judge):
    """Printed numbers against computed ones, entry by entry."""

    decimals: int = 2

    def judge(self, value: Any) -> Outcome:
        stated, computed = np.asarray(self.stated, float), np.asarray(value, float)
        text = both(numbers(computed, self.decimals))
        if stated.shape != computed.shape:
            shapes = f"{show(stated.shape)} / {show(computed.shape)}"
            reason = Text(f"形状（文中 / 算出）{shapes}", f"shapes (stated / computed) {shapes}")
            return Outcome("contradicted", computed, text, reason)
        how = [
            rounding_of(s, c, self.decimals)
            for s, c in zip(stated.flat, computed.flat, strict=True)
        ]
        if "off" in how:
            off, far = how.count("off"), f"{np.abs(stated - computed).max():.{self.decimals + 1}f}"
            if stated.size == 1:
                reason = Text(f"相差 {far}", f"they differ by {far}")
            else:
                reason = Text(
                    f"{len(how)} 个中 {off} 个不符，最多差 {far}",
                    f"{off} of {len(how)} differ, by up to {far}",
                )
            return Outcome("contradicted", computed, text, reason)
        odd = [
            (f"{_place(index, stated)}{c:.{self.decimals + 2}f}", kind, f"{s:.{self.decimals}f}")
            for (index, s), c, kind in zip(np.ndenumerate(stated), computed.flat, how, strict=True)
            if kind != "rounded"
        ]
        if odd:
            words = {"cut": "舍去尾数得", "raised": "进位得"}
            reason = Text(
                "；".join(f"{c} {words[kind]} {s}" for c, kind, s in odd),
                "; ".join(f"{c} {kind} to {s}" for c, kind, s in odd),
            )
            return Outcome("rounding", computed, text, reason)
        reason = Text("按印出的位数相等", "equal at the printed precision")
        return Outcome("reproduced", computed, text, reason)

    def text(self) -> Text:
        return both(numbers(self.stated, max(0, self.decimals)))


@dataclass(frozen=True)
class Within(Judge):
    """A number in words (几个, 几十个, 数十): from `stated[0]` to `stated[1]`."""

    def judge(self, value: Any) -> Outcome:
        low, high = self.stated
        verdict = "reproduced" if low <= value <= high else "contradicted"
        return Outcome(verdict, value, both(show(value)), NOTHING)

    def text(self) -> Text:
        low, high = self.stated
        return Text(f"{low:g} 到 {high:g}", f"{low:g} to {high:g}")


@dataclass(frozen=True)
class Order(Judge):
    """Names from the largest number to the smallest; a row computes {name: number}."""

    def judge(self, value: Mapping[str, float]) -> Outcome:
        falls = [value[name] for name in self.stated]
        right = len(value) == len(falls) and all(map(gt, falls, falls[1:]))
        names = sorted(value, key=lambda name: -value[name])
        told = [show(float(value[name])) for name in names]
        zh = "，".join(f"{ORDERED.get(a, a)} {b}" for a, b in zip(names, told, strict=True))
        en = ", ".join(f"{a} {b}" for a, b in zip(names, told, strict=True))
        verdict = "reproduced" if right else "contradicted"
        return Outcome(verdict, value, Text(zh, en), NOTHING)

    def text(self) -> Text:
        names = [ORDERED.get(name, name) for name in self.stated]
        return Text(" > ".join(names), " > ".join(self.stated))


@dataclass(frozen=True)
class Same(Judge):
    """Whether two arrays are one (stated True) or not; a row computes both, each its own way."""

    def judge(self, value: tuple[Any, Any]) -> Outcome:
        one, other = (np.asarray(array, float) for array in value)
        if one.shape != other.shape:
            return self._outcome(False, value, Text("形状不同", "of different shapes"))
        far = float(np.max(np.abs(one - other), initial=0.0))
        size = max(1.0, float(np.max(np.abs(one), initial=0.0)))
        text = Text(f"最大差 {far:.2g}", f"largest difference {far:.2g}")
        return self._outcome(far <= _EXACT * size, value, text)

    def _outcome(self, same: bool, value: Any, text: Text) -> Outcome:
        verdict = "reproduced" if same == self.stated else "contradicted"
        words = Text("相同", "the same") if same else Text("不同", "different")
        return Outcome(verdict, value, join(words, text), NOTHING)

    def text(self) -> Text:
        return Text("相同", "the same") if self.stated else Text("不同", "different")


@dataclass(frozen=True)
class Can(Judge):
    """A possibility: shown where a run of the model bears out what another judge states."""

    stated: Judge

    def judge(self, value: Any) -> Outcome:
        outcome = self.stated.judge(value)
        if outcome.verdict != "reproduced":
            reason = Text("这次运行没有给出它", "this run does not show it")
            return outcome._replace(verdict="open", reason=join(outcome.reason, reason))
        reason = Text("numtx 的一次运行给出它", "a run of numtx shows it")
        return outcome._replace(verdict="attainable", reason=join(outcome.reason, reason))

    def text(self) -> Text:
        return self.stated.text()


@dataclass(frozen=True)
class Illustration(Judge):
    """Numbers without inputs: impossible where an argument excludes them, attainable where the
    row's witness, which is told them, runs parameters that give them, both for every value that
    prints as stated. A row with nothing to run computes None.
    """

    arguments: Sequence[Argument] = ()
    decimals: int = 2

    @property
    def half(self) -> float:
        """Half a printed unit."""
        return 0.5 * 10.0**-self.decimals

    def computed(self, compute: Callable[..., Any]) -> Any:
        stated = np.asarray(self.stated, float)
        for argument in self.arguments:
            reason = argument(stated, self.half)
            if reason is not None:
                return Found(None, *reason)
        return compute(stated)

    def judge(self, value: Any) -> Outcome:
        stated = np.asarray(self.stated, float)
        if value is None:
            excluded = any(argument(stated, self.half) for argument in self.arguments)
            return Outcome("impossible" if excluded else "open", None, both("-"), NOTHING)
        run = np.asarray(value, float)
        text = both(numbers(run, self.decimals + 2))
        if run.shape == stated.shape and np.all(np.abs(run - stated) <= self.half + _SLACK):
            reason = Text("numtx 的前向计算给出它", "numtx's forward pass gives it")
            return Outcome("attainable", run, text, reason)
        return Outcome("open", run, text, Text("这组参数给出别的", "the witness gives another"))

    def text(self) -> Text:
        return both(numbers(self.stated, self.decimals))


@dataclass(frozen=True)
class Definition(Judge):
    """An input, a name or a convention; where numtx takes it over, the row gives what it takes,
    and None where it takes nothing."""

    computes: ClassVar[bool] = False

    def judge(self, value: Any) -> Outcome:
        if value is None:
            return Outcome("definition", None, both("-"), NOTHING)
        if plain(self.stated) == plain(value):
            return Outcome("definition", value, both(show(value)), NOTHING)
        reason = Text("numtx 用的是别的", "numtx runs with something else")
        return Outcome("contradicted", value, both(show(value)), reason)


def rounding_of(stated: float, computed: float, decimals: int) -> str:
    """How a printed number came from a computed one: rounded, cut, raised or off."""
    unit = 10.0**-decimals
    if abs(stated - computed) <= unit / 2 + _SLACK:
        return "rounded"
    if not math.isfinite(computed):
        return "off"
    if abs(math.trunc(computed / unit + math.copysign(_SLACK, computed)) * unit - stated) < _SLACK:
        return "cut"
    away = math.copysign(math.ceil(abs(computed) / unit - _SLACK) * unit, computed)
    return "raised" if abs(away - stated) < _SLACK else "off"


def both(text: str) -> Text:
    """A text that is the same in both languages."""
    return Text(text, text)


def join(*texts: Text) -> Text:
    """Several texts as one."""
    return Text("；".join(t.zh for t in texts if t.zh), "; ".join(t.en for t in texts if t.en))


def plain(value: Any) -> Any:
    """Arrays, tuples and sets as nested lists, so that they can be compared."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, set | frozenset):
        return sorted(map(plain, value))
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def show(value: Any) -> str:
    """Data as short text."""
    value = plain(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        tight = all(isinstance(item, int) for item in value)  # a shape, or ids
        return f"[{(',' if tight else ', ').join(show(item) for item in value)}]"
    return str(value)


def numbers(values: Any, decimals: int) -> str:
    """Numbers with so many decimals; rows apart (of unequal length: as they come)."""
    try:
        array = np.asarray(values, float)
    except ValueError:
        return show(values)
    if array.ndim == 0:
        return f"{float(array):.{decimals}f}"
    if array.ndim == 1:
        return " ".join(f"{x:.{decimals}f}" for x in array)
    return " / ".join(numbers(row, decimals) for row in array)


def _place(index: tuple[int, ...], stated: Array) -> str:
    return f"[{','.join(map(str, index))}] " if stated.ndim else ""
