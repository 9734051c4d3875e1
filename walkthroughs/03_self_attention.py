"""Self-attention by hand: one row of it fully worked."""

import dataclasses

import numpy as np

from numtx import load_example
from numtx.documents.ledger import row_of
from numtx.lessons import Lesson

lesson = Lesson(
    zh="一个词元怎样从别的词元那里取来信息？",
    en="How does a token fetch what it needs from other tokens?",
    before=(
        "前两课：词元成为向量，加上位置，形成一个矩阵，一行一个词元。",
        "Two lessons: tokens become vectors, positions are added; a matrix, one row a token.",
    ),
    document="003, 二 第二幕 场景 3",
)

# %%
lesson.head(zh="三个角色", en="Three roles")
example = load_example("weather")
trace = example.trace(gradients=False)
place = "encoder.0.self_attention"
names = example.tokens["encoder"][0]
row = 4
lesson.say(
    zh="同一个矩阵 X 乘以三个学得的矩阵 W_Q、W_K、W_V，得到三份：查询 Q（我在找什么）、键 K（凭什么找到我）、"
    "值 V（找到我能拿走什么）。在文档的例子里这三个矩阵都是单位阵（对角线为一，别处为零），所以三份都"
    "等于 X；但角色不同。编码器由几层同样的东西叠成（第五课讲），编号从零起，这里看最前的一层。",
    en="One matrix X is multiplied by three learned ones, W_Q, W_K, W_V. The results are queries Q (what a"
    " token looks for), keys K (by what it is found) and values V (what it hands over when found)."
    " In the document's example the three matrices are the identity (ones on the diagonal, zeros"
    " elsewhere), so all three equal X; their roles still differ. An encoder is a pile of like"
    " layers (lesson five), counted from zero; this is the first.",
)
lesson.show(trace, f"{place}.queries")
queries, keys, values = (trace[f"{place}.{x}"][0, 0] for x in ("queries", "keys", "values"))
lesson.check(
    all(np.array_equal(x, trace["encoder.input"][0]) for x in (queries, keys, values)),
    zh=f"Q、K、V 都是 {queries.shape}，都等于 X。",
    en=f"Q, K and V are all {queries.shape}, and equal to X.",
)

# %%
lesson.head(zh="第一步：用内积打分", en="First step: a product as a score")
lesson.say(
    zh=f"跟着一行走：位置 {row} 的“{names[row]}”。它的查询与每个键做内积，方向越接近，数越大。"
    "所有词元一起做，就是矩阵 Q·K^T：行是查询，列是键。",
    en=f"We follow one row: {names[row]} at place {row}. The product of its query with a key is"
    " large where the two point in one direction. For all tokens at once that is the matrix"
    " Q·K^T: a row is a query, a column a key.",
)
lesson.show(trace, f"{place}.products")
lesson.explain(trace, f"{place}.products[{row},1]")
products = trace[f"{place}.products"][0, 0]
lesson.check(
    np.allclose(products[row], queries[row] @ keys.T),
    zh=f"“{names[row]}”那一行：一个 {queries[row].shape} 的查询对 {keys.shape} 的键，"
    f"得到 {products[row].shape[0]} 个分。",
    en=f"The row of {names[row]}: a query of {queries[row].shape} against keys of {keys.shape} gives"
    f" {products[row].shape[0]} scores.",
)

# %%
lesson.head(zh="第二步：除以 sqrt(d_k)", en="Second step: divide by sqrt(d_k)")
width = keys.shape[1]
lesson.say(
    zh=f"向量越长（d_k 个数），内积的起伏越大；除以 sqrt(d_k) 让起伏不随 d_k 变。这里 d_k 是 {width}，"
    f"除数是 {np.sqrt(width):g}。不除会怎样，下一步看。",
    en="The more numbers a vector has (d_k of them), the more such products vary; dividing by"
    f" sqrt(d_k) undoes that. Here d_k is {width} and the divisor {np.sqrt(width):g}. What happens"
    " without it, the next step shows.",
)
scores = trace[f"{place}.scores"][0, 0]
lesson.explain(trace, f"{place}.scores[{row},1]")
lesson.check(
    np.allclose(scores * np.sqrt(width), products),
    zh="每个分数都是内积除以同一个数。",
    en="Every score is its product, divided by the one number.",
)
stated = row_of("003.scores")
lesson.grid(
    np.stack((np.array(stated.judge.stated)[row], scores[row])),
    [lesson.word(zh="文中", en="stated"), lesson.word(zh="算出", en="computed")],
    names,
)
lesson.check(
    stated.run().verdict == "contradicted"
    and row_of("003.scores-rank").run().verdict == "impossible",
    zh=f"文档也印了这张分数表，但它不是由文中的嵌入、位置和单位阵算出来的（上面是同一行）；宽 {width} 的"
    f"任何矩阵都给不出它。（文档里的数逐条核对在一本“账本”里，第二十课讲；这里是 {stated.id}、"
    f"{stated.id}-rank 两条。）",
    en="The document prints this table too, but not as it follows from its embeddings, positions and"
    f" identity matrices (the same row is above), and no matrices of width {width} give it."
    " (What the documents state is gone through entry by entry in a ledger, lesson twenty; these are"
    f" {stated.id} and {stated.id}-rank.)",
)

