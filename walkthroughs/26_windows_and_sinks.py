"""Windows, chunks and sinks: what a token sees, how far it reaches, and what a cache may drop."""

import dataclasses

import numpy as np

from numtx import Batch, Cache, Config, generate, initialise, record
from numtx.lessons import Lesson

lesson = Lesson(
    zh="只看最近几个词元的模型，还能知道很久以前的事吗？缓存能扔掉什么？",
    en="A model that sees only recent tokens: what does it know of older ones, and what may go?",
    before=(
        "因果掩码（第四课）、缓存（第十二课）、汇（第二十一课）。",
        "The causal mask (lesson four), the cache (lesson twelve), sinks (lesson twenty-one).",
    ),
    document="003, KV Cache",
)

# %%
lesson.head(zh="窗口", en="A window")
window, layers = 3, 2
config = Config(
    model="decoder-only", width=8, decoder_layers=layers, heads=2, hidden=9, vocabulary=11,
    norm_place="pre", positions="rotary", window=window,
)  # fmt: skip
parameters = initialise(config, 0)
ids = [3, 1, 4, 1, 5, 9, 2, 6, 5]
words = [str(token) for token in ids]
place = "decoder.0.self_attention"
trace = record(config, parameters, Batch([ids]), gradients=False)
lesson.say(
    zh=f"窗口为 {window}：每个词元只看自己和前面 {window - 1} 个。掩码从三角变成一条带子：",
    en=f"With a window of {window} each token sees itself and the {window - 1} before it. The mask is no"
    " longer a triangle but a band:",
)
mask = trace[f"{place}.mask"][0, 0]
lesson.grid(mask.astype(float), words, words, decimals=0)
apart = np.subtract.outer(np.arange(len(ids)), np.arange(len(ids)))
lesson.check(
    np.array_equal(mask, (apart >= 0) & (apart < window)),
    zh="可以看：不在后面，且相隔小于窗口。差一格就多看或少看一个。",
    en="Allowed: not later, and less than a window apart. Off by one, and a token too many or too few"
    " is seen.",
)

# %%
lesson.head(zh="几层叠起来看多远", en="How far layers reach")


def moved(config, first=0):
    """By how much each place's logits move when one token is replaced."""
    own = initialise(config, 0)
    other = [*ids[:first], 7, *ids[first + 1 :]]
    a, b = (record(config, own, Batch([x]), gradients=False)["logits"][0] for x in (ids, other))
    return np.abs(a - b).max(-1)


reach = layers * (window - 1)
lesson.say(
    zh="第二层看到的每个词元，自己已经看过前面几个；所以层数越多，传得越远。换掉第一个词元，看每个位置的 logits"
    " 变多少：",
    en="What the second layer sees has itself looked back: with each layer news travels farther. We"
    " replace the first token and see how the logits of each place move:",
)
alone = dataclasses.replace(config, window=(window, None))
far = np.stack([moved(config), moved(alone)])
names = [
    lesson.word(zh="两层都有窗口", en="windows in both layers"),
    lesson.word(zh="只有第一层有", en="in the first alone"),
]
lesson.grid(far, names, words, decimals=3)
lesson.check(
    (far[0, : reach + 1] > 0).all() and not far[0, reach + 1 :].any() and (far[1] > 0).all(),
    zh=f"变化传到第 {reach} 格为止：层数乘（窗口减一）。混有看全文的层时，处处都变。",
    en=f"It reaches place {reach}, layers times (window - one), and stops there. With a layer that sees"
    " all, everything moves.",
)
chunked = dataclasses.replace(config, window=None, chunk=window)
blocks = record(chunked, parameters, Batch([ids]), gradients=False)[f"{place}.mask"][0, 0]
lesson.say(
    zh=f"另一种做法把序列切成每 {window} 个一块，只在块内看：",
    en=f"Another way cuts the sequence into chunks of {window}, and looks inside a chunk only:",
)
lesson.grid(blocks.astype(float), words, words, decimals=0)
lesson.check(
    not moved(chunked)[window:].any(),
    zh="块与块之间什么也传不过去，叠多少层都一样；所以这样的模型总有几层看全文。",
    en="Nothing passes from chunk to chunk, however many layers there are; so such models have some"
    " layers that see all.",
)

# %%
lesson.head(zh="缓存可以扔掉什么", en="What a cache may drop")
prompt = Batch([ids])
full = Cache(config, parameters, batch=1)
ring = Cache(config, parameters, batch=1, storage="ring")
written = [
    generate(config, parameters, prompt, max_new_tokens=4, cache=cache).new[0]
    for cache in (full, ring)
]
lesson.check(
    written[0] == written[1] and ring.numbers < full.numbers,
    zh=f"窗口之外的键和值再也没人看，可以扔掉：环形缓存只留 {ring.numbers} 个数，完整的有 {full.numbers} 个，"
    f"写出的词相同。",
    en=f"Keys and values outside the window are never looked at again and may go: a ring keeps"
    f" {ring.numbers} numbers, a full cache {full.numbers}, and both write the same tokens.",
)
lesson.say(
    zh="可是没有窗口的模型不能这样扔：它习惯把用不完的注意力放在最前面的词元上，那些词元就像汇；扔掉它们，"
    "每一行都要重新分。学得的汇不占位置，扔不掉。",
    en="A model without windows bears no such loss: what attention it has no use for it likes to leave"
    " with the first tokens, which serve as sinks; when they go, every row is divided anew. A learned"
    " sink has no place in the sequence, and so cannot be dropped.",
)
sunk = dataclasses.replace(config, sinks=True)
own = initialise(sunk, 0) | {f"{place}.sinks": np.array([2.0, -2.0])}
shares = record(sunk, own, Batch([ids]), gradients=False)[f"{place}.weights"][0].sum(-1)
lesson.grid(shares, [f"{lesson.word(zh='头', en='head')} {h}" for h in range(2)], words)
lesson.check(
    shares[0].max() < shares[1].min() and (shares < 1).all(),
    zh="汇与窗口可以同用：每行之和小于一，少的归汇；汇的数大的那个头，留给词元的少得多。",
    en="Sinks and windows go together: rows sum to less than one, and the sink has the rest; most of"
    " all in the head whose sink has the larger number.",
)

# %%
lesson.exercise(
    zh="窗口不变，要让第一个词元的消息传到最后，至少要几层？",
    en="The window unchanged, how many layers does news of the first token need to reach the last?",
)
needed = next(n for n in range(1, 9) if n * (window - 1) >= len(ids) - 1)
ends = [moved(dataclasses.replace(config, decoder_layers=n))[-1] for n in (needed - 1, needed)]
lesson.check(
    ends[0] == 0 < ends[1],
    zh=f"{needed} 层：{needed - 1} 层时最后一格逐位不变，{needed} 层时变了。",
    en=f"{needed}: with {needed - 1} the last place does not move by a bit, with {needed} it does.",
)
lesson.result(reach=reach, needed=needed, written=written[0], numbers=[full.numbers, ring.numbers])
