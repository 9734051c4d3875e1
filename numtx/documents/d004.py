"""Document 004: 你 是 一 只 猫."""
# fmt: off

from __future__ import annotations

from typing import Any

import numpy as np

from ..batch import Batch
from ..decoding import generate, sequence_log_probability
from ..examples import cat as c
from ..examples.weather import LABEL_PROBABILITIES
from ..ops.loss import IGNORED
from ..ops.softmax import softmax_forward
from ..shapes import Array
from ..trace.trace import Trace
from . import witnesses
from .d001 import SCORES, VALUES
from .d003_loss import losses_of
from .judges import Definition, Equal, Illustration, Printed, Same
from .row import row
from .runs import (
    SELF,
    cost,
    example,
    hidden,
    moved,
    moves,
    power,
    powers,
    said,
    shape,
    small,
    trace,
    trained,
    words_written,
    written,
)
from .theorems import on_a_plane

WORDS = ("你", "是", "一", "只", "猫")
TABLE = [["你", "是"], ["你 是", "一"], ["你 是 一", "只"], ["你 是 一 只", "猫"]]
DIMS = tuple(f"{i}" for i in range(4))
EMBEDDING = ((1, 0, 1, 0), (0, 1, 1, 0), (1, 1, 0, 1), (0, 1, 0, 1), (1, 0, 0, 1))
POSITIONS = ((0.1, 0.2, 0.3, 0.4), (0.2, 0.3, 0.4, 0.5), (0.3, 0.4, 0.5, 0.6), (0.4, 0.5, 0.6, 0.7), (0.5, 0.6, 0.7, 0.8))

# Gain and bias of a last LayerNorm under which rows on its sphere round to H (`search_norm`). The
# rest of the witness is linear algebra.
SEED = 2
GAIN = (2.051592, -1.647959, 0.932563, 0.946373)
BIAS = (1.026447, 1.075312, -0.295266, 1.989195)


def hidden_run(stated: Array | None = None) -> Trace:
    """cat with a last feed-forward layer that sends each row where the norm makes it H."""
    made, gain, bias = example("cat"), np.array(GAIN), np.array(BIAS)
    rows = np.array(c.HIDDEN) if stated is None else stated
    p = witnesses.write_output(made, made.parameters, "decoder", (rows - bias) / gain, gain=gain, bias=bias)
    return witnesses.run(made, p)


def step_by_step() -> list[list[str]]:
    """What the trained cat reads and writes, one word at a time, each fed with its own."""
    words = ["你", *words_written(trained("cat"), most=4)]
    return [[" ".join(words[: n + 1]), words[n + 1]] for n in range(4)]


def at_once() -> list[list[str]]:
    """What the trained cat reads and says at each position of one pass."""
    read = trace("cat").tokens["decoder"][0]
    return [[" ".join(read[: n + 1]), word] for n, word in enumerate(said("cat")[:4])]


def counted() -> int:
    return int((trace("cat")["loss.per_token"][0] > 0).sum())


@row("004.factorised", "1.1", "P(w_1..w_n) 是 n 个条件概率的乘积（i = 1..n）：你 是 一 只 猫 的因子数", "P(w_1..w_n) is a product of n conditional probabilities, i = 1..n: factors of 你 是 一 只 猫", Equal(5), note=("P(你 | 空) 没有输入可依：没有起始符；下一节的表是四行，n - 1", "P(你 | nothing) has no input to come from, for there is no start token; the table of the next section has four rows: n - 1"), at="8")
def _() -> Any:
    made = example("cat")
    return len(sequence_log_probability(made.config, made.parameters, Batch([[0]]), [[1, 2, 3, 4]]).per_token[0])


@row("004.product", "1.1", "log P 是各条件概率的对数之和：一次前向的和，与损失乘以项数的负数", "log P is the sum of the logs of the conditional probabilities: beside minus the loss times its terms", Same(True))
def _() -> Any:
    made = example("cat")
    total = sequence_log_probability(made.config, made.parameters, Batch([[0]]), [[1, 2, 3, 4]]).total[0]
    return total, -4 * trace("cat")["loss"]


