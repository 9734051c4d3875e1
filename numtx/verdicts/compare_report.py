"""A comparison in lines."""

from __future__ import annotations

import math
from collections.abc import Iterator
from shlex import quote
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..compare.comparison import Comparison, Difference
    from ..compare.sides import Side

LISTED = 8  # names in a list, without --full
ROWS = 30  # stages in the table, without --full
BEFORE = 4  # of them before the first that differs
LOOKED_AT = 3  # cells whose arithmetic is pointed to


def report(
    found: Comparison, first: Side, second: Side, full: bool, cells: int, lang: str = "en"
) -> Iterator[str]:
    """The comparison in lines."""
    from ..compare.compare import with_hint
    from ..show.headings import below, pick
    from ..show.numbers import amount
    from ..show.table import table_text

    of = pick(lang, " / ", " of ")
    yield from (pick(lang, *note) for note in second.notes)
    if found.config:
        en = "the configurations differ; what follows may follow from that"
        yield below(lang, "两边的配置不同；下面的差别可能由此而来", en)
    for name, (a, b) in found.config.items():
        zh = f"配置：{name} 在 {first.name} 里是 {a!r}，在 {second.name} 里是 {b!r}"
        en = f"configuration: {name} is {a!r} in {first.name}, {b!r} in {second.name}"
        yield below(lang, zh, en)
    wrong = [d for d in found.parameters if not d.equal]
    if wrong:
        many = "1 parameter differs" if len(wrong) == 1 else f"{len(wrong)} parameters differ"
        en = f"{many}; what follows may follow from that"
        yield below(lang, f"{len(wrong)} 个参数不同；下面的差别可能由此而来", en)
        rows = [["parameter", "cells", "largest difference", ""]]
        rows = [["参数", "格", "最大差", ""]] if lang == "zh" else rows
        rows += [
            [d.name, f"{d.differing}{of}{d.cells}", amount(d.largest), _note(d, lang)]
            for d in wrong
        ]
        yield table_text(rows, "lrrl", "  ")
    if found.first is None:
        if not wrong:
            yield from _agreement(found, lang)
            if full:
                yield from _table(found, full, lang)
    else:
        yield from _first(found, found.first, first, cells, lang)
        yield from _table(found, full, lang)
    for names, where in ((found.only_first, first.name), (found.only_second, second.name)):
        if names:
            head = pick(lang, f"没有比较，只在 {where} 里", f"not compared, only in {where}")
            yield f"{head}: {_listed(names, full, lang)}"
    for names, side, missing in (
        (found.unknown_first, first, found.only_second),
        (found.unknown, second, [*found.only_first, *second.spelled]),
    ):
        if names:
            where = side.name
            hinted = [
                n if side.is_own(n) else with_hint(n, missing)
                for n in (names if full else names[:LISTED])
            ]
            listed = _listed(hinted + names[len(hinted) :], full, lang)
            en = f"not compared, no stage (--map gives names), in {where}"
            zh = f"没有比较，不是阶段（可用 --map 给出名字），在 {where} 里"
            yield f"{pick(lang, zh, en)}: {listed}"


def _first(
    found: Comparison, worst: Difference, first: Side, most: int, lang: str
) -> Iterator[str]:
    """The first stage that differs, its cells, and its cause."""
    from ..show.cell_text import Names
    from ..show.headings import below
    from ..show.numbers import amount, number
    from ..show.table import table_text

    before = sum(d.equal for d in found.values)
    notes = (f"   ({_note(worst, x)})" if worst.note else "" for x in ("zh", "en"))
    zh, en = (f"{worst.name}{note}" for note in notes)
    yield below(lang, f"第一处不同: {zh}", f"first difference: {en}")
    if not worst.fits and found.causes:
        for text in _causes(found, worst, first, lang):
            yield text
        return
    if not worst.fits:
        zh = f"原因: 形状对不上，没有去找；{before} 个阶段相同"
        en = f"cause: not looked for, as the shapes do not fit; {_stages(before)} equal"
        yield below(lang, zh, en)
        return
    largest, times = amount(worst.largest), amount(worst.relative)
    s = "s" if worst.differing == 1 else ""
    held_zh, held_en = tolerance_text(worst, "zh"), tolerance_text(worst, "en")
    yield below(
        lang,
        f"{worst.cells} 格中 {worst.differing} 格不同，最多差 {largest}，"
        f"是容差（{held_zh}）的 {times} 倍；{before} 个阶段相同",
        f"{worst.differing} of {worst.cells} cells differ{s}, by {largest} at most, "
        f"{times} times the tolerance ({held_en}); {_stages(before)} equal",
    )
    if worst.nans or worst.infinities:
        zh = f"不该如此而为 NaN 的有 {worst.nans} 格，为无穷的有 {worst.infinities} 格"
        en = f"cells that should not be so: {worst.nans} NaN, {worst.infinities} infinite"
        yield below(lang, zh, en)
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
        yield text
    if len(found.causes) > 1:
        yield below(lang, "（每一个都能得出这些数）", "(each of these reproduces the numbers)")
    yield from _look_at(worst, first, lang)


