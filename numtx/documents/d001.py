"""Document 001: decoder-only models, prefill and decoding, the cost of a step."""
# fmt: off

from __future__ import annotations

from typing import Any

import numpy as np

from ..batch import Batch
from ..cache import Cache
from ..costs import (
    ATTENTION,
    Shapes,
    step_with_cache,
    step_without_cache,
    total_with_cache,
    total_without_cache,
)
from ..decoding import generate
from ..step import step
from .d000 import attention_of
from .judges import Equal, Found, Order, Same
from .row import row
from .runs import (
    SELF,
    cost,
    counted,
    example,
    gradients,
    hidden,
    in_chunks,
    moved,
    phrase,
    powers,
    prefix,
    said,
    shape,
    small,
    trace,
    trained,
    words_written,
    written,
)

TEXT = "我是一个学生"
PROJECTIONS, SCORES, VALUES = ((name,) for name in ATTENTION)
DIM = 4096  # a common width; most texts are far shorter


def sublayers(name: str) -> tuple[str, ...]:
    """The sublayers of a decoder's block, in order."""
    return tuple(dict.fromkeys(s.name.split(".")[2] for s in trace(name).graph if s.name.startswith("decoder.0.")))


def two_steps() -> Any:
    """cat taught its sentence, and a generation from three words: prefill, then one step."""
    return written(trained("cat"), 3, most=2)


def step_shapes(leaf: str, known: int) -> tuple[int, ...]:
    """The shape of a stage in the step after `known` tokens, with a cache of them (a decoder of width 4, one head)."""
    model, tap = small(model="decoder-only", width=4), Shapes()
    cache = in_chunks(model, [1] * known, (known,))[1]
    step(*model, Batch([[2]]), cache, tap=tap)
    return tap.found[f"decoder.{leaf}" if leaf == "input" else f"{SELF}.{leaf}"][-2:]


def times_at_double(cached: bool, length: int = 1024) -> float:
    """How many times the closed total of the costs grows when the length doubles."""
    total = total_with_cache if cached else total_without_cache
    return total(2 * length, DIM) / total(length, DIM)


@row("001.decoder-only", "Part 1", "只用解码器堆叠而成：模型有的栈", "made of decoder blocks alone: the stacks of the model", Equal(("decoder",)))
def _() -> Any:
    return example("cat").config.sides


@row("001.as-the-decoder", "Part 1", "使用 Transformer 的解码器模块：原解码器的子层中留下的", "it uses the decoder's block: what is left of the original block's sublayers", Equal(("self_attention", "feed_forward")), note=("没有编码器可看，交叉注意力就去掉了", "with no encoder to look at, cross-attention is gone"))
def _() -> Any:
    return tuple(name for name in sublayers("weather") if name in sublayers("cat"))


@row("001.causal", "Part 1", "每个词元只看自己和之前的：位置 2（共 5 个）看的键", "a token sees itself and all before it: keys of position 2 of 0 to 4", Equal((0, 1, 2)), stages=("cat", f"{SELF}.mask"))
def _() -> Any:
    return np.flatnonzero(trace("cat")[f"{SELF}.weights"][0, 0, 2])


@row("001.feed-forward", "Part 1", "注意力之后是前馈网络", "a feed-forward network follows attention", Equal(("self_attention", "feed_forward")))
def _() -> Any:
    return sublayers("cat")


@row("001.norm-residual", "Part 1", "残差连接与层归一化贯穿整个模型：结束每个子层的阶段", "residual connection and layer norm are everywhere: what ends each sublayer", Equal([["residual", "norm"]] * 4), note=("cat 把归一化放在子层之后；多数只有解码器的模型放在前面", "in cat after the sublayer (post-norm); most decoder-only models put the norm first"))
def _() -> Any:
    stages = [s.name.split(".") for s in trace("cat").graph if s.name.startswith("decoder.") and s.name.count(".") == 3]
    places = list(dict.fromkeys(tuple(name[:3]) for name in stages))
    return [[name[3] for name in stages if tuple(name[:3]) == place][-2:] for place in places]