@row("004.masked-model", "1.1", "自编码：预测被屏蔽的词，训练过的模型在五个 [MASK] 处说的", "an autoencoding model predicts the hidden words: what the trained one says at five [MASK]s", Equal(WORDS), stages=("masked", "encoder.tokens", "labels"))
def _() -> Any:
    made = trained("masked")
    assert made.vocabulary is not None
    logits = made.trace(gradients=False)["logits"]
    return made.vocabulary.decode([int(logits[i, i].argmax()) for i in range(5)])


@row("004.sentence", "1.2", "句子", "the sentence", Definition(WORDS), note=("文中给的输入", "an input of the document"), at="13: 一; 28: 一", stages=("cat", "decoder.tokens"))
def _() -> Any:
    return trace("cat").tokens["decoder"][0]


@row("004.table", "1.2", "输入与目标（训练过的模型一次前向说的）", "inputs and targets (said by the trained model in one pass)", Equal(TABLE), at="18; 19; 20", stages=("cat", "decoder.tokens", "labels"))
def _() -> Any:
    return at_once()


@row("004.width", "1.3.1", "嵌入维度 4", "width 4", Definition(4), note=("文中给的输入", "an input of the document"), at="28: 4")
def _() -> Any:
    return trace("cat")["decoder.embedding"].shape[-1]


@row("004.embedding", "1.3.1", "E", "E", Definition(EMBEDDING), note=("文中给的输入，运行时查表得到", "an input of the document, looked up by the run"), at="35; 41; 42; 43; 44; 45", stages=("cat", "decoder.embedding"), labels=(WORDS, DIMS))
def _() -> Any:
    return trace("cat")["decoder.embedding"][0].tolist()


@row("004.positions", "1.3.1", "P", "P", Definition(POSITIONS), note=("文中给的输入：0.1·(行 + 列 + 1)，行列从 0 数起；既不是正弦，也没有学过", "an input of the document: 0.1·(row + column + 1), rows and columns from 0; neither sine nor learnt"), at="54; 55; 56; 57; 58", stages=("cat", "decoder.positions"), labels=(WORDS, DIMS))
def _() -> Any:
    return trace("cat")["decoder.positions"][0]


@row("004.sum", "1.3.1", "X = E + P", "X = E + P", Printed(((1.1, 0.2, 1.3, 0.4), (0.2, 1.3, 1.4, 0.5), (1.3, 1.4, 0.5, 1.6), (0.4, 1.5, 0.6, 1.7), (1.5, 0.6, 0.7, 1.8)), 1), note=("二十个数都一样", "exactly, all twenty entries"), at="67; 68; 69; 70; 71", stages=("cat", "decoder.embedding", "decoder.positions", "decoder.input"), labels=(WORDS, DIMS))
def _() -> Any:
    return trace("cat")["decoder.input"][0]


@row("004.shape", "1.3.1", "五个词元，宽 4", "five tokens of width 4", Equal((5, 4)))
def _() -> Any:
    return shape("cat", "decoder.input")


@row("004.encoder", "1.3.2", "由 Transformer 编码器来做：换掉第二个词，第一行（要预测它）动不动（会动的位置）", "a Transformer encoder does it: positions that move with the second word, which the first one should predict", Equal((1, 2, 3, 4)), note=("自回归建模需要因果掩码：这是没有交叉注意力的解码器（004.encoder-causal）", "autoregressive modelling needs the causal mask: this is a decoder without cross-attention (004.encoder-causal)"))
def _() -> Any:
    model = small()
    return moved(hidden(model, [1, 2, 3, 4, 5]), hidden(model, [1, 3, 3, 4, 5]))


@row("004.encoder-causal", "1.3.2", "（应为解码器）同样换掉第二个词，cat 会动的位置", "(a decoder, then) positions of cat that move with the second word", Equal((1, 2, 3, 4)))
def _() -> Any:
    return moves("cat", 1, "logits")


@row("004.predicts-yi", "1.3.2", "输入 你 是 一 时帮助预测 一：训练过的模型说的", "the input 你 是 一 helps to predict 一: what the trained model says", Equal("一"), note=("一 已在输入里；文中自己的表与第 2 节都说 只", "一 is in the input; the document's own table and its part 2 say 只"), at="80: 一 一", stages=("cat", "decoder.tokens", "labels"))
def _() -> Any:
    return words_written(trained("cat"), 3, most=1)[0]


