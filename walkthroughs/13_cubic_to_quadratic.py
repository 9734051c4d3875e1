"""Cubic to quadratic: what the cache saves, counted from a run and timed."""

from time import perf_counter

import numpy as np

from numtx import Batch, Config, generate, initialise
from numtx.cost_tables import GROUP_NAMES
from numtx.costs import (
    ATTENTION,
    cache_numbers,
    count_generation,
    step_with_cache,
    step_without_cache,
    total_with_cache,
    total_without_cache,
)
from numtx.lessons import Lesson

lesson = Lesson(
    zh="写一段长文，有缓存与没有缓存，乘法各要做多少次？",
    en="How many multiplications does a long text take, with a cache and without?",
    before=(
        "缓存的五个动作；矩阵乘法 [行, 中] × [中, 列] 要做 行 × 中 × 列 次乘加。",
        "The five parts of a step with a cache; a product of matrices [rows, inner] x "
        "[inner, columns] takes rows x inner x columns multiply-adds.",
    ),
    document="001, Part 4; 004, 推理中的 KV 缓存",
)

# %% A run that is counted
width, tokens = 6, 12
config = Config(
    model="decoder-only", width=width, decoder_layers=1, heads=1, hidden=16, vocabulary=11
)
parameters = initialise(config, 0)
prompt = Batch([[1]])
without, within = (
    count_generation(config, parameters, prompt, max_new_tokens=tokens, use_cache=use)
    for use in (False, True)
)
lesson.say(
    zh=f"模型只有一层，宽 d = {width}，从一个词写到 {tokens} 个词。每一步我们从真正出现的形状"
    "数出乘加次数：Q、K、V 三个投影（各乘一个学得的矩阵），Q·K^T，权重·V；斜线前是无缓存，斜线后是有缓存。",
    en=f"A model of one layer, d = {width}, which writes from one token to {tokens}. For every "
    "step we count the multiply-adds from the shapes that really occurred: the projections to "
    "Q, K and V (a learned matrix each), Q·K^T, and weights·V; before the slash without a cache, behind it with.",
)
head = {
    "zh": ["第 i 步", *(GROUP_NAMES.get(g, g) for g in ATTENTION), "无缓存", "有缓存"],
    "en": ["step i", *ATTENTION, "without", "with"],
}[lesson.lang]
lesson.table(
    head,
    [
        (i, *(f"{a.total(g)} / {b.total(g)}" for g in ATTENTION), a.total(*ATTENTION),
         b.total(*ATTENTION))
        for i, (a, b) in enumerate(zip(without, within, strict=True), 1)
    ],
)  # fmt: skip
naive, cached = (
    np.array([step.total(*ATTENTION) for step in steps]) for steps in (without, within)
)

# %% Closed formulas
numbers = range(1, tokens + 1)
lesson.head(zh="写成公式", en="As formulas")
formulas = [f.__doc__.split(":")[0] for f in (step_without_cache, step_with_cache)]
lesson.say(
    zh="无缓存时，第 i 步要算 i 个词的三个投影，再算 i 乘 i 的两个乘积；"
    "有缓存时，只有一个词的投影，和一行 i 列的两个乘积。"
    f"即无缓存 {formulas[0]}，有缓存 {formulas[1]}。",
    en="Without a cache, step i projects i tokens three times and makes two products of size "
    "i by i. With it, one token is projected and the two products are one row of i columns. "
    f"That is {formulas[0]} without it, and {formulas[1]} with it.",
)
lesson.check(
    naive.tolist() == [step_without_cache(i, width) for i in numbers]
    and cached.tolist() == [step_with_cache(i, width) for i in numbers],
    zh="数出来的每一步都与公式相同。",
    en="every step counts what its formula says.",
)

# %% Which power?
sums = [np.cumsum(naive), np.cumsum(cached)]
thirds, seconds = np.diff(sums[0], n=3), np.diff(sums[1], n=2)
lesson.head(zh="是几次方？", en="Which power is it?")
lesson.say(
    zh="把各步加起来就是写完全文的总数。怎样看出一列数是几次方增长？逐次求相邻两数之差："
    "三次式的三阶差分是常数，二次式的二阶差分是常数。",
    en="The sum of all steps is the whole text. To see with which power numbers grow, take "
    "differences of neighbours again and again: a cubic becomes constant after three rounds, a "
    "quadratic after two.",
)
lesson.table(
    {"zh": ["总数", "无缓存", "三阶差分", "有缓存", "二阶差分"],
     "en": ["total", "without", "3rd difference", "with", "2nd difference"]}[lesson.lang],
    [
        (i, sums[0][i - 1], thirds[i - 4] if i > 3 else "", sums[1][i - 1],
         seconds[i - 3] if i > 2 else "")
        for i in numbers
    ],
)  # fmt: skip
lesson.check(
    set(thirds.tolist()) == {4 * width} and set(seconds.tolist()) == {2 * width},
    zh=f"三阶差分恒为 {thirds[0]}：无缓存是三次方。二阶差分恒为 {seconds[0]}：有缓存是平方。",
    en=f"the third difference is always {thirds[0]}: cubic without a cache. The second is "
    f"always {seconds[0]}: quadratic with it.",
)
lesson.check(
    (sums[0][-1], sums[1][-1])
    == (total_without_cache(tokens, width), total_with_cache(tokens, width)),
    zh=f"总数 {sums[0][-1]} 与 {sums[1][-1]}，也与求和公式相同。",
    en=f"the totals {sums[0][-1]} and {sums[1][-1]} are those of the closed sums.",
)

