"""The encoder-decoder in five acts on 今天天气很好."""

import numpy as np

from numtx import load_example
from numtx.lessons import Lesson
from numtx.parameters import parameter_shapes

lesson = Lesson(
    zh="一句话怎样走完整个编码器-解码器，从字到损失，再回到参数？",
    en="How does a sentence pass through a whole encoder-decoder, to a loss and back?",
    before=(
        "前四课：特殊记号、位置、自注意力、掩码。",
        "The lessons so far: special tokens, positions, self-attention, masks.",
    ),
    document="003, 二",
)

# %%
lesson.head(zh="第一幕：备好数据", en="Act one: the data")
example = load_example("weather")
config = example.config
trace = example.trace()
source, target, labels = (example.tokens[x][0] for x in ("encoder", "decoder", "labels"))
lesson.table(
    ["", *(str(i) for i in range(len(source)))],
    [
        [lesson.word(zh="编码器读", en="encoder reads"), *source],
        [lesson.word(zh="解码器读", en="decoder reads"), *target],
        [lesson.word(zh="标签", en="labels"), *labels],
    ],
)
lesson.check(
    target[1:] == labels[:-1],
    zh="第一课的三条序列：编码器输入，解码器输入，左移一格的标签。",
    en="The three sequences of the first lesson: encoder input, decoder input, labels.",
)

# %%
lesson.head(zh="第二幕：编码器读懂原句", en="Act two: the encoder reads")
own = "encoder.0.self_attention"
lesson.say(
    zh="自注意力的结果先乘一个学得的矩阵 W_O：几个头并排的结果由它混成一份，宽度回到 d_model。这里只有"
    "一个头，W_O 是单位阵。",
    en="What self-attention gives is multiplied by a learned matrix W_O: it mixes what the heads, side"
    " by side, have found, and brings the width back to d_model. Here is one head, and W_O is the"
    " identity.",
)
lesson.check(
    np.allclose(trace[f"{own}.output"], trace[f"{own}.context"][:, 0]),
    zh="乘单位阵，什么也没变。",
    en="Times the identity: nothing has changed.",
)
lesson.say(
    zh="再加回自注意力的输入。这条近路叫残差：层只需学会“改动什么”，原来的信息不会丢。",
    en="Then what went into self-attention is added. This short cut is called the residual: a layer"
    " has only to learn what to change, and nothing is lost.",
)
lesson.show(trace, f"{own}.residual")
lesson.say(
    zh="然后归一化：每一行减去均值、除以标准差，数的大小就不会一层层失控；每一列再乘一个学得的增益、加"
    "一个学得的偏置，起初是一与零。",
    en="Then comes a norm: each row less its mean, over its standard deviation, so that numbers do not"
    " run away from layer to layer; each column then times a learned gain, plus a learned bias, which"
    " start as one and zero.",
)
lesson.show(trace, f"{own}.norm")
norm = trace[f"{own}.norm"][0]
lesson.check(
    np.allclose(norm.mean(-1), 0, atol=1e-9) and np.allclose(norm.std(-1), 1, atol=1e-3),
    zh="每一行均值为零，标准差为一。",
    en="Every row has mean zero and deviation one.",
)
place = "encoder.0.feed_forward"
hidden = trace[f"{place}.hidden"][0]
lesson.say(
    zh=f"前馈层对每一行单独做同样的事：从 {config.width} 个数展开到 {config.hidden} 个，负数归零"
    f"（ReLU），再收回到 {config.width} 个。注意力在词元之间搬运，前馈层在词元之内思考。",
    en="The feed-forward layer does the same to every row by itself: from"
    f" {config.width} numbers to {config.hidden}, negative ones become zero (ReLU), and back to"
    f" {config.width}. Attention carries between tokens; here each token is worked on alone.",
)
active = trace[f"{place}.activation"][0] > 0
lesson.table(["", *source], [[lesson.word(zh="非零", en="not zero"), *active.sum(1).tolist()]])
lesson.check(
    np.array_equal(trace[f"{place}.activation"][0], np.maximum(hidden, 0)),
    zh=f"ReLU 之后，{hidden.size} 个数中有 {active.sum()} 个不为零。",
    en=f"After ReLU {active.sum()} of {hidden.size} numbers are not zero.",
)
lesson.say(
    zh=f"注意力加前馈是一层；这里叠 {config.encoder_layers} 层。最后一层的结果叫 H_enc，"
    "一行一个原句词元，每行都已看过全句：",
    en=f"Attention and feed-forward make a layer; there are {config.encoder_layers}. What the last"
    " one gives is called H_enc: one row for each source token, and each has seen the sentence.",
)
lesson.show(trace, "encoder.output")

