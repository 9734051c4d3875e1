"""今天天气很好 -> Today is nice weather today, with an encoder and as one sequence with <sep>."""

import numpy as np

from numtx import Batch, generate, load_example, record
from numtx.costs import cache_numbers
from numtx.lessons import Lesson
from numtx.training.loop import train
from numtx.training.run import Run

lesson = Lesson(
    zh="翻译一句话，一定要编码器吗，还是把原文和译文接成一个序列就够了？",
    en="Does a translation need an encoder, or will a single sequence do?",
    before=(
        "编码器-解码器与交叉注意力、自回归语言模型、因果掩码、键值缓存。",
        "Encoder-decoder and cross-attention, the autoregressive language model, the causal mask, "
        "the key/value cache.",
    ),
    document="003, 与 Decoder-only（GPT）的本质区别",
)

# %% The same sample, framed twice
pair, single = load_example("translation"), load_example("concatenated")
names, one = pair.tokens, single.tokens["decoder"][0]
source, target = names["encoder"][0], names["decoder"][0]
wanted = names["labels"][0]
separator = one.index("<sep>")
lesson.say(
    zh=f"有编码器时是两个序列：编码器读 {' '.join(source)}，解码器读 {' '.join(target)}。"
    f"只有解码器时是一个序列，中间放一个分隔记号 <sep>：{' '.join(one)}。",
    en=f"With an encoder there are two sequences: the encoder reads {' '.join(source)}, the "
    f"decoder {' '.join(target)}. Without one there is a single sequence, with a sign <sep> between the two: "
    f"{' '.join(one)}.",
)
lesson.head(zh="问的是同一件事", en="The same is asked of both")
two_trace, one_trace = pair.trace(), single.trace()
lesson.show(one_trace, "labels")
counted = [int((t["loss.per_token"] > 0).sum()) for t in (two_trace, one_trace)]
lesson.check(
    counted[0] == counted[1] == len(wanted),
    zh=f"两边都只在译文上计损失，各 {counted[0]} 个位置；原文里的位置标签被忽略，显示为点。",
    en=f"both count the loss on the target alone, at {counted[0]} places each; labels inside the "
    "source are ignored and printed as dots.",
)

# %% Who sees whom
causal = one_trace["decoder.0.self_attention.mask"][0, 0]
full = two_trace["encoder.0.self_attention.mask"][0, 0]
across = two_trace["decoder.0.cross_attention.mask"][0, 0]
lesson.head(zh="谁看得到谁", en="Who sees whom")
lesson.say(
    zh="编码器-解码器有三种掩码：编码器处处畅通，解码器看不到后面，交叉注意力看得到全部原文。"
    "仅解码器的模型只有一种：",
    en="Two stacks have three masks: the encoder sees everything, the decoder nothing that "
    "follows, cross-attention the whole source. One stack has one:",
)
lesson.grid(causal.astype(float), one, [str(i) for i in range(len(one))], decimals=0)
inside = causal[:separator, :separator]
lesson.check(
    full.all() and across.all() and causal[separator:, :separator].all(),
    zh="译文的每个位置都看得到全部原文，两种做法一样：从 <sep> 起的每一行，原文各列都是一。",
    en="every place of the target sees the whole source, in both: from <sep> on, every row has "
    "ones in all columns of the source.",
)
lesson.check(
    np.array_equal(inside, np.tri(separator, dtype=bool)),
    zh="差别在原文内部：编码器里原文的词互相看得到，单个序列里只能看到左边。",
    en="they differ inside the source: in the encoder its words see each other, in the single "
    "sequence only what stands to the left.",
)

# %% How far a change reaches
lesson.head(zh="改动最后一个字", en="Change the last character")
last = separator - 1
reach = []
for example, stage, length in (
    (pair, "encoder.output", last + 1),
    (single, "decoder.output", last + 1),
):
    ids = np.array(example.batch.ids)
    before = record(example.config, example.parameters, Batch(ids, example.batch.decoder_ids))
    ids[0, last] = ids[0, 0]
    after = record(example.config, example.parameters, Batch(ids, example.batch.decoder_ids))
    reach.append(np.abs(after[stage] - before[stage])[0, :length].max(1))
