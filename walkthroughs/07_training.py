"""One training step, and many."""

import numpy as np

from numtx import Batch, NumtxError, load_example
from numtx.lessons import Lesson
from numtx.pictures.curve import curve_text
from numtx.training.flow import updates
from numtx.training.greedy import answers
from numtx.training.loop import train
from numtx.training.recipe import Recipe
from numtx.training.run import Run

lesson = Lesson(
    zh="一步训练改变了什么？一百步呢？",
    en="What does one step of training change, and what do a hundred?",
    before=(
        "第六课：损失与梯度。",
        "The lesson on backpropagation: loss and gradients.",
    ),
    document="003, 二 第五幕 (参数更新)",
)

# %%
lesson.head(zh="一步", en="One step")
example = load_example("weather")
trace = example.trace()
run = Run(example.config, example.parameters, Recipe(optimiser="sgd"))
rate = run.recipe.rate(1, example.config)
lesson.say(
    zh=f"规则只有一行：新的参数 = 旧的参数 - 学习率 × 梯度。文档的学习率是 {rate:g}。以 W_vocab 的"
    "第一行为例：",
    en="There is one rule: new parameter = old parameter - learning rate × gradient. The document's"
    f" rate is {rate:g}. The first row of W_vocab:",
)
gradients = {name: trace.grad(f"parameters/{name}") for name in example.parameters}
(update,) = updates(example.parameters, gradients, ["output.w"], rate)
lesson.grid(
    np.stack((update.old[0], update.gradient[0], update.new[0])),
    [
        lesson.word(zh="旧", en="old"),
        lesson.word(zh="梯度", en="gradient"),
        lesson.word(zh="新", en="new"),
    ],
    list(example.vocabulary.tokens),
    decimals=4,
)
first = run.advance([example.batch])
lesson.check(
    np.allclose(run.parameters["output.w"], update.new, rtol=1e-12, atol=0),
    zh="numtx 走的一步正是这条规则；所有参数同时这样更新。",
    en="The step that numtx takes is this very rule; all parameters move at once.",
)
second = run.advance([example.batch])
gain, expected = first.loss - second.loss, rate * first.gradient_norm**2
lesson.check(
    gain > 0 and abs(gain - expected) < 0.05 * expected,
    zh=f"损失从 {first.loss:.4f} 降到 {second.loss:.4f}。一步能降多少可以预先算出：学习率 × 梯度长度的"
    f"平方 = {expected:.4f}，实际 {gain:.4f}。",
    en=f"The loss falls from {first.loss:.4f} to {second.loss:.4f}. One can tell beforehand by how"
    f" much: rate × squared length of the gradient = {expected:.4f}; it was {gain:.4f}.",
)

# %%
lesson.head(zh="一批里有几句话", en="Several sentences in a batch")
padding = load_example("padding")
both = padding.trace()
alone = []
for i in range(2):
    b = padding.batch
    one = Batch(b.ids[i : i + 1], b.decoder_ids[i : i + 1], b.labels[i : i + 1],
                b.mask[i : i + 1], b.decoder_mask[i : i + 1])  # fmt: skip
    sample = Run(padding.config, padding.parameters).advance([one])
    alone.append((sample.loss, int((b.labels[i] >= 0).sum())))
weighted = sum(loss * n for loss, n in alone) / sum(n for _, n in alone)
lesson.say(
    zh="损失是所有计分词元的平均，所以长句子分量更重，填充不算。",
    en="The loss is the mean over all tokens that count: long sentences weigh more, padding nothing.",
)
lesson.table(
    ["", lesson.word(zh="损失", en="loss"), lesson.word(zh="词元数", en="tokens")],
    [*([f"{lesson.word(zh='句', en='row')} {i}", f"{x:.4f}", n] for i, (x, n) in enumerate(alone)),
     [lesson.word(zh="整批", en="batch"), f"{float(both['loss']):.4f}", sum(n for _, n in alone)]],
)  # fmt: skip
lesson.check(
    np.isclose(weighted, float(both["loss"])),
    zh=f"按词元数加权平均，正好是整批的 {weighted:.4f}。",
    en=f"Their mean, weighted by tokens, is that of the batch: {weighted:.4f}.",
)

