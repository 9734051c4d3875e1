"""The key/value cache in five steps, and the order that must not be swapped."""

import numpy as np

from numtx import Batch, Cache, NumtxError, Pin, generate, load_example, record, record_generation
from numtx.costs import cache_numbers
from numtx.examples.pictures import step_picture
from numtx.lessons import Lesson
from numtx.pictures.terminal import cached_step_text
from numtx.training.loop import train
from numtx.training.run import Run

lesson = Lesson(
    zh="缓存里存了什么，每一步怎样用它，顺序能不能换？",
    en="What does the cache hold, how does a step use it, and in which order?",
    before=(
        "预填充与解码：每步只有一个新词，它的查询要看所有的键。",
        "Prefill and decode: one new token a step, whose query looks at all keys.",
    ),
    document="000, 3.4.3; 001, Part 3, Decoding; 003, KV Cache; 004",
)

# %% One step of decode
example = load_example("cat")
config, words = example.config, example.vocabulary
parameters = train(Run(config, example.parameters), example.batch, 100).parameters
prompt = ["你", "是", "一"]
batch = Batch([words.encode(prompt)])
generation, trace = record_generation(
    config, parameters, batch, max_new_tokens=2, vocabulary=words.tokens
)
place = "decoder.0.self_attention"
before, now = f"prefill.{place}", f"decode.0.{place}"
new = words.token(generation.new[0][0])
lesson.say(
    zh=f"提示是 {' '.join(prompt)}。训练过的模型接着写了 {new}，现在轮到这个词进入模型。"
    "这一步分五个动作。",
    en=f"The prompt is {' '.join(prompt)}. The trained model wrote {new}; now this token "
    "enters. Its step has five parts.",
)

# %% First: q, k, v of this token
lesson.head(zh="一：只算这个词的 q、k、v", en="One: q, k, v of this token alone")
lesson.show(trace, f"{now}.queries", f"{now}.keys", f"{now}.values")
lesson.check(
    all(trace[f"{now}.{leaf}"].shape[2] == 1 for leaf in ("queries", "keys", "values")),
    zh="三个矩阵都只有一行。",
    en="each of the three has a single row.",
)

# %% Second and third: read, and concatenate
lesson.head(zh="二、三：读出旧的，接上新的", en="Two and three: read the old, append the new")
lesson.show(trace, f"{now}.all_keys")
for leaf in ("keys", "values"):
    joined = np.concatenate((trace[f"{before}.{leaf}"], trace[f"{now}.{leaf}"]), axis=2)
    lesson.check(
        np.array_equal(trace[f"{now}.all_{leaf}"], joined),
        zh=f"{leaf}：旧的 {len(prompt)} 行一个数也没有变，新的一行接在后面。",
        en=f"{leaf}: the old {len(prompt)} rows to the last bit, and the new one behind them.",
    )

# %% Fourth: attend
lesson.head(zh="四：注意力", en="Four: attend")
lesson.show(trace, f"{now}.weights", f"{now}.context")
own = trace[f"{now}.weights"][0, :, 0, -1]
lesson.check(
    (own > 0).all(),
    zh=f"最后一列是它自己：两个头分别给了自己 {own[0]:.2f} 和 {own[1]:.2f} 的权重。",
    en=f"the last column is the token itself: its heads give it {own[0]:.2f} and {own[1]:.2f}.",
)

# %% Fifth: store
cache = Cache(config, parameters, batch=1)
generate(config, parameters, batch, max_new_tokens=1, cache=cache)
length, numbers = cache.length, cache.numbers
generate(config, parameters, Batch([generation.new[0][:1]]), max_new_tokens=1, cache=cache)
lesson.head(zh="五：存起来", en="Five: store")
lesson.say(
    zh=f"缓存原有 {length} 列、{numbers} 个数；这一步之后是 {cache.length} 列、"
    f"{cache.numbers} 个数。查询不必存：它只在这一步用到。",
    en=f"The cache held {length} columns, {numbers} numbers; after this step it holds "
    f"{cache.length} and {cache.numbers}. Queries are not kept: a query serves its own step alone.",
)
lesson.check(
    (cache.length, cache.numbers) == (length + 1, sum(cache_numbers(config, len(prompt) + 1))),
    zh="多了一列；数目等于 层数 × 词数 × (d_k + d_v) × 键值头数（这里与头数相同）。",
    en="one column more; the numbers are layers x tokens x (d_k + d_v) x key/value heads "
    "(here as many as heads).",
)
small = Cache(config, parameters, batch=1, capacity=len(prompt))
generate(config, parameters, batch, max_new_tokens=1, cache=small)
try:
    generate(config, parameters, Batch([[0]]), max_new_tokens=1, cache=small)
    refused = ""
except NumtxError as error:
    refused = str(error)
