"""Document 003, the end: beam search, temperature, top-k, top-p, penalties, length."""
# fmt: off

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from ..batch import Batch
from ..costs import count_beam_search, count_generation
from ..decoding import (
    beam_search,
    generate,
    sequence_log_probability,
)
from ..examples.lookup import Table, lookup_model
from ..examples.story import PROBABILITIES
from ..ops.softmax import softmax_forward
from ..shapes import Array
from ..stages.catalogue import Text
from ..vocabulary import Vocabulary
from . import witnesses
from .judges import Can, Definition, Equal, Found, Illustration, Order, Printed, Same, Within
from .row import row
from .runs import (
    Kept,
    Model,
    example,
    names,
    prompt_of,
    searched,
    small,
    with_ids,
    words_written,
    written,
)
from .theorems import disjoint, never_rises, no_more_than_one

BEAM_FIRST = {"Today": 0.35, "The": 0.28, "It": 0.15, "Weather": 0.12, "Good": 0.10}
BEAM = {"The weather": -0.5, "Today is": -0.6, "The sky": -0.7, "It is": -0.8, "Today the": -0.9}


def starts() -> Array:
    """The probability of each first word of the five, at the upper end of its rounding."""
    return np.array([BEAM_FIRST[name.split()[0]] for name in BEAM]) + 0.005


def after_first(stated: Array, half: float) -> Text | None:
    """Log-probabilities of two words are at most those of the first."""
    return never_rises(np.log(starts()))(stated, half)


def after_first_mean(stated: Array, half: float) -> Text | None:
    """The same for means over two words."""
    return never_rises(np.log(starts()) / 2)(stated, half)


def after_both_log10(stated: Array, half: float) -> Text | None:
    """The same for logarithms to base 10, with the second word's probability where it is stated."""
    second = [PROBABILITIES[1].get(name.split()[1], 0.995) + 0.005 if name.startswith("Today") else 1.0 for name in BEAM]
    return never_rises(np.log10(starts() * np.array(second)))(stated, half)


def text(words: str) -> list[int]:
    """The ids of a text of the beams example."""
    vocabulary = example("beams").vocabulary
    return vocabulary.encode(words.split()) if vocabulary else []


def log_probability(words: str) -> float:
    """log P of a text after <bos>, in the beams example."""
    made = example("beams")
    return float(sequence_log_probability(made.config, made.parameters, prompt_of(made), [text(words)]).total[0])


def best(beams: int, **options: Any) -> tuple[str, ...]:
    """The best text of a beam search of the beams example, without <eos>."""
    hypothesis = searched("beams", beams, 8, **options).hypotheses[0][0]
    return tuple(word for word in names(example("beams"), hypothesis.tokens) if word != "<eos>")


def after_two(beams: int) -> list[str]:
    """The texts that a search keeps after its second step, in order."""
    step = searched("beams", beams, 8).steps[1]
    made = example("beams")
    return [" ".join(names(made, one.tokens)) for one in step.candidates[0] if one.fate == "running"]


def first_words(stated: Array) -> Array:
    """Five first words with these probabilities (W_vocab alone), from a generation."""
    made = example("translation")
    vocabulary = made.vocabulary
    assert vocabulary is not None
    places = [vocabulary[word] for word in BEAM_FIRST]
    cells = {(0, place): float(p) * 0.997 for place, p in zip(places, stated, strict=True)}
    p = witnesses.read_out(made, made.parameters, cells)
    logits = generate(made.config, p, prompt_of(made), max_new_tokens=1).steps[0].logits
    found: Array = softmax_forward(logits)[0, places]
    return found


@Kept
def repeating(beams: int) -> int:
    """How often a search says very, scores divided by the length, in a model whose first very is unlikely and whose next ones are likely."""
    made = example("repeats")
    assert made.vocabulary is not None
    ends, very = made.vocabulary.ends, made.vocabulary["very"]
    found = beam_search(made.config, made.parameters, Batch([[0]]), max_new_tokens=8, num_beams=beams, stop=ends, length_penalty=1.0)
    return found.hypotheses[0][0].tokens.count(very)