@row("004.importance", "1.3.2", "注意力顾及 你 与 是：换掉其中一个，位置 2 的预测都动（会动的位置）", "attention takes 你 and 是 into account: positions that move with each", Equal(((0, 1, 2), (1, 2))), stages=("cat", f"{SELF}.weights"))
def _() -> Any:
    return [moves("cat", place, "logits", length=3) for place in (0, 1)]


@row("004.hidden", "1.3.3", "H，作为 LayerNorm 的输出", "H, as rows that leave a LayerNorm", Illustration(c.HIDDEN, (on_a_plane,), 1), note=("增益与偏置由搜索得到，其余由线性代数；文中没有提到归一化", "gain and bias found by search, the rest by linear algebra; the document names no norm"), at="92; 93; 94; 95; 96", stages=("cat", "decoder.output"), labels=(WORDS, DIMS), witness=hidden_run)
def _(stated: Any) -> Any:
    return hidden_run(stated)["decoder.output"][0]


@row("004.hidden-shape", "1.3.3", "H 每个词元一行，宽 4", "H has a row for each token, of width 4", Equal((5, 4)), stages=("cat", "decoder.output"))
def _() -> Any:
    return shape("cat", "decoder.output")


@row("004.head", "1.3.3", "P = softmax(h_i·W_O + b_O)：与运行的概率", "P = softmax(h_i·W_O + b_O): beside the probabilities of the run", Same(True), stages=("cat", "logits", "probabilities"))
def _() -> Any:
    run, p = trace("cat"), trace("cat").parameters
    return softmax_forward(run["decoder.output"][0] @ p["output.w"] + p["output.b"]), run["probabilities"][0]


@row("004.w-o-name", "1.3.3", "输出层的矩阵叫 W_O", "the matrix of the output layer is named W_O", Definition("W_O"), note=("一个名字两件东西：别处 W_O 是注意力的输出投影（cat 的两层各有一个）；003 写作 W_vocab", "one name for two things: elsewhere W_O is attention's output projection (cat has one in each of its layers); 003 writes W_vocab"))
def _() -> Any:
    return None


@row("004.head-index", "1.3.3", "h_i 给出 P(w_i | w_1..w_(i-1))：给出 P(w_3 | w_1, w_2) 的行（从 1 数）", "h_i gives P(w_i | w_1..w_(i-1)): the row, from 1, that gives P(w_3 | w_1, w_2)", Equal(3), note=("第 i 行读过 w_i，给出 P(w_(i+1) | w_1..w_i)；公式把 h_i 与它见过的 w_i 配在一起", "row i has read w_i: it gives P(w_(i+1) | w_1 .. w_i); the formula pairs h_i with w_i, which h_i has seen"), at="103")
def _() -> Any:
    return said("cat").index(WORDS[2]) + 1


@row("004.head-shapes", "1.3.3", "W_O 与 b_O 把宽 4 映射到词汇表（五个词）", "W_O and b_O map width 4 to the vocabulary (five words)", Equal(((4, 5), (5,))))
def _() -> Any:
    p = trace("cat").parameters
    return p["output.w"].shape, p["output.b"].shape


@row("004.loss-terms", "1.3.4", "损失对 i = 1..n 求和（n = 5）：有预测的项", "the loss sums over i = 1..n (n = 5): terms that have a prediction", Equal(5), note=("四项，与表一致", "four, as in the table"), at="112", stages=("cat", "loss.per_token"))
def _() -> Any:
    return counted()


@row("004.loss-mean", "1.3.4", "损失是平均（1/n）：与有预测的四项的平均", "the loss is a mean (1/n): beside the mean over the four predictions", Same(True), note=("000 的损失是求和，003 的平均叫 Total_Loss", "000's loss is a sum, 003's a mean named Total_Loss"), stages=("cat", "loss.per_token", "loss"))
def _() -> Any:
    run = trace("cat")
    return run["loss"], run["loss.per_token"][0][run["labels"][0] != IGNORED].mean()


@row("004.loss-falls", "1.3.4", "优化目标是最小化损失：训练后的四个预测", "the aim is to minimise the loss: the four predictions after training", Equal(WORDS[1:]))
def _() -> Any:
    return said("cat")[:4]


@row("004.loss-like-003", "1.3.4", "同一公式下，003 的七个概率给出它的 1.86", "with the same formula 003's seven probabilities give its 1.86", Printed(1.86))
def _() -> Any:
    return losses_of(LABEL_PROBABILITIES)[1]