def _causes(found: Comparison, worst: Difference, first: Side, lang: str) -> Iterator[str]:
    """What explains the first difference, or why nothing does."""
    from ..fitting.precision import FLOAT32, PRECISIONS
    from ..show.headings import below

    def said(zh: str, en: str) -> str:
        return below(lang, f"原因: {zh}", f"cause: {en}")

    coarse = PRECISIONS[worst.precision].bits < FLOAT32.bits and found.tolerance is None
    if coarse and not found.causes:
        zh = f"没有去找，因为 {worst.precision} 的数太粗；用 float32 或 float64 再算一次"
        en = f"not looked for, as {worst.precision} is too coarse; run it in float32 or float64"
        yield said(zh, en)
    elif worst.name.startswith("grad/") and not found.causes:
        yield said(*_cause_of_gradient(found))
    elif first.trace is None:
        zh = f"没有去找，因为 {first.name} 不是 numtx 的运行记录（请把记录放在前面）"
        en = f"not looked for, as {first.name} is no trace of numtx (give the trace first)"
        yield said(zh, en)
    elif not found.causes and not first.trace.graph[worst.name].inputs:
        zh = "这里什么也不算：两次运行得到的东西不同"
        yield said(zh, "nothing is computed here: the two runs were given other values")
    elif not found.causes:
        en = "no known mistake reproduces these numbers"
        yield said("没有已知的错误能得出这些数", en)
    for one in found.causes:
        yield said(one.in_chinese(), str(one))


def _cause_of_gradient(found: Comparison) -> tuple[str, str]:
    """What a wrong gradient says of the pass that it was made in."""
    if any(not d.equal for d in found.parameters):
        return "没有去找，因为参数不同", "not looked for, as the parameters differ"
    if not found.values:
        return (
            "没有两边都有的值，前向传播也可能有错；试过的反向传播的已知错误都得不出这些数",
            "no value is in both files, so that the forward pass may be wrong too; none of the "
            "known mistakes of a backward pass reproduces these numbers",
        )
    return (
        "比过的值全部相同，所以错在反向传播；试过的已知错误都得不出这些数",
        "every value compared is equal, so the mistake is in the backward pass; none of the known "
        "mistakes that were tried reproduces these numbers",
    )