@row("001.objective", "Part 1", "根据已有的词元预测下一个：训练过的 cat 在每个位置说的词", "from the tokens so far the next one: what cat says at each position once trained", Equal(("是", "一", "只", "猫")), stages=("cat", "decoder.tokens", "labels"))
def _() -> Any:
    return said("cat")[:4]


@row("001.one-go", "Part 2", "训练时一次输入完整文本（我是一个学生）：一次前向给出预测的位置", "training puts the whole text in at once (我是一个学生): positions with a prediction in one run", Equal(tuple(TEXT)), at="22: 一")
def _() -> Any:
    made = phrase(*TEXT)
    assert made.vocabulary is not None
    logits = made.trace(gradients=False)["logits"][0]
    return made.vocabulary.decode(logits.argmax(-1).tolist())[:6]


@row("001.parallel-qkv", "Part 2", "每个位置的 Q、K、V 一次算出：cat 五个词元、两个头的 Q", "Q, K and V of every position in one go: shape of Q for cat's five tokens, two heads", Equal((2, 5, 2)), stages=("cat", f"{SELF}.queries"))
def _() -> Any:
    return trace("cat")[f"{SELF}.queries"][0].shape


@row("001.attention-matrix", "Part 2", "注意力矩阵是 (序列长度, 序列长度)", "the attention matrix is (length, length)", Equal((5, 5)), stages=("cat", f"{SELF}.weights"))
def _() -> Any:
    return shape("cat", f"{SELF}.weights")[1:]


@row("001.all-losses", "Part 2", "所有位置的损失反向传播更新权重：没有得到梯度的参数", "the loss of all positions flows back into the weights: parameters without a gradient", Equal(()))
def _() -> Any:
    run = gradients("cat")
    return [name for name in run.parameters if not np.any(run.grad(f"parameters/{name}"))]


@row("001.training-learns", "Part 2", "通过反向传播更新模型权重，从而学会预测：损失，训练前与训练后", "backpropagation updates the weights, and the model learns: the loss before and after training", Order(("before", "after")))
def _() -> Any:
    return {"before": trace("cat")["loss"].item(), "after": trained("cat").trace(gradients=False)["loss"].item()}


@row("001.no-cache-in-training", "Part 2", "训练的一次前向不需要缓存：每层算出的键数（五个词元）", "one training pass needs no cache: keys computed in a layer (five tokens)", Equal(5), note=("没有一个键算两次，也就没有可存的", "nothing is computed twice, so there is nothing to keep"))
def _() -> Any:
    return trace("cat")[f"{SELF}.keys"].shape[2]


@row("001.no-past-no-future", "Part 2", "一次前向里不存在“过去”和“未来”的区别：彼此看不见的词元对数", "in one forward pass past and future are not told apart: pairs hidden from one another", Equal(0), note=("第一部分的因果掩码在训练中正是要区分；不需要缓存是因为所有的键都在", "Part 1's causal mask tells them apart in training above all; what makes a cache needless is that every key is there at once"), stages=("cat", f"{SELF}.mask"))
def _() -> Any:
    return int((trace("cat")[f"{SELF}.weights"][0, 0] == 0).sum())


@row("001.whole-again", "Part 2", "不用缓存，每步重算至今所有词元：第 1 到 4 步算的词元数", "without a cache every step computes all tokens so far again: tokens computed in steps 1 to 4", Equal((1, 2, 3, 4)))
def _() -> Any:
    return [one.computed for one in written(trained("cat"), most=4, use_cache=False).steps]


@row("001.huge", "Part 2", "重算的计算量将是巨大的：六步的乘加次数，不用缓存与用缓存", "to compute all again costs far more: multiply-adds of six steps without a cache and with", Order(("without", "with")))
def _() -> Any:
    return {name: sum(one.total() for one in counted(16, 6, name == "with")) for name in ("without", "with")}