CHAIN_WORDS = ("<bos>", "Today", "It", "The", "is", "was", "weather")


@Kept
def chain() -> Model:
    """A model in which The is less likely than Today and It, and leads to the best text of two words."""
    split = {"is": 0.5, "was": 0.5}
    table: Table = {(0, "<bos>"): {"Today": 0.4, "It": 0.35, "The": 0.25}, (1, "Today"): split, (1, "It"): split, (1, "The"): {"weather": 1.0}}
    return lookup_model(Vocabulary(CHAIN_WORDS), table, 3)


@Kept
def costs() -> tuple[list[int], list[int]]:
    """Multiply-adds of the steps of greedy and of five beams, six words each, no early end."""
    made = example("beams")
    one = count_generation(made.config, made.parameters, prompt_of(made), max_new_tokens=6)
    five = count_beam_search(made.config, made.parameters, prompt_of(made), max_new_tokens=6, num_beams=5)
    return [step.total() for step in one], [amount for _, amount in five]


@row("003.greedy-first", "Beam", "Today 0.35，The 0.28：贪心选", "Today 0.35 and The 0.28: greedy takes", Equal("Today"), at="700: 一 一 0.35 0.28")
def _() -> Any:
    return words_written(example("beams"), most=1)[0]


@row("003.greedy-misses", "Beam", "贪心会错过全局最优：五个束与贪心找到的文本的 log P", "greedy can miss the most probable sentence: log P of the text of five beams and of greedy", Can(Order(("five beams", "greedy"))))
def _() -> Any:
    greedy = " ".join(words_written(example("beams"), most=8))
    return {"greedy": log_probability(greedy), "five beams": log_probability(" ".join(best(5)) + " <eos>")}


@row("003.joint", "Beam", "“The weather is nice today”的联合概率可能高于“Today is nice weather”（P(The) 0.28，P(Today) 0.35）", "P(The weather is nice today) may exceed P(Today is nice weather), with P(The) 0.28 and P(Today) 0.35", Can(Order(("The weather is nice today", "Today is nice weather"))))
def _() -> Any:
    return {words: math.exp(log_probability(words)) for words in ("The weather is nice today", "Today is nice weather")}


@row("003.beam-size", "Beam", "保留五个候选（beam size）：搜索每一步的行数", "five hypotheses kept (beam size): rows of the steps of a search", Equal((5, 5, 5)), at="702: 一 一 五; 706: 二 一 五 十 五")
def _() -> Any:
    return [one.rows for one in searched("beams", 5, 8).steps[1:4]]


@row("003.beam-first", "Beam", "第一步：Today 0.35，The 0.28，It 0.15，Weather 0.12，Good 0.10", "first words Today 0.35, The 0.28, It 0.15, Weather 0.12, Good 0.10", Illustration(tuple(BEAM_FIRST.values()), (no_more_than_one,)), note=("它们之和是 1.00：舍入最多给其余 9995 个词留 0.025", "they sum to 1.00: rounding leaves 0.025 at most for the other 9995 words"), at="704: 一 五 0.35 0.28 0.15 0.12 0.10 五 一", labels=(("",), tuple(BEAM_FIRST)))
def _(stated: Any) -> Any:
    return first_words(stated)


@row("003.beam-first-kept", "Beam", "第一步保留的五个词，按概率", "the five words kept in step 1, by probability", Equal(tuple(BEAM_FIRST)))
def _() -> Any:
    step, made = searched("beams", 5, 8).steps[0], example("beams")
    return [names(made, one.tokens)[0] for one in step.candidates[0] if one.fate == "running"]


