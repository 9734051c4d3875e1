"""Document 003: the story to its end, and the loop."""
# fmt: off

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..costs import count_generation
from ..decoding import generate
from ..examples.story import CHOSEN, CROSS_ROWS, PROBABILITIES, SELF_ROWS
from ..examples.translation import ENGLISH
from ..ops.softmax import softmax_forward
from ..shapes import Array
from .d003_inference import BIG, big_story, listed, pairs, probabilities, told
from .judges import Equal, Found, Illustration, Order, Same
from .row import row
from .runs import (
    CROSS,
    SELF,
    example,
    names,
    prefix,
    prompt_of,
    trace,
    trained,
    with_ids,
    words_written,
    written,
)
from .theorems import no_more_than_one

ANSWER = ("Today", "is", "nice", "weather", "today")


def everything() -> Array:
    """Everything that the story lists, in one run."""
    run = trace("story")
    found = [probabilities(step)[[ENGLISH.index(x) for x in stated]] for step, stated in enumerate(PROBABILITIES) if stated]
    rows = [run[f"{SELF}.weights"][0, 0, s, : s + 1] for s in SELF_ROWS]
    cross = [run[f"{CROSS}.weights"][0, 0, s] for s in CROSS_ROWS]
    return np.concatenate([*found, *rows, *cross, pairs(np.zeros(2))])


STORY: Sequence[float] = (
    *(p for step in PROBABILITIES for p in step.values()),
    *(p for line in SELF_ROWS.values() for p in line),
    *(p for line in CROSS_ROWS.values() for p in line),
    0.35, 0.40,
)


def loop(limit: int) -> tuple[list[str], list[int]]:
    """The document's while loop as it is written, run on the story: what it returns, and how long its list is before the first is taken off"""
    made = example("story")
    assert made.vocabulary is not None
    end = made.vocabulary["<eos>"]
    generated = [made.vocabulary["<bos>"]]
    while True:
        hidden = with_ids(made, generated)["decoder.output"][0]
        generated.append(int((hidden[-1] @ made.parameters["output.w"]).argmax()))
        if generated[-1] == end or len(generated) >= limit:
            break
    return list(names(made, generated[1:])), generated


@row("003.step-4-matrix", "第四步", "第四步：4 x 4，下三角都有值，上三角都是零（为零的个数）", "step 4: a 4 x 4 matrix, the lower triangle full, zeros above: weights that are 0", Equal(((4, 4), 6)), at="634")
def _() -> Any:
    weights = prefix("story", 4)[f"{SELF}.weights"][0, 0]
    return weights.shape, int((weights == 0).sum())


@row("003.words", "第二至六步", "六步贪心选出的词（用缓存生成）", "greedy words of the six steps (generated with a cache)", Equal(CHOSEN), at="613; 618; 634; 636: 五 两", stages=("story", "decoder.tokens", "probabilities"))
def _() -> Any:
    return names(example("story"), told().new[0])


@row("003.words-uncached", "第二至六步", "每步重算整个序列（文中的做法），与用缓存：各步的 logits", "every step over the whole sequence (as the text has it), beside a cache: logits of the steps", Same(True))
def _() -> Any:
    again = written(example("story"), most=20, use_cache=False)
    return [one.logits for one in again.steps], [one.logits for one in told().steps]


@row("003.today-twice", "第五步", "today 在译文里出现两次", "today occurs twice in the answer", Equal(2), note=("Today 与 today 是两个词元：重复惩罚看不出来", "as Today and today, which are two tokens: a repetition penalty would not see it"))
def _() -> Any:
    return sum(word.lower() == "today" for word in names(example("story"), told().new[0]))


@row("003.eos-probability", "第六步", "<eos> 的概率 0.55", "<eos> has 0.55", Illustration((0.55,), (no_more_than_one,)), at="638", stages=("story", "probabilities"))
def _(stated: Any) -> Any:
    return listed(5)(stated)


@row("003.eos-largest", "第六步", "0.55 超过所有其他词：<eos> 与其余之和", "0.55 is above every other word: <eos>, and all others together", Order(("<eos>", "others")))
def _() -> Any:
    own = float(probabilities(5)[ENGLISH.index("<eos>")])
    return {"<eos>": own, "others": 1.0 - own}


@row("003.story", "第一至六步", "一个模型里故事的全部列表：概率、注意力的行、词对", "all lists of the story in one model: probabilities, rows of attention, pairs", Illustration(STORY), note=("每侧一层，由搜索得到；Today 的两行取第一行", "one layer a side, found by a search; with the first of the two rows of Today"), stages=("story", f"{SELF}.weights", f"{CROSS}.weights", "probabilities"))
def _(stated: Any) -> Any:
    return everything()


