"""Document 003, act two: embedding, positions, self-attention, norm, feed-forward, H_enc."""
# fmt: off

from __future__ import annotations

from typing import Any

import numpy as np

from ..batch import Batch
from ..config import Config
from ..examples import weather as w
from ..ops.norm import norm_forward
from ..ops.positions import sinusoidal
from ..parameters import initialise
from ..trace.trace import record
from ..training.demonstrations import gradient_depth
from ..training.loop import train
from ..training.recipe import Recipe
from ..training.run import Run
from .judges import Definition, Equal, Found, Illustration, Order, Printed, Same, rounding_of
from .row import row
from .runs import Kept, example, hidden, moved, moves, shape, small, trace
from .theorems import on_a_plane, rank_at_most

SELF = "encoder.0.self_attention"
FFN = "encoder.0.feed_forward"
NAMES = (*"今天天气很好", "<eos>")
PLACES = tuple(f"pos={i}" for i in range(7))
DIMS = tuple(f"dim{i}" for i in range(4))


def positions(width: int, base: float) -> Any:
    """numtx's own sines and cosines of seven places, the first four columns"""
    return sinusoidal(np.arange(7)[None], width, base, "float64")[0, :, :4]


def misfits(base: float, raised: bool = True) -> int:
    """Entries of the document's table that are off at a base, however they were rounded."""
    ways = ("off",) if raised else ("off", "raised")
    stated, computed = np.ravel(w.POSITIONS), positions(4, base).reshape(-1)
    near = np.abs(stated - computed) < 0.011  # no rounding to two digits leads farther
    pairs = zip(stated[near].tolist(), computed[near].tolist(), strict=True)
    return int((~near).sum()) + sum(rounding_of(s, c, 2) in ways for s, c in pairs)


@Kept
def bases() -> tuple[float, float, float, int]:
    """Of all bases from 10 to 200 in steps of 0.1, and to 20,000: the best, the first and the last as good, and how many entries are off."""
    tried = [*np.arange(100, 2001) / 10, *range(300, 20001, 100)]
    off = [misfits(base, raised=False) for base in tried]
    good = [base for base, count in zip(tried, off, strict=True) if count == min(off)]
    return min(good, key=lambda base: float(np.abs(positions(4, base) - w.POSITIONS).max())), good[0], good[-1], min(off)


def stated_input() -> Any:
    """X = E + PE from the numbers as printed."""
    return np.array([w.EMBEDDING[name] for name in NAMES]) + np.array(w.POSITIONS)


def from_input(x: Any, stage: str) -> Any:
    """A stage of the example's run, held at another encoder input"""
    return example("weather").trace(gradients=False, pins={"encoder.input": x[None]})[stage][0, 0]


@row("003.embedding-shape", "二·第二幕·1", "d_model = 4，W_emb 是 10 x 4", "d_model = 4, W_emb is 10 x 4", Equal((10, 4)), at="137; 138")
def _() -> Any:
    return trace("weather").parameters["embedding"].shape


@row("003.embedding", "二·第二幕·1", "七个词元的嵌入", "the rows of seven tokens", Definition(((0.8, 0.1, 0.3, 0.2), (0.2, 0.9, 0.1, 0.4), (0.2, 0.9, 0.1, 0.4), (0.1, 0.2, 0.9, 0.1), (0.4, 0.3, 0.2, 0.8), (0.5, 0.4, 0.1, 0.6), (0.3, 0.5, 0.6, 0.4))), note=("文中给的输入，运行时查表得到", "an input of the document, looked up by the run"), at="141; 142; 143; 144; 145; 146; 147", stages=("weather", "encoder.embedding"), labels=(NAMES, DIMS))
def _() -> Any:
    return trace("weather")["encoder.embedding"][0]


@row("003.same-embedding", "二·第二幕·1", "两个天的嵌入相同", "the two 天 have the same embedding", Same(True), note=("同一行，查了两次", "one row of the table, looked up twice"))
def _() -> Any:
    return trace("weather")["encoder.embedding"][0, 1:3]


