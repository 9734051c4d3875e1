"""What a document describes and no stage shows, run and put into tables: the two branches of
inference, the loop of the pseudo-code, beams with the document's words, length penalties."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..batch import Batch
from ..config import Config
from ..decoding import generate
from ..parameters import initialise
from ..show.grid import Grid
from ..show.headings import below, pick
from ..show.numbers import fixed
from .d003_search import BEAM, BEAM_FIRST
from .d003_story import ANSWER, loop
from .runs import example, names, searched, trained, with_ids, words_written, written
from .text import systems_table

LOGGED = 113182  # the id in document 002's log line
ALPHA = 0.6  # of the penalty in Wu et al., 2016


class Table(NamedTuple):
    """A run as a table, and what it says."""

    title: str
    grid: Grid


def systems(lang: str) -> list[Table]:
    """Document 003's systems of special tokens, and what of them models have."""
    heads, rows = systems_table(lang)
    title = below(lang, "六套体系：文档列出的与模型真有的", "what it lists, and what models have")
    return [Table(title, Grid([line[0] for line in rows], heads[1:], [r[1:] for r in rows]))]


def branches(lang: str) -> list[Table]:
    """Document 002's `if is_prefill` and `else`, with the id that its log shows."""
    config = Config(
        model="decoder-only", width=4, decoder_layers=1, heads=1, hidden=4, vocabulary=LOGGED + 1
    )
    parameters = initialise(config, 0)
    parameters["output.b"][LOGGED] = 1e3  # it writes the id of the log, whatever it reads
    prompt = Batch([[3, 1, 4, 1, 5]])
    rows, cells = [], []
    for one in generate(config, parameters, prompt, max_new_tokens=3).steps:
        rows.append("if is_prefill:" if one.phase == "prefill" else "else:")
        assert one.tokens is not None
        cells.append([
            f"tensor({one.ids.tolist()})".replace(" ", ""), "{} x {}".format(*one.attention),
            f"{one.read} -> {one.read + one.computed}", str(one.tokens[0]),
        ])  # fmt: skip
    heads = ["input", "attention", "cache, columns", "writes"]
    heads = ["输入", "注意力", "缓存的列", "写出"] if lang == "zh" else heads
    title = below(
        lang,
        f"词表有 {config.vocabulary} 个词、总写 {LOGGED} 的小模型：第一次调用走 if，之后都走 else",
        f"a small model of {config.vocabulary} words that always writes {LOGGED}: the first call "
        "takes the if, all others the else",
    )
    return [Table(title, Grid(rows, heads, cells))]


def every_position(lang: str) -> list[Table]:
    """Document 002's [b, c, d] for [a, b, c]: what every position says, untaught and taught."""
    cells = []
    models = example("letters"), trained("letters")
    runs = [with_ids(made, [0, 1, 2]) for made in models]
    for place, word in enumerate(names(models[0], [0, 1, 2])):
        line = [word]
        for made, run in zip(models, runs, strict=True):
            shares = run["probabilities"][0, place]
            best = int(shares.argmax())
            line += [*names(made, [best]), fixed(shares[best], 2)]
        cells.append(line)
    heads = ["reads", "untaught says", "P", "taught says", "P"]
    heads = ["读到", "未经训练时说", "P", "训练后说", "P"] if lang == "zh" else heads
    rows = [pick(lang, f"位置 {n}", f"position {n}") for n in (1, 2, 3)]
    title = below(
        lang, "输入 [a, b, c]，每个位置的预测；生成时只取最后一个",
        "input [a, b, c], the prediction of every position; generation takes the last alone",
    )  # fmt: skip
    return [Table(title, Grid(rows, heads, cells))]


def cat_writes(lang: str) -> list[Table]:
    """Document 004's steps from 你 是 一 on, with the cache."""
    made = trained("cat")
    found = written(made, 3, most=2)
    text = names(made, found.prompt[0])
    rows, cells = [], []
    for one in found.steps:
        assert one.tokens is not None
        rows.append(" ".join(text))
        (word,) = names(made, one.tokens.tolist())
        cells.append([" ".join(names(made, one.ids[0])), f"{one.read}", f"{one.computed}", word])
        text = (*text, word)
    heads = ["enters the model", "K, V read", "computed", "writes"]
    heads = ["进入模型的", "读出的 K、V", "新算的", "写出"] if lang == "zh" else heads
    title = below(lang, "训练过的 cat，用缓存", "cat after training, with the cache")
    return [Table(title, Grid(rows, heads, cells))]


