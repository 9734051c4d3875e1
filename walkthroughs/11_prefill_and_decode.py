"""Prefill and decode: the two phases of writing, and why the second may be so small."""

import numpy as np

import numtx
from numtx import Batch, generate, load_example, record
from numtx.lessons import Lesson
from numtx.training.loop import train
from numtx.training.run import Run

lesson = Lesson(
    zh="提示有许多词，续写一次只有一个词：两者该用同样的算法吗？",
    en="Must the many tokens of a prompt and the single next one be computed alike?",
    before=(
        "自注意力、因果掩码、推理的循环（每步把整个序列再算一遍）。",
        "Self-attention, the causal mask, and the loop of inference that runs the whole "
        "sequence again for every word.",
    ),
    document="001, Part 3; 002, Attention; 002, Inference",
)

# %% A model that knows the alphabet
example = load_example("letters")
config, vocabulary = example.config, example.vocabulary
run = train(Run(config, example.parameters), example.batch, 200)
parameters = run.parameters
prompt = ["a", "b", "c"]
batch = Batch([vocabulary.encode(prompt)])
place = "decoder.0.self_attention"
lesson.say(
    zh=(
        f"先训练一个会背字母表的小模型：{run.step} 步之后，损失从 {run.losses[0]:.2f} "
        f"降到 {run.losses[-1]:.2f}。提示是 {' '.join(prompt)}，要它往下写。"
    ),
    en=(
        f"First a small model learns the alphabet: in {run.step} steps its loss falls from "
        f"{run.losses[0]:.2f} to {run.losses[-1]:.2f}. The prompt is {' '.join(prompt)}; the "
        "model shall go on."
    ),
)


def steps_table(steps):
    """What each step did, and the word that it led to."""
    return [
        (s.phase, s.computed, s.read, s.recomputed, "{} x {}".format(*s.attention),
         vocabulary.token(s.tokens[0]))
        for s in steps
    ]  # fmt: skip


# %% The plain loop
new = 3
plain = generate(config, parameters, batch, max_new_tokens=new, use_cache=False)
lesson.head(zh="朴素的循环", en="The plain loop")
head = {
    "zh": ["阶段", "算了几个词", "读出几个词", "其中重算", "权重", "下一个词"],
    "en": ["phase", "computed", "read", "computed again", "weights", "next"],
}[lesson.lang]
lesson.table(head, [(i, *row[1:]) for i, row in enumerate(steps_table(plain.steps), 1)])
again = sum(s.recomputed for s in plain.steps)
lesson.say(
    zh=f"每写一个词，整个序列都要重算。{new} 步里共有 {again} 个词元是上一步已经算过的。",
    en=f"For every word the whole sequence is run again. In these {new} steps {again} tokens "
    "had been computed by the step before.",
)
written = vocabulary.decode(plain.new[0])
lesson.check(
    written == ["d", "e", "f"],
    zh=f"模型接着写出 {' '.join(written)}。",
    en=f"the model goes on with {' '.join(written)}.",
)

# %% Why nothing comes out otherwise
grown = [*prompt, "d"]
longer = Batch([vocabulary.encode(grown)])
short = record(config, parameters, batch, tokens={"decoder": [prompt]})
long = record(config, parameters, longer, tokens={"decoder": [grown]})
known = len(prompt)
last = f"decoder.{config.decoder_layers - 1}.self_attention"
lesson.head(zh="重算的结果会不会不同", en="Does it come out otherwise?")
lesson.say(
    zh=(
        "因果掩码不许任何词看到后面的词。所以在末尾添一个词，前面每一层的每一个向量都不受影响。"
        "下面是多了一个词之后最后一层的键（b_k 是学得的偏置）。"
    ),
    en=(
        "Under the causal mask no token sees a later one. So a token put at the end leaves "
        "every vector before it, in every layer, as it was. Here are the keys of the last "
        "layer when there is one token more (b_k is a learned bias)."
    ),
)
lesson.show(long, f"{last}.keys")
lesson.check(
    np.allclose(long[f"{last}.keys"][:, :, :known], short[f"{last}.keys"], rtol=0, atol=1e-12),
    zh=f"前 {known} 个词的键，与只有这 {known} 个词时相同。",
    en=f"the keys of the first {known} tokens are what they are without it.",
)
encoder = load_example("masked")
deep = "encoder.1.self_attention.keys"
seen = [
    record(encoder.config, encoder.parameters, Batch([ids]), gradients=False)[deep]
    for ids in ([0, 1, 2], [0, 1, 2, 3])
]
lesson.check(
    not np.allclose(seen[1][:, :, :known], seen[0]),
    zh="没有因果掩码就不成立：在编码器里，多一个词会改变前面所有词更深层的键。",
    en="it needs the mask: in an encoder one token more changes the deeper keys of all tokens "
    "before it.",
)

