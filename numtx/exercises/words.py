"""Exercises on words: labels, the next word's probabilities, the choice among them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..answering.cases import draw, softmax, traced
from ..answering.exercise import At, Case, exercise
from ..decoding.filters import keep_top_p as keep_top_p_of
from ..decoding.generate import greedy as choose_greedily
from ..ops.linear import linear_forward
from ..ops.loss import IGNORED
from ..ops.softmax import log_softmax_forward, softmax_forward
from ..sequences import concatenate, pad_labels
from ..shapes import Array


@exercise(
    "01",
    zh="""
    一批句子的标签。

    rows      几句译文，每句是一个编号的列表，不含记号
    bos, eos  记号的编号；解码器读的是 bos 加句子
    返回      [B, T]：每个位置上要猜的下一个编号，最后猜 eos；短句右边的空处是 -100
    """,
    en="""
    The labels of a batch.

    rows      the targets: a list of ids each, without signs
    bos, eos  ids of the signs; the decoder reads bos and then the row
    returns   [B, T]: at each place the id to be guessed, eos at last; the gaps
              to the right of shorter rows are -100
    """,
    hints=[
        ("写下一句：上面是解码器读的，下面是标签，两行一样长。",
         "Write one row down: what the decoder reads above, its labels below, equally long."),
        ("T 由最长的一句决定；空处没有答案可猜，所以不是 <pad> 的编号。",
         "T is that of the longest row; a gap has no answer, so it is no token's id."),
    ],
    answer="""
    labels = [[*row, eos] for row in rows]
    T = max(len(row) for row in labels)
    return np.array([row + [-100] * (T - len(row)) for row in labels])
    """,
    reference=lambda rows, bos, eos: pad_labels([[*row, eos] for row in rows]),
    cases=lambda: [
        Case(x)
        for x in (
            ([[3, 4, 5, 6], [7, 8, 9, 10, 11, 12]], 1, 2),
            ([[5], [6, 7, 8], [9, 4]], 0, 3),
            ([[4, 4, 5]], 2, 1),
        )
    ],
)  # fmt: skip
def padded_labels(at: At, rows: Sequence[Sequence[int]], bos: int, eos: int) -> Any:
    labels: list[list[int]] = at(
        [[*row, eos] for row in rows],
        ("没有左移：标签就是解码器读的", "not shifted: the labels are what the decoder reads",
         lambda: [[bos, *row] for row in rows]),
        ("漏了 eos", "eos left out", lambda: [[*row] for row in rows]),
        ("多了 bos：比解码器读的长一格", "bos too many: one longer than what the decoder reads",
         lambda: [[bos, *row, eos] for row in rows]),
        ("移了两格", "shifted twice", lambda: [[*row[1:], eos, IGNORED] for row in rows]),
        ("用 bos 结束，不是 eos", "bos at the end, not eos", lambda: [[*row, bos] for row in rows]),
        ("次序反了", "rows in reverse order", lambda: [[*row[::-1], eos] for row in rows]),
    )  # fmt: skip
    length = max(map(len, labels))

    def filled(value: int) -> Array:
        return np.array([[*row, *[value] * (length - len(row))] for row in labels])

    return at(
        filled(IGNORED),
        ("空处填了 0：当成了要猜的编号", "gaps hold 0: an id to be guessed", lambda: filled(0)),
        ("空处填了 -1", "gaps hold -1, not -100", lambda: filled(-1)),
        ("空处填了 eos", "gaps hold eos", lambda: filled(eos)),
        ("填在了左边", "gaps to the left", lambda: pad_labels(labels, "left")),
        ("eos 都在最后一列，没有紧跟句子", "eos in the last column, not behind its row",
         lambda: np.array([[*r[:-1], *[IGNORED] * (length - len(r)), r[-1]] for r in labels])),
    )  # fmt: skip


@exercise(
    "09",
    zh="""
    循环的一步：下一个词的概率。

    hidden   [T, d]，解码器的结果 H_dec，一行一个已写的词
    w        [d, V]，W_vocab
    返回     [V]，下一个词的概率
    """,
    en="""
    A step of the loop: the probabilities of the next word.

    hidden   [T, d], what the decoder gives, a row for each word written
    w        [d, V], W_vocab
    returns  [V], the probabilities of the next word
    """,
    hints=[
        ("哪一行决定下一个词？", "Which row decides about the next word?"),
        ("结果只有一行 V 个数，加起来是一。", "The result is a single row of V numbers and sums to one."),
    ],
    answer="""
    logits = hidden[-1] @ w
    e = np.exp(logits - logits.max())
    return e / e.sum()
    """,
    reference=lambda hidden, w: softmax_forward(linear_forward(hidden[None, -1:], w)[0])[0, 0],
    cases=lambda: [
        Case((traced("weather")["decoder.output"][0], traced("weather").parameters["output.w"])),
        *(Case((*draw(s, (t, d), (d, v)),)) for s, (t, d, v) in enumerate(((3, 4, 6), (5, 5, 5), (2, 3, 7)))),
    ],
)  # fmt: skip
def next_probabilities(at: At, hidden: Array, w: Array) -> Any:
    logits = hidden @ w
    row = at(
        logits[-1],
        ("用了第一行，不是最后一行", "the first row, not the last", lambda: logits[0]),
        ("用了倒数第二行", "the last row but one", lambda: logits[-2]),
        ("各行取了平均", "the mean of all rows", lambda: logits.mean(0)),
        ("各行加在了一起", "the sum of all rows", lambda: logits.sum(0)),
        ("各行取了最大", "the largest of all rows", lambda: logits.max(0)),
        ("W_vocab 转置了", "W_vocab transposed", lambda: hidden[-1] @ w.T),
    )  # fmt: skip
    return at(
        softmax(row),
        ("没有 softmax", "softmax left out", lambda: row),
        ("给出的是对数概率", "log-probabilities", lambda: log_softmax_forward(row)),
        ("没有取指数，只除以了和", "no exponential: divided by the sum alone", lambda: row / row.sum()),
        ("取了指数，没有除以和", "exponentials that are not divided by their sum", lambda: np.exp(row)),
        ("取了指数，没有除以和", "exponentials that are not divided by their sum",
         lambda: np.exp(row - row.max())),
        ("除以了平均，不是和", "divided by the mean, not by the sum", lambda: softmax(row) * len(row)),
        ("softmax 对所有位置一起做了", "softmax over all places together",
         lambda: softmax(logits.ravel()[None]).reshape(logits.shape)[-1]),
        ("softmax 按位置做了，不是按词", "softmax along the places, not along the words",
         lambda: softmax(logits, 0)[-1]),
        ("每行的概率取了平均", "the mean of the probabilities of all rows",
         lambda: softmax(logits).mean(0)),
        ("只标出了最大的一个", "1 at the largest, 0 elsewhere",
         lambda: (row == row.max()).astype(float)),
    )  # fmt: skip


@exercise(
    "09",
    zh="""
    循环的一步：贪心地选下一个词。

    logits   [B, T, V]，一批几句，每句每个位置的分数
    返回     [B]，每句下一个词的编号：最后一个位置上分数最高的；一样高时取编号小的
    """,
    en="""
    A step of the loop: the next word, chosen greedily.

    logits   [B, T, V], of each place of the rows of a batch
    returns  [B], the id of each row's next word: that with the highest score at
             the last place, and of equal ones that with the smaller id
    """,
    hints=[
        ("每句一个编号，不是一个分数。", "One id a row, not a score."),
        ("哪一个轴是位置，哪一个轴是词？", "Which axis is that of places, which that of words?"),
    ],
    answer="""
    return np.argmax(logits[:, -1, :], axis=1)
    """,
    reference=lambda logits: choose_greedily(logits[:, -1], [[]] * len(logits)),
    cases=lambda: [
        Case((draw(seed, shape)[0],))
        for seed, shape in enumerate(((2, 3, 7), (3, 5, 5), (1, 4, 9), (6, 6, 6)))
    ] + [Case((draw(9, (4, 3, 8))[0].round(),))],
)  # fmt: skip
def greedy_choice(at: At, logits: Array) -> Any:
    row = at(
        logits[:, -1],
        ("用了第一个位置，不是最后一个", "the first place, not the last", lambda: logits[:, 0]),
        ("用了倒数第二个位置", "the last place but one", lambda: logits[:, -2]),
        ("各位置加在了一起", "the sum of all places", lambda: logits.sum(1)),
        ("各位置取了最大", "the largest of all places", lambda: logits.max(1)),
        ("轴错了：取了最后一句，不是每句的最后位置", "the wrong axis: the last row, not the last places",
         lambda: logits[-1]),
        ("轴错了：取了最后一个词", "the wrong axis: the last word, not the last places",
         lambda: logits[:, :, -1]),
    )  # fmt: skip
    return at(
        row.argmax(1),
        ("取了分数最低的", "the word with the lowest score", lambda: row.argmin(1)),
        ("取了第二名", "the second best", lambda: (-row).argsort(1, kind="stable")[:, 1]),
        ("一样高时取了编号大的", "of equal ones that with the larger id",
         lambda: row.shape[1] - 1 - row[:, ::-1].argmax(1)),
        ("取了绝对值最大的", "the largest in size, whatever the sign", lambda: np.abs(row).argmax(1)),
        ("给出的是分数，不是编号", "the score, not the id", lambda: row.max(1)),
        ("给出的是概率，不是编号", "the probability, not the id", lambda: softmax(row).max(1)),
        ("轴错了：沿句子取了最大", "the wrong axis: the largest along rows", lambda: row.argmax(0)),
        ("整批只取了一个", "one for the whole batch", lambda: np.full(len(row), row.argmax() % row.shape[1])),
    )  # fmt: skip


@exercise(
    "15",
    zh="""
    top-p：只留下最可能的几个词。

    logits   [V]
    p        0 与 1 之间
    返回     [V]：概率从大到小累加，直到达到 p 的那些词保留 logits，跨过 p 的那个也留下；其余是 -inf
    """,
    en="""
    Top-p: only the most probable words are kept.

    logits   [V]
    p        between 0 and 1
    returns  [V]: the logits of the most probable words, as few as reach p
             together, the one that crosses p among them; -inf at all others
    """,
    hints=[
        ("先按概率从大到小排好，累加，再放回原来的次序。",
         "Order by probability, add up, and put the result back into the order of the words."),
        ("第一个词总是留下。一个词留不留，看它前面的词加起来够不够 p。",
         "The first always stays. Whether a word stays depends on what those before it add up to."),
    ],
    answer="""
    order = np.argsort(-logits)
    e = np.exp(logits - logits.max())
    q = (e / e.sum())[order]
    keep = np.cumsum(q) - q < p
    out = np.full(logits.shape, -np.inf)
    out[order[keep]] = logits[order[keep]]
    return out
    """,
    reference=lambda logits, p: keep_top_p_of(logits[None], p)[0],
    cases=lambda: [
        Case((np.log(np.array(q)), p))
        for q, p in (
            ((0.1, 0.5, 0.15, 0.25), 0.7), ((0.9, 0.06, 0.04), 0.5), ((0.05, 0.1, 0.4, 0.12, 0.33), 0.8),
            ((0.3, 0.28, 0.17, 0.25), 0.2), ((0.02, 0.2, 0.18, 0.21, 0.19, 0.2001), 0.95), ((0.4, 0.6), 0.65),
        )
    ] + [Case((draw(15, (8,))[0] + 1.0, 0.6))],
)  # fmt: skip
def keep_top_p(at: At, logits: Array, p: float) -> Any:
    order = np.argsort(-logits)
    share = at(
        softmax(logits),
        ("累加的是 logits，不是概率", "logits added up, not probabilities", lambda: logits),
        ("累加的是没有除以和的指数", "exponentials added up that are not divided by their sum",
         lambda: np.exp(logits)),
        ("累加的不是概率：第一个就到了 p", "no probabilities are added up: the first alone reaches p",
         lambda: np.exp(logits - logits.max())),
    )  # fmt: skip
    rank = at(
        order,
        ("从小到大排了", "in ascending order: the least probable are kept", lambda: order[::-1]),
        ("没有排序：按词表的次序累加", "not sorted: added up in the order of the vocabulary",
         lambda: np.arange(len(order))),
    )  # fmt: skip
    q = share[rank]
    total = np.cumsum(q)
    late = np.concatenate([[0.0, 0.0], total])[: len(q)]
    keep = at(
        total - q < p,
        ("跨过 p 的那个词没有留下", "boundary off by one: the word that crosses p is not kept",
         lambda: total <= p),
        ("跨过 p 的没有留下，但第一个总留下", "the word that crosses p is not kept, but the first always is",
         lambda: (total <= p) | (np.arange(len(q)) == 0)),
        ("多留了一个", "boundary off by one: a word too many is kept", lambda: late < p),
        ("留下了概率不小于 p 的，没有累加", "kept where the probability is at least p, not added up",
         lambda: q >= p),
        ("留下了不小于最大概率 p 倍的（min-p）", "kept what is at least p times the largest (min-p)",
         lambda: q >= p * q.max()),
        ("留下了概率小于 p 的，没有累加", "kept where the probability is below p, not added up",
         lambda: q < p),
        ("留下的与去掉的反了", "what is kept and what is not are exchanged", lambda: total - q >= p),
    )  # fmt: skip

    def placed(values: Array, rest: float, where: Array = rank) -> Array:
        out = np.full(logits.shape, rest)
        out[where[keep]] = values[rank[keep]]
        return out

    return at(
        placed(logits, -np.inf),
        ("其余是 0，不是 -inf", "0 in place of -inf at the others", lambda: placed(logits, 0.0)),
        ("没有放回原来的次序", "not put back into the order of the vocabulary",
         lambda: placed(logits, -np.inf, np.arange(len(order)))),
        ("给出了概率，不是 logits", "probabilities, not logits", lambda: placed(softmax(logits), 0.0)),
        ("给出了重新归一的概率，不是 logits", "probabilities that sum to one, not logits",
         lambda: softmax(placed(logits, -np.inf))),
        ("给出了概率，其余 -inf", "probabilities, not logits, and -inf at the others",
         lambda: placed(softmax(logits), -np.inf)),
    )  # fmt: skip


def labels_of(ids: Array, separator: int) -> Array:
    place = ids.tolist().index(separator)
    source, target = (
        [str(x) for x in part.tolist()] for part in (ids[:place], ids[place + 1 : -1])
    )
    found = concatenate(source, target, str(separator), str(ids[-1]))[1]
    return np.array([IGNORED if label is None else int(label) for label in found])


@exercise(
    "17",
    zh="""
    一个序列的标签：原文、<sep>、译文、<eos> 排成一行，只在译文上计分。

    ids        [N]，整行的编号；模型读的是前 N-1 个
    separator  <sep> 的编号，只出现一次
    返回       [N-1]：每个位置的标签；原文的位置是 -100
    """,
    en="""
    The labels of one sequence: source, <sep>, target and <eos> in a row, and only
    the target counts.

    ids        [N], the whole row; the model reads the first N - 1
    separator  the id of <sep>, which occurs once
    returns    [N-1]: the label of each place; -100 inside the source
    """,
    hints=[
        ("标签先是整行左移一格；再决定哪些不计分。",
         "First the row, shifted by one; then which places do not count."),
        ("读到 <sep> 的那个位置要猜什么？", "What is to be guessed at the place that reads <sep>?"),
    ],
    answer="""
    labels = ids[1:].copy()
    labels[: np.argmax(ids == separator)] = -100
    return labels
    """,
    reference=labels_of,
    cases=lambda: [
        Case((np.array(ids), separator))
        for ids, separator in (
            ([5, 6, 7, 3, 8, 9, 10, 2], 3), ([4, 1, 7, 2], 1), ([6, 5, 0, 9, 8, 7, 4], 0),
            ([9, 8, 7, 6, 5, 1, 4, 2], 1),
        )
    ],
)  # fmt: skip
def labels_after(at: At, ids: Array, separator: int) -> Any:
    place = int(np.argmax(ids == separator))
    labels = at(
        ids[1:],
        ("没有左移：标签就是读到的", "not shifted: the labels are what is read", lambda: ids[:-1]),
        ("移了两格", "shifted twice", lambda: np.append(ids[2:], IGNORED)),
        ("往右移了一格", "shifted to the right", lambda: np.append(IGNORED, ids[:-2])),
    )  # fmt: skip
    number = np.arange(len(labels))
    ignored = at(
        number < place,
        ("<sep> 处也不计分：译文的第一个词没人猜", "off by one: <sep> does not count, the first word is not asked",
         lambda: number <= place),
        ("原文最后一个位置也计分：要它猜 <sep>", "off by one: the source's last place is asked for <sep>",
         lambda: number < place - 1),
        ("原文也计分", "the source counts, too", lambda: number < 0),
        ("不计分的是译文，不是原文", "the target does not count, the source does",
         lambda: number >= place),
        ("<sep> 之后才计分，少了两格", "off by two: the target's first two words are not asked",
         lambda: number <= place + 1),
    )  # fmt: skip
    return at(
        np.where(ignored, IGNORED, labels),
        ("不计分处是 0，不是 -100", "0 in place of -100", lambda: np.where(ignored, 0, labels)),
        ("不计分处是 -1，不是 -100", "-1 in place of -100", lambda: np.where(ignored, -1, labels)),
        ("去掉了不计分处，没有留 -100", "the places that do not count are cut out",
         lambda: labels[~ignored]),
    )  # fmt: skip
