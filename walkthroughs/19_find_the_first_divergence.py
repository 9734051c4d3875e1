"""Finding the first divergence: your own attention held against a trace."""

import math
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from numtx import load_example
from numtx.compare.compare import compare
from numtx.compare.sides import Side, read_side
from numtx.lessons import Lesson

lesson = Lesson(
    zh="我自己写的注意力，结果不对。错在哪一步，错成了什么？",
    en="My own attention gives a wrong result: in which step, and by what mistake?",
    before=(
        "自注意力的每一步：投影、分头、缩放、掩码、softmax、加权、合并、W_O。",
        "Every step of self-attention: projections, heads, scale, mask, softmax, weighted sum, "
        "merging, W_O.",
    ),
    document="000, 3.4.1",
)

# %% The reference
example = load_example("letters")
config, place = example.config, "decoder.0.self_attention"
trace = example.trace()
reference = Side("numtx", trace.arrays, trace)
parameters = {
    name.rpartition(".")[2]: array
    for name, array in example.parameters.items()
    if name.startswith(place) and ".norm." not in name
}
lesson.say(
    zh=f"参照是 {example.name} 的一次运行，每个阶段都记了下来。模型宽 {config.width}，"
    f"{config.heads} 个头，每个头 d_k = {config.d_k}。",
    en=f"The reference is a run of {example.name} with every stage recorded: width "
    f"{config.width}, {config.heads} heads of d_k = {config.d_k}.",
)


