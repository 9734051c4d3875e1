"""Document 003, acts four and five: logits, probabilities, the loss, gradients, one step."""
# fmt: off

from __future__ import annotations

from typing import Any

import numpy as np

from ..examples import weather as w
from ..model import backward, forward
from ..ops.loss import mean_forward, pick_forward
from ..shapes import Array
from ..training.flow import gradient_flow
from ..training.loop import train
from ..training.recipe import Recipe
from ..training.run import Run, batch_number
from . import witnesses
from .d003_decoder import LABELS, SMALL, SOURCE, illustrated
from .judges import Definition, Equal, Illustration, Order, Printed, Same
from .row import row
from .runs import (
    CROSS,
    SELF,
    Kept,
    example,
    gradients,
    shape,
    trace,
    trace_trained,
)
from .theorems import no_more_than_one, softmax_of, sums_to_one

PROBABILITIES_0 = (0.067, 0.065, 0.063, 0.131, 0.094, 0.076, 0.083, 0.080, 0.070, 0.065)
LOSSES = (2.03, 1.88, 1.92, 1.82, 1.84, 1.86, 1.69)


def from_logits() -> Array:
    """The probabilities of numtx's run, held at the stated logits of position 0"""
    held = w.weather(as_stated=True).pins["logits"]
    found: Array = example("weather").trace(gradients=False, pins={"logits": held})["probabilities"][0, 0]
    return found


def losses_of(probabilities: Any) -> tuple[Array, Array]:
    """numtx's losses of the seven labels and their mean, where the labels have these probabilities"""
    logs = np.full((1, 7, 10), -9.0)
    labels = trace("weather")["labels"]
    logs[0, np.arange(7), labels[0]] = np.log(probabilities)
    per_token = pick_forward(logs, labels)
    return per_token[0], mean_forward(per_token, labels)


@Kept
def one_step() -> dict[str, Any]:
    """A step of training with the document's rate: the parameters after it, and the losses before and after"""
    made = example("weather")
    run = train(Run(made.config, made.parameters, Recipe(optimiser="sgd", learning_rate=0.001)), made.batch, 1)
    after = {name: array.copy() for name, array in run.parameters.items()}
    return {"parameters": after, "loss": train(run, made.batch, 2).losses}


@row("003.w-vocab", "二·第四幕·1", "W_vocab 是 [4,10]", "W_vocab is [4,10]", Equal((4, 10)), at="358; 359")
def _() -> Any:
    return trace("weather").parameters["output.w"].shape


@row("003.logits-shape", "二·第四幕·1", "Logits = H_dec·W_vocab，[7,10]", "Logits = H_dec·W_vocab, [7,10]", Same(True), at="361; 363", stages=("weather", "logits"))
def _() -> Any:
    run = trace("weather")
    return run["decoder.output"][0] @ run.parameters["output.w"], run["logits"][0]


@row("003.logits-0", "二·第四幕·1", "位置 0 的 logits（输入 <bos>，预测 今）", "logits of position 0 (input <bos>, predicts 今)", Illustration(w.LOGITS_0), note=("四个隐藏数给出十个值：其余由 W_vocab 承担", "ten values from four hidden numbers: W_vocab has the rest"), at="364; 365", stages=("weather", "logits"), witness=illustrated, labels=(("",), w.VOCABULARY))
def _(stated: Any) -> Any:
    return illustrated(logits=tuple(stated.tolist()))["logits"][0, 0]


@row("003.probabilities-shape", "二·第四幕·2", "Probs = softmax(Logits)，[7,10]：各行之和", "Probs = softmax(Logits), [7,10]: sums of the rows", Equal(((7, 10), [1.0] * 7)), at="371")
def _() -> Any:
    return shape("weather", "probabilities"), trace("weather")["probabilities"][0].sum(1).round(12)


