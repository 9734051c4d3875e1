"""Document 003, the part on inference: the story of Today is nice weather today."""
# fmt: off

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..costs import count_generation
from ..decoding import Generation
from ..examples.example import Example
from ..examples.story import CHOSEN, CROSS_ROWS, PAIRS, PROBABILITIES, SELF_ROWS
from ..examples.translation import ENGLISH
from ..ops.softmax import softmax_forward
from ..shapes import Array
from . import witnesses
from .d003_decoder import OVER_H, SOURCE, over_printed_keys
from .judges import Definition, Equal, Illustration, Printed, Same
from .row import row
from .runs import (
    CROSS,
    SELF,
    Kept,
    example,
    moved,
    names,
    prefix,
    prompt_of,
    shape,
    small_shape,
    tokens,
    trace,
    with_ids,
    written,
)
from .theorems import no_more_than_one, one_row, sums_to_one

SELF_1, SELF_2 = (SELF_ROWS.get(step, ()) for step in (1, 2))
CROSS_0, CROSS_1 = (CROSS_ROWS.get(step, ()) for step in (0, 1))
BIG: dict[str, Any] = {"layers": 6, "words": 10000}  # what the story supposes


def listed(step: int) -> Any:
    """A witness: the story's probabilities of the words that a step lists, from a generation"""
    places = [ENGLISH.index(word) for word in PROBABILITIES[step]]
    return lambda stated: probabilities(step)[places]


def probabilities(step: int) -> Array:
    """The distribution of a step of the story, as `generate` with a cache has it"""
    found: Array = softmax_forward(told().steps[step].logits[0])
    return found


@Kept
def told() -> Generation:
    """The story told: greedy, with a cache, from <bos> to <eos>"""
    return written(example("story"), most=20)


def pairs(stated: Array) -> Array:
    found: Array = np.array(PAIRS) @ trace("story")[f"{CROSS}.weights"][0, 0, 2]
    return found


def story_steps(made: Example, *, seen: Sequence[int] = (1, 2)) -> list[Array]:
    """The row of the second token in runs of some lengths"""
    ids = tokens("story")
    return [with_ids(made, ids[: n + 1])[f"{SELF}.weights"][0, 0, 1, :2] for n in seen]


def steered(rows: dict[int, Sequence[float]]) -> Array:
    """Self-attention of three tokens of the story with other rows, by W_Q alone"""
    made = example("story")
    p = witnesses.steer(made, made.parameters, SELF, rows)
    found: Array = witnesses.run(made, p)[f"{SELF}.weights"][0, 0, :3, :3]
    return found


@Kept
def big_story() -> Generation:
    """The story over 10,000 words and six layers: W_vocab alone is fitted to the lists of the six steps, and `generate` tells it"""
    made = example("translation", **BIG)
    vocabulary = made.vocabulary
    assert vocabulary is not None
    cells = {(step, vocabulary[word]): p for step, stated in enumerate(PROBABILITIES) for word, p in stated.items()}
    for step in (3, 4):  # of these the document states the word alone
        cells[step, vocabulary[CHOSEN[step]]] = 0.5
    p = witnesses.read_out(made, made.parameters, cells, rounds=40)
    return written(dataclasses.replace(made, parameters=p), most=20)


def largest(weights: Sequence[float], count: int = 2) -> list[str]:
    return [SOURCE[i] for i in np.argsort(-np.array(weights), kind="stable")[:count]]


@row("003.one-word-at-a-time", "开篇", "一个词一个词地生成，每个都成为下一步的输入：三步的输入长度（不用缓存）", "one word at a time, each fed back: input lengths of three steps (without a cache)", Equal((1, 2, 3)), at="533: 一 一 一 一 一 一")
def _() -> Any:
    return [one.computed for one in written(example("story"), most=3, use_cache=False).steps]


@row("003.no-way-back", "开篇", "不可回退：每一步的输入以上一步的输入开头", "generation cannot be taken back: the input of each step, beside that of the step before and its word", Same(True), note=("贪心解码如此；讲束搜索的一节说束能“回头”（003.beam-back）", "true of greedy decoding; the section on beam search says the opposite of a beam (003.beam-back)"))
def _() -> Any:
    steps = written(example("story"), most=4, use_cache=False).steps
    words = written(example("story"), most=4).new[0]
    later = [i for one in steps[1:] for i in one.ids[0]]
    return later, [i for one, word in zip(steps[:-1], words, strict=False) for i in (*one.ids[0], word)]