@row("001.prefill-once", "Part 3", "预填充只执行一次，一次算完 L 个词元：生成各步算的词元数（提示 3 个词元）", "prefill runs once, over all L tokens: tokens computed by each step (a prompt of three)", Equal((3, 1)), at="47")
def _() -> Any:
    return [one.computed for one in two_steps().steps]


@row("001.prefill-fills", "Part 3", "预填充把每个词元在每一层的 k 与 v 存起来：缓存的列数与每列的数（cat：2 层，宽 4）", "prefill stores k and v of every token in every layer: columns of the cache, numbers in each (cat: 2 layers, width 4)", Equal((3, 16)), at="48; 49")
def _() -> Any:
    made = example("cat")
    cache = in_chunks((made.config, made.parameters), [0, 1, 2], (3,))[1]
    return cache.length, cache.numbers // cache.length


@row("001.prefill-cost", "Part 3", "预填充是 O(L^2)（因为 L x L 的注意力矩阵）：注意力的乘加次数中 L 的幂", "prefill costs O(L^2), because of the L x L matrix: power of L in attention's multiply-adds", Equal(2), note=("O(L^2) 略去了 L·dim^2，而 L < 1.5 dim 时它占多数", "O(L^2) leaves out L·dim^2, which leads while L < 1.5 dim"), at="51; 76: 2")
def _() -> Any:
    return powers(SCORES, False)[0]


@row("001.prefill-matrix", "Part 3", "预填充的注意力矩阵是 L x L（L = 3）", "prefill's attention matrix is L x L (L = 3)", Equal((3, 3)), note=("因果掩码下 L^2 个格中 L(L+1)/2 个有用", "with the causal mask L(L+1)/2 of the L^2 entries count"))
def _() -> Any:
    return two_steps().steps[0].attention


@row("001.first-token", "Part 3", "引文：prefill 阶段生成第一个回复的 token；生成它的阶段", "the quotation: prefill gives the first token of the answer; the phase that gives it", Equal("prefill"), at="55: 一 一 一; 53: 一")
def _() -> Any:
    return next(one.phase for one in two_steps().steps if one.tokens is not None)


@row("001.first-token-list", "Part 3", "列表：最后的隐状态只是起点，第一个新 token 由解码阶段生成；生成它的阶段", "the list: the last hidden state is only the starting point, decoding gives the first new token; the phase that gives it", Equal("decode.0"), note=("同一节的引文说是 prefill，运行也是", "the same section's quotation says prefill, and so does the run"))
def _() -> Any:
    return next(one.phase for one in two_steps().steps if one.tokens is not None)


@row("001.decode-one-token", "Part 3", "解码一步只输入一个词元：它的注意力矩阵（已有 4 个）", "a decoding step takes in one token: its attention matrix (with four known)", Equal((1, 5)), at="62; 63; 77: 1 1")
def _() -> Any:
    return step_shapes("weights", 4)


@row("001.decode-order", "Part 3", "第 2 到 5 步：先对缓存的 k_1..k_L 做注意力，再算 k_(L+1)、v_(L+1)；得到的 context 与完整前向", "steps 2 to 5: attend to the cached k_1..k_L, then compute k_(L+1), v_(L+1): the context, beside that of the full pass", Same(True), note=("查询必须看到自己的键：000 与本文第 4 部分先拼接", "the query must see its own key: 000 and this document's Part 4 join it first"), at="66; 67; 68; 69; 70", stages=("weather", f"{SELF}.weights", f"{SELF}.context"))
def _() -> Any:
    run = trace("weather")
    return attention_of(run, SELF, 6, 6), run[f"{SELF}.context"][0, 0, 6]


@row("001.decode-order-table", "Part 3", "列表里分数是 1 x L，表里是 1 x L_total：已知 L = 4 个、新词元 1 个时", "the list's row of scores is 1 x L, the table's 1 x L_total: with L = 4 known and one new token", Equal((1, 4)), note=("表是对的（此处 1 x 5）：新词元也是一个键", "the table (1 x 5 here) is right: the new token is one of the keys"))
def _() -> Any:
    return step_shapes("scores", 4)


