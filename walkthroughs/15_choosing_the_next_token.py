"""Choosing the next token: greedy, beams, sampling."""

import numpy as np

from numtx import Batch, Filters, beam_search, generate, load_example, sampler
from numtx import sequence_log_probability as log_probability
from numtx.decoding import filtered_greedy
from numtx.decoding.text import FATES
from numtx.lessons import Lesson

lesson = Lesson(
    zh="模型给出的是下一个词的概率。怎样从概率变成词？",
    en="A model gives probabilities of the next token. How do they become a token?",
    before=(
        "logits、softmax、推理的循环；整句的概率是各步概率之积，对数概率是各步之和。",
        "Logits, softmax, the loop of inference. A text's log-probability is the sum of its steps'.",
    ),
    document="003, Beam Search; 003, 推理中的其他挑战与技巧",
)

# %% A model whose probabilities are known
example = load_example("beams")
config, parameters, words = example.config, example.parameters, example.vocabulary
bos, eos = words["<bos>"], words["<eos>"]
prompt, longest = Batch([[bos]]), 8


def text(ids):
    return " ".join(words.decode(ids))


def write(length=longest, model=example, start="<bos>", **options):
    options |= {"max_new_tokens": length, "eos": model.vocabulary["<eos>"]}
    begun = Batch([[model.vocabulary[start]]])
    return generate(model.config, model.parameters, begun, **options).new[0]


def search(beams, **options):
    limits = {"max_new_tokens": longest, "eos": eos}
    return beam_search(config, parameters, prompt, num_beams=beams, **limits, **options)


first = generate(config, parameters, prompt, max_new_tokens=1).steps[0].logits
plain = Filters().steps(first, [[bos]])[0].probabilities[0]
top = np.argsort(-plain)[:5]
lesson.say(
    zh="这个小模型是按文档的故事造出来的，概率都已知。第一步是：",
    en="This small model is built after the document's story, with probabilities known to us:",
)
lesson.table(["", *words.decode(top)], [("P", *(f"{plain[i]:.2f}" for i in top))])

# %% Greedy
greedy = write()
by_greedy = log_probability(config, parameters, prompt, [greedy])
lesson.head(zh="贪心", en="Greedy")
lesson.say(
    zh="最简单的办法是每步取概率最大的词。它写出：",
    en="The simplest way takes the most probable token at every step. It writes:",
)
lesson.table(
    ["", *words.decode(greedy)], [("log P", *(f"{x:.2f}" for x in by_greedy.per_token[0]))]
)
better = words.encode(["The", "weather", "is", "nice", "today", "<eos>"])
by_hand = log_probability(config, parameters, prompt, [better])
lesson.check(
    by_hand.total[0] > by_greedy.total[0],
    zh=f"各步都最大，总的却不最大：{text(better)} 的对数概率是 {by_hand.total[0]:.2f}，"
    f"高于贪心的 {by_greedy.total[0]:.2f}。",
    en=f"the best of every step is not the best of all: {text(better)} has log-probability "
    f"{by_hand.total[0]:.2f}, above {by_greedy.total[0]:.2f} of the greedy text.",
)

# %% Beams
beams = 5
found = search(beams)
lesson.head(zh="束搜索", en="Beam search")
lesson.say(
    zh=f"束搜索同时留着 {beams} 个未写完的文本。每步把每一个都接上每一个词，只留总对数概率最高的几个：",
    en=f"Beam search keeps {beams} unfinished texts. At every step each is continued by every "
    "token, and those with the highest sum of log-probabilities live on. The first steps:",
)
lesson.table(
    {"zh": ["", "文本", "log P", "去向"], "en": ["", "text", "log P", "fate"]}[lesson.lang],
    [(step.phase if i == 0 else "", text(c.tokens), f"{c.log_probability:.2f}",
      FATES[c.fate] if lesson.lang == "zh" else c.fate)
     for step in found.steps[:3] for i, c in enumerate(step.candidates[0][: beams + 1])],
)  # fmt: skip
stated = {"The weather": -0.5, "Today is": -0.6, "The sky": -0.7, "It is": -0.8, "Today the": -0.9}
the = np.log(plain[words["The"]])
kept = [c for c in found.steps[1].candidates[0] if c.fate == "running"]
lesson.check(
    [text(c.tokens) for c in kept] == list(stated),
    zh=f"两步之后留下的 {beams} 个与文档相同，次序也相同。",
    en=f"the {beams} that are left after two steps are the document's, in its order.",
)
lesson.check(
    the < min(stated.values()),
    zh=f"文档写的得分却不可能：单是 The 的对数概率就是 {the:.2f}，再乘一个概率只会更低。",
    en=f"its scores are impossible: The alone has log-probability {the:.2f}, and another factor "
    "can only lower it.",
)