def _agreement(found: Comparison, lang: str) -> Iterator[str]:
    """That nothing differs, how much was compared, and what could not have been seen."""
    from ..compare.weighing import TOLERANCE
    from ..show.headings import below, pick
    from ..show.numbers import amount

    of = pick(lang, " / ", " of ")
    share = f"{found.compared}{of}{found.of}" if found.compared < found.of else f"{found.of}"
    arrays = "1 array" if share == "1" else f"{share} arrays"
    everything = [*found.parameters, *found.values, *found.gradients]
    if found.verdict == "equal":
        size = amount(TOLERANCE if found.tolerance is None else found.tolerance)
        zh = f"相同：{share} 个数组，在容差之内（各项大小的 {size}）"
        yield pick(lang, zh, f"equal: {arrays}, within the tolerance ({size} of the terms)")
        return
    coarse = [d for d in everything if d.precision != "float64"]
    names = "、".join(dict.fromkeys(d.precision for d in coarse))
    zh = f"舍入：{share} 个数组相同，只差 {names} 的舍入"
    en = f"rounding: {arrays} equal but for what {names.replace('、', ' and ')} rounds"
    yield pick(lang, zh, en)
    blind = [d for d in coarse if d.tolerance >= 1.0]
    if len(blind) < len(coarse):
        least = max((d for d in coarse if d.tolerance < 1.0), key=lambda d: d.tolerance)
        size = amount(least.tolerance)
        zh = f"比各数的 {size} 更小的错误看不出来（{least.name}）"
        en = f"a mistake of less than {size} of the numbers would not have been seen ({least.name})"
        yield below(lang, zh, en)
    if blind:
        zh = f"其中 {len(blind)} 个数组只剩舍入，不能判断: "
        en = f"nothing but rounding, so that nothing can be told, in {len(blind)} of them: "
        yield pick(lang, zh, en) + _listed([d.name for d in blind], False, lang)


def _note(one: Difference, lang: str) -> str:
    """What is said of how an array fits."""
    from ..compare.notes_zh import note_zh

    return note_zh(one.note) if lang == "zh" else one.note


def _stages(count: int) -> str:
    return "1 stage is" if count == 1 else f"{count} stages are"


def _look_at(worst: Difference, first: Side, lang: str) -> Iterator[str]:
    """How the arithmetic of the worst cells is written out."""
    from ..show.headings import below

    if first.trace is None or not worst.worst or not first.is_file:
        return
    option = " --gradient" if worst.name.startswith("grad/") else ""
    name = worst.name.removeprefix("grad/")
    yield below(lang, "可看这几格：", "cells to look at:")
    for pair in worst.worst[:LOOKED_AT]:
        where = ",".join(map(str, pair.cell))
        cell = f"{name}[{where}]" if where else name
        yield f"  numtx cell {quote(first.name)} {quote(cell)}{option}"


def _table(found: Comparison, full: bool, lang: str) -> Iterator[str]:
    """Every stage from the input to the loss, and its gradients: the error beside its bound."""
    from ..show.headings import below, pick
    from ..show.numbers import amount
    from ..show.table import table_text

    of = pick(lang, " / ", " of ")
    everything = [*found.values, *found.gradients]
    start = next((i for i, d in enumerate(everything) if not d.equal), 0)
    before = 0 if full else max(0, start - BEFORE)
    shown = everything if full else everything[before:][:ROWS]
    rows = [
        ["", "stage", "cells that differ", "largest difference", "in tolerances", "precision", ""]
    ]
    rows = [["", "阶段", "不同的格", "最大差", "容差的倍数", "精度", ""]] if lang == "zh" else rows
    rows += [
        [
            "" if d.equal else "x", d.name, f"{d.differing}{of}{d.cells}", amount(d.largest),
            amount(d.relative), d.precision, _note(d, lang),
        ]
        for d in shown
    ]  # fmt: skip
    yield below(lang, "各阶段，从输入到损失：", "the stages, from the input to the loss:")
    if before:
        yield pick(lang, f"  前面 {before} 个相同", f"  {before} before, all equal")
    yield table_text(rows, "llrrrll", "  ")
    if not full and len(everything) - before > ROWS:
        more = len(everything) - before - ROWS
        yield pick(
            lang, f"  另有 {more} 个；--full 全部列出", f"  and {more} more; --full lists all"
        )


def _listed(names: list[str], full: bool, lang: str) -> str:
    from ..show.headings import pick

    if full or len(names) <= LISTED:
        return ", ".join(names)
    more = len(names) - LISTED
    return ", ".join(names[:LISTED]) + pick(lang, f" 另有 {more} 个", f" and {more} more")


def tolerance_text(one: Difference, lang: str) -> str:
    """What a stage was held to."""
    from ..show.headings import pick
    from ..show.numbers import amount

    size = amount(one.tolerance)
    text = pick(lang, f"各项大小的 {size}", f"{size} of the terms")
    return text if one.precision == "float64" else f"{text}, {one.precision}"