@row("003.beam-first-rest", "Beam", "同样的五个，加上贪心列表里其他词的 0.17", "the same five and 0.17 for all other words, as in greedy's list", Illustration((*BEAM_FIRST.values(), 0.17), (no_more_than_one,)), note=("贪心的四个词给其他词留 0.17；It 与 Good 要从中分", "greedy's four words leave 0.17 to the others; It and Good would take of it"), labels=(("",), (*BEAM_FIRST, "(...)")))
def _(stated: Any) -> Any:
    return None


@row("003.beam-first-it", "Beam", "P(It)：束的列表里 0.15，贪心的列表里", "P(It): 0.15 in the list of beams, in greedy's list", Printed(0.15), note=("同一个模型的同一步有两张列表；文中的数与文中的数相比", "two lists for one step of one model; stated numbers beside stated numbers"))
def _() -> Any:
    return PROBABILITIES[0]["It"]


@row("003.beam-candidates", "Beam", "第二步五条路径扩展出的候选可能有几十个：10000 个词时的个数", "five paths have dozens of continuations in step 2: their number with 10,000 words", Within((20, 99)), note=("每条路径都能接任何一个词", "each path can go on with any word"))
def _() -> Any:
    made = example("translation", layers=1, words=10000)
    found = beam_search(made.config, made.parameters, prompt_of(made), max_new_tokens=2, num_beams=5)
    return found.steps[1].rows * made.config.vocabulary


@row("003.beam-scores", "Beam", "保留的五个的对数概率，第一个词的概率如上", "log-probabilities of the five kept, given P(first word)", Illustration(tuple(BEAM.values()), (after_first,), 1), note=("log 0.28 = -1.27 是 The weather 与 The sky 的上限，log 0.35 = -1.05 是 Today 两个的", "log 0.28 = -1.27 bounds The weather and The sky, log 0.35 = -1.05 both of Today"), at="708: 二 五 0.5 0.6 0.7 0.8 0.9", labels=(("",), tuple(BEAM)))
def _(stated: Any) -> Any:
    return None


@row("003.beam-scores-sum", "Beam", "这五个分数作为对数概率，不管第一个词", "the five scores as log-probabilities, whatever the first words are", Illustration(tuple(BEAM.values()), (disjoint,), 1), note=("五个不同的序列", "five different sequences"), labels=(("",), tuple(BEAM)))
def _(stated: Any) -> Any:
    return None


@row("003.beam-scores-order", "Beam", "第二步后保留的五个，按次序（beams 例子的搜索）", "the five kept after step 2, in order (a search of the beams example)", Can(Equal(tuple(BEAM))))
def _() -> Any:
    return after_two(5)


@row("003.beam-today-is", "Beam", "Today is：log(0.35 x 0.42)（例子里的搜索）", "Today is: log(0.35 * 0.42) (in a search of the example)", Printed(-0.6, 1))
def _() -> Any:
    return log_probability("Today is")


@row("003.beam-today-the", "Beam", "Today the：log(0.35 x 0.25)", "Today the: log(0.35 * 0.25)", Printed(-0.9, 1))
def _() -> Any:
    return log_probability("Today the")


@row("003.beam-log-sum", "Beam", "累积概率是对数概率的和：搜索的得分与一次前向的", "cumulative probability is the sum of log-probabilities: those of the search, beside a pass over each text", Same(True))
def _() -> Any:
    made = example("beams")
    found = searched("beams", 5, 8).hypotheses[0]
    texts = [" ".join(names(made, one.tokens)) for one in found]
    return [one.log_probability for one in found], [log_probability(words) for words in texts]


