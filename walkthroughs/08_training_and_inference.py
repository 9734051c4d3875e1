"""Training against inference: five differences, exposure bias, and peeking without a mask."""

import numpy as np

from numtx import Batch, forward, generate, load_example
from numtx.lessons import Lesson
from numtx.training.demonstrations import exposure_bias
from numtx.training.peeking import counting_task, peeking
from numtx.training.recipe import Recipe

lesson = Lesson(
    zh="同一个模型，训练时和使用时有什么不同？",
    en="One model: how does using it differ from training it?",
    before=(
        "前七课，尤其是因果掩码与左移一格的标签。",
        "The lessons so far, above all the causal mask and the shifted labels.",
    ),
    document="003, 推理与训练的深层对比; 000, 3.4.1",
)
example = load_example("translation")
config, parameters, batch = example.config, example.parameters, example.batch
target = batch.decoder_ids[0]
words = example.vocabulary.decode(target)
length = len(target)

# %%
lesson.head(zh="其一：并行与串行", en="First: at once, or one by one")
lesson.say(
    zh="任务是把“今天天气很好”译成英文。训练时答案已知，整句译文一次读进去，所有位置同时预测。"
    "使用时没有答案，只能写一个词、读一个词。两种算法在同样的前文下给出同样的分数吗？",
    en="The task is to translate 今天天气很好. In training the answer is known: the whole target is"
    " read at once and all places predict together. In use there is no answer: a word is written,"
    " then read. After the same words, do both ways give the same scores?",
)
whole = forward(config, parameters, Batch(batch.ids, batch.decoder_ids))[0].logits[0]
single = np.stack(
    [
        forward(config, parameters, Batch(batch.ids, [target[:n]]))[0].logits[0, -1]
        for n in range(1, length + 1)
    ]
)
lesson.table(
    [
        lesson.word(zh="前文末词", en="after"),
        lesson.word(zh="一次算", en="at once"),
        lesson.word(zh="逐个算", en="one by one"),
    ],
    [
        [words[n], *(example.vocabulary.token(int(np.argmax(x[n]))) for x in (whole, single))]
        for n in range(length)
    ],
)
lesson.check(
    np.allclose(whole, single, atol=1e-12),
    zh=f"一样（模型未经训练，错也错得一样）：一次前向抵得上 {length} 次。这全靠因果掩码，它让每个位置只见到使用时也见得到的词。",
    en=f"They do (untrained as it is, the model is wrong in the same way): one pass is worth {length}. The causal mask makes it so, for a place sees only what"
    " it will see in use.",
)

# %%
lesson.head(zh="其二：读谁写的词", en="Second: whose words are read")
lesson.say(
    zh="训练时，上一格写错了也不要紧，下一格读到的仍是正确的词（teacher forcing）。使用时读的是自己"
    "写的词。边训练边量：跟着正确的词（forced）、跟着自己的词（free）、故意把第一个词换成错的"
    "（stumbled），每个词的平均损失：",
    en="In training a wrong guess does no harm, for the next place reads the right word all the same"
    " (teacher forcing). In use a model reads its own. As it learns, we measure the mean loss per"
    " word: after the right words (forced), after its own (free), and after a wrong first word put"
    " there on purpose (stumbled):",
)
table = exposure_bias(config, parameters, batch, (25, 150), Recipe(learning_rate=0.01))
lesson.table(
    [lesson.word(zh="步数", en="steps"), "forced", "free", "stumbled"],
    [[e.step, *(f"{x.loss:.2f}" for x in (e.forced, e.free, e.stumbled))] for e in table],
)
early, late = table
lesson.check(
    early.free.loss > early.forced.loss and late.stumbled.loss > 5 * late.forced.loss,
    zh=f"学了 {early.step} 步时，跟着自己的词要差得多（{early.free.loss:.2f} 比 {early.forced.loss:.2f}）。"
    f"学会之后两者相同，但只要第一个词错了，损失就到 {late.stumbled.loss:.2f}：那是训练中从没见过的"
    "处境。这叫 exposure bias。",
    en=f"After {early.step} steps it does far worse on its own words ({early.free.loss:.2f} against"
    f" {early.forced.loss:.2f}). Once it has learned, both agree; but one wrong first word brings the"
    f" loss to {late.stumbled.loss:.2f}: there it has never been. This is called exposure bias.",
)

# %%
lesson.head(zh="其三：确定与选择", en="Third: no choice, or a choice")
lesson.say(
    zh="同样的数据和参数，损失只有一个值。而同样的分数可以有多种选词办法：总取最高的（贪心），或者"
    "别的规则。这里拿“取第二名”来比：",
    en="Given data and parameters, a loss has one value. But from given scores a word can be chosen"
    " in several ways: always the best (greedy), or by another rule. Here, for comparison, always the"
    " second best:",
)
bos, eos = (example.vocabulary[t] for t in ("<bos>", "<eos>"))
prompt = Batch(batch.ids, [[bos]])
limit = 6


