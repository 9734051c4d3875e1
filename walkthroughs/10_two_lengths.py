"""How lengths meet in cross-attention: [2,512] and [3,512] against [4,512]."""

import dataclasses

import numpy as np

from numtx import Batch, load_example
from numtx.lessons import Lesson

lesson = Lesson(
    zh="原句和译文长度不同，矩阵怎么乘得起来？",
    en="Source and target differ in length: how can their matrices be multiplied?",
    before=(
        "交叉注意力（第五课）与逐词生成（上一课）。",
        "Cross-attention (the five acts) and writing word by word (the lesson before).",
    ),
    document="002, Encoder Decoder",
)

# %%
lesson.head(zh="问题", en="The question")
place = "decoder.0.cross_attention"
steps = [load_example("memory", step=n) for n in (1, 2, 3)]
traces = [example.trace(gradients=False) for example in steps]
source = steps[0].tokens["encoder"][0]
width = steps[0].config.width
lesson.say(
    zh=f"编码器读了 {' '.join(source)}，共 {len(source)} 个词元，d_model 是 {width}。解码器逐步写，输入"
    "一次比一次长。加法要求形状相同，矩阵乘法却只要求中间的一维相同；注意力用的是乘法。",
    en=f"The encoder has read {' '.join(source)}, {len(source)} tokens, with a d_model of {width}. The"
    " decoder writes, and its input grows. A sum needs equal shapes, a product only an equal inner"
    " dimension; and attention is made of products.",
)


def shape(trace, leaf):
    """The shape of a stage of the cross-attention, without batch and head."""
    return list(trace[f"{place}.{leaf}"].shape[-2:])


leaves = ("queries", "keys", "products", "values", "context")
lesson.table(
    [lesson.word(zh="解码器读", en="decoder reads"), "Q", "K", "Q·K^T", "V", "A·V"],
    [
        [" ".join(e.tokens["decoder"][0]), *(str(shape(t, leaf)) for leaf in leaves)]
        for e, t in zip(steps, traces, strict=True)
    ],
)
lesson.check(
    all(
        shape(t, "products") == [n, len(source)] and shape(t, "context") == [n, width]
        for n, t in enumerate(traces, 1)
    ),
    zh="分数表是（解码器长度）行、（原句长度）列；乘以 V 之后，又回到解码器的长度。两个长度从不需要相等。",
    en="The scores have a row for each token of the decoder and a column for each of the source;"
    " times V, the decoder's length is back. The two lengths never need to agree.",
)

# %%
lesson.head(zh="一行就是一次查阅", en="A row is one consultation")
last = traces[-1]
lesson.show(last, f"{place}.weights")
weights = last[f"{place}.weights"][0, 0]
lesson.say(
    zh="每行是解码器的一个词元，它把一整份注意力分给原句的各个词元。行与行互不相干。",
    en="Each row is a token of the decoder; it divides one whole share among the tokens of the source."
    " Rows have nothing to do with each other.",
)
lesson.check(
    np.allclose(weights.sum(1), 1),
    zh=f"{len(weights)} 行，每行的和都是一；列的和则没有规定：{np.round(weights.sum(0), 2).tolist()}。",
    en=f"{len(weights)} rows, each with a sum of one; columns may add up to anything:"
    f" {np.round(weights.sum(0), 2).tolist()}.",
)

# %%
lesson.head(zh="书不变，问题变多", en="The book stays, the questions grow")
lesson.say(
    zh="K 和 V 由 H_enc 算出，与解码器写到哪里无关。比较三步：",
    en="K and V are computed from H_enc and do not depend on how far the decoder has come. We compare"
    " the three steps:",
)
lesson.check(
    all(
        np.array_equal(t[f"{place}.{leaf}"], traces[0][f"{place}.{leaf}"])
        for t in traces
        for leaf in ("keys", "values")
    ),
    zh="三步的 K 一位不差，V 也一位不差。",
    en="In all three steps K is the same to the last bit, and so is V.",
)
lesson.check(
    all(
        np.allclose(t[f"{place}.queries"][0, 0], last[f"{place}.queries"][0, 0, :n], atol=1e-10)
        for n, t in enumerate(traces, 1)
    ),
    zh="Q 每步多一行，旧的行不变（因果掩码的功劳）。",
    en="Q gains a row at each step, and the old rows stay (thanks to the causal mask).",
)

# %%
lesson.head(zh="把文档读仔细", en="Reading the document closely")
memory = last["encoder.output"][0]
keys, values = (last[f"{place}.{leaf}"][0, 0] for leaf in ("keys", "values"))
lesson.say(
    zh="文档说编码器的输出“被用作”K 和 V。形状没错，但中间还隔着两个学得的矩阵：K 是 H_enc 乘 W_K，"
    "V 是 H_enc 乘 W_V。",
    en="The document says that the encoder's output is used as K and V. The shapes are right, but two"
    " learned matrices stand between: K is H_enc times W_K, and V is H_enc times W_V.",
)
parameters = steps[-1].parameters
lesson.check(
    np.allclose(keys, memory @ parameters[f"{place}.w_k"])
    and np.allclose(values, memory @ parameters[f"{place}.w_v"])
    and not np.allclose(keys, values)
    and not np.allclose(keys, memory),
    zh="K、V、H_enc 形状相同，内容各不相同。",
    en="K, V and H_enc have one shape and three contents.",
)
third = steps[-1].tokens["decoder"][0]
lesson.say(
    zh=f"文档又说，写第三个词时输入是前两个词，所以 Q 是 {shape(traces[1], 'queries')}。可是输入里还有"
    f"开始记号：{' '.join(third)}，所以那一步的 Q 是 {shape(last, 'queries')}。",
    en="It also says that for the third word the input is the first two, so that Q is"
    f" {shape(traces[1], 'queries')}. But the start sign is read too: {' '.join(third)}; at that step Q"
    f" is {shape(last, 'queries')}.",
)
lesson.check(
    len(third) == len(steps) == shape(last, "queries")[0],
    zh=f"写第 {len(third)} 个词时，解码器读 {len(third)} 个词元。",
    en=f"To write word {len(third)} the decoder reads {len(third)} tokens.",
)

# %%
lesson.exercise(
    zh=f"原句换成五个词元 a b c d a，解码器读 {' '.join(third)}。Q·K^T 与 A·V 的形状？哪些参数的形状要改？",
    en=f"The source becomes five tokens, a b c d a; the decoder reads {' '.join(third)}. Which shapes"
    " have Q·K^T and A·V? Which parameters must change?",
)
example = steps[-1]
longer = dataclasses.replace(
    example, batch=Batch([[*example.batch.ids[0], 0]], example.batch.decoder_ids)
).trace(gradients=False)
lesson.check(
    shape(longer, "products") == [len(third), len(source) + 1]
    and shape(longer, "context") == shape(last, "context"),
    zh=f"{shape(longer, 'products')} 与 {shape(longer, 'context')}。参数一个也不改：它们的形状里没有长度。",
    en=f"{shape(longer, 'products')} and {shape(longer, 'context')}. No parameter changes: their shapes"
    " know nothing of lengths.",
)
lesson.result(
    products=[shape(t, "products") for t in traces],
    context=shape(last, "context"),
    weights=weights[-1],
    longer=shape(longer, "products"),
)
