"""The arithmetic of a cell as text."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

from ..arithmetic.cells import Single
from ..explaining.explanation import NO_BREAK, Explanation, evaluate, exact, shown_index, written
from ..shapes import AXES, PANELS, Axis
from ..trace.trace import Trace
from .chinese import chinese
from .grid import clean, display_width
from .headings import leaf_name, pick, say
from .numbers import fixed
from .stage_grid import Style
from .wrap import flow, fold, wrap

ROOM = 24  # columns that an equation needs
MOST = 12  # terms of a sum that are written out without --full
TOKENS = {"t": ("查询 ", "query "), "s": ("键 ", "key ")}


class Names:
    """What the numbers of an index stand for in a trace."""

    def __init__(self, trace: Trace, lang: str = "en") -> None:
        self.lang = lang
        self.graph, self.tokens, self.vocabulary = trace.graph, trace.tokens, trace.vocabulary
        self.shapes = {name: array.shape for name, array in trace.arrays.items()}

    def address(self, name: str, index: Sequence[int], short: bool = False) -> str:
        """`decoder.0.self_attention.scores[4,1]`, or `scores[4,1]`"""
        return (leaf_name(name) if short else name) + shown_index(self.shapes[name], index)

    def label(self, name: str, index: Sequence[int]) -> str:
        """`query 4 气, key 1 今`: the tokens, heads and words that an index names."""
        if name not in self.graph:
            return ""
        stage = self.graph[name]
        row = index[0] if index and stage.axes[0] == "b" else 0
        cross = len(stage.sides) > 1
        parts = []
        for axis, length, i in zip(stage.axes, self.shapes[name], index, strict=True):
            if axis in stage.sides:
                what = pick(self.lang, *TOKENS[axis]) if cross else ""
                parts.append(f"{what}{i} {self.token(stage.sides[axis], row, i)}".rstrip())
            elif axis == "v":
                named = self.vocabulary is not None and len(self.vocabulary) == length
                word = clean(self.vocabulary[i]) if named and self.vocabulary else ""
                parts.append(f"{pick(self.lang, '词', 'word')} {i} {word}".rstrip())
            elif axis in PANELS:
                if length > 1:
                    parts.append(pick(self.lang, *(AXES[axis].panel or ())).format(i))
            else:
                own = AXES.get(axis, Axis(axis))
                parts.append(f"{pick(self.lang, own.word_zh, own.word)} {i}")
        return pick(self.lang, "，", ", ").join(parts)

    def token(self, side: str, row: int, i: int) -> str:
        """The name of a token; of the last column for a stage that has only that."""
        rows = self.tokens.get(side)
        return "" if rows is None else clean(rows[row][i])


def cell_text(explanation: Explanation, names: Names, style: Style) -> Iterator[str]:
    """Blocks: the cell with the lines that lead to it, then what those are made from."""
    return _blocks(explanation, names, style, top=True)


def _blocks(
    explanation: Explanation, names: Names, style: Style, top: bool = False
) -> Iterator[str]:
    lines = [style.painter.bold(flow(_head(explanation, names), style.width))]
    if top and explanation.name in names.graph:
        title, *more = say(names.graph[explanation.name].leaf.title, style.lang).split("\n")
        parts = [f"  {title}", chinese(explanation.formula, style.lang)]
        lines += [flow(parts, style.width), *(f"  {second}" for second in more)]
    chain = _chain(explanation)
    lefts = [step.left for part in chain for step in part.steps]
    lefts += [_own(part, names) for part in chain]
    left = max(map(len, lefts))
    for part in chain:
        lines += _steps(part, names, style, left)
    if explanation.pinned:
        en = "held at this value by a pin; the arithmetic above is what it replaces"
        told = pick(style.lang, "固定为该值；上面的算式是它所替代的", en)
        lines.append(fold(f"  {told}", style.width))
    if explanation.kind == "value":
        lines += _rounding(chain, style)
    yield "\n".join(lines)
    for part in chain:
        for source in part.sources:
            if not source.inline:
                yield from _blocks(source, names, style)


def _head(explanation: Explanation, names: Names) -> list[str]:
    where = names.address(explanation.name, explanation.cell)
    if explanation.kind == "gradient":
        where = f"d loss / d {where}"
    label = names.label(explanation.name, explanation.cell)
    return [where, label, f"= {exact(explanation.value)}"]


def _chain(explanation: Explanation) -> list[Explanation]:
    """The cells that are printed with a cell, the first computed first."""
    found = [explanation]
    while found[0].sources and found[0].sources[0].inline:
        found.insert(0, found[0].sources[0])
    return found


def _own(part: Explanation, names: Names) -> str:
    """What stands left of the equals sign: `scores[4,1]`, or `d scores[4,1]`."""
    address = names.address(part.name, part.cell, short=True)
    return f"d {address}" if part.kind == "gradient" else address


def _steps(part: Explanation, names: Names, style: Style, left: int) -> Iterator[str]:
    most = sys.maxsize if style.full else MOST
    own = _own(part, names)
    for step in part.steps:
        head = f"  {(step.left or own):<{left}}"
        if len(head) + ROOM > style.width:  # what stands left has a line of its own
            yield fold(head.rstrip(), style.width)
            head = "  "
        sides = [chinese(step.symbols, style.lang)] if step.symbols else []
        forms = [written(form, lambda x: _number(x, style), most) for form in step.forms]
        for text in [*forms, _number(step.value, style)]:
            if text != (sides[-1] if sides else None):
                sides.append(text)
        if sum(map(display_width, sides)) + 3 * len(sides) + len(head) <= style.width:
            sides = [" = ".join(sides)]
        for k, side in enumerate(sides):
            indent = (head if k == 0 else " " * len(head)) + " = "
            lines = wrap(side, style.width, first=indent, rest=" " * (len(indent) + 2))
            yield from (line.replace(NO_BREAK, " ") for line in lines)
    for note in part.notes:
        yield fold(f"  {own}: {chinese(note, style.lang)}", style.width)


def _number(x: Single, style: Style) -> str:
    """Two decimals more than a table shows, or three digits of what is smaller; all with --full."""
    if style.full or not isinstance(x, float):
        return exact(x)
    decimals = style.precision + 2
    if x and abs(x) < 10.0 ** (2 - decimals):
        return f"{x:.{max(decimals - 2, 1)}e}"
    return fixed(x, decimals)


def _rounding(chain: Sequence[Explanation], style: Style) -> Iterator[str]:
    """What a reader gets who calculates with the rounded numbers of the tables."""
    known: dict[Single, Single] = {}

    def rounded(x: Single) -> str:
        return exact(known.get(x, round(x, style.precision)) if isinstance(x, float) else x)

    got: Single = 0.0
    for part in chain:
        if not part.steps:
            return
        try:
            got = evaluate(part.steps, rounded)[-1][0]
        except (ArithmeticError, ValueError):  # rounding has made a divisor 0
            return
        known[part.value] = got
    value = chain[-1].value
    if isinstance(value, float) and not isinstance(got, bool):
        shown, table = fixed(float(got), style.precision), fixed(value, style.precision)
        if shown != table:
            whole = f"{value:.{style.precision + 4}f}"
            zh = f"（由 {style.precision} 位小数的表算得 {shown}；表中 {table} 取自精确的 {whole}）"
            yield from wrap(
                pick(
                    style.lang, zh,
                    f"(from the {style.precision}-decimal tables one gets {shown}; the table "
                    f"rounds the exact {whole} to {table})",
                ),
                style.width, first="  ", rest="   ",
            )  # fmt: skip