@row("003.thirty-degrees", "开篇", "向左打 30 度", "turn left by 30 degrees", Definition(30), note=("开车的比喻，不是模型的数", "a comparison with driving; no figure of a model"), at="535: 30")
def _() -> Any:
    return None


@row("003.same-encoder", "起点", "编码器在训练与推理时一样：只有 <bos> 时与整个目标时的 H_enc", "the encoder works alike in training and inference: H_enc with <bos> alone, beside the whole target", Same(True), note=("这里没有 dropout；有的话训练时会不同", "there is no dropout here; with it training would differ"), stages=("weather", "encoder.output"))
def _() -> Any:
    return prefix("weather", 1)["encoder.output"], trace("weather")["encoder.output"]


@row("003.source-ids", "起点", "源句的编号", "the source as ids", Equal((3, 4, 4, 5, 6, 7, 2)), at="544", stages=("translation", "encoder.tokens"))
def _() -> Any:
    return tokens("translation", "encoder")


@row("003.source-shape", "起点", "四维向量，七行四列的矩阵", "four-dimensional vectors, a matrix of seven rows and four columns", Equal((7, 4)), at="546", stages=("translation", "encoder.input"))
def _() -> Any:
    return shape("translation", "encoder.input")


@row("003.today-is-two-tokens", "起点", "每个词都看到全句，第一个天注意到前面的 今：它有权重的词元数", "every word sees the sentence, and the first 天 notices 今 before it: tokens that it gives a weight", Equal(7), note=("注意到谁由训练决定", "what it attends to is a matter of training"), at="548: 一 一")
def _() -> Any:
    return int((trace("weather")["encoder.0.self_attention.weights"][0, 0, 1] > 0).sum())


@row("003.six-encoder-layers", "起点", "六层编码器，矩阵仍是 7 x 4", "six encoder layers, the matrix stays 7 x 4", Equal([(7, 4)] * 6), note=("训练部分是两层", "the part on training has two layers"), at="550")
def _() -> Any:
    run = prefix("translation", 1, **BIG)
    return [small_shape(run[name]) for name in run if name.startswith("encoder.") and name.endswith("feed_forward.norm")]


@row("003.encoder-once", "起点", "编码器只执行一次：一次生成里编码器的乘积所在的步", "the encoder runs once: steps of a generation that have the encoder's products", Equal(("prefill",)), at="552", stages=("story", "encoder.output"))
def _() -> Any:
    made = example("story")
    steps = count_generation(made.config, made.parameters, prompt_of(made), max_new_tokens=3)
    return [one.step.phase for one in steps if one.total("encoder")]


@row("003.bos-first", "第一步", "第一步：<bos> 的编号 1，一行四列的矩阵", "step 1: <bos> has id 1; a matrix of one row and four columns", Equal((1, (1, 4))), at="559; 561")
def _() -> Any:
    return int(told().steps[0].ids[0, 0]), small_shape(prefix("story", 1)["decoder.input"])


@row("003.one-score", "第一步", "只有一个词元时分数是一个标量，权重是 1.0", "with one token the score is one number and its weight is 1.0", Equal(((1, 1), 1.0)), at="563", stages=("story", f"{SELF}.scores", f"{SELF}.weights"))
def _() -> Any:
    run = prefix("story", 1)
    return small_shape(run[f"{SELF}.scores"]), run[f"{SELF}.weights"].item()


@row("003.one-token-identity", "第一步", "加权求和的结果还是它自己：自注意力的输出与输入", "and the result is the vector itself: output of self-attention, beside its input", Same(True), note=("权重是 1.0，但结果是 x·W_V·W_O：只有 W_V·W_O = I 才是它自己", "the weight is 1.0, but the result is x·W_V·W_O: the vector itself only where W_V·W_O = I"))
def _() -> Any:
    run = prefix("story", 1)
    return run[f"{SELF}.output"], run["decoder.input"]


@row("003.add-norm-between", "第一步", "自注意力与交叉注意力之间有 Add & Norm", "Add & Norm stands between self- and cross-attention", Equal(("output", "residual", "norm")), note=("训练部分那里没有（003.cross-wiring）", "the part on training has none there (003.cross-wiring)"), at="565", stages=("story", f"{SELF}.residual", f"{SELF}.norm"))
def _() -> Any:
    return [n.split(".")[-1] for n in trace("story") if n.startswith(f"{SELF}.")][-3:]


