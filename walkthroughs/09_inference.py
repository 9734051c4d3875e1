"""Inference: the loop, the encoder once, 今天天气很好 -> Today is nice weather today."""

import numpy as np

from numtx import Batch, load_example, record_generation
from numtx.documents.ledger import row_of
from numtx.examples.story import PROBABILITIES
from numtx.lessons import Lesson

lesson = Lesson(
    zh="训练好的模型怎样一个词一个词写出译文？",
    en="How does a trained model write a translation, word by word?",
    before=(
        "前八课；交叉注意力见第五课，训练与使用的不同见上一课。",
        "The lessons so far; cross-attention in the five acts, and the lesson before this one.",
    ),
    document="003, Encoder-Decoder推理过程",
)

# %%
lesson.head(zh="准备", en="To begin with")
example = load_example("story")
vocabulary = example.vocabulary
source = example.tokens["encoder"]
bos, eos = vocabulary["<bos>"], vocabulary["<eos>"]
lesson.say(
    zh="文档的故事写出了每一步的概率。这里的模型很小，它的参数是搜索得来的，为的是给出这些概率。给它两样"
    f"东西：原句 {' '.join(source[0])}，和只有 <bos> 的译文开头。目标词表有 {len(vocabulary)} 个词。",
    en="The document's story states the probabilities of every step. The model here is small, and"
    " its parameters were found by a search, so as to give them. It gets two things: the source,"
    f" {' '.join(source[0])}, and a target that is nothing but <bos>. The target's vocabulary has"
    f" {len(vocabulary)} words.",
)
generation, trace = record_generation(
    example.config, example.parameters, Batch(example.batch.ids, [[bos]]), max_new_tokens=20, eos=eos,
    use_cache=False, source_tokens=source, vocabulary=vocabulary.tokens,
)  # fmt: skip
steps = generation.steps

# %%
lesson.head(zh="编码器只算一次", en="The encoder runs once")
lesson.say(
    zh="原句不变，H_enc 也就不变。编码器算一次，结果留着，解码器每一步都来查它。",
    en="The source stays, and so does H_enc. The encoder runs once; what it gives is kept, and the"
    " decoder consults it at every step.",
)
lesson.show(trace, "encoder.output")
phases = [step.phase for step in steps]
encoders = [name for name in trace if name.endswith("encoder.output")]
decoders = [name for name in trace if name.endswith("decoder.output")]
lesson.check(
    encoders == ["encoder.output"] and len(decoders) == len(steps),
    zh=f"整个过程中编码器的结果出现 {len(encoders)} 次，解码器的出现 {len(decoders)} 次。",
    en=f"In the whole run there is {len(encoders)} output of the encoder, and {len(decoders)} of the"
    " decoder.",
)

# %%
lesson.head(zh="第一步：从 <bos> 到第一个词", en="The first step: from <bos> to a word")
first = f"{phases[0]}.decoder.0"
lesson.say(
    zh=f"第一步叫 {phases[0]}，后面各步叫 decode。现在只有一个词元，它的自注意力只能看自己，份额必然是一；但它照样去查原句：",
    en=f"The first step is called {phases[0]}, the others decode. There is one token now; in self-attention it can only look"
    " at itself, so its share is one. But it does consult the source:",
)
lesson.show(trace, f"{first}.self_attention.weights", f"{first}.cross_attention.weights")
lesson.check(
    trace[f"{first}.self_attention.weights"].item() == 1.0
    and trace[f"{first}.cross_attention.weights"].shape[-2:] == (1, len(source[0])),
    zh=f"自注意力是一个数：一。交叉注意力是一行 {len(source[0])} 列。",
    en=f"Self-attention is a single number, one; cross-attention a row of {len(source[0])}.",
)
scores = steps[0].logits[0]
lesson.grid(scores[None], ["logits"], list(vocabulary.tokens))
word = vocabulary.token(int(np.argmax(scores)))
lesson.check(
    int(np.argmax(scores)) == generation.new[0][0],
    zh=f"分数最高的是 {word}，取它作第一个词。这种选法叫贪心。",
    en=f"The highest score is that of {word}: the first word. To choose like this is called greedy.",
)

