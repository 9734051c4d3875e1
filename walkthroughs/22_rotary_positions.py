"""Positions as turns of queries and keys, and why MLA keeps a turned key beside its latent."""

from dataclasses import replace

import numpy as np

from numtx import Batch, Config, initialise, record, record_generation
from numtx.attention import token_streams
from numtx.lessons import Lesson

lesson = Lesson(
    zh="位置能不能不加到向量上，而是在打分时转一个角度？MLA 又为什么要多存一个键？",
    en="Can positions be turns of queries and keys, and why does MLA keep one more key for that?",
    before=(
        "位置编码（第二课）、自注意力的分数、MHA 与 MLA（第十四课）。",
        "Positions (lesson two), scores in self-attention, MHA and MLA (lesson fourteen).",
    ),
    document="003, KV Cache",
)

# %%
lesson.head(zh="转一个角度", en="A turn")
config = Config(
    model="decoder-only", width=8, decoder_layers=1, heads=2, hidden=8, vocabulary=11,
    positions="rotary", rotary_layout="interleaved",
)  # fmt: skip
parameters = initialise(config, 0)
ids = [3, 3, 3, 5, 3]
place = "decoder.0.self_attention"
trace = record(config, parameters, Batch([ids]))
lesson.say(
    zh="第二课把位置向量加到词元上。旋转位置（rotary）什么也不加：查询和键两列一对，各是平面上的一根指针，"
    "站在第几格就转几步；每一对有自己的转速，与第二课的指针一样。句子里故意放几个相同的词元：",
    en="Lesson two added a vector for each position. Rotary positions add nothing: two columns of a"
    " query or key are a hand in the plane, and it is turned as many steps as its place; each pair"
    " has a speed of its own, like the hands of lesson two. Some tokens are alike on purpose:",
)
lesson.show(trace, f"{place}.keys", f"{place}.rotated_keys")
keys, turned = (trace[f"{place}.{x}"][0] for x in ("keys", "rotated_keys"))
same = [i for i, token in enumerate(ids) if token == ids[0]]
lesson.check(
    np.ptp(keys[:, same], axis=1).max() < 1e-12 and np.ptp(turned[:, same], axis=1).max() > 0.1,
    zh="转之前，相同的词元有相同的键；转之后各不相同。",
    en="Before the turn like tokens have like keys; after it they differ.",
)
lesson.explain(trace, f"{place}.rotated_keys[0,1,0]")
pairs = np.hypot(keys[..., 0::2], keys[..., 1::2])
lesson.check(
    np.allclose(pairs, np.hypot(turned[..., 0::2], turned[..., 1::2])),
    zh="转动不改变指针的长短。",
    en="A turn leaves every hand as long as it was.",
)

# %%
lesson.head(zh="只剩距离", en="What is left is the distance")
lesson.say(
    zh="查询转了一个角，键转了另一个角，内积只看两者相差的角，也就是相隔几格。相同词元之间的分数，沿对角线"
    "都一样：",
    en="The query is turned by one angle, the key by another; their product sees the difference"
    " alone, and that is how far apart they stand. Between like tokens the scores are equal along"
    " each diagonal:",
)
scores = trace[f"{place}.scores"][0, 0]
head = scores[np.ix_(same[:3], same[:3])]
words = [str(token) for token in ids]
lesson.grid(head, words[:3], words[:3])
lesson.check(
    all(np.ptp(np.diagonal(head, k)) < 1e-12 for k in range(-2, 3)) and np.ptp(head[0]) > 0.01,
    zh="对角线上相等，同一行里不等：分数知道距离，不知道第几格。",
    en="Equal along a diagonal, not along a row: scores know the distance, not the place.",
)

# %%
lesson.head(zh="为什么 MLA 多存一个键", en="Why MLA keeps one more key")
lesson.say(
    zh="第十四课把 W_UK 并进了查询：q 与 c·W_UK 的内积等于 q·W_UK^T 与 c 的内积。若展开的键还要旋转，"
    "中间就夹着一个随距离而变的旋转 R：q·R·W_UK^T。每隔一种距离就要并一次，省不下什么：",
    en="Lesson fourteen put W_UK into the query: q times c·W_UK is q·W_UK^T times c. If the keys made"
    " from c had to be turned, a turn R would stand in between that depends on the distance,"
    " q·R·W_UK^T, and every distance would want a query of its own:",
)
expand = initialise(replace(config, key_value_latent=3, rotary_width=2), 0)[f"{place}.w_uk"]
query = trace[f"{place}.queries"][0, 0, -1]
speeds = config.position_base ** (-np.arange(0, config.d_k, 2) / config.d_k)


def turn(vector, distance):
    """The vector with its pairs of columns turned by so many steps."""
    pairs = (vector[0::2] + 1j * vector[1::2]) * np.exp(1j * distance * speeds)
    return np.stack((pairs.real, pairs.imag), 1).ravel()


turns = np.array([turn(query, d) for d in range(3)])
absorbed = turns @ expand[:, : config.d_k].T
far = lesson.word(zh="相隔", en="apart")
lesson.grid(absorbed, [f"{far} {d}" for d in range(3)], [f"c{i}" for i in range(3)])
lesson.check(
    np.allclose((turns * keys[0, :1:-1]).sum(1), trace[f"{place}.products"][0, 0, -1, :1:-1])
    and np.ptp(absorbed, axis=0).min() > 1e-3,
    zh="同一个查询，每种距离并出来的都不同。",
    en="One query, and for every distance another one comes of it.",
)
mla = replace(config, key_value_latent=3, rotary_width=2)
_, steps = record_generation(mla, initialise(mla, 0), Batch([ids]), max_new_tokens=2)
own = f"decode.0.{place}"
lesson.say(
    zh=f"所以 MLA 分开来做：内容走潜向量，不旋转；位置另走一个宽 {mla.rotated} 的键，各头共用，转好了存进"
    "缓存。两部分接在一起，内积就是两部分之和：",
    en="So MLA does them apart: content goes through the latent and is not turned; positions have a"
    f" key of width {mla.rotated} for themselves, shared by all heads, and it is kept turned. Put"
    " end to end, their product is the sum of both:",
)
lesson.show(steps, f"{own}.all_latent", f"{own}.all_rotated_key", f"{own}.products")
content = steps[f"{own}.absorbed_queries"][0, :, 0] @ steps[f"{own}.all_latent"][0].T
where = steps[f"{own}.rotated_queries"][0, :, 0] @ steps[f"{own}.all_rotated_key"][0].T
lesson.check(
    np.allclose(content + where, steps[f"{own}.products"][0, :, 0]),
    zh="点积 = 内容部分 + 位置部分。",
    en="Product = part of the content + part of the position.",
)

# %%
lesson.exercise(
    zh="第十四课的大模型（三十二层，潜向量宽五百一十二，旋转的键宽六十四），每个词存几个数？其中位置占多少？",
    en="The large model of lesson fourteen has thirty-two layers, latents of five hundred and twelve"
    " and a turned key of sixty-four. How many numbers does a token take, and how many of them are"
    " for positions?",
)
layers = 32
streams = token_streams(replace(mla, key_value_latent=512, rotary_width=64))
sizes = {name: int(np.prod(axes)) for name, axes in streams.items()}
kept, position = layers * sum(sizes.values()), layers * sizes["rotated_key"]
lesson.check(
    kept == layers * (512 + 64) and position * 9 == kept,
    zh=f"{kept} 个，其中 {position} 个（九分之一）是位置。",
    en=f"{kept}, of which {position}, one in nine, are for positions.",
)
lesson.result(head=head[-1], absorbed=absorbed[2], kept=kept)
