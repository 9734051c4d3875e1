"""Results other than runs as outputs of a notebook: a line that says what came of it, a table with
heat, and beneath it all that the command line prints."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..backwards.check import OwnReport
from ..cache.cache import Cache
from ..check.gradcheck import GradientReport
from ..check.verify import Verification
from ..compare.comparison import Comparison, Difference
from ..compare.notes_zh import note_zh
from ..costs import GROUPS, StepCost
from ..decoding.filters import probabilities_of
from ..decoding.generate import Generation
from ..interface.output import words_of
from ..memory import size_text
from ..show.headings import pick
from ..show.numbers import amount
from .frame import line, table

MOST = 24  # rows of a table
BEFORE = 3  # of them before the first difference
LIKELY = 5  # words of a step


def of_comparison(found: Comparison, lang: str) -> str:
    """The arrays around the first difference, warm by how far beyond the tolerance they are."""
    every = [*found.parameters, *found.values, *found.gradients]
    first = next((k for k, d in enumerate(every) if not d.equal), 0)
    shown = every[max(0, first - BEFORE) :][:MOST]
    verdict = {"equal": "相同", "rounding": "只是舍入", "different": "不同"}[found.verdict]
    said = pick(lang, verdict, found.verdict)
    of = pick(lang, f"比较了 {found.of} 个数组中的 {found.compared} 个",
              f"{found.compared} of {found.of} arrays compared")  # fmt: skip
    body = line(f"{said} ({of})")
    if found.first is not None:
        body += line(f"{pick(lang, '第一处不同', 'first difference')}: {found.first.name}")
    for cause in found.causes:
        told = cause.in_chinese() if lang == "zh" else str(cause)
        body += line(f"{pick(lang, '原因', 'cause')}: {told}")
    heads = ["array", "cells", "largest difference", "in tolerances", ""]
    if lang == "zh":
        heads = ["数组", "不同的格", "最大差", "为容差的倍数", ""]
    rows = [
        [
            d.name,
            f"{d.differing} / {d.cells}",
            amount(d.largest),
            amount(d.relative),
            note_zh(d.note) if lang == "zh" else d.note,
        ]
        for d in shown
    ]
    return body + table(heads, rows, [_beyond(d) for d in shown]) + _more(len(every) - len(shown))


def _beyond(one: Difference) -> list[float]:
    share = -one.differing / max(one.cells, 1)
    worst = 0.0 if one.equal else -1.0
    return [share, worst, worst]


def of_verification(found: Verification, lang: str) -> str:
    """The arrays with the largest errors, in units of the tolerance."""
    return _checked(
        lang, found.ok, len(found.findings),
        [(f"{'grad/' * (f.kind == 'gradient')}{f.name}", f.cells, f.worst)
         for f in found.findings],
    )  # fmt: skip


def of_gradients(found: GradientReport | OwnReport, lang: str) -> str:
    """Each gradient beside differences, the worst first."""
    every = found.checked if isinstance(found, OwnReport) else found.comparisons
    return _checked(lang, found.ok, len(every), [(f.name, f.cells, f.worst) for f in every])


def _checked(lang: str, ok: bool, count: int, found: Sequence[tuple[str, int, float]]) -> str:
    said = pick(lang, "正确" if ok else "错误", "right" if ok else "wrong")
    body = line(pick(lang, f"{said}：{count} 个数组", f"{said}: {count} arrays"))
    shown = sorted(found, key=lambda one: -one[2])[:MOST]
    heads = ["array", "cells", "error in tolerances"]
    if lang == "zh":
        heads = ["数组", "格", "误差（以容差为单位）"]
    rows = [[name, f"{cells:,}", f"{worst:.3g}"] for name, cells, worst in shown]
    heat = [[0.0, worst if worst <= 1 else -1.0] for _, _, worst in shown]
    return body + table(heads, rows, heat) + _more(count - len(shown))


def of_generation(found: Generation, lang: str) -> str:
    """The texts, and of each step its most probable words, warm by their probability."""
    words = words_of(found.vocabulary, found.config.vocabulary)
    body = ""
    for before, new in zip(found.prompt[:MOST], found.new, strict=False):
        body += line(f"{words.text(before)} → {words.text(new)}".strip())
    body += _more(len(found.prompt) - MOST)
    steps = [step for step in found.steps if step.tokens is not None]
    rows, heat = [], []
    for step in steps[:MOST]:
        odds = probabilities_of(step.logits[:1])[0]
        best = np.argsort(-odds, kind="stable")[:LIKELY].tolist()
        rows.append([step.phase, str(step.computed), str(step.read),
                     *(f"{words.token(i)} {odds[i]:.2f}" for i in best)])  # fmt: skip
        heat.append([0.0, 0.0, *odds[best].tolist()])
    heads = ["step", "computed", "read", "most probable"]
    if lang == "zh":
        heads = ["步骤", "新算", "读取", "最可能的词"]
    heads += [""] * (min(LIKELY, found.config.vocabulary) - 1)
    return body + table(heads, rows, heat) + _more(len(steps) - len(rows))


def of_costs(costs: Sequence[StepCost], lang: str) -> str:
    """Multiply-adds of each step by group, warm by their share of the largest number."""
    groups = [group for group in GROUPS if any(cost.total(group) for cost in costs)]
    shown = costs[:MOST]
    counts = [[cost.total(group) for group in groups] for cost in shown]
    largest = max((max(row, default=0) for row in counts), default=0) or 1
    heads = ["multiply-adds", *groups, "sum", "numbers in the cache"]
    if lang == "zh":
        heads = ["乘加次数", *groups, "合计", "缓存中的数"]
    rows = [
        [cost.step.phase, *(f"{n:,}" for n in row), f"{sum(row):,}", f"{cost.cached:,}"]
        for cost, row in zip(shown, counts, strict=True)
    ]
    heat = [[n / largest for n in row] for row in counts]
    return table(heads, rows, heat) + _more(len(costs) - len(shown))


def of_cache(cache: Cache, lang: str) -> str:
    """Of each row its tokens, warm by their share of the capacity; and the size of all."""
    capacity = cache.capacity
    room = pick(lang, "不限", "no limit") if capacity is None else str(capacity)
    said = [
        f"{pick(lang, '缓存', 'cache')}: {cache.storage}",
        f"{pick(lang, '容量', 'capacity')} {room}",
        f"{pick(lang, '数', 'numbers')} {cache.numbers:,} ({size_text(cache.bytes)})",
    ]
    lengths = cache.lengths.tolist()
    rows = [[str(i), str(n)] for i, n in enumerate(lengths[:MOST])]
    full = max(1, *lengths) if capacity is None else capacity
    heads = [pick(lang, "行", "row"), pick(lang, "词元", "tokens")]
    heat = [[n / full] for n in lengths[:MOST]]
    return line(", ".join(said)) + table(heads, rows, heat) + _more(len(lengths) - MOST)


def _more(count: int) -> str:
    return line(f"... + {count}") if count > 0 else ""
