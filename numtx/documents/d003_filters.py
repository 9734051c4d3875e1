"""Document 003, the end: temperature, top-k, top-p, penalties, length."""
# fmt: off

from __future__ import annotations

from typing import Any

import numpy as np

from ..batch import Batch
from ..decoding import Filters, beam_search, filtered_greedy, generate, sampler
from ..decoding.sample import draw
from ..examples.weather import LOGITS_0
from ..ops.softmax import softmax_forward
from ..shapes import Array
from .judges import Equal, Order, Printed, Same, Within
from .row import row
from .runs import example, names, searched, trace, written

LOGITS = np.array([LOGITS_0])


def filtered(rows: Any = ((),), **options: Any) -> Array:
    """The probabilities [V] that filters leave of the stated logits of position 0."""
    found: Array = softmax_forward(Filters(**options)(LOGITS, rows))[0]
    return found


def draws(count: int, **options: Any) -> Array:
    """How often each of the ten words is drawn from the stated logits, by numtx's sampler."""
    choose = sampler(Filters(**options), 0)
    rows = np.repeat(LOGITS, count, 0)
    return np.bincount(choose(rows, [[0]] * count), minlength=10) / count


@row("003.temperature-zero", "技巧", "T 接近 0：几乎所有概率都在最高分词上（T = 0.01，logits[0]）", "T near 0: nearly all probability on the largest (T = 0.01, logits[0])", Printed(1.0), note=("极限是贪心解码", "the limit is greedy decoding"), at="721: 0 一")
def _() -> Any:
    return filtered(temperature=0.01).max()


@row("003.temperature-formula", "技巧", "把 logits 除以 T 再 softmax：T = 2 与公式", "logits divided by T before the softmax: T = 2, beside the formula", Same(True))
def _() -> Any:
    weights = np.exp(np.array(LOGITS_0) / 2.0)
    return filtered(temperature=2.0), weights / weights.sum()


@row("003.temperature-greedy", "技巧", "T = 0 采样的词，与贪心的", "the words drawn at T = 0, beside greedy's", Same(True))
def _() -> Any:
    made = example("story")
    return written(made, most=8, choose=sampler(Filters(temperature=0.0), 3)).new[0], written(made, most=8).new[0]


@row("003.temperature-high", "技巧", "T 大于 1 分布变得平缓：T = 2、1、0.5 的熵", "T above 1 flattens: entropies at T = 2, 1 and 0.5", Order(("T = 2", "T = 1", "T = 0.5")), at="721: 1")
def _() -> Any:
    shares = {f"T = {t:g}": filtered(temperature=t) for t in (0.5, 1.0, 2.0)}
    return {name: float(-(p * np.log(p)).sum()) for name, p in shares.items()}


@row("003.temperature-order", "技巧", "温度不改变词的次序：T = 2 与 T = 1 的排列", "temperature keeps the order of the words: ranks at T = 2, beside T = 1", Same(True))
def _() -> Any:
    return np.argsort(filtered(temperature=2.0)), np.argsort(filtered())


@row("003.top-k", "技巧", "Top-k 只留 k 个词，重新归一化（十个词，k = 3）：个数与总和", "top-k: k words keep probability, renormalised (k = 3 of ten): how many, and their sum", Equal((3, 1.0)), at="723: 零 一")
def _() -> Any:
    p = filtered(top_k=3)
    return int((p > 0).sum()), round(float(p.sum()), 12)


@row("003.top-k-which", "技巧", "留下的是概率最高的：k = 3 留下的编号（logits[0]）", "the most probable are kept: ids kept at k = 3 (logits[0])", Equal((3, 4, 6)))
def _() -> Any:
    return np.flatnonzero(filtered(top_k=3))


@row("003.top-k-shares", "技巧", "其他置零后重新归一化：留下的词之间的比例，与之前的", "the others set to zero, renormalised: shares among the kept, beside those before", Same(True))
def _() -> Any:
    p, before = filtered(top_k=3), filtered()
    kept = p > 0
    return p[kept], before[kept] / before[kept].sum()