@row("003.probabilities-0", "二·第四幕·2", "P[0] = softmax(logits[0])（logits 固定为写出的）", "P[0] = softmax(logits[0]) (the logits held as stated)", Printed(PROBABILITIES_0, 3), note=("每一项约为正确值的 0.79 倍", "every entry is about 0.79 of the right one"), at="373; 374; 375", stages=("weather", "probabilities"), labels=(("",), w.VOCABULARY))
def _() -> Any:
    return from_logits()


@row("003.probabilities-0-sum", "二·第四幕·2", "P[0] 是十个词上的分布：总和", "P[0] as a distribution over ten words: its sum", Illustration(PROBABILITIES_0, (sums_to_one,), 3), note=("任何 logits 的 softmax 都不是它", "no softmax gives it, whatever the logits"), labels=(("",), w.VOCABULARY))
def _(stated: Any) -> Any:
    return None


@row("003.probabilities-0-ratios", "二·第四幕·2", "P[0] 与 exp(logits[0]) 成比例：算出的 softmax 缩到写出的总和", "P[0] is proportional to exp(logits[0]): the softmax computed, scaled to the stated sum", Printed(PROBABILITIES_0, 3), note=("总和偏大，好像还有别的词分走概率", "a larger sum than that of the ten logits, as if more words shared in it"), labels=(("",), w.VOCABULARY))
def _() -> Any:
    return from_logits() * sum(PROBABILITIES_0)


@row("003.probability-percent", "二·第四幕·2", "P(今) = 0.131 即 13.1%，P(天) = 0.094 即 9.4%", "P(今) = 0.131 is 13.1%, P(天) = 0.094 is 9.4%", Printed((13.1, 9.4), 1), note=("写出的（不对的）P[0] 换成百分数：文中的数与文中的数相比", "percentages of the stated (wrong) P[0]: stated numbers beside stated numbers"), at="377; 380: 0 13.1 9.4; 379: 7")
def _() -> Any:
    return 100 * np.array(PROBABILITIES_0)[[3, 4]]


@row("003.probability-0-with-logits", "二·第四幕·2", "P(今) = 0.131 与写出的 logits[0] 同时成立", "P(今) = 0.131 together with the stated logits[0]", Illustration(0.131, (softmax_of(w.LOGITS_0, 0.005, 3),), 3), note=("各自做得到，一起做不到", "each is attainable alone; together they exclude one another"))
def _(stated: Any) -> Any:
    return from_logits()[3]


@row("003.probability-0-alone", "二·第四幕·2", "位置 0 的 P(今) = 0.131，不管 logits", "P(今) = 0.131 at position 0, without the logits", Illustration(0.131, (no_more_than_one,), 3), stages=("weather", "probabilities"))
def _(stated: Any) -> Any:
    made = example("weather")
    p = witnesses.read_out(made, made.parameters, {(0, 3): float(stated)})
    return witnesses.run(made, p)["probabilities"][0, 0, 3]


@row("003.probabilities-1", "二·第四幕·2", "位置 1：P(今) = 8.2%，P(天) = 15.3%", "position 1: P(今) = 8.2%, P(天) = 15.3%", Illustration(SMALL, (no_more_than_one,), 3), at="381: 1 8.2 15.3", stages=("weather", "probabilities"), witness=illustrated)
def _(stated: Any) -> Any:
    labels = (float(stated[1]), *w.LABEL_PROBABILITIES[2:])
    return illustrated(labels=labels, other=float(stated[0]))["probabilities"][0, 1, [3, 4]]


@row("003.probabilities-6", "二·第四幕·2", "位置 6：P(<eos>) = 18.5%", "position 6: P(<eos>) = 18.5%", Illustration(0.185, (no_more_than_one,), 3), at="384: 6 18.5; 382: 2", stages=("weather", "probabilities"), witness=illustrated)
def _(stated: Any) -> Any:
    return illustrated(labels=(*w.LABEL_PROBABILITIES[1:-1], float(stated)))["probabilities"][0, 6, 2]


