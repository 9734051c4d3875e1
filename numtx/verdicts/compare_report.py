"""A comparison in lines."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..compare.comparison import Comparison, Difference
    from ..compare.sides import Side

LISTED = 8  # names in a list, without --full
ROWS = 30  # stages in the table of how a difference grows, without --full


def report(
    found: Comparison, first: Side, second: Side, full: bool, cells: int, lang: str = "en"
) -> Iterator[str]:
    """The comparison in lines."""
    from ..compare.compare import with_hint
    from ..show.grid import table_text
    from ..show.headings import below, pick
    from ..show.numbers import amount

    of = pick(lang, " / ", " of ")
    for name, (a, b) in found.config.items():
        zh = f"配置：{name} 在 {first.name} 里是 {a!r}，在 {second.name} 里是 {b!r}"
        en = f"configuration: {name} is {a!r} in {first.name}, {b!r} in {second.name}"
        yield pick(lang, zh, en)
    wrong = [d for d in found.parameters if not d.equal]
    if wrong:
        en = f"{len(wrong)} parameters differ; what follows may follow from that"
        yield below(lang, f"{len(wrong)} 个参数不同；下面的差别可能由此而来", en)
        rows = [["parameter", "cells", "largest difference", ""]]
        rows = [["参数", "格", "最大差", ""]] if lang == "zh" else rows
        rows += [[d.name, f"{d.differing}{of}{d.cells}", amount(d.largest), d.note] for d in wrong]
        yield table_text(rows, "lrrl", "  ")
    if found.first is None:
        share = f"{found.compared}{of}{found.of}" if found.compared < found.of else f"{found.of}"
        if not wrong:
            tolerance = _tolerance_text(found, lang)
            zh = f"相同：{share} 个数组，在容差之内（{tolerance}）"
            yield pick(lang, zh, f"equal: {share} arrays, within the tolerance ({tolerance})")
    else:
        yield from _first(found, found.first, first, cells, lang)
        yield from _growth(found, full, lang)
    for names, where in ((found.only_first, first.name), (found.only_second, second.name)):
        if names:
            head = pick(lang, f"没有比较，只在 {where} 里", f"not compared, only in {where}")
            yield f"{head}: {_listed(names, full, lang)}"
    for names, where, missing in (
        (found.unknown_first, first.name, found.only_second),
        (found.unknown, second.name, found.only_first),
    ):
        if names:
            hinted = [with_hint(n, missing) for n in (names if full else names[:LISTED])]
            listed = _listed(hinted + names[len(hinted) :], full, lang)
            en = f"not compared, no stage (--map gives names), in {where}"
            zh = f"没有比较，不是阶段（可用 --map 给出名字），在 {where} 里"
            yield f"{pick(lang, zh, en)}: {listed}"


def _first(
    found: Comparison, worst: Difference, first: Side, most: int, lang: str
) -> Iterator[str]:
    """The first stage that differs, its cells, and its cause."""
    from ..show.cell_text import Names
    from ..show.grid import table_text
    from ..show.headings import below, pick
    from ..show.numbers import amount, number

    before = sum(d.equal for d in found.values)
    head = pick(lang, "第一处不同", "first difference")
    yield f"{head}: {worst.name}" + (f"   ({worst.note})" if worst.note else "")
    cause = pick(lang, "原因", "cause")
    if not worst.fits:
        zh = f"原因: 形状对不上，没有去找；{before} 个阶段相同"
        en = f"cause: not looked for, as the shapes do not fit; {before} stages are equal"
        yield below(lang, zh, en)
        return
    largest, times = amount(worst.largest), amount(worst.relative)
    yield below(
        lang,
        f"{worst.cells} 格中 {worst.differing} 格不同，最多差 {largest}，"
        f"是容差（{_tolerance_text(found, 'zh')}）的 {times} 倍；{before} 个阶段相同",
        f"{worst.differing} of {worst.cells} cells differ, by {largest} at most, "
        f"{times} times the tolerance ({_tolerance_text(found, 'en')}); "
        f"{before} stages are equal",
    )
    rows = [["cell", "", "expected", "got", "difference"]]
    rows = [["格", "", "应为", "得到", "差"]] if lang == "zh" else rows
    names = None if first.trace is None else Names(first.trace, lang)
    name = worst.name.removeprefix("grad/")
    for pair in worst.worst[:most]:
        label, where = "", "[" + ",".join(map(str, pair.cell)) + "]"
        if names is not None and len(names.shapes.get(name, ())) == len(pair.cell):
            label = names.label(name, pair.cell)
        apart = abs(float(pair.got) - float(pair.expected))
        rows.append(
            [where, label, number(pair.expected), number(pair.got),
             "nan" if math.isnan(apart) else amount(apart)]
        )  # fmt: skip
    if len(rows) > 1:
        yield table_text(rows, "llrrr", "  ")
    for text in _causes(found, worst, first, lang):
        yield f"{cause}: {text}"
    if len(found.causes) > 1:
        yield pick(lang, "（每一个都能得出这些数）", "(each of these reproduces the numbers)")


def _causes(found: Comparison, worst: Difference, first: Side, lang: str) -> Iterator[str]:
    """What explains the first difference, or why nothing does."""
    from ..show.headings import pick
    from .causes_zh import cause_zh

    if worst.name.startswith("grad/") and not found.causes:
        yield pick(lang, *_cause_of_gradient(found))
    elif first.trace is None:
        zh = f"没有去找，因为 {first.name} 不是 numtx 的运行记录（请把记录放在前面）"
        en = f"not looked for, as {first.name} is no trace of numtx (give the trace first)"
        yield pick(lang, zh, en)
    elif not found.causes:
        en = "no known mistake reproduces these numbers"
        yield pick(lang, "没有已知的错误能得出这些数", en)
    for one in found.causes:
        zh = one.in_chinese() or cause_zh(str(one))
        yield zh if lang == "zh" else str(one)


def _cause_of_gradient(found: Comparison) -> tuple[str, str]:
    """What a wrong gradient says of the pass that it was made in."""
    if any(not d.equal for d in found.parameters):
        return "没有去找，因为参数不同", "not looked for, as the parameters differ"
    if not found.values:
        return "没有去找，因为没有两边都有的值", "not looked for, as no value is in both files"
    return (
        "比过的值全部相同，所以错在反向传播；试过的已知错误都得不出这些数",
        "every value compared is equal, so the mistake is in the backward pass; none of the known "
        "mistakes that were tried reproduces these numbers",
    )


def _growth(found: Comparison, full: bool, lang: str) -> Iterator[str]:
    from ..show.grid import table_text
    from ..show.headings import pick
    from ..show.numbers import amount

    of = pick(lang, " / ", " of ")
    everything = [*found.values, *found.gradients]
    start = next(i for i, d in enumerate(everything) if not d.equal)
    shown = everything if full else everything[start:][:ROWS]
    rows = [["stage", "cells that differ", "largest difference", "in tolerances", ""]]
    rows = [["阶段", "不同的格", "最大差", "容差的倍数", ""]] if lang == "zh" else rows
    rows += [
        [
            d.name,
            f"{d.differing}{of}{d.cells}",
            amount(d.largest),
            amount(d.relative),
            d.note,
        ]
        for d in shown
    ]
    title = ("所有阶段：", "all stages:") if full else ("从那里起：", "from there on:")
    yield pick(lang, *title)
    yield table_text(rows, "lrrrl", "  ")
    if not full and len(everything) - start > ROWS:
        more = len(everything) - start - ROWS
        yield pick(
            lang, f"  另有 {more} 个；--full 全部列出", f"  and {more} more; --full lists all"
        )


def _listed(names: list[str], full: bool, lang: str) -> str:
    from ..show.headings import pick

    if full or len(names) <= LISTED:
        return ", ".join(names)
    more = len(names) - LISTED
    return ", ".join(names[:LISTED]) + pick(lang, f" 另有 {more} 个", f" and {more} more")


def _tolerance_text(found: Comparison, lang: str) -> str:
    from ..show.headings import pick

    if found.tolerance == "by type":
        zh, en = "各项大小的 1e-10，float32 为 2e-5", "1e-10 of the terms, 2e-5 in float32"
        return pick(lang, zh, en)
    return pick(lang, f"各项大小的 {found.tolerance}", f"{found.tolerance} of the terms")
