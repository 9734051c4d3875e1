"""A trace as text, section by section: of each stage heading, formula, shapes, grids, and one line
of why."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..ops.loss import IGNORED
from ..ops.softmax import softmax_forward
from ..shapes import Array
from ..stages.catalogue import Text
from ..stages.graph import Stage
from ..trace.trace import Trace
from .chinese import chinese
from .grid import display_width, grid_text
from .headings import leaf_name, pick, say, section_title
from .numbers import MASKED, cell, summary
from .stage_grid import Marks, StageGrids, Style
from .walk import GRADIENT_MARKS, Shown, walk
from .wrap import beside, flow, fold, ruled, wrap

WHY = {"zh": "为什么:", "en": "why:"}


def trace_text(
    trace: Trace,
    style: Style,
    stages: list[str] | None = None,
    gradients: bool = False,
    before: Trace | None = None,
) -> Iterator[str]:
    """The blocks of a printed trace; `stages` as from `Graph.select`. What is not as it was in the
    run `before` stands beside what it was."""
    grids = StageGrids(trace.tokens, trace.vocabulary, style)
    section = None
    for shown in walk(trace, style, stages):
        if shown.section != section:
            section = shown.section
            yield _rule(trace, section, style)
        name = shown.stage.name
        was = None if before is None else before.values.get(name)
        yield _stage(shown, grids, _total(trace, shown.stage, style.lang), was)
        if gradients and shown.gradient is not None:
            was = None if before is None else before.gradients.get(name)
            yield _gradient(shown.stage, *shown.gradient, grids, was)


def _stage(shown: Shown, grids: StageGrids, total: str, was: Array | None) -> str:
    stage, style = shown.stage, grids.style
    title, more = say(stage.leaf.title, style.lang).split("\n"), [total] if total else []
    how = (chinese(text, style.lang) for text in (stage.formula, shown.shape))
    number = f"[{shown.number}] "
    rest = " " * len(number)
    head = flow([number + leaf_name(stage.name), title[0], *how], style.width, rest)
    head += "".join(f"\n{rest}{second}" for second in title[1:])
    return "\n".join([
        style.painter.bold(head),
        _against(stage, (was, shown.value), style.precision, shown.marks, grids),
        *(fold("  " + line, style.width) for text in more for line in text.split("\n")),
        *why_lines(stage.leaf.why, style),
    ])  # fmt: skip


def why_lines(why: Text, style: Style) -> Iterator[str]:
    """The reason of a stage, in each language."""
    for lang in ("zh", "en") if style.lang == "both" else (style.lang,):
        yield from wrap(f"{WHY[lang]} {say(why, lang)}", style.width)


def _total(trace: Trace, stage: Stage, lang: str) -> str:
    """The loss as a sum, beside the mean: documents have the one or the other."""
    if stage.operation != "mean" or "loss.per_token" not in trace or "labels" not in trace:
        return ""
    count = int((trace["labels"] != IGNORED).sum())
    total = trace["loss.per_token"].sum()
    zh, en = f"总和 {total:.4f}，除以 {count} 个标签", f"sum {total:.4f}, divided by {count} labels"
    return say(Text(zh, en), lang)


def _gradient(
    stage: Stage, gradient: Array, decimals: int, grids: StageGrids, was: Array | None
) -> str:
    lang = grids.style.lang
    parts = [f"{pick(lang, '梯度', 'gradient')}  d loss / d {stage.name}"]
    if decimals > grids.style.precision:
        parts.append(pick(lang, f"显示到小数点后 {decimals} 位", f"shown to {decimals} decimals"))
    array = _against(stage, (was, gradient), decimals, GRADIENT_MARKS, grids)
    return f"{grids.style.painter.bold(flow(parts, grids.style.width))}\n{array}"


def _against(
    stage: Stage, pair: tuple[Array | None, Array], decimals: int, marks: Marks, grids: StageGrids
) -> str:
    """An array; with what it was before on the left, or above it, where that is not the same."""
    was, now = pair
    if was is None or was.shape != now.shape or np.array_equal(was, now, equal_nan=True):
        return _array(stage, now, decimals, marks, grids)
    changed = (was != now) & ~((was != was) & (now != now))
    lang, width = grids.style.lang, grids.style.width
    sides = []
    for title, array, own in (
        (pick(lang, "原来", "before"), was, Marks(marks.mask, None, marks.zero)),
        (pick(lang, "现在（! = 变了）", "now (! = changed)"), now, marks._replace(changed=changed)),
    ):
        sides.append([title, *_array(stage, array, decimals, own, grids).split("\n")])
    return "\n".join(beside(sides[0], sides[1], width, least=0))


def _array(stage: Stage, array: Array, decimals: int, marks: Marks, grids: StageGrids) -> str:
    if array.ndim == 0:
        return fold(f"  {stage.name} = {cell(array.item(), max(decimals, 4))}", grids.style.width)
    if grids.style.top is not None and stage.axes[-1] == "v":
        return "\n".join(top_lines(stage, array, decimals, grids))
    blocks = []
    if not grids.fits(array) and array.ndim > 2:
        blocks = [fold(summary(array), grids.style.width)]
    for panel in grids.panels(stage, array, decimals, marks):
        title, grid = panel.grid(grids.style.full, grids.style.lang)
        text = grid_text(grid, grids.style.width)
        blocks.append(f"{title}\n{text}" if title else text)
    return "\n".join(blocks)


def top_lines(stage: Stage, array: Array, decimals: int, grids: StageGrids) -> Iterator[str]:
    """For each token the words of the largest numbers; of logits their probabilities too."""
    count = min(grids.style.top or 1, array.shape[-1])
    for panel in grids.panels(stage, array, decimals):
        if panel.title.en:
            yield panel.title.en
        width = max(map(display_width, panel.rows[panel.first :]))
        for i in range(panel.first, len(panel.rows)):
            row = panel.matrix[i]
            best = np.argsort(-row, kind="stable")[:count]
            shares = (
                softmax_forward(row.astype(np.float64)) if stage.leaf.name == "logits" else None
            )
            words = [
                f"{panel.columns[j]} {cell(row[j].item(), decimals)}"
                + ("" if shares is None else f" ({cell(shares[j].item(), 2)})")
                for j in best
            ]
            label = panel.rows[i]
            label += " " * (width - display_width(label))
            yield flow([f"  {label}", *words], grids.style.width, " " * (width + 5))


def _rule(trace: Trace, section: str, style: Style) -> str:
    title = say(section_title(section, trace.config), style.lang)
    first, _, second = title.partition("\n")
    line = ruled("=", flow([f"== {section}".rstrip(), first], style.width - 3, "   "), style.width)
    line += f"\n   {second}" if second else ""
    extra = ""
    if section.endswith("attention"):
        config = trace.config
        zh = f"{config.heads} 个头"
        en = f"{config.heads} head{'s' if config.heads > 1 else ''}"
        if config.kv_heads != config.heads:
            zh, en = f"{zh}, {config.kv_heads} 个键值头", f"{en}, {config.kv_heads} key/value"
        width, name = config.d_k, "d_k"
        if f"{section}.latent" in trace.graph:
            rank = trace.graph.sizes["r"]
            zh, en = f"{zh}, 潜向量宽 {rank}", f"{en}, latent {rank}"
        heads = pick(style.lang, zh, en)
        if trace.graph[f"{section}.scores"].attributes["apart"]:
            width, name = trace.graph.sizes["e"], "d_k + d_r"
        told = f"{heads}, {name} = {width}, sqrt({name}) = {np.sqrt(width):.6g}"
        extra = "\n" + fold(told, style.width)
    return style.painter.bold(line) + extra


def rounding_rule(precision: int, dtype: str, lang: str = "en") -> str:
    """What a reader needs to know of the digits."""
    rule = Text(
        f"显示到小数点后 {precision} 位，按 {dtype} 计算；只在显示时取整，"
        f"“{MASKED}”表示被遮住，恰为 0",
        f"shown to {precision} decimal{'s' * (precision != 1)}, computed in {dtype}; "
        f"rounded for display only, '{MASKED}' = masked, exactly 0",
    )
    return say(rule, lang)
