"""Reading a comparison: verdicts, the first difference, what was compared, and gradients."""

import numpy as np

from numtx import load_example
from numtx.compare.compare import compare
from numtx.compare.sides import Side, side_of
from numtx.lessons import Lesson

lesson = Lesson(
    zh="numtx compare 的报告说了许多；哪一行先看，哪些话不能当真？",
    en="A report of numtx compare says much: which line comes first, and what does it not say?",
    before=(
        "第十九课：把自己的运行与一份记录比较。反向传播（第六课）。",
        "Lesson nineteen: a run of your own held against a trace. Backpropagation (lesson six).",
    ),
    document="000, 3.4.1",
)

# %%
lesson.head(zh="三种结论", en="Three verdicts")
example = load_example("letters")
trace = example.trace()
reference = side_of(trace, "numtx")
stages = {name: trace[name] for name in trace if trace[name].dtype.kind == "f"}
place = "decoder.0.self_attention"


def theirs(**changed):
    """All stages of a run, some of them replaced."""
    return Side("theirs", stages | changed, None)


def without_residual():
    """The run of a model that lost a residual, from that stage on."""
    other = example.trace(pins={f"{place}.residual": trace[f"{place}.output"]})
    return Side("theirs", {name: other[name] for name in stages}, None)


coarse = {name: array.astype(np.float32) for name, array in stages.items()}
found = {
    "float64": compare(reference, theirs()),
    "float32": compare(reference, Side("theirs", coarse, None)),
    lesson.word(zh="漏了残差", en="no residual"): compare(reference, without_residual()),
}
lesson.table(
    {"zh": ["运行", "结论", "比较了"], "en": ["run", "verdict", "compared"]}[lesson.lang],
    [(name, c.verdict, f"{c.compared} / {c.of}") for name, c in found.items()],
)
same, rounded, wrong = found.values()
lesson.say(
    zh="先看结论。equal 是相同；rounding 是差别不超过这种精度的舍入，不是错误；different 才要往下读。",
    en="The verdict comes first. equal: the same; rounding: no more than the precision of the numbers"
    " explains, which is no mistake; with different you read on.",
)
lesson.check(
    [c.verdict for c in found.values()] == ["equal", "rounding", "different"],
    zh="三次运行，三种结论。",
    en="Three runs, three verdicts.",
)

# %%
lesson.head(zh="第一处，不是最大的一处", en="The first, not the largest")
worst = max(wrong.values, key=lambda d: d.largest)
bad = [d for d in wrong.values if not d.equal]
lesson.table(
    {"zh": ["阶段", "错格", "最大差"], "en": ["stage", "cells", "largest"]}[lesson.lang],
    [
        (d.name.removeprefix("decoder."), f"{d.differing}/{d.cells}", f"{d.largest:.2g}")
        for d in bad[:6]
    ],
)
lesson.say(
    zh=f"{len(bad)} 个阶段不同，差得最多的是 {worst.name}。但它只是错误的后果；要看的是最先不同的一个："
    f"{wrong.first.name}，原因：{'；'.join(c.in_chinese() for c in wrong.causes)}",
    en=f"{len(bad)} stages differ, and the one that differs most is {worst.name}. It is only what the"
    f" mistake led to; the one to look at comes first: {wrong.first.name}. The cause:"
    f" {'; '.join(map(str, wrong.causes))}",
)
lesson.check(
    wrong.first.name == f"{place}.residual" and worst.name != wrong.first.name,
    zh="最先不同的在错误所在处，差得最多的在别处。",
    en="The first is where the mistake is; the largest is elsewhere.",
)

# %%
lesson.head(zh="比较了多少", en="How much was compared")
moved = stages["logits"] + 5.0
part = Side("theirs", {"probabilities": stages["probabilities"]}, None)
few, more = compare(reference, part), compare(reference, theirs(logits=moved))
lesson.say(
    zh="equal 只说比较过的。有个模型的 logits 都多了五，softmax 看不出来：",
    en="equal speaks of what was compared. A model has logits that are all five too large, and softmax"
    " does not notice:",
)
lesson.table(
    {"zh": ["文件里有", "结论", "比较了"], "en": ["in the file", "verdict", "compared"]}[
        lesson.lang
    ],
    [
        ("probabilities", few.verdict, f"{few.compared} / {few.of}"),
        (lesson.word(zh="全部阶段", en="all stages"), more.verdict, f"{more.compared} / {more.of}"),
    ],
)
lesson.check(
    few.verdict == "equal" and few.compared == 1 and more.first.name == "logits",
    zh=f"只给概率是 equal，却只比了 {few.of} 个数组中的 {few.compared} 个；给出全部阶段，错误就露出来。给得越多，结论越有分量。",
    en=f"With the probabilities alone it is equal, but of {few.compared} array in {few.of}; with all stages"
    " the mistake shows. The more is given, the more a verdict is worth.",
)

# %%
lesson.head(zh="前向都对，反向不对", en="Forward right, backward wrong")
gradients = {name: trace.grad(name) for name in trace.gradients}
weights, dweights = stages[f"{place}.weights"], gradients[f"{place}.weights"]
order = [name for name in trace if name in gradients]
later = order[order.index(f"{place}.weights") :]  # what a backward pass reaches before the slip
backward = {f"grad/{name}": gradients[name] for name in later}
backward[f"grad/{place}.masked_scores"] = weights * dweights
checked = compare(reference, Side("theirs", stages | backward, None))
lesson.say(
    zh="梯度倒着读：从损失往前，第一处不同的梯度才是错误所在。",
    en="Gradients are read backwards: from the loss up, the first that differs is where the mistake is.",
)
lesson.say(
    zh=f"第一处：{checked.first.name}，原因：{'；'.join(c.in_chinese() for c in checked.causes)}",
    en=f"The first: {checked.first.name}. The cause: {'; '.join(map(str, checked.causes))}",
)
lesson.check(
    all(d.equal for d in checked.values) and checked.first.name == f"grad/{place}.masked_scores",
    zh="值全对，softmax 的反向漏了这一行的内积：权重的梯度还对，分数的梯度错了。",
    en="All values are right; softmax backwards lacks the product of the row: the gradient of the"
    " weights is right, and that of the scores is not.",
)

# %%
lesson.exercise(
    zh="输出投影 W_O 是方阵，读进来时忘了转置。最先不同的阶段是哪个？",
    en="The projection W_O is square, and was read without being turned. Which stage differs first?",
)
turned = example.parameters[f"{place}.w_o"].T
output = stages[f"{place}.context"].swapaxes(1, 2).reshape(*stages[f"{place}.output"].shape[:2], -1)
bias = example.parameters.get(f"{place}.b_o", 0.0)
answer = compare(reference, theirs(**{f"{place}.output": output @ turned + bias}))
lesson.say(
    zh=f"原因：{'；'.join(c.in_chinese() for c in answer.causes)}",
    en=f"The cause: {'; '.join(map(str, answer.causes))}",
)
lesson.check(
    answer.first.name == f"{place}.output" and len(answer.causes) >= 1,
    zh="output：context 还对，下一步就错了。",
    en="output: context is still right, and the step after it is wrong.",
)
lesson.result(
    verdicts=[c.verdict for c in found.values()], first=wrong.first.name,
    backward=checked.first.name, answer=answer.first.name,
)  # fmt: skip
