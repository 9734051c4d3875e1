"""Document 003 on choosing the next word: the story in which greedy takes Today and five beams
find The weather is nice today, and the loops that a repetition penalty breaks."""

from __future__ import annotations

from ..batch import Batch
from ..ops.loss import IGNORED
from ..stages.catalogue import Text
from ..vocabulary import Vocabulary
from .example import Example
from .lookup import Table, lookup_model

BEAM_WORDS = (
    "<bos>", "<eos>", "Today", "The", "It", "Weather", "Good", "is", "the", "was", "weather", "sky",
    "nice", "good", "sunny", "today",
)  # fmt: skip
BEAM_TABLE: Table = {
    (0, "<bos>"): {"Today": 0.35, "The": 0.28, "It": 0.15, "Weather": 0.12, "Good": 0.10},
    (1, "Today"): {"is": 0.42, "the": 0.25, "was": 0.18},
    (1, "The"): {"weather": 0.60, "sky": 0.33},
    (1, "It"): {"is": 0.60, "was": 0.30},
    (1, "Weather"): {"is": 0.45, "was": 0.30},
    (1, "Good"): {"weather": 0.60, "sky": 0.20},
    (2, "is"): {"nice": 0.38, "good": 0.25, "sunny": 0.20},
    (2, "was"): {"nice": 0.38, "good": 0.25, "sunny": 0.20},
    (2, "the"): {"weather": 0.60, "sky": 0.30},
    (2, "weather"): {"is": 0.90, "was": 0.05},
    (2, "sky"): {"is": 0.80, "was": 0.10},
    (3, "is"): {"nice": 0.75, "good": 0.15},
    (3, "was"): {"nice": 0.75, "good": 0.15},
    (3, "weather"): {"is": 0.80, "was": 0.10},
    (3, "sky"): {"is": 0.80, "was": 0.10},
    (3, "nice"): {"weather": 0.40, "today": 0.30, "<eos>": 0.10},
    (3, "good"): {"weather": 0.40, "today": 0.30, "<eos>": 0.10},
    (3, "sunny"): {"weather": 0.30, "today": 0.40, "<eos>": 0.10},
    (4, "nice"): {"today": 0.80, "<eos>": 0.10},
    (4, "good"): {"today": 0.70, "<eos>": 0.10},
    (4, "weather"): {"today": 0.45, "<eos>": 0.40},
    (4, "today"): {"<eos>": 0.60},
    (5, "today"): {"<eos>": 0.55},
    (5, "weather"): {"<eos>": 0.55},
    (6, "today"): {"<eos>": 0.90},
}  # fmt: skip

LOOP_WORDS = ("<bos>", "<eos>", "I", "think", "so", "It", "is", "very", "good")
LOOP_POSITIONS = 16
LOOP_TABLE: Table = {
    (0, "<bos>"): {"It": 0.5, "I": 0.5},
    (0, "It"): {"is": 0.9},
    (1, "is"): {"very": 0.50, "good": 0.20},
    (2, "very"): {"very": 0.55, "good": 0.40},
    (3, "very"): {"very": 0.60, "good": 0.35},
    (4, "very"): {"good": 0.65, "very": 0.30},
    **{(n, "good"): {"<eos>": 0.9} for n in range(1, 8)},
    **{(n, "I"): {"think": 0.9} for n in range(LOOP_POSITIONS)},
    **{(n, "think"): {"I": 0.60, "so": 0.35} for n in range(LOOP_POSITIONS)},
    **{(n, "so"): {"<eos>": 0.9} for n in range(LOOP_POSITIONS)},
}

REPEAT_WORDS = ("<bos>", "<eos>", "very", "good")
REPEAT_TABLE: Table = {
    (0, "<bos>"): {"good": 0.7, "very": 0.3},
    **{(n, "very"): {"very": 0.9, "good": 0.05} for n in range(1, 9)},
    **{(n, "good"): {"<eos>": 0.6} for n in range(1, 9)},
}