lesson.say(
    zh=f"把原文最后的 {source[last]} 换成 {source[0]}，看原文各位置的最终表示改变多少。",
    en=f"Replace the last {source[last]} of the source by {source[0]}, and see by how much the "
    "final vectors at the places of the source change.",
)
kinds = {"zh": ["编码器-解码器", "仅解码器"], "en": ["encoder-decoder", "decoder-only"]}[
    lesson.lang
]
lesson.table(
    ["", *(f"{i} {w}" for i, w in enumerate(source[: last + 1]))],
    [
        (kind, *(f"{x:.3f}" if x else "." for x in values))
        for kind, values in zip(kinds, reach, strict=True)
    ],
)
lesson.check(
    (reach[0] > 0).all() and not reach[1][:last].any() and reach[1][last] > 0,
    zh="编码器里处处都变：先读完，再理解。单个序列里，之前的位置一点没变：边读边理解。",
    en="in the encoder every place changes: it reads to the end before it settles. In the single "
    "sequence nothing before it moves: each place has settled when it was read.",
)
lesson.say(
    zh="文档由此说前者理论上更有优势。这是推测，不是定理：译文的位置在两种做法里都看得到全文，"
    "多几层也能补回来。能证明的只有上面的信息流向。",
    en="From this the document concludes that the encoder has the advantage in theory. That is a "
    "conjecture, no theorem: places of the target see the whole source in both, and further "
    "layers can make up for the rest. What is proved is the flow of information above.",
)

# %% Both learn it
steps = 200
lesson.head(zh="两个都学得会", en="Both can learn it")
written = []
for example, prompt in (
    (pair, Batch(pair.batch.ids, [[pair.vocabulary["<bos>"]]])),
    (single, Batch([single.batch.ids[0][: separator + 1]])),
):
    run = train(Run(example.config, example.parameters), example.batch, steps)
    text = generate(
        example.config, run.parameters, prompt, max_new_tokens=len(wanted) + 2,
        eos=example.vocabulary["<eos>"],
    )  # fmt: skip
    written.append(example.vocabulary.decode(text.new[0]))
lesson.check(
    written == [wanted, wanted],
    zh=f"各训练 {steps} 步之后，两个模型都逐词写出 {' '.join(written[0])}，然后自己停下。",
    en=f"after {steps} steps each, both write {' '.join(written[0])}, word by word, and stop by "
    "themselves.",
)

# %% What stays in the cache
own, cross = cache_numbers(pair.config, len(target), len(source))
alone, _ = cache_numbers(single.config, len(one))
per_token = [cache_numbers(config, tokens=1)[0] for config in (pair.config, single.config)]
lesson.head(zh="缓存里留下什么", en="What stays in the cache")
lesson.table(
    {"zh": ["模型", "每词每份", "自注意力：词", "交叉注意力：词", "共计"],
     "en": ["model", "a token", "self: tokens", "cross: tokens", "numbers"]}[lesson.lang],
    [
        ({"zh": "编码器-解码器", "en": "encoder-decoder"}[lesson.lang], per_token[0], len(target),
         len(source), own + cross),
        ({"zh": "仅解码器", "en": "decoder-only"}[lesson.lang], per_token[1], len(one), 0, alone),
    ],
)  # fmt: skip
lesson.check(
    own + cross == per_token[0] * (len(target) + len(source)) and alone == per_token[1] * len(one),
    zh=f"保留了 {len(target) + len(source)} 个词与 {len(one)} 个词的键和值：原文的那些，一个放在交叉注意力里，"
    "另一个放在自注意力里。数目不同，只因为第二个模型更宽。",
    en=f"keys and values of {len(target) + len(source)} and of {len(one)} tokens are kept: those "
    "of the source stand in cross-attention in the one, in self-attention in the other. The "
    "numbers differ only because the second model is wider.",
)

# %% Exercise
lesson.exercise(
    zh="没有 <bos>，单个序列里哪个位置第一个预测译文？写完之后，哪个词说明该停？",
    en="There is no <bos> in the single sequence: at which place is the first word of the target "
    "predicted? And which token says that it is complete?",
)
row = single.tokens["labels"][0]
place = next(i for i, label in enumerate(row) if label == wanted[0])
lesson.check(
    place == separator and row[-1] == "<eos>",
    zh=f"在 {one[place]} 处（位置 {place}），它兼任 <bos>；最后的标签 {row[-1]} 说明该停。",
    en=f"at {one[place]}, place {place}, which serves as <bos> too; the last label, {row[-1]}, "
    "says so.",
)
lesson.result(
    counted=counted, place=place, own=own, cross=cross, alone=alone, written=" ".join(written[0]),
    reach=[values.tolist() for values in reach],
)  # fmt: skip
