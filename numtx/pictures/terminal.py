"""The documents' four pictures for the terminal: the causal mask and its effect, the memory of a
cache, one cached step, and decoding without a cache and with one, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..shapes import Array
from ..show.grid import Grid, clean, display_width, grid_text
from ..show.headings import below, pick
from ..show.numbers import MASKED, fixed, shape_text
from ..show.table import table_text
from ..show.wrap import WIDTH, beside, flow
from ..stages.catalogue import Text
from .curve import plot

GIB = 2**30


class MaskPicture(NamedTuple):
    """Self-attention of one head over T tokens.

    free     [T, T], the weights that softmax would give without the mask
    allowed  [T, T], True where a query may attend
    weights  [T, T], the weights with the mask
    """

    place: str
    tokens: Sequence[str]
    free: Array
    allowed: Array
    weights: Array


class MemoryCurve(NamedTuple):
    """What a cache holds of one token: numbers a layer, and where they come from."""

    name: str
    formula: str
    bytes_per_token: int


class StepPicture(NamedTuple):
    """One step of decode: the text so far, its last token being new, and the shapes of the run."""

    place: str
    tokens: Sequence[str]
    shapes: dict[str, tuple[int, ...]]  # of x, q, k, v, all_keys, weights, output


class Frame(NamedTuple):
    """A step of generation without a cache and with one.

    tokens         the text so far
    following      the token that comes next
    multiply_adds  of attention in all layers, without and with
    """

    tokens: Sequence[str]
    following: str
    computed: tuple[int, int]
    multiply_adds: tuple[int, int]


def causal_mask_text(
    picture: MaskPicture, width: int, precision: int = 2, lang: str = "both"
) -> str:
    """Three grids: the weights without a mask, the mask, the weights with it."""
    labels = [f"{n} {clean(token)}" for n, token in enumerate(picture.tokens)]

    def grid(cells: list[list[str]], notes: Sequence[str] = ()) -> str:
        return grid_text(Grid(labels, labels, cells, notes), width)

    def numbers(array: Array) -> list[list[str]]:
        return [
            [
                fixed(x, precision) if array is picture.free or may else MASKED
                for x, may in zip(row, line, strict=True)
            ]
            for row, line in zip(array.tolist(), picture.allowed.tolist(), strict=True)
        ]

    mask = [["0" if may else "-inf" for may in line] for line in picture.allowed.tolist()]
    lost = picture.free.copy()
    lost[picture.allowed] = 0.0
    shares = [
        pick(lang, f"其中 {x:.0%} 原在未来", f"{x:.0%} of it lay on later tokens") if x else ""
        for x in lost.sum(1).tolist()
    ]

    def head(formula: str, zh: str, en: str, last: str = "") -> str:
        first, *second = below(lang, zh, en).split("\n")
        return "\n".join([flow([formula, first, last], width), *(f"    {one}" for one in second)])

    return "\n\n".join([
        head("softmax(Q·K^T / sqrt(d_k))", "未遮住时", "without a mask", f"({picture.place})")
        + "\n" + grid(numbers(picture.free)),
        head("M", "0: 可见   -inf: 未来，屏蔽", "0: may attend   -inf: a later token")
        + "\n" + grid(mask),
        head(
            "softmax(Q·K^T / sqrt(d_k) + M)", f"遮住后   {MASKED} = 被遮住，恰为 0",
            f"with the mask   {MASKED} = masked, exactly 0",
        ) + "\n" + grid(numbers(picture.weights), shares),
    ])  # fmt: skip


def memory_text(
    curves: Sequence[MemoryCurve],
    longest: int,
    title: str,
    width: int,
    height: int = 16,
    lang: str = "en",
) -> str:
    """The curves over the length of the text, in GiB, and a table."""
    marks = "ABCDEFGH"
    margin = 8
    columns = max(20, min(64, width - margin - 2))
    top = max(curve.bytes_per_token for curve in curves) * longest / GIB

    def row(size: float) -> int:
        return height - 1 - min(height - 1, int(size / top * (height - 1) + 0.5))

    drawn = {
        mark: [
            row(curve.bytes_per_token * longest * (j + 1) / columns / GIB) for j in range(columns)
        ]
        for mark, curve in zip(marks, curves, strict=False)
    }
    levels = [f"{top * (height - 1 - i) / (height - 1):.3g}" for i in range(height)]
    lines = [title, "", *plot(drawn, levels, margin - 1)]
    tokens = f"{longest:,} {pick(lang, '个词元', 'tokens')}"
    gap = " " * max(1, columns - 1 - display_width(tokens))
    lines.append(f"{'GiB':>{margin - 2}}  0{gap}{tokens}")
    rows = [
        [mark, curve.name, curve.formula, f"{curve.bytes_per_token:,}",
         f"{curve.bytes_per_token * longest / GIB:.3g} GiB"]
        for mark, curve in zip(marks, curves, strict=False)
    ]  # fmt: skip
    each = pick(lang, "每个词元的字节数", "bytes a token")
    heads = ["", "", each, "", tokens]
    return "\n".join([*lines, "", table_text([heads, *rows], "lllrr")])


STEPS = (
    Text("只计算当前 token 的 q_t、k_t、v_t", "q_t, k_t, v_t of the new token only"),
    Text("从缓存取出 K_prev、V_prev", "K_prev, V_prev are read from the cache"),
    Text("拼接得到完整的 K、V", "K = [K_prev; k_t], V = [V_prev; v_t]"),
    Text("注意力：只有一行权重", "attention: one row of weights"),
    Text("将 k_t、v_t 存入缓存", "k_t, v_t are written into the cache"),
)


def cached_step_text(picture: StepPicture, lang: str = "both", width: int = WIDTH) -> str:
    """Document 000's diagram with the shapes of a run."""
    before = len(picture.tokens) - 1
    words = " ".join(clean(token) for token in picture.tokens[:-1])
    new = clean(picture.tokens[-1])
    step = pick(lang, "第 t 步，t", "step t")
    steps = table_text(
        [[str(k), below(lang, zh, en)] for k, (zh, en) in enumerate(STEPS, 1)], "ll", width=width
    )
    drawn = _data_flow(picture)
    if max(map(len, drawn.split("\n"))) > width:
        drawn = _narrow_flow(picture)
    return "\n".join([
        f"{step} = {before + 1}: {words} [{new}]   ({picture.place})",
        below(
            lang, f"x_t 是 {new}；缓存里有 {words} 的 K 与 V",
            f"x_t is {new}; the cache holds K and V of {words}",
        ),
        "", drawn, "", steps,
    ])  # fmt: skip