@row("001.decode-index", "Part 3", "生成第 L+1 个词元的查询是 q_(L+1)（L = 3）：序号", "the query that generates token L+1 is q_(L+1) (L = 3): its number", Equal(4), note=("生成第 L+1 个词元的是第 L 个词元的查询；q_(L+1) 属于第 L+1 个词元，生成第 L+2 个", "token L's query generates token L+1; q_(L+1) belongs to token L+1 and generates token L+2"), at="65", stages=("cat", "decoder.tokens", "labels"))
def _() -> Any:
    return said("cat").index("只") + 1


@row("001.new-token-keys", "Part 3", "刚生成的词元的 k 与 v 在同一步追加：提示 3 个词元、生成一个之后缓存的键数", "k and v of the token just generated are appended in the same step: keys in the cache after a prompt of three and one generated token", Equal(4), note=("它自己走过各层才有键，那是下一步", "its keys exist when it has gone through the layers itself, which is the next step"))
def _() -> Any:
    made = trained("cat")
    cache = Cache(made.config, made.parameters, 1)
    generate(made.config, made.parameters, Batch([[0, 1, 2]]), max_new_tokens=1, cache=cache)
    return cache.length


@row("001.decode-cost", "Part 3", "解码一步约为 O(L_total)：注意力乘加次数中长度的幂", "a decoding step costs O(L_total): power of the length in its attention", Equal(1), note=("投影的 dim^2 不随长度增长", "and dim^2 for the projections, which does not grow"), at="72; 77: 1 1")
def _() -> Any:
    return powers((*SCORES, *VALUES), True)[0]


@row("001.table-prefill", "Part 3", "表：预填充输入整个 Prompt（L = 3），矩阵 L x L", "table: prefill takes the whole prompt (L = 3), a matrix L x L", Equal((3, (3, 3))), at="76")
def _() -> Any:
    first = two_steps().steps[0]
    return first.computed, first.attention


@row("001.table-decode", "Part 3", "表：解码输入 1 个词元，矩阵 1 x L_total（L_total = 4）", "table: decoding takes 1 token, a matrix 1 x L_total (L_total = 4)", Equal((1, (1, 4))))
def _() -> Any:
    second = two_steps().steps[1]
    return second.computed, second.attention


@row("001.keys-fixed", "Part 4.1", "键与值一旦算出就固定不变：四个词元的键，与七个词元时的前四个", "keys and values, once computed, never change: those of four tokens, beside the first four of seven", Same(True), note=("多亏因果掩码：编码器里新词元会改动旧的行", "thanks to the causal mask: in an encoder a new token moves the old rows"))
def _() -> Any:
    places = [f"decoder.{n}.self_attention.{leaf}" for n in (0, 1) for leaf in ("keys", "values")]
    return [prefix("weather", 4)[p] for p in places], [trace("weather")[p][:, :, :4] for p in places]


@row("001.keys-fixed-encoder", "Part 4.1", "（为什么编码器没有缓存）编码器里加一个词元后会动的旧行", "(why an encoder has no cache) old rows of an encoder that move with a new token", Equal((0, 1, 2)))
def _() -> Any:
    model = small(encoder_layers=2)
    return moved(hidden(model, [1, 2, 3]), hidden(model, [1, 2, 3, 4]))


@row("001.recomputes-all", "Part 4.2", "不用缓存，第 i 步重算前 i-1 个词元：第 1 到 4 步重算的个数", "without a cache step i computes tokens 1 to i-1 again: how many in steps 1 to 4", Equal((0, 1, 2, 3)), at="91")
def _() -> Any:
    return [one.recomputed for one in written(trained("cat"), most=4, use_cache=False).steps]


