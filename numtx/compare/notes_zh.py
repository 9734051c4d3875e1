"""What was done to an array to bring it into shape, or why it cannot be, in Chinese."""

from __future__ import annotations

import re

PATTERNS = (
    (r"(.+) \(numtx has matrices as \(in, out\)\)", "{}（numtx 的矩阵是 (输入, 输出)）"),
    (r"transposed: numtx has matrices as \(in, out\)", "转置了：numtx 的矩阵是 (输入, 输出)"),
    (r"shape (.+); (.+) was expected", "形状是 {}，应为 {}"),
    (r"equal, or nearly, if it has the (.+)", "若有{}，则相同或接近"),
    (r"(.+), (read as \{.+\}|\S+ read as -inf)", "{}，{}"),
    (r"(\S+) read as -inf", "{} 读作 -inf"),
    (r"read as (\{.+\})", "读作 {}"),
    (r"axes \((.+)\)", "轴 ({})"),
    (r"heads were side by side", "各头并排"),
    (r"rows taken apart into batch and tokens", "行拆成了批与词元"),
    (r"the mean of all heads", "各头的均值"),
    (r"one for every query head", "每个查询头一个"),
    (r"of every row", "各行共用"),
    (r"broadcast", "广播"),
)
AXES = {"batch": "批", "token": "词元", "head": "头", "query": "查询", "key": "键"}


def note_zh(note: str) -> str:
    """A note in Chinese; its shapes and numbers stay."""
    for pattern, words in PATTERNS:
        if match := re.fullmatch(pattern, note):
            return words.format(*map(note_zh, match.groups()))
    return re.sub(r"[a-z]+", lambda word: AXES.get(word[0], word[0]), note)
