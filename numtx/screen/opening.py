"""The first screen of a trace: the flow of the data as boxes with shapes and the numbers of their
stages, and the contents."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise, zip_longest
from typing import NamedTuple

from ..config import Config
from ..parameters import count_parameters
from ..show.grid import aligned, clean, display_width
from ..show.headings import SIDES, below, pick, section_of, section_title
from ..show.numbers import shape_text
from ..show.stage_grid import Style
from ..show.table import table_text
from ..show.walk import shapes_of
from ..show.wrap import fold, wrap
from ..stages.catalogue import Text
from ..trace.trace import Trace

SEPARATE, LISTED = 3, 2  # layers with a line each in a box, and in the contents
PARTS = {
    "tokens": Text("词元", "tokens"), "input": Text("输入", "input"),
    "output": Text("输出", "output"), "pooler": Text("池化", "pooler"),
    "head": Text("输出层", "head"), "logits": Text("logits", "logits"),
    "probabilities": Text("概率", "probabilities"), "loss": Text("损失", "loss"),
}  # fmt: skip
GROUPS = {
    "tokens": 0, "input": 0, "layer": 1, "output": 2, "pooler": 2, "head": 2, "logits": 2,
    "probabilities": 3, "loss": 3,
}  # fmt: skip
MORE = Text(
    "更多：{}--stage '{}.0.*' 一部分；--step 一步一步看；--gradients 加上梯度；"
    "--html FILE 在浏览器里看；numtx cell 一格的算式",
    "more: {}--stage '{}.0.*' a part; --step stage by stage; --gradients the way back; "
    "--html FILE in a browser; numtx cell the arithmetic of a cell",
)
ACT = Text("--act N 一幕；", "--act N an act; ")


class Part(NamedTuple):
    """A line of a box: stages that follow each other."""

    kind: str
    label: str
    names: list[str]


def opening_text(
    trace: Trace, style: Style, contents: Iterable[tuple[Text, Sequence[str]]] = ()
) -> str:
    """The screen. contents: titles and stages of the parts, such as acts; empty: the sections."""
    acts = list(contents)
    side = trace.config.sides[0]
    more = Text(*(m.format(act if acts else "", side) for m, act in zip(MORE, ACT, strict=True)))
    numbers = {name: n for n, name in enumerate(trace.graph.stages, 1)}
    rows = [
        [below(style.lang, *title), spans([numbers[name] for name in names])]
        for title, names in acts
    ] or [
        [name, *title, spans([numbers[one] for one in names])]
        for name, title, names in _sections(trace, style.lang)
    ]  # fmt: skip
    heads = [pick(style.lang, "目录", "contents"), pick(style.lang, "阶段", "stages")]
    heads[1:1] = [""] * (len(rows[0]) - 2)
    return "\n".join([
        fold(below(style.lang, *_facts(trace)), style.width), "",
        *_flow(trace, style, numbers), "",
        table_text([heads, *rows], "l" * len(heads), width=style.width), "",
        *wrap(below(style.lang, *more), style.width),
    ])  # fmt: skip


def _facts(trace: Trace) -> Text:
    """The model in a line, and the loss of the run."""
    config: Config = trace.config
    depth = " + ".join(str(config.layers(side)) for side in config.sides)
    count = f"{count_parameters(config):,}"
    loss = f"{trace['loss'].item():.4f}" if "loss" in trace else ""
    heads = f"{config.heads} head{'s' * (config.heads > 1)}"
    zh = f"{config.model}，{depth} 层，宽 {config.width}，{config.heads} 个头，{count} 个参数"
    en = f"{config.model}, {depth} layers, width {config.width}, {heads}, "
    en += f"{count} parameters"
    return Text(zh + f"，损失 {loss}" * bool(loss), en + f", loss {loss}" * bool(loss))


def spans(numbers: Sequence[int]) -> str:
    """`1, 4-7`: numbers that follow each other as one span."""
    found: list[list[int]] = []
    for n in sorted(numbers):
        if found and found[-1][1] == n - 1:
            found[-1][1] = n
        else:
            found.append([n, n])
    return ", ".join(f"{a}-{b}" if b > a else str(a) for a, b in found)


def _sections(trace: Trace, lang: str) -> list[tuple[str, list[str], list[str]]]:
    """Each sublayer by name, with its title where one language has room, and its stages; of many
    layers all but the first are one line."""
    config, found = trace.config, dict[str, tuple[list[str], list[str]]]()
    for name in trace.graph.stages:
        side, *rest = name.split(".")
        section = ".".join(section_of(name).split(".")[:3])
        title = section_title(section if side in config.sides else "", config)
        if side not in config.sides:
            section = "loss"
        elif rest[0].isdigit() and int(rest[0]) and config.layers(side) > LISTED:
            section = f"{side}.1 ... {side}.{config.layers(side) - 1}"
            title = Text("其余各层", "the other layers")
        told = [] if lang == "both" else [pick(lang, *title)]
        found.setdefault(section, (told, []))[1].append(name)
    return [(section, *of) for section, of in found.items()]


def _many(config: Config, side: str) -> bool:
    return config.layers(side) > SEPARATE


def _parts(trace: Trace, lang: str) -> dict[str, list[Part]]:
    """The lines of the boxes of each side; what follows the last side stands below it."""
    found: dict[str, dict[str, Part]] = {side: {} for side in trace.config.sides}
    for name in trace.graph.stages:
        side, *rest = name.split(".")
        kind, own = side, side
        if side not in found:
            side, kind = trace.config.sides[-1], _end(side)
            label = pick(lang, *PARTS[kind])
            own = kind
        elif rest[0].isdigit():
            n, kind = rest[0], "layer"
            if int(n) and _many(trace.config, side):
                n = f"1-{trace.config.layers(side) - 1}"
            own = label = pick(lang, f"第 {n} 层", f"layer {n}")
        else:
            kind = own = rest[0] if rest[0] in ("tokens", "output") else "input"
            label = pick(lang, *PARTS[kind])
        found[side].setdefault(own, Part(kind, label, [])).names.append(name)
    return {side: list(parts.values()) for side, parts in found.items()}


def _shape(shapes: Sequence[tuple[int, ...]]) -> str:
    """That of the last vectors, or else of the last stage, if that is no single number."""
    shape = next((one for one in reversed(shapes) if len(one) == 3), shapes[-1])
    return shape_text(shape) if shape else ""


def _end(top: str) -> str:
    """Which part a stage behind the stacks belongs to."""
    if top in ("labels", "loss"):
        return "loss"
    if top in PARTS:
        return top
    return "probabilities" if "probabilities" in top else "logits"


def _flow(trace: Trace, style: Style, numbers: dict[str, int]) -> list[str]:
    """The boxes; two stacks stand beside one another where there is room."""
    shapes = shapes_of(trace)
    stacks = []
    for side, parts in _parts(trace, style.lang).items():
        parts.sort(key=lambda part: part.kind == "loss")  # labels come before logits
        rows = [
            [part.label, _shape([shapes[name] for name in part.names]),
             spans([numbers[name] for name in part.names])]
            for part in parts
        ]  # fmt: skip
        box = _box([part.kind for part in parts], rows, min(WIDE, (style.width - len(GAP)) // 2))
        tokens = " ".join(map(clean, trace.tokens[side][0])) if side in trace.tokens else ""
        name = pick(style.lang, *SIDES[side])
        head = wrap(f"{name}: {tokens}".rstrip(": "), len(box[0]), most=1)
        stacks.append(([*head, *box], [part.kind for part in parts]))
    if len(stacks) == 1:
        return stacks[0][0]
    (left, ends), (right, kinds) = stacks
    down = _row(ends, "output") - _row(kinds, "layer")  # what is read stands beside who reads it
    left, right = [""] * max(0, -down) + left, [""] * max(0, down) + right
    wide = max(map(display_width, left))
    if wide + len(ARROW) + max(map(display_width, right)) > style.width:
        return [*filter(None, left), f"{'':{wide // 2}}v", *filter(None, right)]
    arrow = max(0, -down) + _row(ends, "output")
    return [
        f"{a}{' ' * (wide - display_width(a))}{ARROW if k == arrow else GAP}{b}".rstrip()
        for k, (a, b) in enumerate(zip_longest(left, right, fillvalue=""))
    ]


ARROW, GAP, WIDE = "--->", "    ", 34


def _row(kinds: Sequence[str], kind: str) -> int:
    """On which line of a stack the first part of this kind stands: below the tokens and the
    border, and the borders between groups."""
    place = kinds.index(kind)
    groups = [GROUPS[one] for one in kinds[: place + 1]]
    return 2 + place + sum(a != b for a, b in pairwise(groups))


def _box(kinds: Sequence[str], rows: Sequence[Sequence[str]], least: int) -> list[str]:
    """One frame of lines, with a border and an arrow between groups."""
    wide = max(least - 4, *(display_width(line) for line in aligned(rows, "llr")))
    more = wide - display_width(aligned(rows, "llr")[0])
    lines = [f"| {line} |" for line in aligned([[a, b, " " * more + c] for a, b, c in rows], "llr")]
    border = f"+{'-' * (display_width(lines[0]) - 2)}+"
    middle = len(border) // 2
    onward = f"{border[:middle]}v{border[middle + 1 :]}"
    found = [border]
    for k, line in enumerate(lines):
        if k and GROUPS[kinds[k]] != GROUPS[kinds[k - 1]]:
            found.append(onward)
        found.append(line)
    return [*found, border]