# %% When the power shows
large = 4096
doublings = [2**n for n in range(6, 19, 3)]
growth = [
    [total(2 * t, large) / total(t, large) for total in (total_without_cache, total_with_cache)]
    for t in doublings
]
lesson.head(zh="什么时候看得出来", en="When the power shows")
lesson.say(
    zh=f"最高的次方要到长文才显出来。取常见大模型的宽度 d = {large}，看词数加倍时总数变成几倍。",
    en=f"The highest power shows in long texts only. At d = {large}, as in large models, this is "
    "how the total grows when the number of tokens doubles.",
)
lesson.table(
    {"zh": ["词数", "无缓存：倍数", "有缓存：倍数"], "en": ["tokens", "without: times", "with"]}[
        lesson.lang
    ],
    [(t, f"{a:.2f}", f"{b:.2f}") for t, (a, b) in zip(doublings, growth, strict=True)],
)
lesson.check(
    growth[0][0] < 4.1 and growth[0][1] < 2.1 and growth[-1][0] > 7.5 and growth[-1][1] > 3.5,
    zh=f"短文里投影占大头：加倍是 {growth[0][0]:.1f} 倍与 {growth[0][1]:.1f} 倍；"
    f"到了很长，才接近 {growth[-1][0]:.1f} 倍与 {growth[-1][1]:.1f} 倍。",
    en=f"in short texts the projections weigh most: {growth[0][0]:.1f} and {growth[0][1]:.1f} "
    f"times; only in very long ones it is {growth[-1][0]:.1f} and {growth[-1][1]:.1f}.",
)

# %% Time, and the price
lesson.head(zh="时间与代价", en="Time, and the price")
timed = Config(model="decoder-only", width=32, decoder_layers=2, heads=2, hidden=64, vocabulary=11)
weights = initialise(timed, 0)
rows = []
for count in (32, 64, 128):
    seconds_taken = []
    for use in (False, True):
        start = perf_counter()
        generate(timed, weights, prompt, max_new_tokens=count, use_cache=use)
        seconds_taken.append(perf_counter() - start)
    kept = sum(cache_numbers(timed, count))
    rows.append((count, *(f"{1000 * s:.0f} ms" for s in seconds_taken), kept))
lesson.table(
    {"zh": ["词数", "无缓存", "有缓存", "缓存里的数"],
     "en": ["tokens", "without", "with", "cached numbers"]}[lesson.lang],
    rows,
)  # fmt: skip
lesson.say(
    zh="时间每次不同，只供参考；小模型里，每步的固定开销会盖过节省下来的乘法。"
    "代价在最后一列：缓存随词数线性地变大。",
    en="Times differ from run to run and are for orientation; in a small model the fixed effort "
    "of a step hides much of what is saved. The price stands in the last column: the cache "
    "grows with every token.",
)
lesson.check(
    [step.cached for step in within] == [sum(cache_numbers(config, i)) for i in numbers],
    zh="缓存里的数，每步数出来都等于公式。",
    en="the numbers in the cache, counted after every step, are those of the formula.",
)

# %% Exercise
lesson.exercise(
    zh=f"d = {width}。从第几步起，两个乘积比三个投影还贵？有没有缓存，答案一样吗？",
    en=f"d = {width}. From which step on do the two products cost more than the three "
    "projections? Is the answer the same with a cache and without?",
)
answer = 3 * width // 2 + 1
found = [
    next(i for i, s in enumerate(steps, 1) if s.total(*ATTENTION[1:]) > s.total(ATTENTION[0]))
    for steps in (without, within)
]
lesson.check(
    found == [answer, answer],
    zh=f"从第 {answer} 步起，即 i 超过 {3 * width / 2:.0f}（一倍半的 d）；两种情形一样。",
    en=f"from step {answer} on, when i is past {3 * width / 2:.0f}, one and a half times d; the "
    "same for both.",
)
lesson.result(
    without=int(sums[0][-1]), within=int(sums[1][-1]), cubic=int(thirds[0]),
    quadratic=int(seconds[0]), turn=answer,
)  # fmt: skip