# %%
lesson.head(zh="许多步", en="Many steps")
steps = 150
train(run, example.batch, steps)
adam = Run(example.config, example.parameters, Recipe(learning_rate=0.01))
train(adam, example.batch, steps)
lesson.say(
    zh="上面的规则叫梯度下降（sgd），步子与梯度成正比，小梯度处几乎不动。adamw 记住每个参数最近梯度的"
    f"大小，用它去除，于是人人步子相近。各走 {steps} 步：",
    en="The rule above is gradient descent (sgd): its steps are as long as the gradient, and where"
    " that is small hardly anything moves. adamw remembers how large each parameter's gradients have"
    f" been and divides by that, so that all take steps alike. After {steps} steps of each:",
)
lesson.table(
    ["", lesson.word(zh="学习率", en="rate"), lesson.word(zh="起初的损失", en="loss at first"), lesson.word(zh="最后的损失", en="loss at last")],
    [[r.recipe.optimiser, r.recipe.rate(1, r.config), f"{r.losses[0]:.3f}", f"{r.losses[-1]:.3f}"]
     for r in (run, adam)],
)  # fmt: skip
lesson.say(zh="adamw 每一步的损失：", en="The loss of adamw at every step:")
lesson.lines("\n" + curve_text(adam.losses, lesson.width))
lesson.check(
    adam.losses[-1] < 0.2 < run.losses[-1] < run.losses[0],
    zh=f"同样 {steps} 步，adamw 把损失压到 {adam.losses[-1]:.3f}，sgd 以文档的学习率还在 {run.losses[-1]:.3f}。",
    en=f"In {steps} steps adamw brings the loss to {adam.losses[-1]:.3f}; sgd, at the document's"
    f" rate, is still at {run.losses[-1]:.3f}.",
)
(answer,) = answers(adam.config, adam.parameters, example.batch, example.vocabulary["<eos>"])
(early,) = answers(example.config, example.parameters, example.batch, example.vocabulary["<eos>"])
said = "".join(example.vocabulary.decode(answer.given))
lesson.check(
    answer.given == answer.wanted and example.vocabulary["<eos>"] not in early.given,
    zh=f"训练后的模型自己写出：{said}。训练前它从不写 <eos>（第一课）；最后一个标签教会了它停。",
    en=f"The trained model writes by itself: {said}. Before training it never wrote <eos> (lesson"
    " one); the last label has taught it to stop.",
)

# %%
lesson.head(zh="学习率太大", en="A rate that is too large")
careful, rash = 0.01, 30.0
trial = Run(example.config, example.parameters, Recipe(optimiser="sgd", learning_rate=careful))
train(trial, example.batch, 60)
wild = Run(example.config, example.parameters, Recipe(optimiser="sgd", learning_rate=rash))
try:
    train(wild, example.batch, 60)
    refused = ""
except NumtxError as error:
    refused = str(error)
lesson.say(
    zh="梯度只说眼前的坡度。步子太大就跨过谷底，落到更高处，一步比一步高，直到算不下去。"
    f"学习率 {rash:g} 的头几步损失：{', '.join(f'{x:.3g}' for x in wild.losses[:6])}",
    en="A gradient knows the slope underfoot only. Too long a step crosses the valley and lands"
    " higher, the next one higher still, until the numbers give out. The first losses at a rate of"
    f" {rash:g}: {', '.join(f'{x:.3g}' for x in wild.losses[:6])}",
)
lesson.check(
    max(trial.losses) == trial.losses[0] and refused,
    zh=f"学习率 {careful:g} 时损失从未高过起点；{rash:g} 时训练中断，numtx 说：{refused}",
    en=f"With a rate of {careful:g} the loss never rises above its start; with {rash:g} training"
    f" stops, and numtx says: {refused}",
)

# %%
lesson.exercise(
    zh="再从头训练一遍，每一步的损失会和刚才一样吗？",
    en="We train once more from the start. Will every step have the same loss?",
)
again = train(Run(adam.config, example.parameters, adam.recipe), example.batch, steps)
lesson.check(
    again.losses == adam.losses,
    zh="一位不差：同样的参数、数据和次序，训练是确定的。",
    en="To the last bit: with the same parameters, data and order, training is deterministic.",
)
lesson.result(
    losses=[first.loss, second.loss], gain=gain, weighted=weighted, sgd=run.losses[-1],
    written=answer.given,
)  # fmt: skip