@row("003.label-probabilities", "二·第四幕·3", "位置 1 到 6 的标签的概率", "the probabilities of the labels of positions 1 to 6", Illustration(w.LABEL_PROBABILITIES[1:], (), 3), note=("六个在同一次前向里", "all six in one run"), at="394; 395; 396; 397; 398; 399", stages=("weather", "probabilities"), witness=illustrated, labels=(("",), SOURCE[1:]))
def _(stated: Any) -> Any:
    run = illustrated(labels=tuple(stated.tolist()), other=None)
    return run["probabilities"][0, np.arange(1, 7), LABELS[1:]]


@row("003.together", "二·第三、四幕", "一个模型同时给出：自注意力的一行、交叉注意力的一行、logits[0]、六个标签概率", "one model with the self row, the cross row, logits[0] and six label probabilities at once", Illustration((*w.SELF_WEIGHTS_1[:2], *w.CROSS_WEIGHTS_1, *w.LOGITS_0, *w.LABEL_PROBABILITIES[1:]), (), 3), note=("H_enc、P[0] 与 Loss_0 不在其中", "H_enc, P[0] and Loss_0 are the ones that stay out"), stages=("weather", f"{SELF}.weights", f"{CROSS}.weights", "logits", "probabilities"), witness=illustrated)
def _(stated: Any) -> Any:
    numbers = tuple(stated.tolist())
    run = illustrated(cross=numbers[2:9], logits=numbers[9:19], labels=numbers[19:], other=None, own=numbers[:2])
    return np.concatenate([
        run[f"{SELF}.weights"][0, 0, 1, :2], run[f"{CROSS}.weights"][0, 0, 1], run["logits"][0, 0],
        run["probabilities"][0, np.arange(1, 7), LABELS[1:]],
    ])


@row("003.labels-again", "二·第四幕·3", "Labels", "Labels", Equal(LABELS), at="390", stages=("weather", "labels"))
def _() -> Any:
    return trace("weather")["labels"][0]


@row("003.losses", "二·第四幕·3", "七个损失，由写出的七个概率", "the seven losses from the seven stated probabilities", Printed(LOSSES), at="393; 394; 395; 396; 397; 398; 399", stages=("weather", "loss.per_token"), labels=(("",), SOURCE))
def _() -> Any:
    return losses_of(w.LABEL_PROBABILITIES)[0]


@row("003.loss-indices", "二·第四幕·3", "取的是 P[t, 标签]：运行的损失，与 -log P[t, 标签]（写出的序号）", "the probabilities taken are P[t, label]: the losses of the run, beside -log P[t, label] (indices as stated)", Same(True))
def _() -> Any:
    run = trace("weather")
    stated = ((0, 3), (1, 4), (2, 4), (3, 5), (4, 6), (5, 7), (6, 2))
    return run["loss.per_token"][0], [-np.log(run["probabilities"][0][cell]) for cell in stated]


@row("003.loss-0-from-logits", "二·第四幕·3", "Loss_0，由写出的 logits[0]", "Loss_0 from the stated logits[0]", Printed(2.03), note=("按写出的 logits，P(今) = 0.167", "the softmax of the stated logits has P(今) = 0.167"))
def _() -> Any:
    return -np.log(from_logits()[3])


@row("003.loss-mean", "二·第四幕·3", "七个写出的损失的平均", "the mean of the seven stated losses", Printed(1.86), note=("13.04 / 7 = 1.863；文中的数之平均", "13.04 / 7 = 1.863; a mean of stated numbers"), at="402; 403", stages=("weather", "loss"))
def _() -> Any:
    return mean_forward(np.array([LOSSES]), trace("weather")["labels"])


@row("003.loss-mean-exact", "二·第四幕·3", "由概率直接算的平均，中间不舍入", "the mean from the probabilities, not rounded in between", Printed(1.86))
def _() -> Any:
    return losses_of(w.LABEL_PROBABILITIES)[1]