# %%
lesson.head(zh="第三幕：解码器边看边写", en="Act three: the decoder writes")
lesson.say(
    zh="解码器的一层比编码器的多一个子层：带因果掩码的自注意力与前馈层之间，多了交叉注意力。每个子层之后"
    "照样有残差与归一化。交叉注意力的算法与自注意力相同，只是查询来自解码器，键和值来自 H_enc：解码器"
    "由此去查原句。",
    en="A layer of the decoder has one part more than the encoder's: between self-attention, here"
    " under the causal mask, and feed-forward stands cross-attention. Residual and norm follow each."
    " Cross-attention computes as self-attention does, but queries come from the decoder, keys and"
    " values from H_enc: this is how the source is consulted.",
)
cross = "decoder.0.cross_attention"
lesson.show(trace, f"{cross}.weights")
memory = trace["encoder.output"][0]
keys = trace[f"{cross}.keys"][0, 0]
lesson.check(
    np.allclose(keys, memory @ example.parameters[f"{cross}.w_k"])
    and np.allclose(trace[f"{cross}.weights"].sum(-1), 1),
    zh="键就是 H_enc 乘 W_K；每一行把一整份注意力分给原句的词元，没有因果限制。",
    en="The keys are H_enc times W_K; each row divides one whole share among the source's tokens,"
    " with no causal limit.",
)

# %%
lesson.head(zh="第四幕：打分与损失", en="Act four: scores and loss")
lesson.say(
    zh=f"解码器的结果叫 H_dec，乘学得的矩阵 W_vocab，每个位置得到 {config.vocabulary} 个分数，就是第一课的"
    " logits；softmax 把它们变成概率。",
    en=f"The decoder's result, H_dec, times a learned matrix W_vocab gives {config.vocabulary} scores a"
    " place, the logits of lesson one, and softmax makes probabilities of them.",
)
lesson.show(trace, "probabilities")
lesson.say(
    zh="损失是正确词元概率的对数取负（这叫交叉熵）：越有把握，损失越小。各位置取平均。",
    en="The loss, called cross-entropy, is minus the logarithm of the right token's probability: the surer, the smaller."
    " Places are averaged.",
)
lesson.show(trace, "loss.per_token")
loss = float(trace["loss"])
per_token = trace["loss.per_token"][0]
guessing = float(np.log(config.vocabulary))
lesson.explain(trace, "loss")
lesson.check(
    np.isclose(loss, per_token.mean()) and loss > guessing,
    zh=f"损失 {loss:.2f}，还不如每个词元给同样的概率，那是 log {config.vocabulary} = {guessing:.2f}："
    "要学得的数（叫参数）多半还是随机的，模型还什么都没学。",
    en=f"A loss of {loss:.2f} is worse than that of equal chances, log {config.vocabulary} ="
    f" {guessing:.2f}: most of the numbers that are to be learned, the parameters, are still random.",
)

# %%
lesson.head(zh="第五幕：损失流回每个参数", en="Act five: back to every parameter")
gradients = {name: trace.grad(f"parameters/{name}") for name in parameter_shapes(config)}
lesson.say(
    zh="反向传播对每个参数问：你增大一点点，损失变多少？答案就是梯度。沿梯度的反方向走一小步，损失变小。"
    "下一课细讲。",
    en="The backward pass asks of every parameter: if you grow a little, how does the loss move?"
    " The answer is the gradient; a small step against it lowers the loss. The next lesson has the"
    " details.",
)
rows = []
for part in ("output", "decoder.1", "decoder.0", "encoder.1", "encoder.0", "embedding"):
    own = [g for name, g in gradients.items() if name.startswith(part)]
    size = np.sqrt(sum(float((g * g).sum()) for g in own))
    rows.append([part, sum(g.size for g in own), f"{size:.3f}"])
lesson.table(
    [
        lesson.word(zh="部分", en="part"),
        lesson.word(zh="参数", en="parameters"),
        lesson.word(zh="梯度长度", en="length of gradient"),
    ],
    rows,
)
total = sum(g.size for g in gradients.values())
lesson.check(
    sum(row[1] for row in rows) == total and all(np.abs(g).max() > 0 for g in gradients.values()),
    zh=f"全部 {total} 个参数都在这张表里，每个矩阵都收到了梯度，编码器也不例外。",
    en=f"All {total} parameters are in the table, and every matrix has received a gradient, those of"
    " the encoder too.",
)

# %%
lesson.exercise(
    zh="假如模型给每个位置的正确词元一半的概率，损失是多少？若有一个位置只给了一成，其余仍是一半呢？",
    en="Suppose that the model gave the right token of every place a chance of one half. What is the"
    " loss? And if one place gave it a tenth only, the others one half?",
)
chances = np.full(len(labels), 0.5)
half = float(-np.log(chances).mean())
chances[0] = 0.1
worse = float(-np.log(chances).mean())
lesson.check(
    np.isclose(half, np.log(2)) and np.isclose(worse - half, np.log(5) / len(labels)),
    zh=f"log 二 = {half:.2f}；再加 log 五除以位置数，共 {worse:.2f}。",
    en=f"log two = {half:.2f}; then log five over the places is added: {worse:.2f}.",
)
lesson.result(loss=loss, per_token=per_token, parameters=total, half=half, worse=worse)
