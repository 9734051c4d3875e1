"""Embeddings and positions: why order is lost without them, and what the base does."""

import dataclasses

import numpy as np

from numtx import forward, load_example
from numtx.examples.weather import POSITIONS
from numtx.lessons import Lesson

lesson = Lesson(
    zh="模型怎样知道哪个字在前、哪个字在后？",
    en="How does a model know which character comes first?",
    before=(
        "第一课：词元、编号、编码器与解码器；矩阵乘法。",
        "The first lesson: tokens, ids, encoder and decoder; matrix products.",
    ),
    document="003, 二 第二幕 场景 1-2",
)

# %%
lesson.head(zh="嵌入：查一张表", en="The embedding: a table is looked up")
example = load_example("weather")
config, parameters, vocabulary = example.config, example.parameters, example.vocabulary
trace = example.trace(gradients=False)
table = parameters["embedding"]
lesson.say(
    zh=f"编号本身没有大小的意义，所以每个编号换成一个向量。表有 {len(table)} 行，每个词元一行，"
    f"每行 {config.width} 个数（这个宽度叫 d_model）。查表就是取出那一行。表里的数由训练学得。",
    en="An id is a name, not a quantity; so each id is replaced by a vector. The table has"
    f" {len(table)} rows, one a token, of {config.width} numbers each (this width is called"
    " d_model). To look up is to take a row. The numbers of the table are learned.",
)
lesson.show(trace, "encoder.embedding")
ids = trace["encoder.tokens"][0]
embedding = trace["encoder.embedding"][0]
lesson.check(
    np.array_equal(embedding, table[ids]) and np.array_equal(embedding[1], embedding[2]),
    zh="每一行都原样取自那张表，因此两个“天”的向量完全相同。",
    en="Every row is a row of the table as it stands, and so both 天 have the same vector.",
)

# %%
lesson.head(zh="没有位置，次序就丢了", en="Without positions order is lost")
lesson.say(
    zh="编码器让每个词元去看所有词元，再把看到的加起来（怎么看，下一课细讲）。和数不管次序。"
    "把位置拿掉，把句子倒过来读一遍：",
    en="The encoder lets every token look at all tokens and adds up what it finds (how, the next"
    " lesson shows). A sum knows no order. We take the positions away and read the sentence"
    " backwards:",
)


def encode(positions, order):
    """The encoder's output for the source in some order, its rows put back into place."""
    own = dataclasses.replace(config, positions=positions)
    batch = dataclasses.replace(example.batch, ids=[ids[order].tolist()])
    output = forward(own, parameters, batch)[0].encoder_output[0]
    return output[np.argsort(order)]


straight = np.arange(len(ids))
backwards = straight[::-1]
lost = encode(None, straight) - encode(None, backwards)
kept = encode("sinusoidal", straight) - encode("sinusoidal", backwards)
names = vocabulary.decode(ids.tolist())
lesson.grid(
    np.abs([lost.max(1), np.abs(kept).max(1)]),
    [lesson.word(zh="无位置", en="without"), lesson.word(zh="有位置", en="with")],
    names,
)
lesson.check(
    np.abs(lost).max() < 1e-12 and np.abs(kept).max() > 0.1,
    zh=f"没有位置时，每个词元得到的向量与次序无关（最大差 {np.abs(lost).max():.0e}）；有位置时，"
    f"差到 {np.abs(kept).max():.2f}。",
    en="Without positions each token gets the same vector in either order (largest difference"
    f" {np.abs(lost).max():.0e}); with positions they differ by up to {np.abs(kept).max():.2f}.",
)

