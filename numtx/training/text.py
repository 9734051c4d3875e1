"""What training has to say, as text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..shapes import Array
from ..show.grid import Grid, clean, display_width, grid_text
from ..show.headings import pick, say
from ..show.numbers import cell, decimals_for, shape_text
from ..stages.catalogue import Text
from ..vocabulary import Vocabulary
from .demonstrations import Depth, Exposure, Score
from .flow import Flow, Update
from .greedy import Answer
from .peeking import Peeking

FLOW = Text("第五幕：梯度如何流回去", "Act five: how the gradient flows back")
STEP = Text("一步更新", "one step")


def flow_text(flows: Sequence[Flow], lang: str = "both", width: int = 80) -> str:
    """The table of gradients, from the loss back to the embeddings."""
    grid = Grid(
        [flow.symbol for flow in flows],
        ["位置", "形状", "范数", "最大"] if lang == "zh" else ["where", "shape", "norm", "largest"],
        [
            [
                flow.name.removeprefix("parameters/"), shape_text(flow.shape),
                f"{flow.norm:.3e}", f"{flow.largest:.3e}",
            ]
            for flow in flows
        ],
    )  # fmt: skip
    notes = [f"{flow.symbol}: {say(flow.note, lang)}" for flow in flows if flow.note is not None]
    return "\n".join([say(FLOW, lang), "", grid_text(grid, width), "", *dict.fromkeys(notes)])


def update_text(update: Update, rate: float, lang: str = "both", width: int = 80) -> str:
    """One matrix before a step, its gradient, and the matrix after the step."""
    gradient = pick(lang, "梯度", "gradient")
    title = f"{update.name}   {say(STEP, lang)}: W_new = W_old - {rate:g} * {gradient}"
    parts = [title]
    decimals = max(6, decimals_for(rate * update.gradient, 2))
    for name, zh in (("old", "旧"), ("gradient", "梯度"), ("new", "新")):
        matrix: Array = getattr(update, name)
        rows = np.atleast_2d(matrix)
        grid = Grid(
            [f"{pick(lang, zh, name)} {i}" for i in range(len(rows))],
            [str(j) for j in range(rows.shape[1])],
            [[cell(x, decimals) for x in row] for row in rows.tolist()],
        )
        parts.append(grid_text(grid, width))
    return "\n\n".join(parts)


def answers_text(
    answers: Sequence[Answer], vocabulary: Vocabulary | None, width: int = 80, lang: str = "en"
) -> str:
    """What was written against what should have been, word by word."""
    blocks = []
    for number, (given, wanted) in enumerate(answers):
        shown = [*given, *[-1] * (len(wanted) - len(given))]
        names = [[_word(i, vocabulary) for i in row] for row in (shown, wanted)]
        right, wrong = pick(lang, "对", "ok"), pick(lang, "错", "WRONG")
        marks = [right if a == b else wrong for a, b in zip(shown, wanted, strict=True)]
        columns = [str(j) for j in range(len(wanted))]
        label = pick(lang, f"第 {number} 行 ", f"row {number} ") if len(answers) > 1 else ""
        greedy, target = pick(lang, "贪心", "greedy"), pick(lang, "目标", "target")
        rows = [f"{label}{greedy}", f"{label}{target}", ""]
        blocks.append(grid_text(Grid(rows, columns, [*names, marks]), width))
    return "\n\n".join(blocks)


EXPOSURE = Text(
    "曝光偏差：训练时每个词接在正确的词之后，自由生成时接在模型自己写的词之后",
    "exposure bias: in training each word follows the right words, running freely the model's own",
)
EXPOSURE_WHY = Text(
    "学会之后两者可以相同；但第一个词一旦写错，模型就站在训练中从未到过的地方",
    "once learnt the two can agree; after one wrong first word the model stands where training "
    "never was",
)


def exposure_text(table: Sequence[Exposure], lang: str = "both", width: int = 80) -> str:
    """The table of exposure bias."""
    columns = ["forced", "right", "free", "right", "one wrong word", "right"]
    if lang == "zh":
        columns = ["接正确的词", "对", "自由生成", "对", "第一个词写错", "对"]
    cells = [[*_score(row.forced), *_score(row.free), *_score(row.stumbled)] for row in table]
    step = pick(lang, "步", "step")
    grid = Grid([f"{step} {row.step}" for row in table], columns, cells)
    return "\n".join([say(EXPOSURE, lang), "", grid_text(grid, width), "", say(EXPOSURE_WHY, lang)])


PEEKING = Text(
    "因果掩码：有掩码与没有掩码，各训练一次",
    "the causal mask: trained once with it and once without",
)


def peeking_text(
    table: Sequence[Peeking],
    title: str,
    vocabulary: Vocabulary | None,
    best: float | None = None,
    width: int = 80,
    lang: str = "en",
) -> str:
    """The table of one task learnt with and without the mask."""
    columns = ["forced", "right", "free", "right", "copied"]
    if lang == "zh":
        columns = ["接正确的词", "对", "自由生成", "对", "照抄"]
    cells = [[*_score(row.forced), *_score(row.free), f"{row.followed:.0%}"] for row in table]
    having, none = pick(lang, "有掩码", "with mask"), pick(lang, "没有掩码", "without mask")
    names = [having if row.causal else none for row in table]
    lines = [title, "", grid_text(Grid(names, columns, cells), width), ""]
    if best is not None:
        least = pick(lang, "不偷看时损失的下限", "smallest loss without peeking")
        lines.append(f"{least}: {best:.4f}")
    for name, row in zip(names, table, strict=True):
        for given, wanted in list(zip(row.given, row.wanted, strict=True))[:1]:
            lines.append(f"{name} {pick(lang, '写出', 'writes')} {_words(given, vocabulary)}")
            space = " " * display_width(name)
            lines.append(f"{space} {pick(lang, '应为', 'should')} {_words(wanted, vocabulary)}")
    return "\n".join(lines)


DEPTH = Text(
    "梯度的大小随深度的变化：有残差连接与没有残差连接",
    "the size of the gradient by depth: with and without residual connections",
)

DEPTH_WHY = Text(
    "没有残差连接，每一层只把自己算出的东西往下传；在编码器-解码器里，解码器自己的词只能通过"
    "交叉注意力的权重传下去",
    "without them a block hands on only what it made; in an encoder-decoder the decoder's own "
    "words then pass cross-attention through its weights alone",
)


def depth_text(table: Sequence[Depth], steps: int, lang: str = "both", width: int = 80) -> str:
    """Gradient norms by depth, and what training makes of each model."""
    having, none = pick(lang, "有残差", "with residual"), pick(lang, "没有残差", "without")
    names = [having if column.residual else none for column in table]
    blocks = range(len(table[0].norms) - 1)
    rows = [pick(lang, "输入", "input")]
    rows += [pick(lang, f"第 {i} 层之后", f"after block {i}") for i in blocks]
    order = range(len(rows) - 1, -1, -1)
    grid = Grid(
        [rows[i] for i in order],
        names,
        [[f"{column.norms[i]:.2e}" for column in table] for i in order],
    )
    lines = [say(DEPTH, lang), "", grid_text(grid, width), ""]
    for name, column in zip(names, table, strict=True):
        ratio = column.norms[0] / column.norms[-1] if column.norms[-1] else 0.0
        losses = f"{column.loss_before:.4f} -> {column.loss_after:.4f}"
        lines.append(pick(
            lang, f"{name}：输入 / 最后一层 = {ratio:.1e}；{steps} 步里损失 {losses}",
            f"{name}: input / last block = {ratio:.1e}; loss {losses} in {steps} steps",
        ))  # fmt: skip
    lines += ["", say(DEPTH_WHY, lang)]
    return "\n".join(lines)


def _score(score: Score) -> list[str]:
    return [f"{score.loss:.4f}", f"{score.right}/{score.words}"]


def _words(ids: Sequence[int], vocabulary: Vocabulary | None) -> str:
    return " ".join(_word(i, vocabulary) for i in ids)


def _word(number: int, vocabulary: Vocabulary | None) -> str:
    """A token by its name, or by its id where it has none; `.` for a word that was not written."""
    if number < 0:
        return "."
    return clean(vocabulary.token(number)) if vocabulary else str(number)