@row("003.cross-shape-1", "第一步", "Query [1,4] 乘 Keys 的转置 [4,7]，得 [1,7]", "query [1,4] times keys [4,7] gives [1,7]", Equal(((1, 4), (7, 4), (1, 7))), at="567")
def _() -> Any:
    return [small_shape(prefix("story", 1)[f"{CROSS}.{leaf}"]) for leaf in ("queries", "keys", "scores")]


@row("003.cross-row-1", "第一步", "第一步对源句的权重", "weights of step 1 over the source", Illustration(CROSS_0, (sums_to_one,)), at="569: 0.12 0.18 0.15 0.10 0.13 0.20 0.12", stages=("story", f"{CROSS}.weights"), labels=(("",), SOURCE))
def _(stated: Any) -> Any:
    return trace("story")[f"{CROSS}.weights"][0, 0, 0]


@row("003.cross-row-1-with-h", "第一步", "同一行权重，键来自训练部分印出的 H_enc", "the same over the keys of H_enc as printed in the part on training", Illustration(CROSS_0, (sums_to_one,)), note=OVER_H, labels=(("",), SOURCE))
def _(stated: Any) -> Any:
    return over_printed_keys(0, stated)


@row("003.cross-row-1-sum", "第一步", "写出的这些权重之和为 1", "those stated weights sum to 1", Printed(1.0), note=("文中的数之和", "a sum of stated numbers"))
def _() -> Any:
    return sum(CROSS_0)


@row("003.cross-row-1-largest", "第一步", "最关注 好（0.20）与 天（0.18）：story 的运行", "largest: 好 (0.20) and 天 (0.18), in the run of the story", Equal((("好", "天"), 0.20, 0.18)), note=("第一个天；第二个是 0.15", "the first 天; the second has 0.15"), at="569: 一 0.20 0.18")
def _() -> Any:
    weights = trace("story")[f"{CROSS}.weights"][0, 0, 0]
    return largest(weights), *sorted(weights.round(2))[:-3:-1]


@row("003.context-1", "第一步", "权重 [1,7] 乘 Values [7,4]，得 [1,4]", "weights [1,7] times values [7,4] gives [1,4]", Equal(((1, 7), (7, 4), (1, 4))), at="571")
def _() -> Any:
    return [small_shape(prefix("story", 1)[f"{CROSS}.{leaf}"]) for leaf in ("weights", "values", "context")]


@row("003.six-decoder-layers", "第一步", "六层解码器，每层自注意力、交叉注意力、FFN：子层的输出", "six decoder layers of self-attention, cross-attention, FFN: outputs of sublayers", Equal(18), at="573")
def _() -> Any:
    run = prefix("translation", 1, **BIG)
    return sum(name.startswith("decoder.") and name.count(".") == 3 and name.endswith(".output") for name in run)


@row("003.h-dec-1", "第一步", "h_dec 是一行四列", "h_dec is one row of four", Equal((1, 4)), at="575")
def _() -> Any:
    return small_shape(prefix("story", 1)["decoder.output"])


@row("003.vocabulary-size", "第一步", "W_vocab 是 4 x 10000；logits 是 [1, 10000]", "W_vocab is 4 x 10000; logits [1, 10000]", Equal(((4, 10000), (1, 10000))), at="577; 583: 10000", stages=("translation", "logits"))
def _() -> Any:
    run = prefix("translation", 1, **BIG)
    return run.parameters["output.w"].shape, small_shape(run["logits"])


@row("003.probabilities-1st", "第一步", "Today 0.35，The 0.28，Weather 0.12，It 0.08", "Today 0.35, The 0.28, Weather 0.12, It 0.08", Illustration(tuple(PROBABILITIES[0].values()), (no_more_than_one,)), note=("其余的词共 0.17", "the other words share 0.17"), at="579: 0.35 0.28 0.12 0.08", stages=("story", "logits", "probabilities"), labels=(("",), tuple(PROBABILITIES[0])))
def _(stated: Any) -> Any:
    return listed(0)(stated)