@row("003.beam-log-sum-rows", "Beam", "同时处理多条路径：两个长度不同的源句、三个束（两层，有注意力）的 log P，与一次前向的", "several paths at once: log P of three beams for two sources of different lengths (two layers, with attention), beside a pass over each text", Same(True))
def _() -> Any:
    model = small(model="encoder-decoder", encoder_layers=1, decoder_layers=2, heads=2)
    prompt = Batch([[3, 4, 5, 6], [7, 8, 0, 0]], [[1, 2], [3, 0]], mask=[[True] * 4, [True, True, False, False]], decoder_mask=[[True, True], [True, False]])
    found, own, again = beam_search(*model, prompt, max_new_tokens=4, num_beams=3), [], []
    for rank in range(3):
        texts = [found.hypotheses[i][rank] for i in range(2)]
        own += [one.log_probability for one in texts]
        again += sequence_log_probability(*model, prompt, [one.tokens for one in texts]).total.tolist()
    return own, again


@row("003.beam-scores-mean", "Beam", "这五个分数作为两个词的平均", "the five scores as means over the two words", Illustration(tuple(BEAM.values()), (after_first_mean,), 1), note=("log P / 2，如长度归一化", "log P / 2, as with length normalisation"), labels=(("",), tuple(BEAM)))
def _(stated: Any) -> Any:
    return None


@row("003.beam-scores-log10", "Beam", "这五个分数作为以 10 为底的对数，is 0.42，the 0.25", "the five scores as logarithms to base 10, with is 0.42 and the 0.25 after Today", Illustration(tuple(BEAM.values()), (after_both_log10,), 1), note=("log10(0.35 x 0.42) = -0.83", "log10(0.35 * 0.42) = -0.83"), labels=(("",), tuple(BEAM)))
def _(stated: Any) -> Any:
    return None


@row("003.beam-today-was", "Beam", "保留 Today the，淘汰 Today was：两者的 log P", "Today the is kept and Today was dropped: log P of both", Order(("Today the", "Today was")))
def _() -> Any:
    return {words: log_probability(words) for words in ("Today was", "Today the")}


@row("003.beam-kept", "Beam", "每一步都保留全局最优的五条：第二步保留的，与试遍所有两个词的前五个", "every step keeps the five best of all: those kept in step 2, beside the best five of all pairs of words", Same(True), at="710: 一 五")
def _() -> Any:
    made = example("beams")
    assert made.vocabulary is not None
    end = made.vocabulary["<eos>"]
    pairs = [pair for pair in itertools.product(range(len(made.vocabulary)), repeat=2) if end not in pair]
    total = sequence_log_probability(made.config, made.parameters, Batch([[made.vocabulary["<bos>"]]] * len(pairs)), pairs).total
    step = searched("beams", 5, 8).steps[1]
    return [one.log_probability for one in step.candidates[0] if one.fate == "running"], sorted(total, reverse=True)[:5]


@row("003.beam-global", "对比·三", "Beam Search 选择全局概率最高的路径：束 2 找到的 log P，与试遍所有两个词的最好的", "beam search picks the path of globally highest probability: log P that a beam of two finds, beside the best of all pairs of words", Same(True), note=("它是启发式：被淘汰的 The 才通向最好的文本", "it is a heuristic: The, which was dropped, leads to the best text"))
def _() -> Any:
    pairs = list(itertools.product(range(len(CHAIN_WORDS)), repeat=2))
    total = sequence_log_probability(*chain(), Batch([[0]] * len(pairs)), pairs).total
    return beam_search(*chain(), Batch([[0]]), max_new_tokens=2, num_beams=2).hypotheses[0][0].log_probability, total.max()


@row("003.beam-finds", "Beam", "最终选出累积概率最高的路径（beams 例子）", "at last the path of the highest probability (the beams example)", Equal(("The", "weather", "is", "nice", "today")))
def _() -> Any:
    return best(5)


@row("003.beam-back", "Beam", "束搜索能够“回头”：第一步淘汰的 The，后来又成为某条路径的开头（束 2 保留的开头）", "beam search can go back: The, dropped in step 1, begins a text later on (first words that a beam of two keeps)", Equal(("The", "Today")), note=("它能在保留的路径之间改变主意；被淘汰的不会回来", "it can change its mind among what it kept; what it dropped never returns"), at="712: 一 一")
def _() -> Any:
    steps = beam_search(*chain(), Batch([[0]]), max_new_tokens=2, num_beams=2).steps
    return sorted({CHAIN_WORDS[one.tokens[0]] for one in steps[1].candidates[0]})