def second_best(logits, rows):
    """The token with the second largest score."""
    return np.argsort(logits, -1)[:, -2]


greedy = generate(config, parameters, prompt, max_new_tokens=limit, use_cache=False)
other = generate(
    config, parameters, prompt, max_new_tokens=limit, use_cache=False, choose=second_best
)
losses = {float(forward(config, parameters, batch)[0].loss) for _ in range(3)}
for name, found in (
    (lesson.word(zh="最高", en="greedy"), greedy),
    (lesson.word(zh="第二", en="second best"), other),
):
    lesson.lines(f"  {name}: {' '.join(example.vocabulary.decode(found.new[0]))}")
lesson.check(
    len(losses) == 1 and greedy.new != other.new,
    zh="损失算几遍都一样；选词规则一换，写出的就不同。",
    en="The loss is the same however often it is computed; another rule writes other words.",
)

# %%
lesson.head(zh="其四与其五：何时停，形状变不变", en="Fourth and fifth: when to stop, and shapes")
lesson.say(
    zh=f"训练时长度写在标签里；使用时要等模型写出 <eos>，未训练的模型可能永远不写，所以要有上限（这里"
    f" {limit}）。训练时每个矩阵的形状固定；使用时每写一个词，解码器的输入就长一行：",
    en="In training the length is in the labels. In use one waits for <eos>, which an untrained model"
    f" may never write; hence a limit (here {limit}). In training all shapes are fixed; in use the"
    " decoder's input grows by a row with each word:",
)
shapes = [step.attention for step in greedy.steps]
lesson.table(
    [lesson.word(zh="步", en="step"), lesson.word(zh="自注意力", en="self-attention")],
    [[i, f"{a} x {b}"] for i, (a, b) in enumerate(shapes, 1)],
)
lesson.check(
    shapes == [(n, n) for n in range(1, limit + 1)] and eos not in greedy.new[0],
    zh="写到上限也没有 <eos>；注意力的表每步大一圈。（其中的重复计算，后面讲缓存时再省。）",
    en="It reached the limit without <eos>; the square of attention grows at every step. (The work"
    " that is repeated there is saved in a later lesson, by a cache.)",
)

# %%
lesson.head(zh="去掉掩码：偷看", en="Without the mask: peeking")
task = counting_task()
lesson.say(
    zh=f"换一个背不下来的任务：在圈里数数，偶尔跳到任意一个数。不偷看时，能达到的最小损失是"
    f" {task.best:.2f}。同一个模型，带因果掩码学一遍，不带再学一遍：",
    en="Now a task that cannot be learned by heart: counting in a circle with random jumps. Without"
    f" peeking no loss below {task.best:.2f} can be reached. One model learns it with the causal"
    " mask, then without:",
)
masked, bare = peeking(task, 100, Recipe(learning_rate=0.01))
lesson.table(
    [
        "",
        lesson.word(zh="训练时的损失", en="loss in training"),
        lesson.word(zh="使用时的损失", en="loss in use"),
        lesson.word(zh="使用时写对", en="right in use"),
    ],
    [
        [name, f"{x.forced.loss:.2f}", f"{x.free.loss:.2f}", f"{x.free.right}/{x.free.words}"]
        for name, x in (
            (lesson.word(zh="有掩码", en="with mask"), masked),
            (lesson.word(zh="无掩码", en="without"), bare),
        )
    ],
)
lesson.check(
    task.best < masked.forced.loss and bare.forced.loss < task.best / 2,
    zh=f"不带掩码的损失低得不可能（{bare.forced.loss:.2f}）：它看见了答案，只是照抄。",
    en=f"Without the mask the loss is impossibly low ({bare.forced.loss:.2f}): it saw the answer and"
    " copied.",
)
lesson.check(
    masked.free.share == 1 and bare.free.share < 0.5,
    zh=f"使用时没有答案可抄：带掩码的全对，不带的 {bare.free.words} 个里对 {bare.free.right} 个。",
    en="In use there is nothing to copy: with the mask all is right, without it"
    f" {bare.free.right} of {bare.free.words}.",
)

# %%
lesson.exercise(
    zh=f"不偷懒、每步重算，写 {limit} 个词解码器一共要算几行？训练一次呢？",
    en=f"To write {limit} words with everything computed anew: how many rows does the decoder compute"
    " in all? And to train on them once?",
)
computed = sum(step.computed for step in greedy.steps)
lesson.check(
    computed == sum(range(limit + 1)) and length == limit,
    zh=f"{computed} 行对 {length} 行。",
    en=f"{computed} rows against {length}.",
)
lesson.result(
    forced=early.forced.loss,
    free=early.free.loss,
    best=task.best,
    computed=computed,
    right=[masked.free.right, masked.free.words],
)