# %%
lesson.head(zh="循环", en="The loop")
lesson.say(
    zh="把新词接到译文后面，再走一遍解码器，只看最后一行的分数；如此反复，直到写出 <eos>，或者到了"
    "上限。",
    en="The new word is added to the target, the decoder runs again, and only the scores of the last"
    " row matter; and so on until <eos> is written, or a limit is reached.",
)
rows = []
for number, step in enumerate(steps, 1):
    chances = np.sort(np.exp(step.logits[0] - np.logaddexp.reduce(step.logits[0])))
    read = " ".join(vocabulary.decode(step.ids[0].tolist()))
    rows.append([number, read, vocabulary.token(int(step.tokens[0])), f"{chances[-1]:.2f}",
                 f"{chances[-2]:.2f}"])  # fmt: skip
lesson.table(
    [
        lesson.word(zh="步", en="step"),
        lesson.word(zh="解码器读", en="decoder reads"),
        lesson.word(zh="写", en="writes"),
        lesson.word(zh="概率", en="its probability"),
        lesson.word(zh="第二名", en="the next best"),
    ],
    rows,
)
story = row_of("003.story")
stated, computed = [], []
for step, listed in zip(steps, PROBABILITIES, strict=True):
    odds = np.exp(step.logits[0] - np.logaddexp.reduce(step.logits[0]))
    stated += listed.values()
    computed += [odds[vocabulary[token]] for token in listed]
words = [f"{n} {token}" for n, listed in enumerate(PROBABILITIES, 1) for token in listed]
lesson.table(
    ["", lesson.word(zh="文中", en="stated"), lesson.word(zh="算出", en="computed")],
    [(w, f"{a:.2f}", f"{b:.4f}") for w, a, b in zip(words, stated, computed, strict=True)],
)
lesson.check(
    np.abs(np.array(stated) - computed).max() <= 0.005 and story.run().verdict == "attainable",
    zh=f"文中写出的 {len(stated)} 个概率，这个模型都给得出（账本：{story.id}，可达）。",
    en=f"The model gives all {len(stated)} probabilities that the document states ({story.id} in the"
    " ledger: attainable).",
)
text = " ".join(vocabulary.decode(generation.new[0]))
lesson.check(
    text == "Today is nice weather today <eos>" and len(steps) == len(generation.new[0]),
    zh=f"译文：{text}。{len(steps)} 步，每步一个词，最后一个是停止的信号。",
    en=f"The translation: {text}. {len(steps)} steps, a word each; the last is the signal to stop.",
)
lesson.check(
    all(step.ids[0].tolist() == [bos, *generation.new[0][:n]] for n, step in enumerate(steps)),
    zh="每一步读到的正是 <bos> 加上此前自己写出的词：这就是自回归。",
    en="Each step reads <bos> and what the model itself has written: that is autoregression.",
)

# %%
lesson.head(zh="写下的词不再改变", en="What is written stays")
last, before = (f"{phase}.decoder" for phase in (phases[-1], phases[-2]))
lesson.say(
    zh="再看最后一步的自注意力。左上角与前一步完全相同：因果掩码下，新词不影响旧词。所以旧的行其实"
    "不必再算，这正是缓存一课的起点。",
    en="Look at self-attention in the last step. Its upper left part is that of the step before:"
    " under the causal mask a new word does not touch the old ones. So the old rows need not be"
    " computed again, which is where the lesson on the cache sets out.",
)
lesson.show(trace, f"{last}.0.self_attention.weights")
new, old = (trace[f"{x}.0.self_attention.weights"][0, 0] for x in (last, before))
lesson.check(
    np.allclose(new[:-1, :-1], old, atol=1e-12) and (new[:-1, -1] == 0).all(),
    zh=f"{new.shape} 的左上 {old.shape} 与前一步相同。",
    en=f"The upper left {old.shape} of {new.shape} is what it was.",
)

# %%
allowed = 3
lesson.exercise(
    zh=f"如果上限是 {allowed} 个词，会得到什么？模型会把话说得短一些吗？",
    en=f"What comes out if the limit is {allowed} words? Will the model put it more briefly?",
)
short, _ = record_generation(
    example.config, example.parameters, Batch(example.batch.ids, [[bos]]), max_new_tokens=allowed,
    eos=eos, use_cache=False,
)  # fmt: skip
lesson.check(
    short.new[0] == generation.new[0][:allowed],
    zh=f"{' '.join(vocabulary.decode(short.new[0]))}：同一句话的开头。贪心不会预先打算，只是被截断。",
    en=f"{' '.join(vocabulary.decode(short.new[0]))}: the beginning of the same sentence. Greedy choice"
    " plans nothing; it is cut short.",
)
lesson.result(text=text, steps=len(steps), short=short.new[0])