@Kept
def company() -> dict[str, float]:
    """Pairs of words in the same places of sentences, and in different ones: how much nearer their embeddings come in training (cosine, after minus before), the mean of three seeds."""
    # ids: 0 猫 1 狗 | 2 车 3 船 | what follows: 4 吃 5 鱼 | 6 跑 7 路
    batch = Batch([[0, 4], [1, 4], [2, 6], [3, 6]], labels=[[4, 5], [4, 5], [6, 7], [6, 7]])
    config = Config(model="decoder-only", width=8, decoder_layers=1, heads=1, hidden=16, vocabulary=8)
    nearer = {"same": 0.0, "different": 0.0}
    for seed in range(3):
        p = initialise(config, seed)
        after = train(Run(config, p, Recipe(learning_rate=0.03)), batch, 60).parameters
        for name, pairs in (("same", ((0, 1), (2, 3))), ("different", ((0, 2), (1, 3)))):
            for one, other in pairs:
                near = [float(e[one] @ e[other] / np.linalg.norm(e[one]) / np.linalg.norm(e[other])) for e in (after["decoder.embedding"], p["decoder.embedding"])]
                nearer[name] += (near[0] - near[1]) / 6
    return nearer


@row("003.embedding-near", "二·第二幕·1", "训练让语义相近的词向量也接近：处境相同的词对与不同的词对，余弦增加多少", "training brings vectors of words near in meaning together: the gain in cosine of words in the same company and in different company", Order(("same", "different")), note=("模型只见处境，不见词义：三个种子的平均", "a model sees company, not meaning; the mean of three seeds"))
def _() -> Any:
    return company()


@row("003.input-shape", "二·第二幕·1", "X_enc^(0) 是 7 x 4", "X_enc^(0) is 7 x 4", Equal((7, 4)), at="149")
def _() -> Any:
    return shape("weather", "encoder.input")


@row("003.position-shape", "二·第二幕·2", "PE 是 7 x 4", "PE is 7 x 4", Equal((7, 4)), at="157")
def _() -> Any:
    return shape("weather", "encoder.positions")


@row("003.positions", "二·第二幕·2", "位置编码表", "the position table", Printed(w.POSITIONS), note=("pos 与 pos/10 的正弦、余弦，即 base = 100", "sine and cosine of pos and of pos/10, which is base 100"), at="159; 160; 161; 162; 163; 164; 165", stages=("weather", "encoder.positions"), labels=(PLACES, DIMS))
def _() -> Any:
    return trace("weather")["encoder.positions"][0]


@row("003.position-base", "二·第二幕·2", "同一张表，按通常的公式（base 10000，宽 4）", "the same table, by the usual formula (base 10000, width 4)", Printed(w.POSITIONS), note=("10000 出自 Vaswani 等，2017；文中没有写 base", "10000 is the base of Vaswani et al., 2017; the document names none"), stages=("weather", "encoder.positions"), labels=(PLACES, DIMS))
def _() -> Any:
    return positions(4, 10000.0)


@row("003.position-base-100", "二·第二幕·2", "同一张表，按最合适的 base", "the same table, by the base that fits it best", Printed(w.POSITIONS), labels=(PLACES, DIMS))
def _() -> Any:
    best, first, last, off = bases()
    return Found(positions(4, best), f"base {first:g} 到 {last:g} 时不符的（四舍五入或舍去尾数之外）有 {off} 个；numtx 用 100", f"with bases {first:g} to {last:g} {off} entries are off (neither rounded nor cut); numtx runs with 100")


@row("003.position-wider", "二·第二幕·2", "同一张表，按宽 8、base 10000 的前四列", "the same table, by the first four columns of width 8 with base 10000", Printed(w.POSITIONS), note=("10000^(2/8) = 10 = 100^(2/4)：更宽的模型截下四列，或指数写成 i/d，也是这张表", "10000^(2/8) = 10 = 100^(2/4): four columns of a wider model, or an exponent of i/d, give this table too"), labels=(PLACES, DIMS))
def _() -> Any:
    return positions(8, 10000.0)