@row("003.loss-mean-from-logits", "二·第四幕·3", "平均，Loss_0 由写出的 logits", "the mean with Loss_0 from the stated logits", Printed(1.86), note=("一个错的 softmax 动了平均", "one wrong softmax moves the mean"))
def _() -> Any:
    return losses_of((from_logits()[3], *w.LABEL_PROBABILITIES[1:]))[1]


@row("003.loss-name", "二·第四幕·3", "平均损失的名字：Total_Loss", "the name of the mean: Total_Loss", Definition("Total_Loss"), note=("名字像总和，算的是平均；七个之和是 13.04（000 求和）", "named like a sum, computed as a mean; the seven sum to 13.04 (000 sums)"))
def _() -> Any:
    return None


@row("003.cross-entropy", "二·第四幕·3", "交叉熵衡量 P 与 one-hot 的距离：运行的损失，与 KL(one-hot || P)", "cross-entropy measures how far P is from the one-hot truth: the losses of a run, beside KL(one-hot || P)", Same(True), note=("是散度，不是距离：不对称", "a divergence, not a distance: it is not symmetric"), stages=("weather", "probabilities", "loss.per_token"))
def _() -> Any:
    run = trace("weather")
    target = np.eye(10)[run["labels"][0]]
    return run["loss.per_token"][0], (target * (np.log(np.maximum(target, 1e-300)) - np.log(run["probabilities"][0]))).sum(1)


@row("003.loss-uniform", "二·第四幕·3", "预测概率越高，损失越小：概率 0.131、0.153、0.185 的损失", "a larger probability has a smaller loss: the losses of 0.131, 0.153 and 0.185", Order(("0.131", "0.153", "0.185")), note=("十个词里瞎猜的损失是 ln 10 = 2.30：1.86 的模型几乎没学到", "ln 10 = 2.30 is the loss of a guess among ten: 1.86 is a model that has hardly learnt"))
def _() -> Any:
    found = losses_of((0.131, 0.153, 0.185, 0.5, 0.5, 0.5, 0.5))[0]
    return dict(zip(("0.131", "0.153", "0.185"), found.tolist(), strict=False))


@row("003.loss-falls", "二·第四幕·3", "模型的目标就是最小化损失：训练前与训练后", "training makes the loss small: before and after", Order(("before", "after")))
def _() -> Any:
    return {"before": trace("weather")["loss"].item(), "after": trace_trained("weather")["loss"].item()}


@row("003.gradient-order", "二·第五幕", "梯度从 H_dec 经 FFN、交叉注意力、自注意力流到 X_dec", "the gradient flows from H_dec through FFN, cross-attention, self-attention to X_dec", Equal(("decoder.output", "decoder.1.feed_forward.output", "decoder.1.cross_attention.output", "decoder.1.self_attention.output", "decoder.input")), note=("第 0 层同样", "and so on through layer 0"), at="427", stages=("weather", "decoder.output", "decoder.input"))
def _() -> Any:
    wanted = ("decoder.input", "decoder.1.self_attention.output", "decoder.1.cross_attention.output", "decoder.1.feed_forward.output", "decoder.output")
    return [name for name in gradients("weather").gradients if name in wanted]


@row("003.gradient-list", "二·第五幕", "文中的次序：W_vocab、H_dec，最后 X_dec；H_enc 在岔路上", "the document's order: W_vocab, H_dec, and at last X_dec; H_enc at the fork", Equal(("W_vocab", "H_dec", "X_dec", "H_enc")), stages=("weather", "decoder.output", "encoder.output"))
def _() -> Any:
    symbols = [one.symbol for one in gradient_flow(gradients("weather"))]
    return [name for name in dict.fromkeys(symbols) if name in ("W_vocab", "H_dec", "X_dec", "H_enc")]


@row("003.cross-gradients", "二·第五幕", "交叉注意力的梯度更新 W_Q、W_K、W_V", "cross-attention's gradient updates W_Q, W_K, W_V", Equal(("w_k", "w_q", "w_v")), note=("还有 W_O，这一部分没有写", "and W_O, which this part leaves out"))
def _() -> Any:
    run, place = gradients("weather"), "decoder.1.cross_attention"
    return [n for n in ("w_k", "w_q", "w_v") if np.any(run.grad(f"parameters/{place}.{n}"))]