def beams(seed: int = 0) -> Example:
    """Greedy says Today is nice weather today; five beams say The weather is nice today."""
    vocabulary = Vocabulary(BEAM_WORDS)
    config, parameters = lookup_model(vocabulary, BEAM_TABLE, positions=8)
    text = vocabulary.encode(["<bos>", "The", "weather", "is", "nice", "today", "<eos>"])
    return Example(
        name="beams",
        title=Text("贪心选 Today，五个束找到 The weather is nice today", "greedy takes Today, five beams find The weather is nice today"),
        source="003",
        config=config,
        parameters=parameters,
        batch=Batch([text[:-1]], labels=[text[1:]]),
        vocabularies={"decoder": vocabulary},
        given=[
            Text("第一步 Today 0.35，The 0.28，It 0.15，Weather 0.12，Good 0.10", "first step: Today 0.35, The 0.28, It 0.15, Weather 0.12, Good 0.10"),
            Text("Today 之后 is 0.42，the 0.25，was 0.18；再之后 nice 0.38，good 0.25，sunny 0.20；最后 <eos> 0.55", "after Today: is 0.42, the 0.25, was 0.18; then nice 0.38, good 0.25, sunny 0.20; at last <eos> 0.55"),
            Text("两步之后保留的五个：The weather、Today is、The sky、It is、Today the，按此顺序", "the five that are kept after two steps: The weather, Today is, The sky, It is, Today the, in this order"),
        ],
        chosen=[
            Text("其余概率自行设定；文中两步之后的得分（-0.5 到 -0.9）不可能：ln 0.28 = -1.27 已经更低", "the other probabilities; the document's scores after two steps (-0.5 to -0.9) cannot be: ln 0.28 = -1.27 is lower already"),
            Text("仅解码器，提示为 <bos>；参数按表构造，注意力不起作用（W_O = 0）", "a decoder alone, prompted by <bos>; parameters are built from a table, attention adds nothing (W_O = 0)"),
            Text(f"种子 {seed} 不改变任何参数", f"the seed ({seed}) changes no parameter"),
        ],
        is_trained=True,
    )  # fmt: skip


def loops(seed: int = 0) -> Example:
    """It is very very very good, and I think I think I think ..."""
    vocabulary = Vocabulary(LOOP_WORDS)
    config, parameters = lookup_model(vocabulary, LOOP_TABLE, LOOP_POSITIONS)
    good = vocabulary.encode(["It", "is", *["very"] * 3, "good", "<eos>"])
    think = vocabulary.encode(["I", "think"] * 4)
    return Example(
        name="loops",
        title=Text("循环：very very very good 与 I think I think …", "loops: very very very good, and I think I think ..."),
        source="003",
        config=config,
        parameters=parameters,
        batch=Batch(
            [[*good[:-1], 0], think[:-1]],
            labels=[[IGNORED, *good[2:], IGNORED], [IGNORED, *think[2:]]],
            mask=[[True] * 6 + [False], [True] * 7],
        ),
        vocabularies={"decoder": vocabulary},
        given=[
            Text("束太大时可能陷入 very very very good：每个 very 都让概率稍微提高一点", "with too many beams the text may become very very very good: each very raises the probability a little"),
            Text("重复惩罚降低已出现词的 logit，避免 I think I think I think", "a repetition penalty lowers the logit of words seen before, against I think I think I think"),
        ],
        chosen=[
            Text("每个 very 之后再来一个 very 的概率：0.50、0.55、0.60；think 之后 I 0.60，so 0.35", "the probability of one more very: 0.50, 0.55, 0.60; after think: I 0.60, so 0.35"),
            Text("参数按表构造，注意力不起作用（W_O = 0）；logits 是 ln(概率) + 5", "parameters are built from a table, attention adds nothing (W_O = 0); logits are ln(probability) + 5"),
            Text(f"种子 {seed} 不改变任何参数", f"the seed ({seed}) changes no parameter"),
        ],
        is_trained=True,
    )  # fmt: skip


def repeats(seed: int = 0) -> Example:
    """Greedy says good; the more beams there are, the more very the search finds."""
    vocabulary = Vocabulary(REPEAT_WORDS)
    config, parameters = lookup_model(vocabulary, REPEAT_TABLE, positions=9)
    text = vocabulary.encode(["<bos>", *["very"] * 8])
    return Example(
        name="repeats",
        title=Text("束越多越重复：very very very …", "more beams, more repetition: very very very ..."),
        source="003",
        config=config,
        parameters=parameters,
        batch=Batch([text[:-1]], labels=[text[1:]]),
        vocabularies={"decoder": vocabulary},
        given=[
            Text("beam size 太大容易陷入重复，如 very very very good", "a large beam falls into repetition, such as very very very good"),
        ],
        chosen=[
            Text("第一个词 good 0.7，very 0.3；very 之后 very 0.9", "the first word: good 0.7, very 0.3; after very: very 0.9"),
            Text("numtx generate repeats --num-beams 1（2、5）：得分除以长度，重复的文本反而占优", "numtx generate repeats --num-beams 1 (2, 5): scores are divided by the length, which favours the repetition"),
            Text(f"参数按表构造；种子 {seed} 不改变任何参数", f"parameters are built from a table; the seed ({seed}) changes none"),
        ],
        is_trained=True,
    )  # fmt: skip