@row("001.row-i", "Part 4.2", "用缓存只需注意力矩阵的第 i 行：第 1 到 i-1 行在长度 i-1 与 i 时", "with a cache only row i of the attention matrix is needed: rows 1 to i-1 at length i-1 and at length i", Same(True), at="93")
def _() -> Any:
    name = f"{SELF}.weights"
    return prefix("cat", 4)[name], trace("cat")[name][:, :, :4, :4]


@row("001.cache-is-exact", "Part 4.2", "用缓存与不用缓存，每步的 logits", "the logits of every step, with a cache and without", Same(True), stages=("cat", "logits"))
def _() -> Any:
    runs = [written(trained("cat"), most=4, use_cache=cached) for cached in (True, False)]
    return [[one.logits for one in run.steps] for run in runs]


@row("001.cache-same-words", "Part 4.2", "用缓存生成的词（cat，从 你 起）", "the words generated with a cache (cat, from 你 on)", Equal(("是", "一", "只", "猫")))
def _() -> Any:
    return words_written(trained("cat"), most=4)


@row("001.without-input", "Part 4.2", "不用缓存，第 i 步输入 X 是 (i, dim)（cat：5, 4）", "without a cache step i puts the tokens 1 to i through: X is (i, dim) (cat: 5, 4)", Equal((5, 4)), at="98; 100")
def _() -> Any:
    return shape("cat", "decoder.input")


@row("001.without-qkv", "Part 4.2", "第 i 步的 Q、K、V 是 O(i·dim^2)：i 与 dim 的幂", "Q, K, V of step i cost O(i·dim^2): powers of i and of dim", Equal((1, 2)), note=("正好 3·i·dim^2 次乘加", "exactly 3·i·dim^2 multiply-adds"), at="101")
def _() -> Any:
    return powers(PROJECTIONS, False)


@row("001.without-scores", "Part 4.2", "第 i 步的 Q·K^T 是 O(i^2·dim)：i 与 dim 的幂", "Q·K^T of step i costs O(i^2·dim): powers of i and of dim", Equal((2, 1)), note=("正好 i^2·dim；因果掩码下一半就够", "exactly i^2·dim; the causal mask would allow half"), at="102")
def _() -> Any:
    return powers(SCORES, False)


@row("001.without-values", "Part 4.2", "第 i 步的 Attn·V 是 O(i^2·dim)：i 与 dim 的幂", "weights·V of step i costs O(i^2·dim): powers of i and of dim", Equal((2, 1)), at="103")
def _() -> Any:
    return powers(VALUES, False)


@row("001.step-formula", "Part 4.2", "第 i 步的乘加次数（i = 1 到 6，dim 8）：公式 3·i·dim^2 + 2·i^2·dim 与运行中数出的", "multiply-adds of steps 1 to 6 at dim 8: the formula 3·i·dim^2 + 2·i^2·dim, beside the count of a run", Same(True))
def _() -> Any:
    return [step_without_cache(i, 8) for i in range(1, 7)], [cost(ATTENTION, i, 8, False) for i in range(1, 7)]


@row("001.sum-linear", "Part 4.2", "T 步的投影之和是 O(T^2·dim^2)：T 与 dim 的幂", "the sum of the projections over T steps is O(T^2·dim^2): powers of T and of dim", Equal((2, 2)), note=("1 + 2 + ... + T = T(T+1)/2", "1 + 2 + ... + T = T(T+1)/2"), at="105; 106")
def _() -> Any:
    return powers(PROJECTIONS, False, total=True)


@row("001.sum-attention", "Part 4.2", "T 步的注意力之和是 O(T^3·dim)：T 与 dim 的幂", "the sum of attention over T steps is O(T^3·dim): powers of T and of dim", Equal((3, 1)), note=("1 + 4 + ... + T^2 = T(T+1)(2T+1)/6", "1 + 4 + ... + T^2 = T(T+1)(2T+1)/6"), at="107")
def _() -> Any:
    return powers((*SCORES, *VALUES), False, total=True)


