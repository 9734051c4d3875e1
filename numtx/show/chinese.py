"""Formulas, and what is said beside the arithmetic of a cell, in Chinese: phrase by phrase."""

from __future__ import annotations

import re

# Patterns and what stands for them, in this order.
PHRASES = tuple(
    (re.compile(pattern), words)
    for pattern, words in (
        (r"key is a real token", "键是真实词元"),
        (r" and key is not later than query", "，不晚于查询"),
        (r" and less than (\d+) away", r"，相距不到 \1"),
        (r" and in the same block of (\d+)", r"，同在一块（每块 \1 个）"),
        (r" and of the same document", "，同属一个文档"),
        (r"a real token, 0 = padding", "真实词元，0 = 填充"),
        (r"S where mask, else -inf", "可看处为 S，其余为 -inf"),
        (r"mean of x\^2 over all heads", "x^2 在所有头上的平均"),
        (r"mean of x\^2", "x^2 的平均"),
        (r"\(x - mean\) / sqrt\(variance", "(x - 均值) / sqrt(方差"),
        (r" \* gain\b", " * 增益"),
        (r" \* \(1 \+ gain\)", " * (1 + 增益)"),
        (r" \+ bias\b", " + 偏置"),
        (r" per row", "（逐行）"),
        (r"first real token of (.*)", r"\1 的首个真实词元"),
        (r"the (\d+) largest of ", r"最大的 \1 个："),
        (r" in the (\d+) of (\d+) groups with the largest maximum", r"，限于最大值最大的组（\2 取 \1）"),
        (r" in the (\d+) of (\d+) groups with the largest sum of two",
         r"，限于前两名之和最大的组（\2 取 \1）"),
        (r"softmax of the chosen logits", "所选 logits 的 softmax"),
        (r"scores of the chosen", "所选的 scores"),
        (r" / their sum", " / 其和"),
        (r"labels counted", "计分的标签数"),
        (r"log P\(label\)", "log P(标签)"),
        (r"sum over consumers of gradient \* partial derivative", "对各去处求和：梯度 * 偏导数"),
        (r": gradient \*", "：梯度 *"),
        (r"sum of ", "Σ "),
        (r"= (\d+) heads of ", r"= \1 个头，各 "),
        (r"a parameter: given", "参数：给定"),
        (r"a count of the input: given", "输入的编号：给定"),
        (r"cannot be recomputed: (.*) was not recorded", r"无法重算：没有记录 \1"),
        (r"inputs of (.*) were not recorded: their share is left out", r"没有记录 \1 的输入：略去这一份"),
        (r"the backward pass starts here", "反向传播从这里开始"),
        (
            r"nothing that has a gradient depends on this cell: it is exactly 0",
            "没有带梯度的格取自它：恰为 0",
        ),
        (r"no consumer\b", "没有去处"),
        (r"all consumers\b", "所有去处"),
        (r": (\d+) of (\d+) shares are 0", r"：\2 份中有 \1 份是 0"),
        (r"the label is ignored", "这个标签不计分"),
        (r"row (\d+) of the table", r"表的第 \1 行"),
        (r" and (\d+) more\b", r" 与另 \1 处"),
        (r"this query may attend to no key: its row is 0", "这个查询没有可看的键：整行是 0"),
        (r"masked keys give exp\(-inf\) = 0: (\d+) of (\d+)", r"被遮住的键 exp(-inf) = 0：\2 个中 \1 个"),
        (
            r"only the first (\d+) components are rotated; this one passes",
            r"只旋转前 \1 个分量；这一个原样通过",
        ),
    )
)  # fmt: skip


def chinese(text: str, lang: str = "zh") -> str:
    """A formula or a note in Chinese, where Chinese alone is wanted."""
    if lang == "zh":
        for pattern, words in PHRASES:
            text = pattern.sub(words, text)
    return text