# %%
lesson.head(zh="位置编码：几根转速不同的指针", en="Positions: hands that turn at different speeds")
lesson.say(
    zh="办法是给每个位置一个自己的向量。两列为一对，是一根指针的正弦与余弦；第一对每走一格转一"
    "弧度，后面的对依次转得更慢，就像钟表的秒针、分针、时针。",
    en="The remedy: every position has a vector of its own. Two columns make a pair, the sine and"
    " cosine of a hand. The first hand turns by one radian a place, later ones more slowly, as"
    " the hands of a clock do.",
)
lesson.show(trace, "encoder.positions")
positions = trace["encoder.positions"][0]
lesson.explain(trace, "encoder.positions[3,2]")
lesson.check(
    np.allclose(positions[:, 0::2] ** 2 + positions[:, 1::2] ** 2, 1.0),
    zh="每一对的平方和都是一：确实是圆上的点。",
    en="In each pair the squares add up to one: they are points of a circle.",
)
own = dataclasses.replace(config, sinusoidal_layout="half")
halves = dataclasses.replace(example, config=own).trace(gradients=False)["encoder.positions"][0]
lesson.check(
    np.array_equal(halves, np.concatenate([positions[:, 0::2], positions[:, 1::2]], 1)),
    zh="有的模型先写全部正弦、后写全部余弦（sinusoidal_layout 为 half）：数相同，列不同。读错了次序，"
    "形状都对，每个向量却都错。",
    en="Some models write all sines first, then all cosines (sinusoidal_layout half): the same"
    " numbers in other columns. Read in the wrong order every shape fits, and every vector is wrong.",
)
lesson.show(trace, "encoder.input")
inputs = trace["encoder.input"][0]
lesson.check(
    np.allclose(inputs, embedding + positions) and not np.allclose(inputs[1], inputs[2]),
    zh="模型读到的是两者之和。两个“天”现在不同了。",
    en="What the model reads is the sum, and in it the two 天 differ.",
)
near = positions @ positions.T
lesson.say(
    zh="位置之间还有一种好处：两个位置向量的内积（对应的数相乘，再相加）只取决于相隔几格。所以沿着对角线，"
    "数都一样：",
    en="There is a bonus. The product of two position vectors (number by number, then added up)"
    " depends only on how far apart they are, so that along each diagonal the numbers are equal:",
)
lesson.grid(near, names, names)
lesson.check(
    all(np.ptp(np.diagonal(near, k)) < 1e-12 for k in range(len(ids))),
    zh="“往前三格”在句首和句尾是同一回事。",
    en="'Three places back' means the same at the start and at the end.",
)

# %%
lesson.head(zh="base 管什么", en="What the base does")


def table_of(base):
    """The position table of the same model with another base."""
    own = dataclasses.replace(example, config=dataclasses.replace(config, position_base=base))
    return own.trace(gradients=False)["encoder.positions"][0]


bases = (1.0, config.position_base, 10000.0)
slowest = [2 * np.pi * base ** ((config.width - 2) / config.width) for base in bases]
lesson.say(
    zh="base 决定最慢的那一对有多慢。base 为一时，所有指针同速，几格之后就差不多转回原处；base 很大"
    "时，最慢的一对在短句里几乎不动，但长文也不会转完一圈。最慢的一对转一圈要走：",
    en="The base says how slow the slowest hand is. With a base of one all hands turn alike, and"
    " after a few places they are nearly back. With a large base the slowest hand hardly moves in a short sentence,"
    " yet even a long text does not bring it round. One turn of the slowest hand takes:",
)
lesson.table(
    [
        "base",
        lesson.word(zh="转一圈的格数", en="places per turn"),
        lesson.word(zh="句末：最慢的正弦", en="last place: sine of the slowest"),
    ],
    [
        [f"{b:g}", f"{s:.1f}", f"{table_of(b)[-1, 2]:.3f}"]
        for b, s in zip(bases, slowest, strict=True)
    ],
)
lesson.check(
    np.array_equal(table_of(bases[0])[:, :2], table_of(bases[0])[:, 2:])
    and np.ptp(table_of(bases[2])[:, 3]) < 0.01,
    zh=f"base 为 {bases[0]:g} 时两对完全相同；base 为 {bases[2]:g} 时最慢的余弦几乎不变。",
    en=f"With base {bases[0]:g} both pairs are the same; with base {bases[2]:g} the slowest cosine"
    " hardly changes.",
)

# %%
lesson.exercise(
    zh=f"文档印出了一张位置表，两位小数。它的 base 是常用的 {bases[2]:g}，还是 {bases[1]:g}？",
    en=f"The document prints a position table to two decimals. Is its base the usual {bases[2]:g},"
    f" or {bases[1]:g}?",
)
usual, own = (float(np.abs(table_of(base) - np.array(POSITIONS)).max()) for base in bases[:0:-1])
cut = int((np.abs(table_of(bases[1]) - np.array(POSITIONS)) > 0.005).sum())
lesson.check(
    own < 0.01 < 0.1 < usual,
    zh=f"是 {bases[1]:g}：与它最多差 {own:.4f}，其中 {cut} 格是舍去尾数，其余是四舍五入；与 {bases[2]:g} 的表"
    f"差到 {usual:.2f}。",
    en=f"It is {bases[1]:g}: from that table the printed one differs by {own:.4f} at most ({cut} cells"
    f" are cut, the others rounded), from that of {bases[2]:g} by up to {usual:.2f}.",
)
lesson.result(kept=float(np.abs(kept).max()), slowest=slowest, usual=usual, own=own)