@row("003.position-add", "二·第二幕·2", "X = X + PE，逐元素相加", "X = X + PE, element by element", Same(True), note=("嵌入前没有系数（原论文乘 sqrt(d_model)）", "no factor on the embedding (the paper multiplies it by sqrt(d_model))"), at="168", stages=("weather", "encoder.input"))
def _() -> Any:
    run = trace("weather")
    return run["encoder.input"], run["encoder.embedding"] + run["encoder.positions"]


@row("003.invariant", "二·第二幕·2", "Self-Attention 是置换不变的：倒过来的句子（无位置编码）的输出与原来的输出", "self-attention is permutation-invariant: the output for the reversed sentence (no positions), beside the output before", Same(True), note=("输出的行跟着换位：它是等变的；对各行求和或平均才不变", "the rows move with the tokens: it is equivariant; a sum or mean over the rows is what does not change"))
def _() -> Any:
    model = small(None)
    return hidden(model, [4, 3, 2, 1]), hidden(model, [1, 2, 3, 4])


@row("003.equivariant", "二·第二幕·2", "（应为等变）倒过来的句子的输出，与原来输出的行倒过来", "(equivariant, then) the output for the reversed sentence, beside the rows before, reversed", Same(True))
def _() -> Any:
    model = small(None)
    return hidden(model, [4, 3, 2, 1]), hidden(model, [1, 2, 3, 4])[::-1]


@row("003.sine", "二·第二幕·2", "每个位置有独特的标记：七行中不同的行", "positions get different marks: different rows of seven", Equal(7))
def _() -> Any:
    return len(np.unique(trace("weather")["encoder.positions"][0].round(2), axis=0))


@row("003.no-encoder-mask", "二·第二幕·3", "编码器没有掩码：权重大于 0 的词元对", "the encoder's attention has no mask: pairs with a weight above 0", Equal(49), at="173: 1; 175: 一", stages=("weather", f"{SELF}.mask"))
def _() -> Any:
    return int((trace("weather")[f"{SELF}.weights"] > 0).sum())


@row("003.identity", "二·第二幕·3", "W_Q = W_K = W_V = I，大小 4", "W_Q = W_K = W_V = I of size 4", Definition([np.eye(4).tolist()] * 3), note=("文中给的输入", "an input of the document"), at="178")
def _() -> Any:
    p = trace("weather").parameters
    return [p[f"{SELF}.{name}"] for name in ("w_q", "w_k", "w_v")]


def _projected(name: str, leaf: str, line: str) -> None:
    letter = leaf[0].upper()
    @row(f"003.{leaf}", "二·第二幕·3", f"{letter} = X·W = X，形状 [7,4]", f"{letter} = X·W = X, [7,4]", Same(True), at=line, stages=("weather", f"{SELF}.{leaf}"))
    def _() -> Any:
        run = trace(name)
        return run[f"{SELF}.{leaf}"][0, 0], run["encoder.input"][0]


for leaf, line in (("queries", "181"), ("keys", "182"), ("values", "183")):
    _projected("weather", leaf, line)


@row("003.scores-shape", "二·第二幕·3", "Scores = Q·K^T / sqrt(4)，[7,7]：形状与系数", "Scores = Q·K^T / sqrt(4), [7,7]: shape and factor", Equal(((7, 7), 0.5)), at="186")
def _() -> Any:
    run = trace("weather")
    ratio = run[f"{SELF}.scores"] / run[f"{SELF}.products"]
    return shape("weather", f"{SELF}.scores"), float(np.median(ratio).round(12))


@row("003.scores", "二·第二幕·3", "分数表，由 X = E + PE 与 W = I", "the table of scores, from X = E + PE with W = I", Printed(w.SCORES), note=("文中的输入给出的是另一张表", "the stated inputs give quite another table"), at="192; 193; 194; 195; 196; 197; 198", stages=("weather", f"{SELF}.scores"), labels=(NAMES, NAMES))
def _() -> Any:
    return from_input(stated_input(), f"{SELF}.scores")