@row("003.percent-35", "第一步", "概率 35%：生成时 Today 的", "35%: of Today in the generation", Printed(35, 0), at="579: 35")
def _() -> Any:
    return 100 * probabilities(0)[ENGLISH.index("Today")]


@row("003.greedy-1", "第一步", "贪心的第一个词 Today（10000 个词里编号 8888）", "the greedy first word Today (id 8888 of 10000)", Equal(("Today", 8888)), at="581")
def _() -> Any:
    token = big_story().new[0][0]
    return names(example("translation", **BIG), [token])[0], token


@row("003.step-2-input", "第二步", "第二步：<bos>, Today，位置 0 与 1，2 x 4 的矩阵", "step 2: <bos>, Today at positions 0 and 1, a 2 x 4 matrix", Equal((("<bos>", "Today"), (2, 4))), at="585; 590: 2 0 1 二 四 一 两 一", stages=("story", "decoder.tokens", "decoder.input"))
def _() -> Any:
    second = written(example("story"), most=2, use_cache=False).steps[1]
    return names(example("story"), second.ids[0].tolist()), small_shape(prefix("story", 2)["decoder.input"])


@row("003.step-2-scores", "第二步", "2 x 2 的分数矩阵", "2 x 2 scores", Equal((2, 2)), at="592; 594: 两")
def _() -> Any:
    return small_shape(prefix("story", 2)[f"{SELF}.scores"])


@row("003.self-row-step-2", "第二步", "Today 这一行：对 <bos> 0.4，对自己 0.6", "row of Today: 0.4 to <bos>, 0.6 to itself", Illustration(SELF_1, (sums_to_one,)), at="598; 601: 1 40 60", stages=("story", f"{SELF}.weights"))
def _(stated: Any) -> Any:
    return trace("story")[f"{SELF}.weights"][0, 0, 1, :2]


@row("003.self-row-bos", "第二步", "<bos> 这一行：1.0, 0.0（100% 自己）", "row of <bos>: 1.0, 0.0 (100% itself)", Printed((1.0, 0.0), 1), note=("掩码没有留下别的可能", "the mask leaves no other choice"), at="597; 601: 0 100")
def _() -> Any:
    return prefix("story", 2)[f"{SELF}.weights"][0, 0, 0, :2]


@row("003.fused", "第二步", "Today 的输出融合 <bos> 与 Today：换掉其中一个，位置 1 的输出都动（会动的位置）", "Today's output holds <bos> and Today: positions that move with each", Equal(((0, 1), (1,))), at="603")
def _() -> Any:
    made, before = example("story"), prefix("story", 2)[f"{SELF}.output"]
    return [moved(before, with_ids(made, ids)[f"{SELF}.output"]) for ids in ([4, 3], [1, 4])]


@row("003.h-enc-stays", "第二步", "解码器有两个位置，H_enc 没有变化：第一步与第二步", "two decoder positions, H_enc as before: step 1, beside step 2", Same(True), at="605")
def _() -> Any:
    return prefix("story", 1)["encoder.output"][0], prefix("story", 2)["encoder.output"][0]


@row("003.cross-row-2", "第二步", "第二步对源句的权重", "weights of step 2 over the source", Illustration(CROSS_1, (sums_to_one,)), at="607: 1 七 七 0.08 0.10 0.12 0.15 0.25 0.18 0.12", stages=("story", f"{CROSS}.weights"), labels=(("",), SOURCE))
def _(stated: Any) -> Any:
    return trace("story")[f"{CROSS}.weights"][0, 0, 1]


@row("003.cross-row-2-with-h", "第二步", "同一行权重，键来自训练部分印出的 H_enc", "the same over the keys of H_enc as printed in the part on training", Illustration(CROSS_1, (sums_to_one,)), note=OVER_H, labels=(("",), SOURCE))
def _(stated: Any) -> Any:
    return over_printed_keys(1, stated)


@row("003.cross-row-2-sum", "第二步", "写出的这些权重之和为 1", "those stated weights sum to 1", Printed(1.0), note=("文中的数之和", "a sum of stated numbers"))
def _() -> Any:
    return sum(CROSS_1)


@row("003.cross-row-2-largest", "第二步", "更关注 很（0.25）与 好（0.18）：story 的运行", "largest: 很 (0.25) and 好 (0.18), in the run of the story", Equal((("很", "好"), 0.25, 0.18)), at="607: 0.25 0.18")
def _() -> Any:
    weights = trace("story")[f"{CROSS}.weights"][0, 0, 1]
    return largest(weights), *sorted(weights.round(2))[:-3:-1]


