"""Masks: causal, padding, cross, and the row that sees nothing."""

import dataclasses

import numpy as np

from numtx import Batch, Config, NumtxError, forward, initialise, load_example, record
from numtx.lessons import Lesson
from numtx.masks import inverted, to_additive

lesson = Lesson(
    zh="怎样规定谁可以看谁？",
    en="How is it laid down who may look at whom?",
    before=(
        "第三课：分数、softmax、按份额加值；第一课：<pad>。",
        "The lesson on self-attention: scores, softmax, shares of values; and <pad>.",
    ),
    document="003, 二 第三幕 场景 2; 三 (<pad>)",
)

# %%
lesson.head(zh="因果掩码：不许看后面", en="The causal mask: no look ahead")
example = load_example("weather")
trace = example.trace(gradients=False)
place = "decoder.0.self_attention"
names = example.tokens["decoder"][0]
lesson.say(
    zh="解码器在每个位置要猜下一个词元，而下一个词元就写在右边一格。所以每个位置只许看自己和左边。"
    "掩码是一张真假表：一表示可以看。不许看的分数换成负无穷，它的指数恰好是零。",
    en="At every place the decoder guesses the next token, and the next token stands one place to"
    " the right. So a place may look at itself and to the left. A mask is a table of truth values,"
    " one where looking is allowed. A forbidden score becomes minus infinity, whose exponential is"
    " exactly zero.",
)
lesson.show(trace, f"{place}.mask", f"{place}.masked_scores", f"{place}.weights")
mask, weights = (trace[f"{place}.{x}"][0, 0] for x in ("mask", "weights"))
lesson.check(
    np.array_equal(mask, np.tri(len(names), dtype=bool)) and (weights[~mask] == 0).all(),
    zh="掩码是下三角；被遮住的份额恰好是零（显示为点），不是“很小”。",
    en="The mask is a lower triangle; hidden shares are exactly zero (printed as a dot), not merely"
    " small.",
)
plain, _ = forward(example.config, example.parameters, example.batch)
late = [[*example.batch.decoder_ids[0][:-1], example.vocabulary["是"]]]
other = forward(
    example.config, example.parameters, dataclasses.replace(example.batch, decoder_ids=late)
)[0]
moved = np.abs(other.logits - plain.logits).max(-1)[0]
lesson.grid(moved[None], [lesson.word(zh="变化", en="change")], names, decimals=3)
lesson.check(
    (moved[:-1] == 0).all() and moved[-1] > 0,
    zh="改掉最后一个词元，前面的分数一位也不变：信息只从左往右流。",
    en="Another last token leaves all earlier scores as they are, to the last bit: information"
    " flows from left to right only.",
)
lesson.say(
    zh="还要当心两种相反的写法：有的库把表示反过来（真表示遮住），有的库把掩码写成加在分数上的零与"
    "负无穷。含义一样：",
    en="Beware of other notations. Some libraries turn the table round (true means hidden); some"
    " write it as zeros and minus infinities to be added to the scores. They say the same:",
)
lesson.grid(to_additive(mask)[:3, :3], names[:3], names[:3], decimals=0)
lesson.check(
    np.array_equal(inverted(inverted(mask)), mask) and np.isinf(to_additive(mask)[~mask]).all(),
    zh="反过来两次回到原处；加法形式里，遮住之处正是负无穷。",
    en="Turned round twice it is the same; in the additive form, hidden is minus infinity.",
)

# %%
lesson.head(zh="填充掩码：不看 <pad>", en="The padding mask: nobody looks at <pad>")
padding = load_example("padding")
batch = padding.trace(gradients=False)
own = "encoder.0.self_attention"
sources = padding.tokens["encoder"]
lesson.say(
    zh="编码器里大家互相都可以看，但谁也不许看 <pad>。于是遮住的是整列，而且每句不同。第一句：",
    en="In the encoder everybody may look at everybody, but nobody at <pad>. So whole columns are"
    " hidden, other ones in each row of the batch. The first sentence:",
)
lesson.grid(batch[f"{own}.mask"][0, 0].astype(float), sources[0], sources[0], decimals=0)
lesson.check(
    all(
        np.array_equal(batch[f"{own}.mask"][i, 0, 0], [t != "<pad>" for t in sources[i]])
        for i in range(len(sources))
    ),
    zh="被遮住的恰好是 <pad> 所在的列。",
    en="The hidden columns are exactly those of <pad>.",
)
lesson.say(
    zh="注意 <pad> 自己那一行仍在算（它也看别人），只是没有人看它，也没有答案要它猜。",
    en="The row of <pad> itself is still computed (it looks at others); but nobody looks at it, and"
    " it has nothing to guess.",
)

