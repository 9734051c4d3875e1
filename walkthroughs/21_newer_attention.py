"""What newer models change in attention: queries and keys of one length, and slopes for positions."""

import dataclasses

import numpy as np

from numtx import Batch, Config, initialise, load_example, record, record_generation
from numtx.lessons import Lesson

lesson = Lesson(
    zh="比文档更新的模型，在注意力里改了什么？为什么？",
    en="What do models newer than the documents change in attention, and why?",
    before=(
        "自注意力、多头、位置编码、键值缓存。",
        "Self-attention, several heads, positions, the key/value cache.",
    ),
    document="003, 二 第二幕 场景 3",
)

# %%
lesson.head(zh="查询和键先归一化", en="Queries and keys normalised first")
example = load_example("weather")
place, row, factor = "encoder.0.self_attention", 4, 100.0
names = example.tokens["encoder"][0]
width = example.config.d_k
lesson.say(
    zh="内积随向量的长度变大：训练中 W_Q、W_K 越长越大，softmax 就越来越尖，梯度也就没有了。有些模型"
    "（QK norm）先把每个头的查询和键各除以自己的均方根（平方取平均，再开方），再乘一个学得的增益：长度固定，只剩方向。",
    en="A product grows with the lengths of its vectors: as W_Q and W_K grow in training, the softmax"
    " gets sharper, until no gradient is left. Some models (QK norm) divide every head's queries and"
    " keys by their root mean square (the root of the mean of squares) first, and multiply by a learned gain: the length is fixed, the"
    " direction is left.",
)
gains = {
    f"{side}.{i}.{sublayer}.{name}.gain": np.ones(width)
    for side in example.config.sides
    for i in range(example.config.layers(side))
    for sublayer in example.config.sublayers(side)[:-1]
    for name in ("query_norm", "key_norm")
}


def run(times, norm):
    """The example with W_Q times a factor, with or without the norm."""
    own = dict(example.parameters) | (gains if norm else {})
    own[f"{place}.w_q"] = times * own[f"{place}.w_q"]
    config = dataclasses.replace(example.config, query_key_norm=norm)
    return dataclasses.replace(example, config=config, parameters=own).trace(gradients=False)


traces = [run(times, norm) for norm in (None, "head") for times in (1.0, factor)]
lesson.show(traces[2], f"{place}.normed_queries")
lesson.explain(traces[2], f"{place}.normed_queries[{row},1]")
queries = traces[2][f"{place}.normed_queries"][0, 0]
lesson.check(
    np.allclose((queries**2).mean(-1), 1.0, atol=1e-4),
    zh="增益全是一时，每个查询的均方都是一：长度都相同。",
    en="With gains of one the mean square of every query is one: all are of one length.",
)
lesson.say(
    zh=f"把 W_Q 放大到 {factor:g} 倍，“{names[row]}”那一行的份额：",
    en=f"W_Q made {factor:g} times as large; the shares of {names[row]}:",
)
plain, grown, normed, kept = (trace[f"{place}.weights"][0, 0, row] for trace in traces)
lesson.grid(
    np.stack((plain, grown, normed, kept)),
    [
        lesson.word(zh="原样", en="as it is"),
        lesson.word(zh="W_Q 放大", en="W_Q enlarged"),
        lesson.word(zh="归一化", en="normalised"),
        lesson.word(zh="归一化，W_Q 放大", en="normalised, W_Q enlarged"),
    ],
    names,
)
lesson.check(
    grown.max() > 0.99 and np.abs(kept - normed).max() < 1e-4,
    zh=f"没有归一化，一个词元独占 {grown.max():.2f}；有归一化，份额不变。",
    en=f"Without the norm one token takes {grown.max():.2f}; with it the shares stay as they are.",
)

# %%
lesson.head(zh="位置：离得远就减分", en="Positions: less for what is far away")
lesson.say(
    zh="另一种改动（ALiBi）不给向量加位置，而在打分时按距离减去一点：相隔几格，就减几个“斜率”。每个头有"
    "自己的斜率，有的只看近处，有的看得远。六个头时，最后一个词元给前面各词元减去多少：",
    en="Another change (ALiBi): no positions are added to the vectors. Something is taken from a score"
    " for the distance instead, one slope for every place between the two. Every head has a slope of"
    " its own: some look near, some far. With six heads, what the last token takes from the scores"
    " of those before it:",
)
heads = 6
sloped = Config(
    model="decoder-only", width=heads, decoder_layers=1, heads=heads, hidden=heads, vocabulary=11,
    positions="alibi",
)  # fmt: skip
parameters = initialise(sloped, 0)
ids = [3, 1, 4, 1, 5]
words = [str(i) for i in ids]
own = "decoder.0.self_attention"
trace = record(sloped, parameters, Batch([ids]))
bias = trace[f"{own}.bias"][0, :, -1]
lesson.grid(bias, [f"{lesson.word(zh='头', en='head')} {h}" for h in range(heads)], words)
slopes = -bias[:, -2]
lesson.check(
    np.allclose(bias, -slopes[:, None] * np.arange(len(ids))[::-1]) and len({*slopes}) == heads,
    zh=f"每一行都是同一个斜率的倍数：{', '.join(f'{s:g}' for s in slopes)}。",
    en=f"Each row holds the multiples of one slope: {', '.join(f'{s:g}' for s in slopes)}.",
)
lesson.explain(trace, f"{own}.biased_scores[1,{len(ids) - 1},0]")
lesson.check(
    slopes[4] ** 2 == slopes[0] and (slopes[:3] * slopes[0] == slopes[1:4]).all(),
    zh=f"前面的头，斜率依次乘以 {slopes[0]:g}；头数不是二的幂时，多出来的头插在中间：平方后就是前面的斜率。",
    en=f"Of the first heads each slope is the one before times {slopes[0]:g}; where the heads are no"
    " power of two, those beyond stand in between: squared they are slopes of the first.",
)