@row("003.beam-overtakes", "Beam", "落后的路径可以赶超：第一步领先的词，与第二步领先的文本开头", "a path that was behind can overtake: the word that leads in step 1, and the first of the text that leads in step 2", Can(Equal(("Today", "The"))))
def _() -> Any:
    made = example("beams")
    return [names(made, step.candidates[0][0].tokens)[0] for step in searched("beams", 5, 8).steps[:2]]


@row("003.beam-cost", "Beam", "计算量增加 beam_size 倍（五个束，写六个词）：第二步起每步是贪心的几倍", "the cost grows by the beam size (five beams, six words): times greedy, each step from the second on", Equal((5.0,) * 5))
def _() -> Any:
    greedy, five = costs()
    whole = f"{sum(five) / sum(greedy):.2f}"
    return Found([b / a for a, b in zip(greedy[1:], five[1:], strict=True)], f"第一步只有一行，所以六步合计是 {whole} 倍", f"step 1 has one row, so six steps cost {whole} times as much together")


@row("003.beam-range", "Beam", "beam size 通常取 3 到 10", "beam sizes of 3 to 10 are usual", Definition((3, 10)), note=("习惯；Vaswani 等，2017 用 4", "a habit; Vaswani et al., 2017, use 4"), at="714: 3 10")
def _() -> Any:
    return None


@row("003.beam-one", "Beam", "太小则接近贪心：束 1 与贪心的词", "a beam that is too small is nearly greedy: the words of a beam of one, beside greedy's", Same(True))
def _() -> Any:
    return searched("beams", 1, 8).hypotheses[0][0].tokens, written(example("beams"), most=8).new[0]


@row("003.beam-repeats", "Beam", "束太大容易陷入重复（very very very good）：束 5 与束 1 说 very 的次数（得分除以长度）", "a large beam falls into repetition (very very very good): how often beams of five and of one say very (scores divided by the length)", Can(Order(("five beams", "one beam"))), note=("做得到；loops 例子里正好相反：贪心重复，大的束不重复", "it can be; in the loops example it is the other way round: greedy repeats, large beams do not"))
def _() -> Any:
    return {"five beams": repeating(5), "one beam": repeating(1)}


@row("003.very-cumulative", "Beam", "每个 very 都让（累积）概率稍微提高：序列的 log P，very 多的在前", "each further very raises the (cumulative) probability: log P of the sequence, the most very first", Order(("4 very", "3 very", "2 very")), note=("每个词乘一个不超过 1 的概率：累积的对数概率只会下降", "each word multiplies by a probability of at most 1: a cumulative log-probability only falls"))
def _() -> Any:
    made = example("loops")
    assert made.vocabulary is not None
    ids = made.vocabulary.encode(["is", *["very"] * 4])
    one = sequence_log_probability(made.config, made.parameters, Batch([made.vocabulary.encode(["<bos>", "It"])]), [ids]).per_token[0]
    return {f"{n} very": float(one[: n + 1].sum()) for n in (2, 3, 4)}


@row("003.very-conditional", "Beam", "每个 very 都让下一个 very 的概率稍微提高：P(very | 已有 n 个)，n = 2、1、0", "each further very raises the probability of the next very: P(very | n of them), n = 2, 1, 0", Can(Order(("n = 2", "n = 1", "n = 0"))), note=("这样读是可以的", "this reading can be"), at="714: 一")
def _() -> Any:
    made = example("loops")
    assert made.vocabulary is not None
    very = made.vocabulary["very"]
    runs = [with_ids(made, made.vocabulary.encode(["<bos>", "It", "is", *["very"] * n][1:])) for n in range(3)]
    return {f"n = {n}": float(run["probabilities"][0, -1, very]) for n, run in enumerate(runs)}