@row("003.scores-embedding", "二·第二幕·3", "同一张表，只由 E（不加位置）", "the same table, from E alone", Printed(w.SCORES), note=("也不是没有位置的表", "it is not a table without positions either"), labels=(NAMES, NAMES))
def _() -> Any:
    return from_input(stated_input() - np.array(w.POSITIONS), f"{SELF}.scores")


@row("003.scores-rank", "二·第二幕·3", "同一张表，宽 4 的任何 X、W_Q、W_K", "the same table, for any X, W_Q and W_K of width 4", Illustration(w.SCORES, (rank_at_most(4),)), note=("这个形状的模型都没有这样的分数", "no model of the stated shape has these scores"), labels=(NAMES, NAMES))
def _(stated: Any) -> Any:
    return None


@row("003.scores-symmetric", "二·第二幕·3", "表是对称的，如同 X·X^T：与自己的转置", "the table is symmetric, as X·X^T is: beside its own transpose", Same(True), note=("S = X·X^T / 2 等于自己的转置；文中的数与文中的数相比", "S = X·X^T / 2 is its own transpose; stated numbers beside stated numbers"))
def _() -> Any:
    return w.SCORES, np.array(w.SCORES).T


@row("003.scores-twins", "二·第二幕·3", "两个天的分数行完全一样", "the rows of the two 天 are exactly equal", Same(True), note=("加了位置编码，它们是两个不同的输入", "with position encodings they are two different inputs"), at="194", stages=("weather", "encoder.input", f"{SELF}.scores"))
def _() -> Any:
    return trace("weather")[f"{SELF}.scores"][0, 0, 1:3]


@row("003.scores-twins-table", "二·第二幕·3", "两行一样，W = I 时两行 X 的距离平方 2(s11 - 2 s12 + s22)：按表，按写出的 X", "equal rows, with W = I, mean rows of X at squared distance 2(s11 - 2 s12 + s22): by the table, by the stated X", Printed(0.0), note=("W = I 时，行相同就是 X 的行相同；位置编码使它们不同", "with W = I equal rows of scores mean equal rows of X; positions make them differ"))
def _() -> Any:
    s = from_input(stated_input(), f"{SELF}.scores")
    return 2.0 * (s[1, 1] - 2 * s[1, 2] + s[2, 2])


@row("003.twins-without-positions", "二·第二幕·3", "（怎样才会一样）没有位置编码，两个相同词元的行", "(what would make it so) without positions, the rows of two equal tokens", Same(True), note=("但那样 H_enc 里两个天也会相同，而文中不同", "but then H_enc could not give 天 two different rows, as it does"))
def _() -> Any:
    return hidden(small(None), [3, 4, 4, 5])[1:3]


@row("003.attention-shape", "二·第二幕·3", "权重是 [7,7]，每行之和为 1", "weights are [7,7], each row sums to 1", Equal(((7, 7), [1.0] * 7)), at="201", stages=("weather", f"{SELF}.weights"))
def _() -> Any:
    return shape("weather", f"{SELF}.weights"), trace("weather")[f"{SELF}.weights"][0, 0].sum(1).round(12)


@row("003.attention-output", "二·第二幕·3", "Output = 权重·V，[7,4]", "Output = weights·V, [7,4]", Same(True), at="204", stages=("weather", f"{SELF}.output"))
def _() -> Any:
    run = trace("weather")
    return run[f"{SELF}.weights"][0, 0] @ run[f"{SELF}.values"][0, 0], run[f"{SELF}.output"][0]


@row("003.mixes", "二·第二幕·3", "每个词融合全句：换掉 气 后会动的位置", "each word takes in the whole sentence: positions that move when 气 is replaced", Equal((0, 1, 2, 3, 4, 5, 6)))
def _() -> Any:
    return moves("weather", 3, "encoder.output", "encoder")


