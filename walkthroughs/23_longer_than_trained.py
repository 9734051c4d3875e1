"""Texts longer than those of the training: scaled angles, distances in buckets, growing queries."""

import dataclasses

import numpy as np

from numtx import Batch, Config, initialise, record
from numtx.config.rotary import BandScaling, LinearScaling, YarnScaling
from numtx.lessons import Lesson
from numtx.ops.angles import frequencies
from numtx.ops.relative import buckets

lesson = Lesson(
    zh="训练时只见过短文，怎样读更长的？",
    en="How does a model that was trained on short texts read longer ones?",
    before=(
        "位置编码；旋转位置：查询和键的分量两两成对，按位置转一个角度。",
        "Positions; rotary ones: components of queries and keys turn in pairs, by their position.",
    ),
    document="003, 二 第二幕 场景 2",
)

# %%
lesson.head(zh="没见过的角度", en="Angles never seen")
width, base, trained, factor = 8, 10000.0, 64, 4.0
plain = frequencies(width, base)
pairs = [f"{lesson.word(zh='对', en='pair')} {i}" for i in range(width // 2)]
turns = trained * plain / (2 * np.pi)
lesson.say(
    zh=f"旋转位置里，第一对转得最快，最后一对最慢。训练时最长 {trained} 个词元，各对在这一段里转了几圈：",
    en=f"With rotary positions the first pair turns fastest and the last slowest. Trained on at most"
    f" {trained} tokens, how often each pair turned within them:",
)
lesson.grid(turns[None], [lesson.word(zh="圈数", en="turns")], pairs)
slow = turns < 1
lesson.check(
    turns[0] > 1 and slow.sum() > 1,
    zh=f"有 {slow.sum()} 对连一圈也没转完：再往后的位置，角度是训练时从没见过的。",
    en=f"{slow.sum()} pairs never came round: later positions have angles that training never had.",
)

# %%
lesson.head(zh="把角度缩小", en="Smaller angles")
lesson.say(
    zh=f"要读 {factor:g} 倍长，最简单是把所有角度除以 {factor:g}；但快的对负责分清相邻的词元，除了就分不清。"
    "所以后来的办法只除慢的对，快的不动，中间的按比例混合（按圈数分段，或按对的次序走一段斜坡）：",
    en=f"To read texts {factor:g} times as long, the simplest way divides all angles by {factor:g}. But"
    " fast pairs tell neighbours apart, and would no longer. So later ways divide the slow pairs,"
    " keep the fast ones and mix those between: by bands of turns, or over a ramp of pairs:",
)
ways = {
    lesson.word(zh="全部相除", en="all divided"): LinearScaling(factor=factor),
    lesson.word(zh="分段", en="by bands"): BandScaling(factor=factor, original=trained),
    lesson.word(zh="斜坡", en="over a ramp"): YarnScaling(factor=factor, original=trained),
}
ratios = np.stack([frequencies(width, base, way) / plain for way in ways.values()])
lesson.grid(ratios, list(ways), pairs)
lesson.check(
    np.allclose(ratios[0], 1 / factor)
    and (ratios[1:, 0] == 1).all()
    and np.allclose(ratios[1:, -1], 1 / factor),
    zh="后两种：最快的一对原样不动，最慢的一对除尽。",
    en="In the last two the fastest pair is as it was, and the slowest divided in full.",
)
far = factor * trained * frequencies(width, base, ways[next(reversed(ways))])[-1]
lesson.check(
    np.isclose(far, trained * plain[-1]),
    zh=f"于是第 {factor * trained:.0f} 个位置上，最慢的一对转到的正是训练时第 {trained} 个位置的角度。",
    en=f"So at position {factor * trained:.0f} the slowest pair stands where it stood at position"
    f" {trained} in training.",
)

# %%
lesson.head(zh="距离分桶", en="Distances in buckets")
count, farthest = 8, 16
free = Config(
    model="decoder-only", width=8, decoder_layers=1, heads=2, hidden=7, vocabulary=11,
    positions=None,
)  # fmt: skip
config = dataclasses.replace(
    free, positions="relative", relative_buckets=count, relative_distance=farthest
)
lesson.say(
    zh=f"另一种办法（相对位置偏置）：每个头学一张表，{count} 行，按距离取一行加到分数上。近处一个距离一行，"
    f"远处越远越多个距离合用一行，{farthest} 以外都用最后一行：",
    en=f"Another way, a relative bias: each head learns a table of {count} rows, and one of them, by distance, is"
    " added to a score. Near by each distance has a row; farther off more and more of them share"
    f" one, and all beyond {farthest} have the last:",
)
away = np.arange(3 * farthest // 2)
found = buckets(-away, count, farthest, both=False)
shared = np.bincount(found, minlength=count)
lesson.grid(
    shared[None].astype(float), [lesson.word(zh="距离数", en="distances")],
    [f"{lesson.word(zh='桶', en='bucket')} {i}" for i in range(count)], decimals=0,
)  # fmt: skip
lesson.check(
    (shared[: count // 2] == 1).all() and (np.diff(shared[count // 2 :]) >= 0).all(),
    zh="前一半的桶各管一个距离，后一半越来越宽。",
    en="The first half of the buckets are for one distance each, the others get wider.",
)
own = "decoder.0.self_attention"
ids = np.random.default_rng(0).integers(0, 11, (1, 6))
parameters = initialise(config, 0)
trace = record(config, parameters, Batch(ids))
lesson.explain(trace, f"{own}.bias[1,5,0]")
lesson.check(
    np.array_equal(trace[f"{own}.bias"][0, :, 5, 0], trace[f"{own}.bias"][0, :, 4, 0]),
    zh="最后两个词元看第一个：距离不同，同在一个桶，加的数相同。",
    en="The last two tokens look at the first: other distances, the same bucket, the same number.",
)

# %%
lesson.head(zh="越往后，查询越大", en="Queries that grow")
lesson.say(
    zh="还有一件事：键越多，softmax 分得越薄。有的模型让查询随位置按对数变大，权重就不会越来越平：",
    en="One thing more: the more keys, the thinner softmax spreads. Some models let queries grow with"
    " the logarithm of the position, so that weights do not get ever flatter:",
)
grows = dataclasses.replace(free, query_growth=4, query_growth_rate=1.0)
sharp = {n: a for n, a in parameters.items() if not n.endswith("relative_bias")}
sharp[f"{own}.w_q"] = 3.0 * sharp[f"{own}.w_q"]
long = np.random.default_rng(1).integers(0, 11, (1, 24))
largest = np.stack([
    record(c, sharp, Batch(long))[f"{own}.weights"][0].max(-1).mean(0) for c in (free, grows)
])  # fmt: skip
places = [0, 2, 3, 7, 15, 23]
lesson.grid(
    largest[:, places],
    [lesson.word(zh="不变大", en="not growing"), lesson.word(zh="变大", en="growing")],
    [f"{lesson.word(zh='位置', en='place')} {place}" for place in places],
)
lesson.check(
    np.array_equal(largest[0, :3], largest[1, :3]) and (largest[1, 3:] > largest[0, 3:]).all(),
    zh="开头几个位置一样，往后，变大的查询权重更集中。",
    en="At the first places both are the same; later the weights of growing queries are sharper.",
)

# %%
lesson.exercise(
    zh=f"训练长度 {trained}，把所有角度除以 {factor:g}：位置 {int(factor)} 的查询与位置零的键，所转角度之差"
    "等于原来哪两个位置的？",
    en=f"All angles divided by {factor:g}: with which two places of the unscaled model does a query at"
    f" place {int(factor)} and a key at place zero share their rotation?",
)
same = factor * frequencies(width, base, LinearScaling(factor=factor))
lesson.check(
    np.allclose(same, plain),
    zh="一与零：缩小之后，走这么多步才等于原来的一步，相邻的词元也就更难分。",
    en="With one and zero: so many steps are one step now, and neighbours are harder to tell apart.",
)
lesson.result(turns=turns, ratios=ratios, shared=shared, largest=largest[:, places])