# %%
lesson.head(zh="第三步：softmax 把分数变成份额", en="Third step: softmax makes shares of scores")
lesson.say(
    zh="每一行取指数，再除以这一行的总和：全是正数，加起来是一。分数最大的得到最大的份额，"
    "但没有谁是零。为避免指数太大，先减去最大的分数，这不改变结果。（算式里的 masked_scores 此处就是分数，下一课讲它。）",
    en="In each row we take exponentials and divide by their sum: all are positive and add up to"
    " one. The largest score gets the largest share, and none gets nothing. Subtracting the largest"
    " score beforehand keeps the exponentials small and changes nothing. (What the arithmetic calls masked_scores are here"
    " simply the scores; the next lesson tells why there is a word for it.)",
)
lesson.explain(trace, f"{place}.weights[{row},{row}]")
lesson.show(trace, f"{place}.weights")
weights = trace[f"{place}.weights"][0, 0]
best = int(weights[row].argmax())
lesson.check(
    np.allclose(weights.sum(1), 1.0) and (weights > 0).all(),
    zh=f"每行和为一。“{names[row]}”把最大的份额 {weights[row, best]:.2f} 给了位置 {best} 的“{names[best]}”。",
    en=f"Every row sums to one. {names[row]} gives its largest share, {weights[row, best]:.2f}, to"
    f" {names[best]} at place {best}.",
)
unscaled = dataclasses.replace(
    example, config=dataclasses.replace(example.config, score_scale=1.0)
).trace(gradients=False)[f"{place}.weights"][0, 0]
labels = [lesson.word(zh="已缩放", en="scaled"), lesson.word(zh="未缩放", en="not scaled")]
lesson.grid(np.stack((weights[row], unscaled[row])), labels, names)
lesson.check(
    unscaled[row].max() > weights[row].max(),
    zh="不缩放的话，最大的份额更大：softmax 变尖。d_k 很大时，其余词元几乎分不到权重。",
    en="Not scaled, the largest share is larger still: softmax grows sharp. Where d_k is large, the"
    " others get hardly any weight.",
)

# %%
lesson.head(zh="第四步：按份额把值加起来", en="Fourth step: add up the values by their shares")
lesson.explain(trace, f"{place}.context[{row},0]")
lesson.show(trace, f"{place}.context")
context = trace[f"{place}.context"][0, 0]
lesson.check(
    np.allclose(context[row], weights[row] @ values),
    zh=f"{weights.shape} 乘 {values.shape}，又回到 {context.shape}：每个词元都换成了全句的一个加权平均。",
    en=f"{weights.shape} times {values.shape} is {context.shape} again: every token has become a"
    " weighted mean of the whole sentence.",
)
low, high = values.min(0), values.max(0)
lesson.check(
    ((context >= low) & (context <= high)).all(),
    zh="既然是平均，每个数都落在这一列的最小值与最大值之间。注意力只挑选和混合，不创造。",
    en="A mean lies between the smallest and the largest of its column, and so they all do."
    " Attention selects and mixes; it invents nothing.",
)

# %%
lesson.head(zh="几个头", en="Several heads")
several = load_example("padding")
side = several.trace(gradients=False)
shape = side[f"{place}.weights"].shape
lesson.say(
    zh=f"一个词元可能要同时找几样东西。于是把 Q、K、V 按列分成几段，每段各做一遍注意力，叫一个头，"
    f"最后并排拼回去。另一个例子有 {several.config.heads} 个头，d_model 是 {several.config.width}；它的"
    f"份额形状是 {shape}：批次、头、查询、键。",
    en="A token may look for several things at once. So the columns of Q, K and V are divided; each"
    " part does attention by itself, which is called a head, and the results are put side by side"
    f" again. Another example has {several.config.heads} heads and a d_model of"
    f" {several.config.width}; its shares have the shape {shape}: batch, heads, queries, keys.",
)
words = several.tokens["encoder"][1]
lesson.grid(
    side[f"{place}.weights"][1, :, 0],
    [f"{lesson.word(zh='头', en='head')} {h}" for h in range(shape[1])],
    words,
)
lesson.check(
    shape[1] * side[f"{place}.queries"].shape[-1] == several.config.width
    and not np.allclose(side[f"{place}.weights"][1, 0], side[f"{place}.weights"][1, 1]),
    zh=f"同一个“{words[0]}”，每个头分配得不同；各头的宽度加起来就是 d_model。",
    en=f"One {words[0]}, and each head divides its share in its own way. The heads' widths add up to"
    " d_model.",
)

# %%
lesson.exercise(
    zh=f"假如“{names[row]}”的七个分数全都相等，它会得到什么？",
    en=f"Suppose that the scores of {names[row]} were all equal. What would it get?",
)
pinned = scores.copy()
pinned[row] = 0.5
equal = example.trace(gradients=False, pins={f"{place}.scores": pinned[None, None]})
lesson.grid(
    np.stack((equal[f"{place}.context"][0, 0, row], values.mean(0))),
    [lesson.word(zh="它得到的", en="its context"), lesson.word(zh="V 的平均", en="mean of V")],
    [f"d{i}" for i in range(width)],
)
lesson.check(
    np.allclose(equal[f"{place}.weights"][0, 0, row], 1 / len(names))
    and np.allclose(equal[f"{place}.context"][0, 0, row], values.mean(0)),
    zh=f"每个份额都是 {1 / len(names):.3f}，所以得到所有值的平均。",
    en=f"Each share is {1 / len(names):.3f}, so it gets the plain mean of all values.",
)
lesson.result(row=weights[row], context=context[row], sharp=float(unscaled[row].max()), best=best)