@row("003.residual", "二·第二幕·4", "X_residual = X + Output", "X_residual = X + Output", Same(True), at="212", stages=("weather", f"{SELF}.residual"))
def _() -> Any:
    run = trace("weather")
    return run[f"{SELF}.residual"], run["encoder.input"] + run[f"{SELF}.output"]


@row("003.residual-gradient", "二·第二幕·4", "残差连接防止深层网络的梯度消失：12 层时第一层输入处的梯度，有残差与没有", "residual connections keep gradients of deep networks from vanishing: the gradient at the input of 12 layers, with them and without", Order(("with", "without")))
def _() -> Any:
    config, _ = small(norm=None)
    found = gradient_depth(config, Batch([[1, 2, 3, 4]], labels=[[2, 3, 4, 5]]), layers=12, steps=0)
    return {("with" if one.residual else "without"): one.norms[0] / one.norms[-1] for one in found}


@row("003.layer-norm", "二·第二幕·4", "LayerNorm 让每个样本的均值 = 0，方差 = 1：整个样本的", "LayerNorm makes each sample's mean 0 and variance 1: of the whole sample", Printed((0.0, 1.0)), note=("增益与偏置之前；每个词元也是，见下一行", "before gain and bias; each token's too, see the next row"), at="214; 215", stages=("weather", f"{SELF}.norm"))
def _() -> Any:
    y, _ = norm_forward(trace("weather")[f"{SELF}.residual"], np.ones(4), np.zeros(4), 1e-5, True)
    return y.mean(), y.var()


@row("003.layer-norm-sample", "二·第二幕·4", "归一化的单位是“每个样本”：改动位置 3 的输入，会动的位置", "what is normalised is 'each sample': positions that move when the input of position 3 is another", Equal((0, 1, 2, 3, 4, 5, 6)), note=("LayerNorm 对每个词元的 4 个数各算各的，不看样本里别的词元", "LayerNorm works on the 4 numbers of each token by itself, whatever the sample's other tokens are"))
def _() -> Any:
    x = trace("weather")[f"{SELF}.residual"]
    other = x.copy()
    other[0, 3, 0] += 1.0
    return moved(*(norm_forward(one, np.ones(4), np.zeros(4), 1e-5, True)[0] for one in (x, other)))


@row("003.ffn-formula", "二·第二幕·5", "FFN(x) = W2·ReLU(W1·x + b1) + b2，W1 是 [4,16]：左乘时 W1 要求 x 有几个数（文中的 x 有 4 个）", "FFN(x) = W2·ReLU(W1·x + b1) + b2 with W1 [4,16]: how many numbers W1 wants of x when it stands on its left (x has 4)", Equal(4), note=("公式与形状用了两种写法：[4,16] 的 W1 左乘要 16 个数；numtx 写 x·W1（行向量）", "formula and shapes follow two conventions: W1 [4,16] from the left takes 16 numbers; numtx writes x·W1 (row vectors)"), at="222: 两; 223; 225: 1 4 16 2 16 4")
def _() -> Any:
    return trace("weather").parameters[f"{FFN}.w_in"].shape[1]


@row("003.ffn-shapes", "二·第二幕·5", "W1 是 [4,16]，W2 是 [16,4]", "W1 is [4,16], W2 is [16,4]", Equal(((4, 16), (16, 4))), at="225; 234", stages=("weather", f"{FFN}.hidden"))
def _() -> Any:
    p = trace("weather").parameters
    return p[f"{FFN}.w_in"].shape, p[f"{FFN}.w_out"].shape


@row("003.ffn-output", "二·第二幕·5", "FFN(X^(1)) 是 [7,4]；然后再 Add & Norm", "FFN(X^(1)) is [7,4]; then Add & Norm again", Equal(((7, 4), ("residual", "norm"))), at="228; 231")
def _() -> Any:
    names = [n.split(".")[-1] for n in trace("weather") if n.startswith(f"{FFN}.")]
    return shape("weather", f"{FFN}.output"), names[-2:]