def _data_flow(picture: StepPicture) -> str:
    """Boxes and arrows, drawn on a canvas of ASCII characters."""
    s = {name: shape_text(shape) for name, shape in picture.shapes.items()}
    previous = shape_text((len(picture.tokens) - 1, *picture.shapes["all_keys"][1:]))
    canvas = [[" "] * 200 for _ in range(12)]

    def put(line: int, column: int, text: str) -> int:
        """Write a text, and say where it ends."""
        canvas[line][column : column + len(text)] = text
        return column + len(text)

    fork = put(0, 0, f"x_t {s['x']} -> Linear -+") - 1
    join = cat = 0
    for line, name, label in ((0, "q", "q_t"), (2, "k", "k_t"), (4, "v", "v_t")):
        cat = max(cat, put(line, fork, f"+-> {label} {s[name]} "))
    for line, name in ((2, "K"), (4, "V")):
        put(line, cat, "-> concat ->")
        join = put(line, cat + 13, f"{name} {s['all_keys']} -+") - 1
    for line in (1, 2, 3, 4):
        put(line, fork, "|" if line % 2 else "+")
    put(0, cat, "-" * (join + 8 - cat) + "+")
    put(1, join + 8, "|")
    put(2, join + 8, "v")
    put(3, join, f"+-> attention -> {s['output']}")
    put(4, join + 4, f"weights {s['weights']}")
    read, write = cat + 4, cat + 7
    for line in (3, 5, 6, 7):
        put(line, read, "^" if line in (3, 5) else "|")
        put(line, write, "v" if line == 7 else "|")
    put(6, read - 14, "read K_prev,")
    put(7, read - 14, f"V_prev {previous}")
    put(6, write + 3, "write k_t, v_t")
    put(8, cat, "+----------+")
    put(9, cat, "| KV cache |")
    put(10, cat, "+----------+")
    return "\n".join("".join(line).rstrip() for line in canvas).rstrip()