# %%
lesson.head(zh="只看距离", en="The distance alone")
lesson.say(
    zh="它只看距离，不看在第几格。左边补上填充，或者从缓存里接着生成，距离都不变，分数也就不变。",
    en="It knows the distance alone, not the place. Padding on the left, or going on from a cache,"
    " changes no distance, and so no score.",
)
padded = np.array([[0, 0, *ids]])
seen = np.arange(padded.size)[None] >= 2
moved = record(sloped, parameters, Batch(padded, mask=seen))
_, steps = record_generation(sloped, parameters, Batch(padded, mask=seen), max_new_tokens=2)
step = f"decode.0.{own}"
lesson.show(steps, f"{step}.bias")
lesson.check(
    np.allclose(moved[f"{own}.biased_scores"][:, :, 2:, 2:], trace[f"{own}.biased_scores"]),
    zh="左边多了两格填充，分数不变。",
    en="With two places of padding on the left the scores are the same.",
)

# %%
lesson.head(zh="分数封顶，以及什么都不看", en="A cap on scores, and looking at nothing")
lesson.say(
    zh="还有两种办法管住 softmax。封顶：分数 s 换成 c·tanh(s/c)，小的几乎不变，大的不超过 c。汇（sink）：每个"
    "头学一个数 z，像一个没有值的键那样站在分母里，查询可以把注意力交给它，等于什么都不看。",
    en="Two more ways to restrain the softmax. A cap: a score s becomes c * tanh(s / c), which hardly"
    " changes a small one and lets none pass c. A sink: each head learns a number z, which stands in"
    " the denominator like a key without a value; a query may give it its attention, and so look"
    " at nothing.",
)
cap, sink = 0.5, 3.0
held = dataclasses.replace(sloped, score_cap=cap, sinks=True)
sunk = initialise(held, 0) | {f"{own}.sinks": np.linspace(-sink, sink, heads)}
sunk[f"{own}.w_q"] = 5.0 * sunk[f"{own}.w_q"]
trace = record(held, sunk, Batch([ids]))
scores, capped = (trace[f"{own}.{leaf}"][0, :, -1] for leaf in ("scores", "capped_scores"))
lesson.show(trace, f"{own}.capped_scores")
lesson.explain(trace, f"{own}.weights[{heads - 1},{len(ids) - 1},0]")
lesson.check(
    np.abs(scores).max() > cap > np.abs(capped).max() and (scores * capped >= 0).all(),
    zh=f"分数最大到 {np.abs(scores).max():.1f}，封顶之后不超过 {cap:g}，正负不变。",
    en=f"Scores of up to {np.abs(scores).max():.1f} stay within {cap:g}, with their signs.",
)
rows = trace[f"{own}.weights"][0, :, -1].sum(-1)
lesson.check(
    (np.diff(rows) < 0).all() and rows[0] > 0.9 and rows[-1] < 0.5,
    zh=f"每行之和不再是一：z 从 {-sink:g} 到 {sink:g}，各头的和从 {rows[0]:.2f} 降到 {rows[-1]:.2f}，其余归汇。",
    en=f"Rows no longer sum to one: with z from {-sink:g} to {sink:g} the sums of the heads fall from"
    f" {rows[0]:.2f} to {rows[-1]:.2f}, and the sink has the rest.",
)

# %%
lesson.exercise(
    zh="缓存里存着归一化之后的键。增益放大一倍，缓存里的键与分数各变多少？",
    en="A cache keeps the keys after their norm. If the gain of the keys is doubled, how do the kept"
    " keys change, and how the scores?",
)
config = dataclasses.replace(sloped, query_key_norm="head", positions="rotary", key_width=4)
first = initialise(config, 0)
second = {n: 2 * a if n.endswith("key_norm.gain") else a for n, a in first.items()}
both = [record_generation(config, p, Batch([ids]), max_new_tokens=2)[1] for p in (first, second)]
keys, scores = ([t[f"{step}.{leaf}"] for t in both] for leaf in ("all_keys", "scores"))
lesson.check(
    np.allclose(2 * keys[0][:, :, :-1], keys[1][:, :, :-1])
    and np.allclose(2 * scores[0][..., :-1], scores[1][..., :-1]),
    zh="都变成两倍：增益就是这里唯一能让分数变大的数。",
    en="Both double: the gain is all that is left to make scores larger.",
)
lesson.result(grown=float(grown.max()), kept=kept, slopes=slopes)