@row("003.ffn-per-position", "二·第二幕·5", "对每个位置独立处理：逐行算与一起算", "the network works on every position by itself: row by row, beside all at once", Same(True))
def _() -> Any:
    run = trace("weather")
    p = run.parameters
    w_in, b_in, w_out, b_out = (p[f"{FFN}.{name}"] for name in ("w_in", "b_in", "w_out", "b_out"))
    return [np.maximum(x @ w_in + b_in, 0) @ w_out + b_out for x in run[f"{SELF}.norm"][0]], run[f"{FFN}.output"][0]


@row("003.attention-linear", "二·第二幕·5", "Self-Attention 是线性的：f(2x) 与 2 f(x)", "self-attention is linear: f(2x), beside 2 f(x)", Same(True), note=("权重经过 softmax 依赖 x；只有权重固定时，它才对 V 线性", "the weights depend on x through a softmax; only for fixed weights is it linear in V"))
def _() -> Any:
    config, p = small(None, norm=None, residual_at=False, biases=False)
    double = {**p, "encoder.embedding": 2 * p["encoder.embedding"]}
    once, twice = (record(config, q, Batch([[1, 2, 3]]), gradients=False)[f"{SELF}.output"] for q in (p, double))
    return twice, 2 * once


@row("003.six-layers", "二·第二幕·6", "实际的 Transformer 堆叠多层，如 6 层", "real Transformers stack several layers, such as 6", Definition(6), note=("Vaswani 等，2017：两侧各 6 层", "Vaswani et al., 2017: 6 and 6"), at="238: 6")
def _() -> Any:
    return None


@row("003.two-layers", "二·第二幕·6", "这里 2 层", "here 2 layers", Definition(2), note=("文中给的输入", "an input of the document"), at="238: 2; 240")
def _() -> Any:
    return len({name.split(".")[1] for name in trace("weather") if name.startswith("encoder.") and name.split(".")[1].isdigit()})


@row("003.encoder-output-shape", "二·第二幕·6", "H_enc 是 [7,4]", "H_enc is [7,4]", Equal((7, 4)), at="241; 254", stages=("weather", "encoder.output"))
def _() -> Any:
    return shape("weather", "encoder.output")


@row("003.encoder-output", "二·第二幕·6", "H_enc 的数，作为 LayerNorm 的输出（任何增益与偏置）", "the numbers of H_enc, as rows that leave a LayerNorm (any gain, any bias)", Illustration(w.ENCODER_OUTPUT, (on_a_plane,), 1), note=("同一节里每层都以 LayerNorm 结束", "the same section ends every layer in LayerNorm"), at="244; 245; 246; 247; 248; 249; 250; 251", stages=("weather", "encoder.output"), labels=(NAMES, DIMS))
def _(stated: Any) -> Any:
    return None


@row("003.encoder-output-plain", "二·第二幕·6", "H_enc 的每行均值为 0（文中的 LayerNorm）：写出的各行之和", "rows of H_enc have mean 0 (LayerNorm as described): sums of the stated rows", Printed((0.0,) * 7, 1), note=("各行均值是 0.33 到 0.48；文中的数与文中的规则相比", "the means are 0.33 to 0.48; stated numbers beside a stated rule"))
def _() -> Any:
    return np.sum(w.ENCODER_OUTPUT, 1)


@row("003.encoder-output-is-embedding", "二·第二幕·6", "H_enc 融合了全句：与嵌入逐位相同的行", "H_enc has taken in the sentence: rows equal to the embedding", Equal(()), note=("七行中的五行就是嵌入；运行出来的没有一行是", "five of the seven rows are the embedding, digit for digit; in a run none is"))
def _() -> Any:
    embedded = trace("weather")["encoder.embedding"][0].tolist()
    return [name for name, line, own in zip(NAMES, w.ENCODER_OUTPUT, embedded, strict=True) if list(line) == own]