def loop_as_written(lang: str) -> list[Table]:
    """The pseudo-code run as it stands: it returns <eos> too, and its length counts <bos>."""
    tables = []
    made = example("story")
    for limit in (100, 3):
        returned, ids = loop(limit)
        words = names(made, ids)
        ends = [words[n] == "<eos>" or n + 1 >= limit for n in range(1, len(words))]
        cells = [
            [" ".join(words[:n]), words[n], str(n + 1), pick(lang, "是", "yes") if end else ""]
            for n, end in enumerate(ends, 1)
        ]
        heads = ["decoder_input", "next_token", "len(generated_sequence)", "break"]
        told = " ".join(returned)
        zh, en = f"max_length = {limit}：返回 {told}", f"max_length = {limit} returns {told}"
        if returned[-1] == "<eos>":
            text = " ".join(ANSWER)
            zh += f"；疏漏一：连 <eos> 也返回，正文的译文是 {text}"
            en += f"; first slip: <eos> is returned, too, while the text's answer is {text}"
        elif len(returned) < limit:
            right = " ".join(words_written(made, most=limit))
            zh += (
                f"，只有 {len(returned)} 个词；疏漏二：长度把 <bos> 也数了进去。numtx 的"
                f" max_new_tokens = {limit} 写出 {right}"
            )
            en += (
                f", {len(returned)} words only; second slip: the length counts <bos>. With "
                f"max_new_tokens = {limit} numtx writes {right}"
            )
        grid = Grid([str(n) for n in range(1, len(words))], heads, cells)
        tables.append(Table(below(lang, zh, en), grid))
    return tables


def five_beams(lang: str) -> list[Table]:
    """The two steps of beam search that the document lists, with its words, beside its numbers."""
    made, tables = example("beams"), []
    for number, step in enumerate(searched("beams", 5, 8).steps[:2], 1):
        kept = [one for one in step.candidates[0] if one.fate == "running"]
        texts = [" ".join(names(made, one.tokens)) for one in kept]
        if number == 1:
            stated = [fixed(BEAM_FIRST.get(text, np.nan), 2) for text in texts]
            computed = [fixed(np.exp(one.log_probability), 2) for one in kept]
            zh, en = "第一步保留的五个，概率", "the five kept in step 1, probabilities"
        else:
            stated = [fixed(BEAM.get(text, np.nan), 1) for text in texts]
            computed = [fixed(one.log_probability, 1) for one in kept]
            least = f"log 0.28 = {np.log(0.28):.2f}"
            zh = f"第二步保留的五个，累积的对数概率（文中的不可能：单是 The，{least} 已经更低）"
            en = (
                "the five kept in step 2, cumulative log-probabilities (the stated ones cannot be: "
                f"The alone, {least}, is lower already)"
            )
        cells = [list(pair) for pair in zip(stated, computed, strict=True)]
        heads = ["文中", "算出"] if lang == "zh" else ["stated", "computed"]
        tables.append(Table(below(lang, zh, en), Grid(texts, heads, cells)))
    return tables


def more_beams(lang: str) -> list[Table]:
    """Very very very: the best text of more and more beams."""
    made, rows, cells = example("repeats"), [], []
    for beams in (1, 2, 3, 5, 8):
        best = searched("repeats", beams, 8).hypotheses[0][0]
        rows.append(str(beams))
        cells.append([
            " ".join(names(made, best.tokens)), fixed(best.log_probability, 2),
            fixed(best.score, 2),
        ])  # fmt: skip
    heads = ["best text", "log P", "log P / words"]
    heads = ["最好的文本", "log P", "log P / 词数"] if lang == "zh" else heads
    title = below(
        lang,
        "束数与找到的文本（例子 repeats）：每个 very 都让 log P 更低，但让平均更高",
        "beams and what they find (the example repeats): a further very lowers log P, and raises "
        "its mean",
    )
    return [Table(title, Grid(rows, heads, cells))]


def length_penalties(lang: str) -> list[Table]:
    """Sums, means and more complex penalties over the texts of one search; * is the best."""
    made = example("loops")
    found = [one for one in searched("loops", 5, 9).hypotheses[0] if one.ended]
    scores = np.array([
        [one.log_probability, one.log_probability / n, one.log_probability / n**2,
         one.log_probability / ((5 + n) / 6) ** ALPHA]
        for one in found
        for n in (len(one.tokens),)
    ])  # fmt: skip
    best = scores.argmax(0)
    cells = [
        [f"{fixed(x, 2)}{'*' if best[j] == i else ' '}" for j, x in enumerate(line)]
        for i, line in enumerate(scores)
    ]
    heads = ["log P", "/ n", "/ n^2", f"/ ((5 + n) / 6)^{ALPHA:g}"]
    rows = [" ".join(names(made, one.tokens)) for one in found]
    title = below(
        lang,
        "同几个文本按长度惩罚的得分，* 为最高：总和、平均、n 的另一次幂（--length-penalty 2）、"
        "Wu 等（2016）的公式；n 为词数",
        "texts of one search under length penalties, * is the best: the sum, the mean, another "
        "power of n (--length-penalty 2), the formula of Wu et al. (2016); n words",
    )
    return [Table(title, Grid(rows, heads, cells))]