def _narrow_flow(picture: StepPicture) -> str:
    """The same, line by line."""
    s = {name: shape_text(shape) for name, shape in picture.shapes.items()}
    previous = shape_text((len(picture.tokens) - 1, *picture.shapes["all_keys"][1:]))
    return "\n".join([
        f"x_t {s['x']} -> Linear -+-> q_t {s['q']}",
        f"{'':{len(s['x'])}}                +-> k_t {s['k']} -> KV cache",
        f"{'':{len(s['x'])}}                +-> v_t {s['v']} -> KV cache",
        f"KV cache -> K_prev, V_prev {previous}",
        f"concat: [K_prev; k_t] -> K {s['all_keys']}",
        f"        [V_prev; v_t] -> V {s['all_keys']}",
        f"q_t, K, V -> attention -> {s['output']}",
        f"             weights {s['weights']}",
    ])  # fmt: skip


def side_by_side_text(frames: Sequence[Frame], lang: str = "both", width: int = WIDTH) -> str:
    """Document 001's animation, a block for each step: which keys, values and scores are computed
    without a cache (left) and with one (right)."""
    signs = [
        ("#", Text("本步计算", "computed now")), ("=", Text("重复计算", "computed again")),
        ("o", Text("取自缓存", "read from the cache")), (MASKED, Text("屏蔽", "masked")),
        (pick(lang, "（空白）", "(blank)"), Text("不需要", "not needed")),
    ]  # fmt: skip
    told = [
        flow([f"{sign} {t.zh}" for sign, t in signs], width, ""),
        flow([f"{sign} {t.en}" for sign, t in signs], width, ""),
    ]
    blocks = [below(lang, *told)]
    for number, frame in enumerate(frames, 1):
        blocks.append(_frame_text(number, frame, lang, width))
    return "\n\n".join(blocks)


def _frame_text(number: int, frame: Frame, lang: str, width: int) -> str:
    tokens = [clean(token) for token in frame.tokens]
    length = len(tokens)
    wide = max(map(display_width, tokens))
    sides = []
    for computed in frame.computed:
        first = length - computed  # the first token of this run
        lines = [f"{pick(lang, '输入', 'input')}: {' '.join(tokens[first:])}", ""]
        lines.append("".join(_padded(cell, wide + 1) for cell in ["", "K", "V", "", *tokens]))
        for i, token in enumerate(tokens):
            state = "o" if i < first else "#" if i == length - 1 else "="
            scores = [
                "" if i < first else MASKED if j > i else state for j in range(length)
            ]  # a row is a query: an earlier one is computed again, or not at all
            cells = [token, state, state, "", *scores]
            lines.append("".join(_padded(cell, wide + 1) for cell in cells).rstrip())
        sides.append(lines)
    for lines, words, n in zip(sides, WAYS, frame.multiply_adds, strict=True):
        lines[:0] = below(lang, *words).split("\n")
        lines.append(pick(lang, f"{n:,} 次乘加", f"{n:,} multiply-adds"))
    step = pick(lang, f"第 {number} 步", f"step {number}")
    head = f"{step}: {' '.join(tokens)} -> {clean(frame.following)}"
    return "\n".join([head, *beside(sides[0], sides[1], width)])


WAYS = ("无缓存", "without a cache"), ("有缓存", "with a cache")


def _padded(text: str, width: int) -> str:
    return text + " " * max(width - display_width(text), 0)