# %% Your own attention, as you might have written it
def my_attention(x, divide_by, merge, mask_before=True, dtype="float64"):
    """One layer of causal self-attention; every intermediate result is kept by name."""
    x, p = x.astype(dtype), {name: array.astype(dtype) for name, array in parameters.items()}
    tokens = x.shape[0]

    def split(letter):
        flat = x @ p[f"w_{letter}"] + p[f"b_{letter}"]
        return flat.reshape(tokens, config.heads, config.d_k).transpose(1, 0, 2)

    q, k, v = split("q"), split("k"), split("v")
    scores = q @ k.transpose(0, 2, 1) / x.dtype.type(math.sqrt(divide_by))
    hidden = np.triu(np.ones((tokens, tokens), bool), 1)
    masked = np.where(hidden, x.dtype.type(-1e9), scores) if mask_before else scores
    weights = np.exp(masked - masked.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    if not mask_before:
        weights = weights * ~hidden
    context = weights @ v
    rows = context.transpose(1, 0, 2) if merge == "transposed" else context
    output = rows.reshape(tokens, -1) @ p["w_o"] + p["b_o"]
    return {"queries": q, "keys": k, "values": v, "scores": scores, "masked_scores": masked,
            "weights": weights, "context": context, "output": output}  # fmt: skip


def mine(*kept, **choices):
    """The file of your run: all stages, or only those that you kept."""
    stages = my_attention(trace["decoder.input"][0], **choices)
    return Side("mine", {f"{place}.{n}": a for n, a in stages.items() if not kept or n in kept},
                None)  # fmt: skip


def report(found):
    lesson.table(
        {"zh": ["阶段", "不同的格", "最大差"], "en": ["stage", "cells", "largest"]}[lesson.lang],
        [
            (d.name.rpartition(".")[2], f"{d.differing} / {d.cells}", f"{d.largest:.2g}")
            for d in found.values
        ],
    )
    for cause in found.causes:
        lesson.lines(f"\n-> {cause.in_chinese() if lesson.lang == 'zh' else cause}")


# %% A first comparison
first = compare(reference, mine(divide_by=config.width, merge="flat"))
lesson.head(zh="第一次比较", en="A first comparison")
lesson.say(
    zh="按计算的顺序逐个比较。最后的结果不对时，后面的都不对；要找的是第一个不同的阶段。",
    en="Stages are compared in computing order. Once one is wrong, those that follow are wrong "
    "too; what is wanted is the first.",
)
report(first)
lesson.check(
    first.first.name == f"{place}.scores" and "sqrt(width)" in first.causes[0].cause,
    zh="查询、键、值都对，错从 scores 开始：除以了模型宽度的平方根，该除以 d_k 的平方根。",
    en="queries, keys and values are right; scores are wrong: divided by the root of the width "
    "where it should be the root of d_k.",
)
lesson.say(
    zh="原因不是猜的：把每种已知的错误在这一步上各犯一遍，能重现你的数字的才说出来。",
    en="The cause is no guess: each known mistake is made in this stage, and it is named only if "
    "it gives your numbers.",
)
masked = next(d for d in first.values if d.name.endswith("masked_scores"))
lesson.check(
    "-inf" in masked.note,
    zh=f"写法不同不算错：你用很大的负数遮挡（{masked.note}），也没有“批”这一轴。",
    en=f"another way of writing is no mistake: you mask with a large negative number "
    f"({masked.note}) and have no axis for the batch.",
)

# %% Mended, compared again
second = compare(reference, mine(divide_by=config.d_k, merge="flat"))
lesson.head(zh="改好之后再比", en="Mended, compared again")
report(second)
lesson.check(
    second.first.name == f"{place}.output" and "merged" in second.causes[0].cause,
    zh="现在 context 为止都对，错在合并：各头要先换轴再排在一起。",
    en="now all is right up to context; the mistake is in merging: axes must be swapped before "
    "heads are set side by side.",
)
third = compare(reference, mine(divide_by=config.d_k, merge="transposed"))
lesson.check(
    third.equal,
    zh=f"再改好：{len(third.values)} 个阶段全部相同。",
    en=f"mended again: all {len(third.values)} stages are equal.",
)

# %% With less to go by
late = compare(
    reference, mine("output", divide_by=config.d_k, merge="transposed", mask_before=False)
)
lesson.head(zh="只有最后的结果", en="With the result alone")
lesson.say(
    zh="有时手里只有最后的输出。那就假定前面某个缺失的阶段犯了错，一直算到输出，看能否重现。",
    en="Sometimes there is only the output. Then a mistake is supposed in a missing stage before "
    "it and followed to the output, to see whether the numbers come out.",
)
report(late)
lesson.check(
    any("masked after the softmax" in c.cause for c in late.causes),
    zh="只凭输出也找得到：掩码放在了 softmax 之后，每行的和不再是一。",
    en="the output alone is enough: the mask came after the softmax, so rows do not sum to one.",
)

# %% Precision, and files
right = {"divide_by": config.d_k, "merge": "transposed"}
coarse = mine(**right, dtype="float32")
kind = coarse.arrays[f"{place}.output"].dtype
lesson.head(zh="精度与文件", en="Precision, and files")
lesson.check(
    compare(reference, coarse).equal and not compare(reference, coarse, tolerance=1e-12).equal,
    zh=f"用 {kind} 算的也算相同：容差随较粗的类型放宽；定得过严，舍入就成了差别。",
    en=f"a run in {kind} counts as equal: the tolerance is that of the coarser type; with one "
    "that is too strict, rounding becomes a difference.",
)
with TemporaryDirectory() as folder:
    path = Path(folder) / "mine.npz"
    np.savez(path, my_output=mine(**right).arrays[f"{place}.output"])
    from_file = read_side(path, {"my_output": f"{place}.output"})
lesson.check(
    compare(reference, from_file).equal,
    zh="数组也可以来自文件，名字不同就给一张对照表；命令行上是 numtx compare。",
    en="arrays may come from a file too, with a table for names of your own; on the command line "
    "it is numtx compare.",
)

# %% Exercise
swapped = Side("mine", {f"{place}.keys": trace[f"{place}.values"]}, None)
lesson.exercise(
    zh="把值当成键存了下来：第一个不同的阶段是哪个？会说出什么原因？",
    en="The values were stored as keys: which stage differs first, and which cause is named?",
)
answer = compare(reference, swapped)
report(answer)
lesson.check(
    answer.first.name == f"{place}.keys" and "K and V swapped" in answer.causes[0].cause,
    zh="是 keys；原因是 K 与 V 的投影矩阵换了位置。",
    en="keys; the cause is that the projections of K and V were swapped.",
)
lesson.result(
    first=first.first.name, second=second.first.name, equal=len(third.values),
    causes=[str(c.causes[0]) for c in (first, second, answer)],
)  # fmt: skip
