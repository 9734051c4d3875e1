"""Loss and backpropagation: values and gradients side by side."""

import numpy as np

from numtx import forward, load_example
from numtx.lessons import Lesson
from numtx.training.flow import gradient_flow, memory_share

lesson = Lesson(
    zh="损失怎样告诉每个参数该往哪边动，连看不到标签的编码器也知道？",
    en="How does the loss reach every parameter, even those of an encoder that sees no label?",
    before=(
        "第五课：编码器-解码器的前向计算与损失。链式法则会一点就好。",
        "The five acts: a run up to its loss. A little of the chain rule helps.",
    ),
    document="003, 二 第四幕 场景 3, 第五幕",
)

# %%
lesson.head(zh="梯度是什么", en="What a gradient is")
example = load_example("weather")
config, parameters, vocabulary = example.config, example.parameters, example.vocabulary
trace = example.trace()
labels = trace["labels"][0]
lesson.say(
    zh="拨动一个参数一点点，看损失动多少；两者之比就是梯度。拿 W_vocab 的一格试一试，再与反向传播"
    "给出的数比较。反向传播的好处是：一遍就得到全部参数的梯度，不必逐个去拨。",
    en="Nudge one parameter and see how the loss moves; the ratio is its gradient. We try it on one"
    " cell of W_vocab and compare with what the backward pass gives. Its merit: one pass gives the"
    " gradients of all parameters, and none has to be nudged.",
)
cell, nudge = (0, int(labels[0])), 1e-6


def loss_with(change):
    """The loss after one cell of W_vocab has changed."""
    matrix = parameters["output.w"].copy()
    matrix[cell] += change
    return float(forward(config, {**parameters, "output.w": matrix}, example.batch)[0].loss)


slope = (loss_with(nudge) - loss_with(-nudge)) / (2 * nudge)
exact = float(trace.grad("parameters/output.w")[cell])
lesson.check(
    abs(slope - exact) < 1e-7,
    zh=f"拨动得到 {slope:.5f}，反向传播给出 {exact:.5f}。符号说往哪边动，大小说动得多快。",
    en=f"Nudging gives {slope:.5f}, the backward pass {exact:.5f}. Its sign says which"
    " way the loss goes, its size how fast.",
)

# %%
lesson.head(zh="起点：概率减去答案", en="The start: probabilities less the answer")
lesson.say(
    zh="softmax 与对数损失合在一起，梯度简单得出奇：每个位置的概率，减去正确答案（正确处为一，别处"
    "为零），再除以计分的位置数。猜得太高的被压低，正确的被抬高。",
    en="Of softmax and logarithm together the gradient is surprisingly plain: at each place the"
    " probabilities, less the right answer (one there, zero elsewhere), over the number of places"
    " that count. What was rated too high is pushed down, the right one up.",
)
lesson.show(trace, "probabilities", row=0)
dlogits = trace.grad("logits")[0]
lesson.grid(dlogits, example.tokens["decoder"][0], list(vocabulary.tokens))
answer = np.eye(len(vocabulary))[labels]
lesson.check(
    np.allclose(dlogits, (trace["probabilities"][0] - answer) / len(labels)),
    zh="上表的每一格正是（概率 - 答案）/ 位置数；负的恰好是各位置的标签。",
    en="Every cell of the table is (probability - answer) / places; the negative ones are the"
    " labels.",
)
lesson.check(
    np.allclose(dlogits.sum(1), 0) and ((dlogits < 0) == (answer == 1)).all(),
    zh="每行加起来是零：抬高多少，就压低多少。",
    en="Each row adds up to zero: as much goes up as goes down.",
)

# %%
lesson.head(zh="值与梯度并排", en="Values and gradients side by side")
lesson.say(
    zh="前向的每个矩阵，反向时都有一个形状相同的梯度。乘法 Y = X·W 的规则是 dX = dY·W^T，"
    "dW = X^T·dY。以最后一步为例：H_dec 乘 W_vocab。",
    en="Every matrix of the run has a gradient of its own shape. For a product Y = X·W the rule is"
    " dX = dY·W^T and dW = X^T·dY. Take the last one, H_dec times W_vocab.",
)
lesson.show(trace, "decoder.output", gradients=True)
h, dh = trace["decoder.output"][0], trace.grad("decoder.output")[0]
w, dw = parameters["output.w"], trace.grad("parameters/output.w")
lesson.check(
    np.allclose(dh, dlogits @ w.T) and np.allclose(dw, h.T @ dlogits),
    zh=f"两条规则都成立：{dlogits.shape} 乘 {w.T.shape} 得 {dh.shape}；{h.T.shape} 乘 {dlogits.shape}"
    f" 得 {dw.shape}。",
    en=f"Both rules hold: {dlogits.shape} times {w.T.shape} is {dh.shape}; {h.T.shape} times"
    f" {dlogits.shape} is {dw.shape}.",
)
place = "decoder.1.feed_forward"
lesson.check(
    np.array_equal(trace.grad(f"{place}.output"), trace.grad(f"{place}.residual"))
    and not np.allclose(trace.grad("decoder.1.cross_attention.norm"), 0),
    zh="残差是加法，梯度原样通过：子层的输出与残差之和，梯度一位不差。近路由此而来。",
    en="The residual is an addition, and a gradient passes it unchanged: that of the sublayer's"
    " output is that of the sum, to the last bit. That is the short cut.",
)