@row("003.story-10000", "第一至六步", "六层、10000 个词的模型里故事列出的概率（用缓存生成）", "the probabilities that the story lists, in a model of six layers and 10,000 words (generated with a cache)", Illustration([p for step in PROBABILITIES for p in step.values()]), note=("只有 W_vocab 是为此求出的", "W_vocab alone is fitted"))
def _(stated: Any) -> Any:
    vocabulary = example("translation", **BIG).vocabulary
    assert vocabulary is not None
    found = []
    for step, lines in enumerate(PROBABILITIES):
        shares = softmax_forward(big_story().steps[step].logits[0])
        found += [shares[vocabulary[word]] for word in lines]
    return found


@row("003.story-10000-words", "第一至六步", "同一个模型写出的词", "the words that this model writes", Equal(CHOSEN))
def _() -> Any:
    return names(example("translation", **BIG), big_story().new[0])


@row("003.translates", "第一至六步", "训练过的翻译模型写出的（教它 Today is nice weather today）", "what the trained translation writes (taught Today is nice weather today)", Equal(CHOSEN))
def _() -> Any:
    return words_written(trained("translation", layers=1), most=20)


@row("003.answer-length", "第六步", "译文五个词，连 <eos> 六步", "the answer has five words, six steps with <eos>", Equal((5, 6)))
def _() -> Any:
    new = names(example("story"), told().new[0])
    return sum(word != "<eos>" for word in new), len(told().steps)


@row("003.loop-returns", "伪代码", "循环返回译文，不含 <bos>（原样运行伪代码）", "the loop returns the answer without <bos> (the pseudo-code run as it is written)", Equal(ANSWER), note=("它连 <eos> 也返回；正文的译文里没有", "it returns <eos> too; the text's answer has none"), at="640: 一; 648: 1 一; 659: 1")
def _() -> Any:
    return loop(100)[0]


@row("003.loop-limit", "伪代码", "max_length = 3 允许的词数（正文：生成 100 个词后必须停止）", "words that max_length = 3 allows (the text: must stop after generating 100 words)", Equal(3), note=("len(generated_sequence) 把 <bos> 也数进去；numtx 的 max_new_tokens = 3 给出三个", "len(generated_sequence) counts <bos>; numtx's max_new_tokens = 3 gives three"), at="675: 四 100")
def _() -> Any:
    return len(loop(3)[0])


@row("003.limit", "对比·四", "最大长度作为保险：不会停的模型，允许 10 个词时写出的", "a maximum length as a safeguard: words of a model that does not stop, when it may write 10", Equal(10))
def _() -> Any:
    made = example("story")
    return len(generate(made.config, made.parameters, prompt_of(made), max_new_tokens=10).new[0])


@row("003.loop-argmax", "伪代码", "probs 的 argmax 就是 logits 的 argmax：不同的步数", "argmax of the probabilities is argmax of the logits: steps where they differ", Equal(0), note=("贪心解码不需要 softmax", "the softmax is not needed for greedy decoding"))
def _() -> Any:
    return sum(int(probabilities(n).argmax() != one.logits[0].argmax()) for n, one in enumerate(told().steps))


@row("003.loop-generates", "伪代码", "伪代码与 generate 写出的编号", "the ids of the pseudo-code, beside those of generate", Same(True))
def _() -> Any:
    return loop(100)[1][1:], told().new[0]


@row("003.tenth-step", "伪代码", "第十步的自注意力是 10 x 10", "step 10 has a 10 x 10 self-attention", Equal((10, 10)), note=("<bos> 与九个词", "<bos> and nine words"), at="662: 一 十 十 十 十 一 一")
def _() -> Any:
    made = example("translation")
    return generate(made.config, made.parameters, prompt_of(made), max_new_tokens=10, use_cache=False).steps[9].attention


@row("003.greater-each-step", "伪代码", "每一步都比上一步多一点计算：六步的乘加次数（不用缓存），后一步在前", "without a cache each step is a little dearer: multiply-adds of the six steps, the last first", Order(("step 6", "step 5", "step 4", "step 3", "step 2")))
def _() -> Any:
    made = example("story")
    steps = count_generation(made.config, made.parameters, prompt_of(made), max_new_tokens=6, use_cache=False)
    return Found({f"step {n + 1}": one.total() for n, one in enumerate(steps) if n}, f"第一步还有编码器：{steps[0].total()}", f"step 1 has the encoder's too: {steps[0].total()}")
