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
lesson.say(
    zh="自注意力的结果先乘一个矩阵 W_O，再加回它的输入。这条近路叫残差：层只需学会“改动什么”，"
    "原来的信息不会丢。然后归一化：每一行减去均值、除以标准差，数的大小就不会一层层失控。",
    en="What self-attention gives is multiplied by a matrix W_O and added to what went in. This"
    " short cut is called the residual: a layer has only to learn what to change, and nothing is"
    " lost. Then comes a norm: each row less its mean, over its standard deviation, so that numbers"
    " do not run away from layer to layer.",
)
lesson.show(trace, "encoder.0.self_attention.residual", "encoder.0.self_attention.norm")
norm = trace["encoder.0.self_attention.norm"][0]
lesson.check(
    np.allclose(norm.mean(-1), 0, atol=1e-9) and np.allclose(norm.std(-1), 1, atol=1e-3),
    zh="每一行均值为零，标准差为一（可学的增益与偏置此时还是一与零）。",
    en="Every row has mean zero and deviation one (the learned gain and bias are still one and"
    " zero).",
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
lesson.table(
    ["", *source], [[lesson.word(zh="非零单元", en="active units"), *active.sum(1).tolist()]]
)
lesson.check(
    np.array_equal(trace[f"{place}.activation"][0], np.maximum(hidden, 0)),
    zh=f"ReLU 之后，{hidden.size} 个单元中有 {active.sum()} 个不为零。",
    en=f"After ReLU {active.sum()} of {hidden.size} units are not zero.",
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
    zh="解码器每层有三个子层。第一个是带因果掩码的自注意力。第二个是交叉注意力：查询来自解码器，"
    "键和值来自 H_enc；解码器由此去查原句。第三个是前馈层。每个子层之后照样有残差与归一化。",
    en="A layer of the decoder has three parts. First, self-attention under the causal mask. Then"
    " cross-attention: queries come from the decoder, keys and values from H_enc; this is how the"
    " source is consulted. Then a feed-forward layer. Each is followed by residual and norm.",
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
    zh=f"解码器的结果 H_dec 乘 W_vocab，每个位置得到 {config.vocabulary} 个分数；softmax 把它们变成"
    "概率。损失是正确词元概率的对数取负：越有把握，损失越小。各位置取平均。",
    en=f"H_dec, the decoder's result, times W_vocab gives {config.vocabulary} scores a place, and"
    " softmax makes probabilities of them. The loss is minus the logarithm of the right token's"
    " probability: the surer, the smaller. Places are averaged.",
)
lesson.show(trace, "probabilities", "loss.per_token")
loss = float(trace["loss"])
per_token = trace["loss.per_token"][0]
guessing = float(np.log(config.vocabulary))
lesson.explain(trace, "loss")
lesson.check(
    np.isclose(loss, per_token.mean()) and loss > guessing,
    zh=f"损失 {loss:.2f}，还不如每个词元给同样的概率，那是 log {config.vocabulary} = {guessing:.2f}："
    "参数是随机的，模型还什么都没学。",
    en=f"A loss of {loss:.2f} is worse than that of equal chances, log {config.vocabulary} ="
    f" {guessing:.2f}: the parameters are random, and nothing has been learned yet.",
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
    zh="文档写出了位置零的十个 logits，又写出了十个概率。概率真是由这些 logits 得来的吗？",
    en="The document states ten logits of the first place, and ten probabilities. Do these come from"
    " those?",
)
written = [0.067, 0.065, 0.063, 0.131, 0.094, 0.076, 0.083, 0.080, 0.070, 0.065]
stated = load_example("weather", as_stated=True).pins["logits"]
first = example.trace(gradients=False, pins={"logits": stated})
chances = first["probabilities"][0, 0]
lesson.grid(
    np.stack((stated.value[0, 0], chances, written)),
    ["logits", "softmax", lesson.word(zh="文档", en="document")],
    list(example.vocabulary.tokens),
    decimals=3,
)
right = example.vocabulary[labels[0]]
lesson.check(
    np.isclose(chances.sum(), 1) and sum(written) < 0.8 and chances[right] > written[right] + 0.03,
    zh=f"不是。文档的十个概率只加到 {sum(written):.3f}；“{labels[0]}”应是 {chances[right]:.3f}，"
    f"不是 {written[right]:.3f}。核对一个概率，先看和是不是一。",
    en=f"They do not. The ten add up to {sum(written):.3f} only; {labels[0]} should have"
    f" {chances[right]:.3f}, not {written[right]:.3f}. To check probabilities, add them up first.",
)
lesson.result(
    loss=loss, per_token=per_token, parameters=total, chance=float(chances[right]), sum=sum(written)
)