blind = load_example("padding", side="left").trace()
lesson.check(
    all(np.isfinite(blind.grad(name)).all() for name in blind.gradients),
    zh="第四课里什么也看不到的那些行，反向传播时也没有一个 NaN：它们的份额是零，梯度也是零。",
    en="The rows of lesson four that see nothing bring no NaN into the backward pass either: their"
    " shares are zero, and so are their gradients.",
)

# %%
lesson.head(zh="岔路：编码器怎样学到东西", en="The fork: how the encoder learns")
lesson.say(
    zh="标签只在解码器那一头。可是交叉注意力的键和值来自 H_enc，所以梯度也沿键和值流回 H_enc，"
    "再流进编码器。下面按文档的次序列出每一处梯度的长度：",
    en="Labels are at the decoder's end only. But the keys and values of cross-attention come from"
    " H_enc; so gradients flow back along them into H_enc, and on into the encoder. Here are the"
    " gradients' lengths, in the document's order:",
)
wanted = ("W_vocab", "H_dec", "-> H_enc", "X_dec", "H_enc", "X_enc", "E")
flows = [flow for flow in gradient_flow(trace) if flow.symbol in wanted]
lesson.table(
    [
        "",
        lesson.word(zh="位置", en="where"),
        lesson.word(zh="形状", en="shape"),
        lesson.word(zh="长度", en="length"),
    ],
    [[f.symbol, f.name.removeprefix("parameters/"), str(f.shape), f"{f.norm:.3f}"] for f in flows],
)
shares = sum(memory_share(trace, layer) for layer in range(config.decoder_layers))
lesson.check(
    np.allclose(shares, trace.grad("encoder.output")),
    zh=f"H_enc 的梯度等于 {config.decoder_layers} 个解码器层各自送来的份额之和。",
    en=f"The gradient of H_enc is the sum of what the {config.decoder_layers} layers of the decoder"
    " send.",
)
cut = example.trace(pins={"encoder.output": trace["encoder.output"]})
encoder_names = [n for n in parameters if n.startswith("encoder.")]
longest = max(float(np.abs(cut.grad(f"parameters/{n}")).max()) for n in encoder_names)
open_ = max(float(np.abs(trace.grad(f"parameters/{n}")).max()) for n in encoder_names)
lesson.say(
    zh="反过来验证：把 H_enc 固定成常数，损失一点没变，桥却断了。",
    en="The counter-proof: we hold H_enc constant. The loss is the same, but the bridge is cut.",
)
lesson.check(
    float(cut["loss"]) == float(trace["loss"]) and longest == 0 < open_,
    zh=f"编码器参数的最大梯度从 {open_:.3f} 变成 {longest:g}：它的一切都是经由交叉注意力学来的。",
    en=f"The largest gradient of the encoder's parameters falls from {open_:.3f} to {longest:g}: all"
    " that it learns, it learns through cross-attention.",
)

# %%
lesson.exercise(
    zh="嵌入表每个词元一行。哪几行这一次得不到梯度？",
    en="The embedding has a row for each token. Which rows get no gradient this time?",
)
rows = np.abs(trace.grad("parameters/embedding")).sum(1)
still = [t for t, size in zip(vocabulary.tokens, rows, strict=True) if size == 0]
read = {*example.tokens["encoder"][0], *example.tokens["decoder"][0]}
lesson.check(
    still == [t for t in vocabulary.tokens if t not in read],
    zh=f"{' '.join(still)}：没有读到的词元。没被读到，就没有影响损失。",
    en=f"Those of {' '.join(still)}: tokens that were not read. What was not read did not touch the"
    " loss.",
)
lesson.result(
    slope=slope, flow={f.name: f.norm for f in flows}["encoder.output"], still=still, open=open_
)