# %% Prefill
generation, trace = numtx.record_generation(
    config, parameters, batch, max_new_tokens=new, vocabulary=vocabulary.tokens
)
lesson.head(zh="预填充", en="Prefill")
lesson.say(
    zh=(
        "既然旧的键和值不会变，就把它们留下。第一阶段叫预填充：提示一次全部算完，"
        "和训练时的前向计算一样是并行的，并且留下每一层每个词的键和值。"
        "留下来的这些叫键值缓存，下一课会打开来看。"
    ),
    en=(
        "What does not change can be kept. The first phase is called prefill: the whole prompt "
        "runs at once, in parallel as in training, and the keys and values of every token in "
        "every layer are kept. What is kept is called the key/value cache; the next lesson "
        "opens it."
    ),
)
lesson.show(trace, f"prefill.{place}.weights")
outputs, _ = numtx.forward(config, parameters, batch)
lesson.check(
    np.allclose(trace["prefill.logits"][0, 0], outputs.logits[0, -1], rtol=0, atol=1e-10),
    zh="预填充给出的 logits 就是普通前向计算在最后一个词上的 logits：第一个新词由它选出。",
    en="prefill gives the logits that a plain forward pass has at the last token: the first "
    "new word is chosen from them.",
)

# %% Decode
lesson.head(zh="解码", en="Decode")
lesson.say(
    zh="第二阶段叫解码：每步只有一个新词进入模型。它的一个查询要看所有的键，权重只有一行。"
    "（行号从这一步数起，列号从整个序列数起。）",
    en="The second phase is called decode: one new token enters the model at each step. It has "
    "one query, which looks at all keys, so the weights are a single row. "
    "(Rows are numbered within the step, columns over the whole sequence.)",
)
lesson.show(trace, f"decode.0.{place}.weights")
row = trace[f"decode.0.{place}.weights"][0, :, 0]
lesson.check(
    np.allclose(row, long[f"{place}.weights"][0, :, -1], rtol=0, atol=1e-10),
    zh="这一行就是整个序列一起算时权重矩阵的最后一行；其余各行不必再算。",
    en="this row is the last row of the weights when the whole sequence is run; the other rows "
    "need not be computed again.",
)
lesson.table(head, steps_table(generation.steps))
lesson.check(
    generation.new == plain.new and sum(s.recomputed for s in generation.steps) == 0,
    zh="写出的词与朴素的循环相同，没有一个词元被算两次。",
    en="the words are those of the plain loop, and no token was computed twice.",
)

# %% A long prompt may come in pieces
pieces = generate(config, parameters, batch, max_new_tokens=new, chunk=2)
phases = [s.phase for s in pieces.steps if s.phase.startswith("prefill")]
lesson.check(
    np.allclose(pieces.steps[1].logits, generation.steps[0].logits, rtol=0, atol=1e-10),
    zh=f"两个阶段是同一种计算，只是新词多少不同：分块预填充（{'、'.join(phases)}）结果也一样。",
    en="the two phases are one computation with more or fewer new tokens: a prompt that is "
    f"filled in by chunks ({', '.join(phases)}) gives the same logits.",
)

# %% Exercise
tokens, words = 6, 4
lesson.exercise(
    zh=(
        f"提示有 {tokens} 个词，要写 {words} 个新词。每个头的注意力权重总共算多少个格？"
        "有缓存时与没有缓存时各是多少？"
    ),
    en=(
        f"A prompt of {tokens} tokens, {words} new words. How many cells of weights does each "
        "head compute in all, with a cache and without?"
    ),
)
kept = tokens * tokens + sum(tokens + n for n in range(1, words))
naive = sum((tokens + n) ** 2 for n in range(words))
other = Batch([[i % len(vocabulary) for i in range(tokens)]])
counts = [
    sum(
        s.attention[0] * s.attention[1]
        for s in generate(config, parameters, other, max_new_tokens=words, use_cache=use).steps
    )
    for use in (True, False)
]
lesson.check(
    counts == [kept, naive],
    zh=f"有缓存 {kept} 个，没有缓存 {naive} 个；程序数出来的也是这样。",
    en=f"{kept} with it, {naive} without; the run counts the same.",
)
lesson.result(written=" ".join(written), recomputed=again, kept=kept, naive=naive)