@row("003.top-p", "技巧", "Top-p 0.9 是累积概率达到 0.9 的最小词集：它的概率、0.9、去掉最小的词之后（logits[0]）", "top-p 0.9 is the smallest set that reaches 0.9: its probability, 0.9, and without its least word (logits[0])", Order(("the set", "0.9", "one word fewer")), note=("达到 0.9 的那个词也算在内", "the word that reaches 0.9 is included"), at="723: 0.9")
def _() -> Any:
    kept = np.sort(filtered()[filtered(top_p=0.9) > 0])
    return {"the set": kept.sum(), "0.9": 0.9, "one word fewer": kept[1:].sum()}


@row("003.top-p-smallest", "技巧", "最小词集：p = 0.3、0.5、0.7、0.9 留下的词，与从大到小加到 p 为止的", "the smallest set: words kept at p = 0.3, 0.5, 0.7 and 0.9, beside adding from the largest until p is reached", Same(True))
def _() -> Any:
    own, added = [], []
    p = filtered()
    for least in (0.3, 0.5, 0.7, 0.9):
        own.append(filtered(top_p=least) > 0)
        kept, total = np.zeros(10, bool), 0.0
        for word in np.argsort(-p):
            if total < least:
                kept[word], total = True, total + p[word]
        added.append(kept)
    return own, added


@row("003.top-p-adapts", "技巧", "词集大小随分布的形状调整：T = 2（平）、0.2、0.05（尖）时 top-p 0.9 的词数", "the set adapts to the shape of the distribution: words of top-p 0.9 at T = 2 (flat), 0.2 and 0.05 (sharp)", Order(("T = 2", "T = 0.2", "T = 0.05")))
def _() -> Any:
    return {f"T = {t:g}": int((filtered(temperature=t, top_p=0.9) > 0).sum()) for t in (2.0, 0.2, 0.05)}


@row("003.sampling", "技巧", "随机采样按照概率选词：4000 次抽样，频率与概率最多差，在三个标准差之内", "sampling draws words by their probability: largest distance of frequencies in 4000 draws, below three standard deviations", Order(("three deviations", "largest distance")))
def _() -> Any:
    p = filtered()
    return {"three deviations": 3 * float(np.sqrt(p * (1 - p) / 4000).max()), "largest distance": float(np.abs(draws(4000) - p).max())}


@row("003.sampling-share", "技巧", "每个词占 [0, 1) 中与概率一样长的一段：均匀的 5000 个数选出的频率，与概率", "each word has a piece of [0, 1) as long as its probability: frequencies over 5000 even numbers, beside the probabilities", Order(("a step of the numbers", "largest distance")))
def _() -> Any:
    p, even = filtered(), (np.arange(5000) + 0.5) / 5000
    chosen = draw(np.repeat(p[None], 5000, 0), even)
    return {"a step of the numbers": 1 / 5000, "largest distance": float(np.abs(np.bincount(chosen, minlength=10) / 5000 - p).max())}


@row("003.sampling-rows", "技巧", "同一行单独采样与在一批里采样的词（种子 4、5、6）", "the words of a row drawn alone, beside those drawn in a batch (seeds 4, 5, 6)", Same(True))
def _() -> Any:
    seen: list[list[int]] = [[0], [0, 1], [0, 1, 2]]
    together = sampler(Filters(), [4, 5, 6])(np.repeat(LOGITS, 3, 0), seen)
    return together, [sampler(Filters(), [4 + i])(LOGITS, [seen[i]])[0] for i in range(3)]


@row("003.sampling-steps", "技巧", "每一步另抽一次：长度 1 到 40 时抽出的不同的词数（十个词里）", "each step draws anew: different words (of ten) drawn at lengths 1 to 40", Within((5, 10)))
def _() -> Any:
    choose = sampler(Filters(), [7])
    return len({int(choose(LOGITS, [[0] * n])[0]) for n in range(1, 41)})


@row("003.sampling-filtered", "技巧", "置零的词不会被抽中：top-k 3 时 4000 次抽中的编号", "words set to zero are never drawn: ids drawn in 4000 at top-k 3", Equal((3, 4, 6)))
def _() -> Any:
    return np.flatnonzero(draws(4000, top_k=3))