@row("004.predict-next", "2", "输入 你 是 一，下一个词 只（训练过的模型生成）", "input 你 是 一, next word 只 (generated by the trained model)", Equal("只"), at="123; 127")
def _() -> Any:
    return words_written(trained("cat"), 3, most=1)[0]


@row("004.append", "2", "把 只 添加到输入，然后是 猫", "只 is appended, then 猫 follows", Equal(("只", "猫")))
def _() -> Any:
    return words_written(trained("cat"), 3, most=2)


@row("004.stop-at-cat", "2", "直到生成 猫 或达到停止条件：词表里结束句子的词元数", "generation ends at 猫 or a stop condition: tokens of the vocabulary that end a sentence", Equal(0), note=("文中没有结束符；猫 之后没有定义", "the document has no end token; after 猫 nothing is defined"))
def _() -> Any:
    vocabulary = example("cat").vocabulary
    return sum(t in ("<eos>", "<EOS>", "</s>") for t in vocabulary.tokens) if vocabulary else None


@row("004.stop", "2", "（以 猫 为停止词元）从 你 起，允许写 5 个词时写出的", "(with 猫 as a stop token) what is written after 你 when five words are allowed", Equal(("是", "一", "只", "猫")))
def _() -> Any:
    made = trained("cat")
    new = generate(made.config, made.parameters, Batch([[0]]), max_new_tokens=5, stop=[4]).new[0]
    return made.vocabulary.decode(new) if made.vocabulary else None


@row("004.cache-order", "2", "每次只存当前词的 K、V：各步读的与算的列（提示三个词元）", "only the current token's K and V are stored anew: columns read and computed by each step (a prompt of three)", Equal([[0, 3], [3, 1]]))
def _() -> Any:
    return [[one.read, one.computed] for one in written(trained("cat"), 3, most=2).steps]


@row("004.cache-same", "2", "避免重新计算：用缓存与不用缓存的 logits", "nothing is computed again: the logits with a cache, beside those without", Same(True))
def _() -> Any:
    runs = [written(trained("cat"), 3, most=3, use_cache=cached) for cached in (True, False)]
    return [[one.logits for one in run.steps] for run in runs]


@row("004.cost", "2", "每步从 O(n^2) 降到 O(n)：注意力乘加次数中 n 的幂", "each step falls from O(n^2) to O(n): powers of n of its attention", Equal((2, 1)), at="134")
def _() -> Any:
    return [powers((*SCORES, *VALUES), cached)[0] for cached in (False, True)]


@row("004.cost-whole", "2", "整步的乘加次数也是 O(n^2) 与 O(n)：n 的最高次幂", "a whole step is O(n^2) and O(n) as well: highest powers of n", Equal((2, 1)), note=("极限如此；通常的长度下 n·d^2 占多数，降到 d^2", "in the limit; at usual lengths n·d^2 leads, and falls to d^2"))
def _() -> Any:
    return [power([cost((), i, 8, cached) for i in range(1, 7)]) for cached in (False, True)]


@row("004.training-predicts-one", "3", "训练一次性计算 你 是 一 只 预测 猫：预测的个数", "training computes 你 是 一 只 -> 猫 in one go: predictions", Equal(1), note=("四个一起，同一节前两行也这么说", "all four at once, as the same section says two lines before"), at="149: 一; 150: 一 一")
def _() -> Any:
    return counted()


@row("004.training-predicts-all", "3", "训练一次性完成所有词的预测：个数", "training predicts all words in one go: how many", Equal(4), stages=("cat", "labels"))
def _() -> Any:
    return counted()


@row("004.inference-steps", "3", "推理：四步的输入与输出（训练过的模型生成）", "inference: four inputs and outputs (generated by the trained model)", Equal(TABLE), at="153; 154; 155", stages=("cat", "decoder.tokens", "labels"))
def _() -> Any:
    return step_by_step()


@row("004.core", "3", "多头注意力与 KV 缓存是核心：cat 的头数", "multi-head attention and the cache are the core: heads of cat", Definition("多头"), note=("总结；cat 用两个头（文中说“多头”）", "a summary; cat runs with two heads (the document says several)"))
def _() -> Any:
    return None