# %% How many, and how long
several = [search(n) for n in range(1, beams + 1)]
texts, best = [s.new[0] for s in several], [s.hypotheses[0][0] for s in several]
costs = [sum(step.rows for step in s.steps) for s in several]
lesson.table(
    {"zh": ["", "文本", "log P", "算过的行"], "en": ["", "text", "log P", "rows run"]}[lesson.lang],
    [(n + 1, text(texts[n]), f"{best[n].log_probability:.2f}", costs[n]) for n in range(beams)],
)
lesson.check(
    texts[0] == greedy and texts[1:] == [better] * (beams - 1) and costs[-1] > costs[0],
    zh=f"一个束就是贪心；再多就找到那个更好的文本。束越多算得越多：{costs[0]} 行变成 {costs[-1]} 行。"
    "也不保证最优：被淘汰的开头不再回来。",
    en=f"one beam is greedy; more find the better text, and cost more: {costs[-1]} rows, "
    f"not {costs[0]}. Nor is the best text certain: what was dropped does not come back.",
)
ranked = [search(beams, length_penalty=penalty).hypotheses[0] for penalty in (0, 1)]
lengths = [[len(h.tokens) for h in row] for row in ranked]
lesson.check(
    [h.tokens for h in ranked[0]] != [h.tokens for h in ranked[1]],
    zh=f"每多一个词，对数概率只会更低，短的占便宜。按总和排，词数是 {lengths[0]}；"
    f"除以长度再排，是 {lengths[1]}。",
    en=f"each further token lowers the sum, which favours short texts. Ranked by the sum, the "
    f"lengths are {lengths[0]}; divided by the length, {lengths[1]}.",
)

# %% Sampling
lesson.head(zh="采样", en="Sampling")
lesson.say(
    zh="也可以按概率抽签。抽之前常先改一改分布：温度使它更尖或更平，top-k 只留前几个，"
    "top-p 只留概率加起来刚够的几个。依次做：",
    en="Or a token is drawn with its probability, often after the distribution was changed: "
    "temperature makes it sharper or flatter, top-k keeps the first few, top-p as many as reach "
    "a given probability. One after another:",
)
filters = Filters(temperature=0.7, top_k=4, top_p=0.8)
steps = filters.steps(first, [[bos]])
lesson.table(
    ["", *words.decode(top)],
    [
        (name, *(f"{x:.2f}" if x else "." for x in s.probabilities[0][top]))
        for name, s in zip(("softmax", *(s.name for s in steps[1:])), steps, strict=True)
    ],
)
left = [int((s.probabilities[0] > 0.001).sum()) for s in steps]
lesson.check(
    all(np.isclose(s.probabilities.sum(), 1.0) for s in steps) and left[-1] < left[0],
    zh=f"每次都重新归一，和仍是一；剩下的词从 {left[0]} 个到 {left[-1]} 个。",
    en=f"the sum is one after each; of {left[0]} tokens {left[-1]} are left.",
)
draws = 300
drawn = [write(1, choose=sampler(Filters(), n))[0] for n in range(draws)]
share = [drawn.count(i) / draws for i in top]
lesson.table(["", *words.decode(top)], [(draws, *(f"{x:.2f}" for x in share))])
again = [write(choose=sampler(Filters(), draws)) for _ in range(2)]
lesson.check(
    np.abs(np.array(share) - plain[top]).max() < 0.06
    and again[0] == again[1]
    and write(choose=sampler(Filters(temperature=0.0))) == greedy,
    zh=f"抽 {draws} 次（每次换一个种子，它定下抽到什么），频率接近概率；同一个种子总写出同样的文本；"
    "温度为零就是贪心。",
    en=f"in {draws} draws, each with a seed that settles what is drawn, the shares come near the probabilities; one seed always "
    "writes the same text; temperature zero is greedy.",
)

# %% Loops
loop = load_example("loops")
written = []
for penalty in (1.0, 1.2):
    choose = filtered_greedy(Filters(repetition_penalty=penalty))
    ids = write(longest - 1, loop, "I", choose=choose)
    written.append(" ".join(loop.vocabulary.decode(ids)))
lesson.check(
    "think I think I" in written[0] and written[1].endswith("<eos>"),
    zh=f"贪心会打转：I {written[0]}。出现过的词降低 logit（重复惩罚），就成了 I {written[1]}。",
    en=f"greedy may go in circles: I {written[0]}. With a lower logit for words seen before (a "
    f"repetition penalty) it is I {written[1]}.",
)

# %% Exercise
p = 0.6
lesson.exercise(
    zh=f"第一步用 top-p = {p}，留下哪几个词？它们的新概率是多少？",
    en=f"With top-p = {p} in the first step, which tokens are left, and what are their new "
    "probabilities?",
)
count = int(np.argmax(np.cumsum(plain[top]) >= p)) + 1
answer = plain[top[:count]] / plain[top[:count]].sum()
names, shares = text(top[:count]), ", ".join(f"{x:.2f}" for x in answer)
after = Filters(top_p=p).steps(first, [[bos]])[-1].probabilities[0]
lesson.check(
    np.allclose(after[top[:count]], answer) and np.count_nonzero(after) == count,
    zh=f"{names}：{shares}；刚好越过界的那个词也留下。",
    en=f"{names}: {shares}; the token that crosses the limit stays too.",
)
lesson.result(
    greedy=text(greedy), beam=text(found.new[0]), total=[by_greedy.total[0], by_hand.total[0]],
    left=left, loops=written, answer=answer,
)  # fmt: skip