# %%
lesson.head(zh="交叉注意力的掩码", en="The mask of cross-attention")
cross = "decoder.0.cross_attention"
lesson.say(
    zh="解码器看编码器（叫交叉注意力，下一课细讲）时，行是解码器的词元，列是原句的词元。原句早已写完，没有“后面”可"
    "言，所以没有因果限制，只遮 <pad>。两种掩码可以同时起作用：解码器自己的掩码既是三角又去掉 <pad>。",
    en="Where the decoder looks at the encoder (cross-attention; the next lesson tells how) rows are the decoder's"
    " tokens and columns those of the source. The source is complete, so there is no later part to"
    " hide: only <pad>. Masks combine: the decoder's own is a triangle without the columns of"
    " <pad>.",
)
targets = padding.tokens["decoder"]
lesson.grid(batch[f"{cross}.mask"][0, 0].astype(float), targets[0], sources[0], decimals=0)
lesson.grid(batch[f"{place}.mask"][0, 0].astype(float), targets[0], targets[0], decimals=0)
real = np.array([t != "<pad>" for t in targets[0]])
triangle = np.tri(len(real), dtype=bool)
lesson.check(
    np.array_equal(batch[f"{cross}.mask"][0, 0], batch[f"{own}.mask"][0, 0])
    and np.array_equal(batch[f"{place}.mask"][0, 0], triangle & real),
    zh="交叉的掩码只看原句的 <pad>；解码器自己的掩码是两者的“且”。",
    en="That of cross-attention knows the source's <pad> alone; the decoder's own is both at once.",
)

# %%
lesson.head(zh="什么也看不到的一行", en="The row that sees nothing")
left = load_example("padding", side="left")
blind = left.trace(gradients=False)
first = left.tokens["decoder"][0]
lesson.say(
    zh="如果填充放在左边，第一个 <pad> 只许看自己和左边，而那里只有 <pad>：它什么也看不到。"
    "softmax 在这里是零除以零。numtx 的约定：这一行的份额与结果都是零，绝不出现 NaN（不是数）。",
    en="With padding on the left, the first <pad> may look at itself and to the left, and there is"
    " nothing but <pad>: it sees nothing. Softmax would be zero over zero. In numtx such a row has"
    " shares of zero and a result of zero, and nowhere is there a NaN (not a number).",
)
lesson.show(blind, f"{place}.weights", row=0)
nothing = ~blind[f"{place}.mask"][0, 0].any(1)
lesson.check(
    nothing.sum() == first.count("<pad>")
    and (blind[f"{place}.weights"][0, :, nothing] == 0).all()
    and (blind[f"{place}.context"][0, :, nothing] == 0).all()
    and np.isfinite(blind["logits"]).all(),
    zh=f"{nothing.sum()} 行什么也看不到：份额为零，结果为零，直到 logits 没有一个 NaN。",
    en=f"{nothing.sum()} rows see nothing: shares of zero, results of zero, and not one NaN all the"
    " way to the logits.",
)
right_logits = batch["logits"][0, : real.sum()]
left_logits = blind["logits"][0, -real.sum() :]
lesson.check(
    np.allclose(right_logits, left_logits, atol=1e-12),
    zh="真实词元的分数，左填充与右填充完全一致。",
    en="Real tokens get the same scores with padding on either side.",
)
try:
    forward(padding.config, padding.parameters, Batch([[0]], [[1]], mask=np.array([[False]])))
    refused = ""
except NumtxError as error:
    refused = str(error)
lesson.check(
    refused,
    zh=f"整句都是填充则是错误：{refused}",
    en=f"A sentence of padding alone is an error: {refused}",
)

# %%
lesson.head(zh="一行几篇文章，与分块", en="Several documents in a row, and chunks")
lesson.say(
    zh="训练时常把几篇短文接成一行，省去填充：每篇只看自己，位置从头数起，接缝处不猜下一篇的字。有的模型把"
    "长文也这样切成等长的块，块与块互不相看；同一张掩码：",
    en="In training short documents are often put into one row, to save padding: each sees itself"
    " alone, its positions begin anew, and none is asked for the first token of the next. Some models"
    " cut long texts in the same way, into chunks that do not see each other. The same mask:",
)
short = Config(model="decoder-only", width=6, decoder_layers=1, hidden=7, vocabulary=11)
parameters, row, half = initialise(short, 0), [3, 1, 4, 1, 5, 9], 3
packed = record(short, parameters, Batch([row], documents=[[0] * half + [1] * half]))
cut = record(dataclasses.replace(short, chunk=half), parameters, Batch([row]))
words = [str(i) for i in row]
lesson.grid(packed[f"{place}.mask"][0, 0].astype(float), words, words, decimals=0)
alone, _ = forward(short, parameters, Batch([row[half:]]))
lesson.check(
    np.array_equal(packed[f"{place}.mask"], cut[f"{place}.mask"])
    and np.allclose(packed["logits"][0, half:], alone.logits[0]),
    zh="第二篇的分数与它独占一行时一样。",
    en="The second document has the scores that it has in a row of its own.",
)

# %%
lesson.exercise(
    zh=f"句长 {len(names)}，因果掩码放行多少格？句长加倍呢？",
    en=f"A sentence of {len(names)} tokens: how many cells does the causal mask allow? And one of"
    " twice the length?",
)
length = len(names)
allowed = [n * (n + 1) // 2 for n in (length, 2 * length)]
lesson.check(
    allowed == [int(mask.sum()), int(np.tri(2 * length).sum())],
    zh=f"{allowed[0]} 与 {allowed[1]}：句长加倍，格数接近四倍。",
    en=f"{allowed[0]} and {allowed[1]}: twice the length, nearly four times the cells.",
)
lesson.result(allowed=allowed, blind=int(nothing.sum()), moved=float(moved[-1]))