@row("001.total-without", "Part 4.2", "总复杂度 O(T^2·dim^2 + T^3·dim)：T 与 dim 的最高次幂", "in all O(T^2·dim^2 + T^3·dim): highest powers of T and of dim", Equal((3, 2)), at="109")
def _() -> Any:
    return powers(ATTENTION, False, total=True)


@row("001.cube", "Part 4.2", "“与 T 的三次方成正比”：T 从 1024 到 2048（dim 4096），总量变为几倍", "that is 'proportional to the cube of T': times as much for twice 1024 tokens at dim 4096", Equal(8.0), note=("同一行的公式里 T^2·dim^2 与 T^3·dim 并列；T < 2.25 dim 时前者占多数", "the formula of the same line has T^2·dim^2 beside T^3·dim; the former leads while T < 2.25 dim"), at="109: 三")
def _() -> Any:
    return round(times_at_double(False), 2)


@row("001.left-out", "Part 4.2", "总复杂度没有算 W_O 与前馈网络；整层都算上时 T 的最高次幂（不用缓存、用缓存）", "the totals leave out W_O and the feed-forward network; powers of T with all of a layer counted (without, with a cache)", Equal((3, 2)), note=("漏掉的只与 T·dim^2 同阶：次数不变，数量不同", "what is left out is of the order T·dim^2 (a step): the powers stay, the amounts do not"))
def _() -> Any:
    counted_part, whole = cost(ATTENTION, 1, 16, True), cost((*ATTENTION, "W_O", "feed-forward"), 1, 16, True)
    layer = (*ATTENTION, "W_O", "feed-forward")
    share = f"{counted_part / whole:.0%}"
    return Found((powers(layer, False, total=True)[0], powers(layer, True, total=True)[0]), f"第 1 步只数了一层的 {share}", f"step 1: {share} of a layer is counted")


@row("001.with-input", "Part 4.2", "用缓存，第 i 步只输入第 i 个词元 (1, dim)（dim 4）", "with a cache step i takes in token i alone, (1, dim) (dim 4)", Equal((1, 4)), at="112; 114")
def _() -> Any:
    return step_shapes("input", 4)


@row("001.with-qkv", "Part 4.2", "一个词元的 q、k、v 是 O(dim^2)：i 与 dim 的幂", "q, k, v of one token cost O(dim^2): powers of i and of dim", Equal((0, 2)), at="115")
def _() -> Any:
    return powers(PROJECTIONS, True)


@row("001.cache-shapes", "Part 4.2", "Q 是 (1, dim)，缓存的 K、V 是 (i, dim)（i = 5，dim 4）", "Q is (1, dim), K and V of the cache (i, dim), at i = 5 (dim 4)", Equal(((1, 4), (5, 4), (5, 4))), note=("i 行，含新词元自己的", "i rows with the new token's own"), at="117")
def _() -> Any:
    return [step_shapes(leaf, 4) for leaf in ("queries", "all_keys", "all_values")]


@row("001.with-scores", "Part 4.2", "第 i 步的 q·K^T 是 O(i·dim)：i 与 dim 的幂", "q·K^T of step i costs O(i·dim): powers of i and of dim", Equal((1, 1)), at="120")
def _() -> Any:
    return powers(SCORES, True)


@row("001.with-values", "Part 4.2", "第 i 步的 Attn·V 是 O(i·dim)：i 与 dim 的幂；结果 (1, dim)（dim 4）", "weights·V of step i costs O(i·dim): powers of i and of dim; the result is (1, dim) (dim 4)", Equal(((1, 1), (1, 4))), at="121")
def _() -> Any:
    return powers(VALUES, True), step_shapes("context", 4)


