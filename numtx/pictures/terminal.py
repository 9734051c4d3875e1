"""The documents' four pictures for the terminal: the causal mask and its effect, the memory of a
cache, one cached step, and decoding without a cache and with one, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..shapes import Array
from ..show.curve import plot
from ..show.grid import Grid, clean, display_width, grid_text, table_text
from ..show.headings import below, pick, say
from ..show.numbers import MASKED, fixed, shape_text
from ..stages.catalogue import Text

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

    def both(en: str, zh: str) -> str:
        return say(Text(zh, en), lang)

    return "\n\n".join([
        f"softmax(Q·K^T / sqrt(d_k))   {both('without a mask', '未遮住时')}   ({picture.place})\n"
        + grid(numbers(picture.free)),
        f"M   0: {both('may attend', '可见')}   -inf: {both('a later token', '未来，屏蔽')}\n"
        + grid(mask),
        f"softmax(Q·K^T / sqrt(d_k) + M)   {both('with the mask', '遮住后')}   {MASKED} = "
        f"{both('masked, exactly 0', '被遮住，恰为 0')}\n" + grid(numbers(picture.weights), shares),
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


def cached_step_text(picture: StepPicture, lang: str = "both") -> str:
    """Document 000's diagram with the shapes of a run."""
    before = len(picture.tokens) - 1
    words = " ".join(clean(token) for token in picture.tokens[:-1])
    new = clean(picture.tokens[-1])
    step = pick(lang, "第 t 步，t", "step t")
    steps = [
        (f"{k}  {en:<38}  {zh}" if lang == "both" else f"{k}  {pick(lang, zh, en)}")
        for k, (zh, en) in enumerate(STEPS, 1)
    ]
    return "\n".join([
        f"{step} = {before + 1}: {words} [{new}]   ({picture.place})",
        below(
            lang, f"x_t 是 {new}；缓存里有 {words} 的 K 与 V",
            f"x_t is {new}; the cache holds K and V of {words}",
        ),
        "", _data_flow(picture), "", *steps,
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


def side_by_side_text(frames: Sequence[Frame], lang: str = "both") -> str:
    """Document 001's animation, a block for each step: which keys, values and scores are computed
    without a cache (left) and with one (right)."""
    signs = [
        ("#", Text("本步计算", "computed now")), ("=", Text("重复计算", "computed again")),
        ("o", Text("取自缓存", "read from the cache")), (MASKED, Text("屏蔽", "masked")),
        (pick(lang, "（空白）", "(blank)"), Text("不需要", "not needed")),
    ]  # fmt: skip
    told = [f"{sign} {say(text, lang)}" for sign, text in signs]
    blocks = ["    ".join(told[:3]) + "\n" + "    ".join(told[3:])]
    for number, frame in enumerate(frames, 1):
        blocks.append(_frame_text(number, frame, lang))
    return "\n\n".join(blocks)


def _frame_text(number: int, frame: Frame, lang: str) -> str:
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
    left = max(40, *(display_width(line) + 4 for line in sides[0]))
    without, having = Text("无缓存", "without a cache"), Text("有缓存", "with a cache")
    head = _padded(say(without, lang), left) + say(having, lang)
    body = [_padded(a, left) + b for a, b in zip(*sides, strict=True)]
    cost, cached = (
        pick(lang, f"{n:,} 次乘加", f"{n:,} multiply-adds") for n in frame.multiply_adds
    )
    step = pick(lang, f"第 {number} 步", f"step {number}")
    return "\n".join([
        f"{step}: {' '.join(tokens)} -> {clean(frame.following)}", head,
        *(line.rstrip() for line in body), _padded(cost, left) + cached,
    ])  # fmt: skip


def _padded(text: str, width: int) -> str:
    return text + " " * max(width - display_width(text), 0)
