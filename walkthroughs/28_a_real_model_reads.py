"""A real model reads: the same stages in any saved model that stands in a folder."""

from tempfile import TemporaryDirectory

import numpy as np

from numtx import Batch, Config, NumtxError, generate, initialise, read_model, record, write_model
from numtx.costs import cache_numbers
from numtx.lessons import Lesson
from numtx.parameters import count_parameters

lesson = Lesson(
    zh="一个真的、训练好的模型读一句话时，里面发生什么？",
    en="What happens inside a real, trained model when it reads a sentence?",
    before=(
        "上一课：config.json 与张量；自注意力、缓存、贪心。",
        "The lesson before: config.json and tensors; self-attention, the cache, greedy choice.",
    ),
    document="000, 3.4",
)

# %%
lesson.head(zh="哪个模型", en="Which model")
folder, home = lesson.model, None
if folder is None:
    home = TemporaryDirectory()
    folder = home.name
    small = Config(
        model="decoder-only", width=12, decoder_layers=2, heads=3, hidden=10, vocabulary=13,
        norm="rms", norm_place="pre", biases=(), positions="rotary", key_width=4,
        activation="silu", gated=True,
    )  # fmt: skip
    write_model(folder, small, initialise(small, 0), "llama")
    lesson.say(
        zh="没有给出文件夹，所以这里用一个随机的小模型。手边有存好的模型（config.json 与 model.safetensors，"
        "transformers 的 save_pretrained 写的，或者下载来的）时，运行 numtx learn real_model --model 文件夹，"
        "同一课就读它。几亿个参数的模型在普通电脑上几秒就读完；认识的种类见 README。",
        en="No folder was given, so a small random model stands here. Where you have a saved one"
        " (config.json with model.safetensors, as save_pretrained of transformers writes it, or"
        " downloaded), run numtx learn real_model --model DIR, and this lesson reads it. Some hundred"
        " million parameters take seconds on an ordinary computer; README lists the families.",
    )
config, parameters, words = read_model(folder)
if config.model != "decoder-only":
    raise NumtxError(f"{folder}: {config.model}; this lesson reads decoder-only models")
numbers = count_parameters(config)
lesson.table(
    {"zh": ["", "这个模型"], "en": ["", "this model"]}[lesson.lang],
    [
        (lesson.word(zh="层", en="layers"), config.decoder_layers),
        (lesson.word(zh="宽度", en="width"), config.width),
        (lesson.word(zh="头", en="heads"), config.heads),
        (lesson.word(zh="键值头", en="key/value heads"), config.kv_heads),
        (lesson.word(zh="词表", en="vocabulary"), config.vocabulary),
        (lesson.word(zh="参数", en="parameters"), numbers),
    ],
)
lesson.check(
    numbers == sum(array.size for array in parameters.values()),
    zh="参数的个数由配置算出，与文件里的数一样多。",
    en="The parameters are counted from the configuration, and the files have as many numbers.",
)

# %%
lesson.head(zh="读一句", en="It reads")
ids = [n % config.vocabulary for n in (5, 3, 7, 3, 9)]


def name(token):
    """A token as the tokenizer of the folder writes it, or its id."""
    return str(token) if words is None else words.token(int(token))


trace = record(config, parameters, Batch([ids]), gradients=False)
lesson.say(
    zh=f"给它 {len(ids)} 个词元：{' '.join(map(name, ids))}。阶段的名字与前面各课完全一样，只是矩阵大些。每个头的最后一行"
    "最看重谁：",
    en=f"It is given {len(ids)} tokens: {' '.join(map(name, ids))}. Stages have the names of all lessons;"
    " the matrices are larger. What the last row of each head looks at most:",
)
shown = range(min(config.heads, 4))
rows = []
for layer in sorted({0, config.decoder_layers - 1}):
    weights = trace[f"decoder.{layer}.self_attention.weights"][0]
    best = [int(weights[h, -1].argmax()) for h in shown]
    rows.append(
        (
            layer,
            *(
                f"{i} {name(ids[i])}: {weights[h, -1, i]:.2f}"
                for h, i in zip(shown, best, strict=True)
            ),
        )
    )
lesson.table(
    [lesson.word(zh="层", en="layer"), *(f"{lesson.word(zh='头', en='head')} {h}" for h in shown)],
    rows,
)
everywhere = [trace[f"decoder.{i}.self_attention.weights"][0] for i in range(config.decoder_layers)]
future = np.triu(np.ones((len(ids), len(ids)), bool), 1)
lesson.check(
    all(not w[:, future].any() and (w.sum(-1) < 1 + 1e-5).all() for w in everywhere),
    zh="每一层、每个头都守着因果掩码，每行的和不超过一。",
    en="In every layer each head keeps to the causal mask, and no row sums to more than one.",
)
checked = trace.verify()
lesson.check(
    checked.ok,
    zh="慢速核对器把抽取的格一格一格重算，都对：它并不知道这是小例子还是真模型。",
    en="The slow oracle has recomputed a sample of the cells, and all are right: it does not know"
    " whether this is an example or a real model.",
)

# %%
lesson.head(zh="接着写", en="It goes on")
chances = trace["probabilities"][0, -1]
top = np.argsort(-chances)[:3]
lesson.table(
    {"zh": ["下一个词", "概率"], "en": ["next", "probability"]}[lesson.lang],
    [(name(token), f"{chances[token]:.3f}") for token in top],
)
count = 4
written, again = (
    generate(config, parameters, Batch([ids]), max_new_tokens=count, use_cache=use).new[0]
    for use in (True, False)
)
lesson.say(
    zh=f"贪心地写 {count} 个：{' '.join(map(name, written))}",
    en=f"Greedily, {count} more: {' '.join(map(name, written))}",
)
lesson.check(
    written == again and written[0] == top[0],
    zh="带缓存与不带缓存写得一样，第一个就是上表的第一名。",
    en="With a cache and without it writes the same, and the first is that of the table.",
)

# %%
lesson.exercise(
    zh="每多一个词元，缓存多几个数？先用层、键值头和头宽算一算。",
    en="How many numbers does the cache gain with each token? Work it out from layers, key/value heads"
    " and widths first.",
)
gained = sum(cache_numbers(config, len(ids) + 1)) - sum(cache_numbers(config, len(ids)))
by_hand = config.decoder_layers * config.kv_heads * (config.d_k + config.d_v)
plain = config.key_value_latent is None
lesson.check(
    gained == by_hand or not plain or config.widest_window is not None,
    zh=f"{gained} 个。层数乘键值头乘（键宽加值宽）是 {by_hand}；存潜向量的（MLA）、有窗口的比这少。",
    en=f"{gained}. Layers times key/value heads times (width of keys + of values) is {by_hand}; models"
    " that keep a latent (MLA), or have windows, keep less.",
)
if home is not None:
    home.cleanup()
lesson.result(parameters=numbers, written=[int(t) for t in written], gained=gained)