@row("001.step-formula-cached", "Part 4.2", "用缓存时第 i 步的乘加次数：公式 3·dim^2 + 2·i·dim 与运行中数出的（i = 1 到 6，dim 8）", "multiply-adds of steps 1 to 6 with a cache at dim 8: the formula 3·dim^2 + 2·i·dim, beside the count of a run", Same(True))
def _() -> Any:
    return [step_with_cache(i, 8) for i in range(1, 7)], [cost(ATTENTION, i, 8, True) for i in range(1, 7)]


@row("001.sum-linear-cached", "Part 4.2", "T 个缓存步的投影是 O(T·dim^2)：T 与 dim 的幂", "the projections of T cached steps are O(T·dim^2): powers of T and of dim", Equal((1, 2)), at="122; 123")
def _() -> Any:
    return powers(PROJECTIONS, True, total=True)


@row("001.sum-attention-cached", "Part 4.2", "T 个缓存步的注意力是 O(T^2·dim)：T 与 dim 的幂", "the attention of T cached steps is O(T^2·dim): powers of T and of dim", Equal((2, 1)), at="124")
def _() -> Any:
    return powers((*SCORES, *VALUES), True, total=True)


@row("001.total-with", "Part 4.2", "总复杂度 O(T·dim^2 + T^2·dim)：T 与 dim 的最高次幂", "in all O(T·dim^2 + T^2·dim): highest powers of T and of dim", Equal((2, 2)), at="126")
def _() -> Any:
    return powers(ATTENTION, True, total=True)


@row("001.square", "Part 4.2", "“与 T 的平方成正比”：T 从 1024 到 2048（dim 4096），总量变为几倍", "that is 'proportional to the square of T': times as much for twice 1024 tokens at dim 4096", Equal(4.0), note=("T·dim^2 与它并列；T < 3 dim 时前者占多数", "T·dim^2 stands beside it, and leads while T < 3 dim"))
def _() -> Any:
    return round(times_at_double(True), 2)


@row("001.cube-to-square", "Part 4.2", "从 O(T^3) 降到 O(T^2)：T 的最高次幂", "the cache brings O(T^3) down to O(T^2): highest powers of T", Equal((3, 2)), note=("这是极限；T < dim 时是从 dim^2·T^2 降到 dim^2·T", "as limits; at T < dim it brings dim^2·T^2 down to dim^2·T"), at="128")
def _() -> Any:
    return powers(ATTENTION, False, total=True)[0], powers(ATTENTION, True, total=True)[0]


@row("001.table-step", "Part 4.2", "表，第 i 步：i 的最高次幂，不用缓存与用缓存", "table, step i: highest powers of i without and with a cache", Equal((2, 1)), at="132")
def _() -> Any:
    return powers(ATTENTION, False)[0], powers(ATTENTION, True)[0]


@row("001.table-total", "Part 4.2", "表，T 步：T 的最高次幂，不用缓存与用缓存（全部产品，含输出层）", "table, T steps: highest powers of T without and with a cache (all products, the output layer too)", Equal((3, 2)), at="133")
def _() -> Any:
    return powers((), False, total=True)[0], powers((), True, total=True)[0]


@row("001.total-formula", "Part 4.2", "T = 1 到 6 步的总和：封闭公式与运行中数出的（不用缓存、用缓存，dim 8）", "totals of T = 1 to 6 steps: the closed formulas, beside the count of a run (without and with a cache, dim 8)", Same(True))
def _() -> Any:
    closed = [[total(t, 8) for t in range(1, 7)] for total in (total_without_cache, total_with_cache)]
    return closed, [[cost(ATTENTION, t, 8, cached, total=True) for t in range(1, 7)] for cached in (False, True)]


@row("001.both-save", "Part 4.3", "预填充创建缓存，解码每步追加自己的：提示 3 个词元之后的列数，再两步之后", "prefill creates the cache, each decoding step adds its own token: columns after a prompt of 3, and after 2 steps more", Equal((3, 4, 5)))
def _() -> Any:
    made = example("cat")
    model = (made.config, made.parameters)
    return [in_chunks(model, [0, 1, 2, 3, 4], (3, *[1] * n))[1].length for n in range(3)]