@row("003.penalty", "技巧", "重复惩罚降低出现过的词的 logit：惩罚 1.5 后 今 的概率（之前，之后）", "a penalty lowers the logit of words seen before: P(今) before and after a penalty of 1.5", Order(("before", "after")), note=("正的 logit 除以惩罚，负的乘以它：两者都降低", "a positive logit is divided by the penalty, a negative one multiplied: both fall"), at="725: 一")
def _() -> Any:
    return {"before": filtered()[3], "after": filtered(((3,),), repetition_penalty=1.5)[3]}


@row("003.penalty-negative", "技巧", "负的 logit 也要降低，只降低自己一行里出现过的：logits -2、1、1，惩罚 2（一行出现过 0、1，另一行 2）", "a negative logit falls too, and only of words that the row has seen: logits -2, 1, 1 after a penalty of 2 (one row has seen 0 and 1, the other 2)", Equal([[-4.0, 0.5, 1.0], [-2.0, 1.0, 0.5]]))
def _() -> Any:
    logits = np.array([[-2.0, 1.0, 1.0]] * 2)
    return Filters(repetition_penalty=2.0)(logits, [[0, 1, 1], [2]])


@row("003.penalty-loop", "技巧", "避免“I think I think I think”：没有惩罚与惩罚 2 时写出的（从 I 起）", "against 'I think I think I think': what is written after I without a penalty, and with one of 2", Equal((("think", "I", "think", "I"), ("think", "so", "<eos>"))))
def _() -> Any:
    made = example("loops")
    assert made.vocabulary is not None
    prompt, end = Batch([made.vocabulary.encode(["I"])]), made.vocabulary["<eos>"]
    runs = [generate(made.config, made.parameters, prompt, max_new_tokens=4, stop=[end], choose=filtered_greedy(Filters(repetition_penalty=p))) for p in (1.0, 2.0)]
    return [names(made, run.new[0]) for run in runs]


@row("003.length", "技巧", "长序列的得分自然更低：故事前 1 到 6 个词的 log P 之和，短的在前", "a longer sequence has a lower sum: log P of the first 1 to 6 words of the story, the shortest first", Order(tuple(f"{n}" for n in range(1, 7))), at="727: 一 1", stages=("story", "loss.per_token"))
def _() -> Any:
    return {f"{n + 1}": float(total) for n, total in enumerate(-np.cumsum(trace("story")["loss.per_token"][0]))}


@row("003.length-mean", "技巧", "用总对数概率除以长度：束搜索的得分（length_penalty 1）与 log P / 长度", "the sum divided by the length: scores of a search (length_penalty 1), beside log P / length", Same(True), at="727: 一")
def _() -> Any:
    found = searched("beams", 5, 8, length_penalty=1.0).hypotheses[0]
    return [one.score for one in found], [one.log_probability / len(one.tokens) for one in found]


@row("003.length-formula", "技巧", "更复杂的长度惩罚：length_penalty 2 的得分与 log P / 长度^2", "a more complex penalty: scores at length_penalty 2, beside log P / length^2", Same(True))
def _() -> Any:
    found = searched("beams", 5, 8, length_penalty=2.0).hypotheses[0]
    return [one.score for one in found], [one.log_probability / len(one.tokens) ** 2 for one in found]


@row("003.length-fair", "技巧", "为了公平比较不同长度：不除长度（0）与除以长度（1）时五个束选出的词数（loops）", "for a fair comparison of lengths: words of the best text of five beams, sums (0) and means (1) (loops)", Order(("means", "sums")))
def _() -> Any:
    made = example("loops")
    assert made.vocabulary is not None
    prompt, end = Batch([made.vocabulary.encode(["<bos>", "It"])]), made.vocabulary["<eos>"]
    return {name: len(beam_search(made.config, made.parameters, Batch([prompt.ids[0][1:]]), max_new_tokens=9, num_beams=5, stop=[end], length_penalty=p).hypotheses[0][0].tokens) for name, p in (("sums", 0.0), ("means", 1.0))}
