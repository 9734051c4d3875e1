"""MHA, GQA, MQA, MLA, and the memory curve."""

from dataclasses import replace

import numpy as np

from numtx import Batch, Cache, Config, forward, generate, initialise, record_generation
from numtx.attention import token_streams
from numtx.costs import cache_numbers
from numtx.lessons import Lesson
from numtx.pictures.terminal import MemoryCurve, memory_text

lesson = Lesson(
    zh="缓存随词数变大。怎样让每个词占得少一些？",
    en="The cache grows with every token. How can a token take less of it?",
    before=(
        "多头注意力、键值缓存、缓存的大小 = 层数 × 词数 × 每个词的数。",
        "Attention with several heads, the key/value cache, and its size: layers x tokens x "
        "numbers of a token.",
    ),
    document="000, 3.4.3, Tradeoff; 003, KV Cache",
)

# %% Four kinds of attention
heads, layers, tokens = 6, 2, 5
many = Config(
    model="decoder-only", width=12, decoder_layers=layers, heads=heads, hidden=20, vocabulary=11,
    positions="sinusoidal", biases=("b_in", "b_out", "norm.bias"),
)  # fmt: skip
groups = 2
kinds = {
    "MHA": many,
    "GQA": replace(many, key_value_heads=groups),
    "MQA": replace(many, key_value_heads=1),
    "MLA": replace(many, key_value_latent=3),
}
lesson.say(
    zh=f"同一个小模型，{heads} 个查询头。MHA：每个查询头有自己的键和值。GQA：几个查询头共用一份，"
    f"这里分 {groups} 组。MQA：所有查询头共用一份。MLA：不存键和值，存一个窄的向量（潜向量），用时再展开。",
    en=f"One small model with {heads} query heads. MHA: each has keys and values of its own. GQA: "
    f"several share theirs, here in {groups} groups. MQA: all share one. MLA: neither keys nor "
    "values are kept but one narrow vector (the latent), from which they are made when needed.",
)
prompt = Batch([[1, 2, 3, 4, 5]])
rows, caches, steps = [], {}, {}
for name, config in kinds.items():
    parameters = initialise(config, 0)
    caches[name] = Cache(config, parameters, batch=1)
    run = generate(config, parameters, prompt, max_new_tokens=1, cache=caches[name])
    whole = forward(config, parameters, prompt)[0].logits[0, -1]
    steps[name] = np.abs(run.steps[0].logits[0] - whole).max()
    streams = ", ".join(f"{s} {axes}" for s, axes in token_streams(config).items())
    rows.append((name, streams, cache_numbers(config, 1)[0], caches[name].numbers))
lesson.table(
    {"zh": ["", "每层每词所存（份数, 宽）", "每词的数", f"{tokens} 个词"],
     "en": ["", "kept of a token in a layer (copies, width)", "numbers a token", f"{tokens} tokens"]}[lesson.lang],
    rows,
)  # fmt: skip
lesson.check(
    all(caches[name].numbers == tokens * cache_numbers(kinds[name], 1)[0] for name in kinds),
    zh="跑完提示后真正存下的数，等于每词的数乘以词数。",
    en="the numbers really kept after the prompt are those of a token times the tokens.",
)
per_token = {name: cache_numbers(config, 1)[0] for name, config in kinds.items()}
lesson.check(
    per_token["MHA"] == per_token["GQA"] * heads // groups == per_token["MQA"] * heads,
    zh=f"GQA 省到 {groups}/{heads}，MQA 省到 {kinds['MQA'].kv_heads}/{heads}：正好是键值头数之比。",
    en=f"GQA keeps {groups}/{heads} of it and MQA {kinds['MQA'].kv_heads}/{heads}: the ratio of "
    "key/value heads.",
)