@row("003.last-only", "第二步", "只需要位置 1；位置 0 的输出与第一步的", "only position 1 is needed: what position 0 gives, beside step 1", Same(True), at="609")
def _() -> Any:
    return prefix("story", 2)["logits"][0, 0], prefix("story", 1)["logits"][0, 0]


@row("003.probabilities-2nd", "第二步", "is 0.42，the 0.25，was 0.18", "is 0.42, the 0.25, was 0.18", Illustration(tuple(PROBABILITIES[1].values()), (no_more_than_one,)), at="611", stages=("story", "probabilities"), labels=(("",), tuple(PROBABILITIES[1])))
def _(stated: Any) -> Any:
    return listed(1)(stated)


@row("003.step-3-input", "第三步", "第三步：三个词，3 x 4", "step 3: three tokens, 3 x 4", Equal((3, 4)), at="620")
def _() -> Any:
    return small_shape(prefix("story", 3)["decoder.input"])


@row("003.self-row-step-3", "第三步", "is 这一行：0.2, 0.4, 0.4", "row of is: 0.2, 0.4, 0.4", Illustration(SELF_2, (sums_to_one,)), at="623; 625; 628", stages=("story", f"{SELF}.weights"))
def _(stated: Any) -> Any:
    return trace("story")[f"{SELF}.weights"][0, 0, 2, :3]


@row("003.self-row-again", "第三步", "第三步里 Today 这一行：0.3, 0.7", "row of Today in step 3: 0.3, 0.7", Illustration((0.3, 0.7), (sums_to_one,)), note=("单独做得到", "alone it can be"), at="624")
def _(stated: Any) -> Any:
    return steered({1: stated.tolist()})[1, :2]


@row("003.self-matrix-step-3", "第三步", "印出的 3 x 3 整个在一次前向里", "the printed 3 x 3 whole, in one run", Illustration(((1.0, 0.0, 0.0), (0.3, 0.7, 0.0), (0.2, 0.4, 0.4)), (sums_to_one,)), note=("只改 W_Q", "a change of W_Q alone"), stages=("story", f"{SELF}.weights"), labels=(("bos", "Today", "is"), ("bos", "Today", "is")))
def _(stated: Any) -> Any:
    return steered({1: stated[1, :2].tolist(), 2: stated[2].tolist()})


@row("003.self-row-changes", "第二、三步", "同一层同一头里，Today 这一行在第二步与第三步", "row of Today in step 2 and in step 3 of one layer and head", Illustration(((0.4, 0.6), (0.3, 0.7)), (one_row,)), note=("各自做得到；一起只能是不同的层或头", "each alone is attainable; together only as rows of different layers or heads"), stages=("story", f"{SELF}.weights"), labels=(("2", "3"), ("bos", "Today")))
def _(stated: Any) -> Any:
    return np.array(story_steps(example("story")))


@row("003.cross-pairs", "第三步", "第三步对 天气（0.35）与 很好（0.40）的权重", "weights of step 3 on 天气 (0.35) and 很好 (0.40)", Illustration((0.35, 0.40), (no_more_than_one,)), note=("位置 2、3 之和与 4、5 之和", "summed over places 2 and 3, and 4 and 5"), at="630", stages=("story", f"{CROSS}.weights"))
def _(stated: Any) -> Any:
    return pairs(stated)


@row("003.cross-pairs-places", "第三步", "天气 是源句里的一个位置：这样的词元数", "天气 is a place of the source: tokens that are 天气", Equal(1), note=("源句按字切开：天气 是两个词元，而且有两个天", "the source is split into characters: 天气 is two tokens, and there are two 天"))
def _() -> Any:
    return trace("translation").tokens["encoder"][0].count("天气")


@row("003.probabilities-3rd", "第三步", "nice 0.38，good 0.25，sunny 0.20", "nice 0.38, good 0.25, sunny 0.20", Illustration(tuple(PROBABILITIES[2].values()), (no_more_than_one,)), at="632", stages=("story", "probabilities"), labels=(("",), tuple(PROBABILITIES[2])))
def _(stated: Any) -> Any:
    return listed(2)(stated)