lesson.check(
    "full" in refused and small.length == len(prompt),
    zh="放不下时这一步被拒绝，缓存和原来一样：要么每一层都存，要么都不存。",
    en="where it does not fit, the step is refused and the cache is as before: all layers "
    "store, or none.",
)

lesson.say(
    zh="五个动作合成一张图，取整句写到最后一个词的那一步：",
    en="The five parts in a picture, at the step that takes in the last word of the sentence:",
)
lesson.lines("\n" + cached_step_text(step_picture(example), lesson.lang, lesson.width))

# %% The other order
lesson.head(zh="换一个顺序", en="The other order")
lesson.say(
    zh="文档各有说法，其中一篇写成：先用查询看缓存，生成词之后，再算新词自己的键和值，追加进去。"
    "照字面做，新词在做注意力时看不到自己。numtx 能把一个阶段的某些格固定下来，把它自己的那一列固定为不可看，就得到这种算法。",
    en="One of the documents lists the parts otherwise: attend to the cache, produce the token, "
    "and only then compute the own key and value and append them. To the letter, the token "
    "does not see itself when it attends. numtx can hold cells of a stage fixed "
    "(a pin); its own column of the mask, held at zero, does just that.",
)
hidden = np.zeros((1, config.heads, 1, len(prompt) + 1), bool)
hidden[..., -1] = True
pins = {
    f"decode.0.decoder.{i}.self_attention.mask": Pin(hidden, np.zeros_like(hidden))
    for i in range(config.decoder_layers)
}
swapped, late = record_generation(
    config, parameters, batch, max_new_tokens=2, vocabulary=words.tokens, pins=pins
)
lesson.show(late, f"{now}.weights")
whole = record(config, parameters, Batch([[*batch.ids[0], *generation.new[0][:1]]]))
right = np.abs(trace["decode.0.logits"][0, 0] - whole["logits"][0, -1]).max()
wrong = np.abs(late["decode.0.logits"][0, 0] - whole["logits"][0, -1]).max()
lesson.say(
    zh=f"与整个序列一起算的结果相比：先接后看，logits 最多差 {right:.0e}；先看后接，差 {wrong:.2f}。",
    en=f"Against the whole sequence run at once: append first, and the logits are off by "
    f"{right:.0e} at most; attend first, by {wrong:.2f}.",
)
lesson.check(
    right < 1e-10 < wrong,
    zh="训练时每个词都看得到自己，所以推理时必须先接上它自己的键和值，再做注意力。"
    "存起来早一点晚一点都行，接上不能晚。",
    en="in training every token sees itself, so at inference its own key and value must be "
    "appended before it attends. Storing may come later, appending may not.",
)
lesson.check(
    (late[f"{now}.all_keys"] == trace[f"{now}.all_keys"]).all(),
    zh="第一层的键本身没有算错，错的只是看的时候少了一列；所以这个错误不会报错，也不容易发现。",
    en="the keys of the first layer are right; only one column was missed when looking. Nothing "
    "complains, and the mistake is easy to overlook.",
)

# %% Cross-attention
story = load_example("translation")
source = Batch(story.batch.ids, [[story.vocabulary["<bos>"]]])
_, told = record_generation(story.config, story.parameters, source, max_new_tokens=3)
cross = "decoder.0.cross_attention"
lesson.head(zh="编码器的那一份", en="The encoder's share")
lesson.check(
    f"prefill.{cross}.keys" in told
    and f"decode.0.{cross}.keys" not in told
    and np.array_equal(told[f"decode.1.{cross}.all_keys"], told[f"prefill.{cross}.keys"]),
    zh="交叉注意力的键和值来自编码器：第一步算好之后，每一步都原样读出，再也不算。",
    en="the keys and values of cross-attention come from the encoder: computed in the first "
    "step, read unchanged in every other, never computed again.",
)

# %% Exercise
empty = Batch([[words["你"]]])
lesson.exercise(
    zh="若按错误的顺序，缓存还是空的，提示只有一个词：它的权重和上下文是什么？",
    en="In the wrong order, with an empty cache and a prompt of one token: what are its "
    "weights and its context?",
)
alone = np.ones((1, config.heads, 1, 1), bool)
_, blind = record_generation(
    config, parameters, empty, max_new_tokens=1,
    pins={f"prefill.{place}.mask": Pin(alone, ~alone)},
)  # fmt: skip
lesson.check(
    not blind[f"prefill.{place}.weights"].any() and not blind[f"prefill.{place}.context"].any(),
    zh="没有一个键可看，权重与上下文全是零：注意力什么也没有带回来。",
    en="there is no key to look at: weights and context are all zero, and attention brings "
    "nothing back.",
)
lesson.result(own=own.tolist(), numbers=cache.numbers, wrong=float(wrong))