# %% What sharing means
lesson.head(zh="共用是什么意思", en="What sharing means")
shared = initialise(kinds["GQA"], 0)
copied = dict(shared)
for i in range(layers):
    for letter in "kv":
        name = f"decoder.{i}.self_attention.w_{letter}"
        parted = shared[name].reshape(many.width, groups, -1)
        copied[name] = np.repeat(parted, heads // groups, axis=1).reshape(many.width, -1)
_, grouped = record_generation(kinds["GQA"], shared, prompt, max_new_tokens=2)
lesson.show(grouped, "decode.0.decoder.0.self_attention.all_keys")
both = [forward(c, p, prompt)[0].logits for c, p in ((kinds["GQA"], shared), (many, copied))]
lesson.check(
    np.allclose(*both, rtol=0, atol=1e-10),
    zh=f"GQA 就是一个 MHA，其中每 {heads // groups} 个头的键和值相同：把投影矩阵照抄几份，"
    "MHA 给出同样的 logits。反过来不成立：一般的 MHA 写不成 GQA，所以要重新训练。",
    en=f"GQA is an MHA in which every {heads // groups} heads have equal keys and values: with "
    "the projections copied, MHA gives the same logits. Not so the other way round: most MHA "
    "models cannot be written as GQA, and must be trained anew.",
)

# %% The latent
mla = kinds["MLA"]
_, latent = record_generation(mla, initialise(mla, 0), prompt, max_new_tokens=2)
place = "decode.0.decoder.0.self_attention"
lesson.head(zh="压缩成一个向量", en="One narrow vector")
lesson.say(
    zh=f"MLA 把每个词压成宽 {mla.key_value_latent} 的潜向量 c，缓存里只有它。每个头用自己的矩阵 W_UK 从 c "
    "展开键 c·W_UK，用另一个矩阵展开值。",
    en=f"MLA presses each token into a latent c of width {mla.key_value_latent}, and the cache has "
    "nothing else. Each head makes its keys from it with a matrix of its own, c·W_UK, and its "
    "values with another.",
)
lesson.show(latent, f"{place}.all_latent")
lesson.say(
    zh="键不必真的展开：q 与 c·W_UK 的内积，等于 q·W_UK^T 与 c 的内积。解码时把矩阵并进查询里，"
    "直接对潜向量打分。",
    en="The keys need not be made at all: q times c·W_UK is q·W_UK^T times c. In decode the matrix "
    "goes into the query, which then meets the latents themselves.",
)
lesson.show(latent, f"{place}.absorbed_queries")
lesson.check(
    max(steps.values()) < 1e-10,
    zh="四种都一样：带缓存的结果等于整个序列一起算；MLA 并进去算与展开来算也相同。",
    en="for all four, the result with the cache is that of the whole sequence; MLA's, absorbed, "
    "is that of keys and values made from the latent.",
)

# %% The memory curve
size = {"model": "decoder-only", "width": 4096, "decoder_layers": 32, "heads": 32, "hidden": 1,
        "vocabulary": 2, "positions": "rotary", "biases": False}  # fmt: skip
big = Config(**size)
large = {
    "MHA": big,
    "GQA": replace(big, key_value_heads=8),
    "MQA": replace(big, key_value_heads=1),
    "MLA": replace(big, key_value_latent=512, rotary_width=64),
}
lengths = [2**n for n in range(12, 18)]
gib = {
    name: [2 * cache_numbers(config, n)[0] / 2**30 for n in lengths]
    for name, config in large.items()
}
lesson.head(zh="显存曲线", en="The memory curve")
lesson.say(
    zh=f"换成大模型的尺寸：{big.decoder_layers} 层，{big.heads} 个头，每头 {big.d_k} 维，"
    f"每个数两个字节，一个序列，单位 GiB。GQA 分 {large['GQA'].kv_heads} 组，"
    f"MLA 存 {large['MLA'].key_value_latent} + {large['MLA'].rotated} 维（后一份为何，第二十二课讲旋转位置时说）。",
    en=f"At the size of a large model: {big.decoder_layers} layers, {big.heads} heads of "
    f"{big.d_k}, two bytes a number, one sequence, in GiB. GQA has {large['GQA'].kv_heads} "
    f"groups, MLA keeps {large['MLA'].key_value_latent} + {large['MLA'].rotated} numbers (what the "
    "second part is for, lesson twenty-two tells with rotary positions).",
)
lesson.table(
    {"zh": ["词数", *gib], "en": ["tokens", *gib]}[lesson.lang],
    [(n, *(f"{gib[name][i]:.2f}" for name in gib)) for i, n in enumerate(lengths)],
)
curves = [MemoryCurve(name, "", 2 * cache_numbers(c, 1)[0]) for name, c in large.items()]
title = lesson.word(zh="一个序列的缓存", en="the cache of one sequence")
lesson.lines("\n" + memory_text(curves, lengths[-1], title, lesson.width, lang=lesson.lang))
lesson.check(
    all(np.array_equal(v[1:], 2 * np.array(v[:-1])) for v in gib.values()),
    zh="四条都是直线：词数加倍，显存加倍。换一种注意力改变斜率，改不了直线。",
    en="all four are straight lines: twice the tokens, twice the memory. The kind of attention "
    "changes the slope, not the line.",
)

# %% Exercise
room = 24
lesson.exercise(
    zh=f"给缓存留 {room} GiB，四种各能放下多少个词？",
    en=f"With {room} GiB for the cache, how many tokens fit with each kind?",
)
each = {name: cache_numbers(c, 1)[0] for name, c in large.items()}
beside = {name: each["MLA"] / number for name, number in each.items()}
fit = {name: room * 2**30 // (2 * cache_numbers(c, 1)[0]) for name, c in large.items()}
lesson.table(["", *fit], [("", *(f"{n:,}" for n in fit.values()))])
lesson.check(
    all(
        2 * cache_numbers(large[name], n)[0]
        <= room * 2**30
        < 2 * cache_numbers(large[name], n + 1)[0]
        for name, n in fit.items()
    )
    and fit["MHA"] < fit["GQA"] < fit["MLA"] < fit["MQA"],
    zh=f"多一个词就放不下。MLA 每词所存是 MQA 的 {beside['MQA']:g} 倍、MHA 的 {beside['MHA']:.1%}，而每个头"
    "仍有自己的键和值。",
    en=f"one token more does not fit. MLA keeps {beside['MQA']:g} times the numbers of MQA, "
    f"{beside['MHA']:.1%} of MHA's, and yet every head has keys and values of its own.",
)
lesson.result(per_token=list(per_token.values()), fit=list(fit.values()),
              largest=[values[-1] for values in gib.values()])  # fmt: skip