@row("003.encoder-learns", "二·第五幕", "编码器会被解码器的损失训练：编码器没有得到梯度的参数", "the decoder's loss trains the encoder: parameters of the encoder without a gradient", Equal(()), stages=("weather", "encoder.output"))
def _() -> Any:
    run = gradients("weather")
    return [n for n in run.parameters if n.startswith("encoder.") and not np.any(run.grad(f"parameters/{n}"))]


@row("003.learning-rate", "二·第五幕", "学习率 0.001", "learning rate 0.001", Definition(0.001), note=("文中给的输入；numtx 的 sgd 默认也是它", "an input of the document; the default of numtx's sgd too"), at="434")
def _() -> Any:
    return Recipe(optimiser="sgd").rate(1, example("weather").config)


@row("003.update", "二·第五幕", "W_new = W_old - 0.001·梯度：训练一步后的全部参数", "W_new = W_old - 0.001 * gradient: all parameters after one step of training", Same(True))
def _() -> Any:
    run, after = gradients("weather"), one_step()["parameters"]
    names = list(after)
    before = [run.parameters[n] - 0.001 * run.grad(f"parameters/{n}") for n in names]
    return np.concatenate([a.ravel() for a in before]), np.concatenate([after[n].ravel() for n in names])


@row("003.update-lowers", "二·第五幕", "更新之后损失下降：第一步之前与之后", "the step lowers the loss: before and after it", Order(("before", "after")))
def _() -> Any:
    losses = one_step()["loss"]
    return {"before": losses[0], "after": losses[1]}


@row("003.adamw", "二·第五幕", "（训练这里的例子用的优化器）AdamW、裁剪与预热的三步，与公式", "(the optimiser that trains the examples here) three steps of AdamW with clipping and a warm-up, beside the formula", Same(True), note=("文中是随机梯度下降；AdamW 见 Loshchilov 与 Hutter，2019", "the document has plain gradient descent; AdamW is that of Loshchilov and Hutter, 2019"))
def _() -> Any:
    made = example("cat")
    recipe = Recipe(learning_rate=0.02, warmup=2, clip=0.5, decay=0.1)
    run = train(Run(made.config, made.parameters, recipe), made.batch, 3)
    p = dict(made.parameters)
    m, v = ({name: 0.0 * array for name, array in p.items()} for _ in range(2))
    for t in (1, 2, 3):
        g = backward(forward(made.config, p, made.batch)[1])
        short = min(1.0, 0.5 / np.sqrt(sum((array * array).sum() for array in g.values())))
        rate = 0.02 * min(t / 2, np.sqrt(2 / t))
        for name in p:
            m[name] = 0.9 * m[name] + 0.1 * short * g[name]
            v[name] = 0.999 * v[name] + 0.001 * (short * g[name]) ** 2
            step = m[name] / (1 - 0.9**t) / (np.sqrt(v[name] / (1 - 0.999**t)) + 1e-8)
            p[name] = (1 - rate * 0.1) * p[name] - rate * step
    return [np.concatenate([one[name].ravel() for name in made.parameters]) for one in (run.parameters, p)]


@row("003.samples-in-turn", "二·第五幕", "对许多样本重复这个过程：三个样本、六步中各用几次（从参数看出的样本次序，每三步各一次）", "the steps go on over many samples: how often each of three samples is taken in six steps (each once in three)", Equal((2, 2, 2)))
def _() -> Any:
    order = [batch_number(0, step, 3) for step in range(6)]
    return [order[:3].count(i) + order[3:].count(i) if order[:3].count(i) == 1 else 0 for i in range(3)]


@row("003.many-samples", "二·第五幕", "成千上万个样本", "thousands upon thousands of samples", Definition("成千上万"), note=("成语，不是计数", "an idiom, no count"), at="441: 一 千 万")
def _() -> Any:
    return None
