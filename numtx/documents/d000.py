"""Document 000: training and inference, masks and the cache."""
# fmt: off

from __future__ import annotations

from typing import Any

import numpy as np

from ..batch import Batch
from ..cache import Cache
from ..config import Config
from ..costs import cache_numbers
from ..decoding import generate
from ..masks import allowed, from_additive, to_additive
from ..ops.softmax import softmax_forward
from ..stages.resolve import resolve
from ..step import step
from ..trace.trace import record
from .judges import Definition, Equal, Found, Order, Same
from .row import row
from .runs import (
    SELF,
    Model,
    cost,
    hidden,
    in_chunks,
    logits_of,
    moved,
    moves,
    phrase,
    prefix,
    shape,
    small,
    trace,
    words_written,
    written,
)

WORDS = ("The", "cat", "sat")
GPT_3 = Config(model="decoder-only", width=12288, decoder_layers=96, heads=96, hidden=49152, vocabulary=50257)  # Brown et al., 2020


def mask_formula(size: int = 5) -> Any:
    """Mask(i, j) = 0 where i >= j, -inf where i < j, from numtx's own mask."""
    return to_additive(allowed(np.ones((1, size), bool), size, causal=True).allowed)[0, 0]


def attention_of(run: Any, place: str, keys: int | None = None, row: int | None = None) -> Any:
    """softmax(Q·K^T / sqrt(d_k) + M)·V from the queries, keys and values of a run; of one row, over its first keys"""
    q, k, v = (run[f"{place}.{leaf}"][0, 0] for leaf in ("queries", "keys", "values"))
    scores = q @ k.T / np.sqrt(q.shape[1])
    if row is not None:
        return softmax_forward(scores[row, :keys]) @ v[:keys]
    mask = run[f"{place}.mask"]
    return softmax_forward(scores + to_additive(np.broadcast_to(mask, (1, 1, *scores.shape)))[0, 0]) @ v


@row("000.teacher-forcing", "3.4.1", "整个正确句子一次喂给解码器：一次前向的位置数与宽度", "the whole correct sentence goes into the decoder at once: positions and width of one run", Equal((7, 4)), stages=("weather", "decoder.tokens", "decoder.input", "labels"))
def _() -> Any:
    return shape("weather", "decoder.input")


@row("000.loss-is-a-sum", "3.4.1", "L = -Σ log P(x_t | x_<t)：是求和；与 003（平均）、004（1/n）的损失", "L = -sum over t of log P(x_t | x_<t): a sum; beside the loss of 003 (mean) and 004 (1/n)", Same(True), note=("000 求和，003 与 004 取平均：梯度差 T 倍，合适的学习率也差 T 倍", "000 sums, 003 and 004 average: the gradients differ by the factor T, and so does a fitting learning rate"), at="13", stages=("weather", "loss.per_token", "loss"))
def _() -> Any:
    run = trace("weather")
    total, mean = run["loss.per_token"].sum(), run["loss"].item()
    return Found((total, mean), f"weather 的七个损失：和 {total:.2f}，平均 {mean:.2f}", f"the seven losses of weather: sum {total:.2f}, mean {mean:.2f}")


@row("000.loss-first-term", "3.4.1", "和从 t = 1 起（3.4.2 以 <SOS> 开头）：The cat sat 三个词的项数", "the sum starts at t = 1 (3.4.2 starts with <SOS>): terms for the three words The cat sat", Equal(3), note=("没有 <SOS> 就只有 T - 1 项（004 的 你是一只猫）", "without <SOS> there are T - 1 terms (你是一只猫 of 004)"), stages=("cat", "decoder.tokens", "labels"))
def _() -> Any:
    made = phrase(*WORDS)
    assert made.vocabulary is not None
    run = made.trace(gradients=False)
    return int(((run["loss.per_token"][0] > 0) & (run["labels"][0] != made.vocabulary["<EOS>"])).sum())


@row("000.peeking", "3.4.1", "没有掩码，位置 t 能偷看 t + 1：换掉位置 3 的词后会动的位置", "without a mask position t can look at t + 1: positions that move when token 3 is another one", Equal((0, 1, 2, 3)), at="15")
def _() -> Any:
    model = small(model="decoder-only", causal=False)
    return moved(hidden(model, [1, 2, 3, 4]), hidden(model, [1, 2, 3, 5]))


@row("000.mask-matrix", "3.4.1", "Mask(i, j)：i >= j 时为 0，i < j 时为 -inf", "Mask(i, j) = 0 where i >= j, -inf where i < j", Equal([[0.0 if i >= j else -np.inf for j in range(5)] for i in range(5)]), note=("对角线以上为 -inf；003 把同一个掩码写成 1（可看）与 0", "-inf above the diagonal; 003 writes the same mask as 1 (may look) and 0"), at="20", stages=("weather", f"{SELF}.mask"), labels=("01234", "01234"))
def _() -> Any:
    return mask_formula()


@row("000.mask-both-forms", "3.4.1", "000 的 0/-inf 与 003 的 1/0 是同一个掩码", "the 0/-inf form of 000 and the 1/0 form of 003 say the same", Same(True))
def _() -> Any:
    return from_additive(mask_formula(7)), trace("weather")[f"{SELF}.mask"][0, 0]


@row("000.formula-with-mask", "3.4.1", "Attention = softmax(QK^T / sqrt(d_k) + M)·V 与前向计算", "Attention = softmax(QK^T / sqrt(d_k) + M)·V, beside the run", Same(True), stages=("weather", f"{SELF}.masked_scores", f"{SELF}.weights", f"{SELF}.context"))
def _() -> Any:
    run = trace("weather")
    return attention_of(run, SELF), run[f"{SELF}.context"][0, 0]


@row("000.j-up-to-i", "3.4.1", "位置 i 只看 j <= i：换掉词 3 后会动的位置", "position i sees keys j <= i only: positions that move when token 3 changes", Equal((3, 4, 5, 6)), note=("前面的位置逐位相同", "the positions before it are equal bit for bit"))
def _() -> Any:
    return moves("weather", 3, "logits")


@row("000.steps", "3.4.2", "步骤 1 到 3 的输入与输出（由训练过的模型生成）", "inputs and outputs of steps 1 to 3 (generated by a model trained on the phrase)", Equal([[["<SOS>"], "The"], [["<SOS>", "The"], "cat"], [["<SOS>", "The", "cat"], "sat"]]), at="34; 35; 36")
def _() -> Any:
    made = phrase(*WORDS)
    words = words_written(made, most=4)
    return [[["<SOS>", *words[:n]], words[n]] for n in range(3)]


@row("000.start-name", "3.4.2", "起始符的名字", "the name of the start token", Definition("<SOS>"), note=("<SOS>（000）、[Start]（002）、<bos>（003）是同一个词元的三个名字；004 没有", "<SOS> (000), [Start] (002) and <bos> (003) are three names of one token; 004 has none"))
def _() -> Any:
    made = phrase(*WORDS)
    return made.tokens["decoder"][0][0]


@row("000.recomputed", "3.4.3", "不用缓存，步骤 3 重新算的词元中步骤 2 已算过的个数", "without a cache: tokens that step 3 computes although step 2 had them", Equal(2), note=("不用缓存，T 步每层重算 T(T-1)/2 个键", "over T steps without a cache T(T-1)/2 keys a layer are computed again"), at="41")
def _() -> Any:
    return written(phrase(*WORDS), most=4, use_cache=False).steps[2].recomputed


@row("000.recomputed-count", "3.4.3", "重算的键与步骤 2 的相同（<SOS> 与 The）", "the keys computed again are those of step 2 (<SOS> and The)", Same(True))
def _() -> Any:
    keys = [prefix("weather", n)[f"{SELF}.keys"][0, 0] for n in (2, 3)]
    return keys[0], keys[1][:2]


@row("000.cache-steps", "3.4.3", "五个步骤（q_t、k_t、v_t；取缓存；拼接；注意力；存入）与不用缓存的 logits", "the five steps (q_t, k_t, v_t; read the cache; join; attend; store) beside the logits without a cache", Same(True), at="47; 48; 49; 50; 51", stages=("weather", f"{SELF}.queries", f"{SELF}.keys", f"{SELF}.values", f"{SELF}.context"))
def _() -> Any:
    made = phrase(*WORDS)
    model, ids = (made.config, made.parameters), made.batch.ids[0]
    return in_chunks(model, ids, [1] * len(ids))[0], logits_of(model, Batch([ids]))[0]


@row("000.cache-rows", "3.4.3", "一批长度不同的提示，用缓存一起生成与各自单独生成的 logits", "prompts of different lengths generated together with a cache: logits, beside each alone", Same(True), note=("补齐的位置不参与注意力；先结束的行不影响别的行", "padding takes no part in attention, and a row that ends first does not end the others"))
def _() -> Any:
    model = small(model="decoder-only", decoder_layers=2)
    rows = [[3, 4, 5, 6], [7, 8]]
    ends = [generate(*model, Batch([rows[0]]), max_new_tokens=2).new[0][1]]
    alone = [generate(*model, Batch([ids]), max_new_tokens=5, stop=ends) for ids in rows]
    prompt = Batch([rows[0], [*rows[1], 0, 0]], mask=[[True] * 4, [True, True, False, False]])
    together = generate(*model, prompt, max_new_tokens=5, stop=ends)
    own = [np.concatenate([one.logits[0] for one in run.steps]) for run in alone]
    shared = [np.concatenate([one.logits[i] for one in together.steps if one.counts[i]]) for i in range(2)]
    return np.concatenate(shared), np.concatenate(own)


@row("000.cache-keeps", "3.4.3", "缓存复制、截短、清空之后再继续，与从头算的 logits", "logits after a cache was copied, cut back or emptied and went on, beside those from the start", Same(True))
def _() -> Any:
    model = small(model="decoder-only", decoder_layers=2)
    _, cache = in_chunks(model, [1, 2, 3, 4, 5], (3, 2))
    copy = cache.fork()
    copy.truncate(3)
    found = [in_chunks_on(model, copy, [6, 7]), in_chunks_on(model, cache, [8])]
    cache.reset()
    found.append(in_chunks_on(model, cache, [9, 10]))
    texts = ([1, 2, 3, 6, 7], [1, 2, 3, 4, 5, 8], [9, 10])
    whole = [logits_of(model, Batch([ids]))[0, -len(part) :] for ids, part in zip(texts, found, strict=True)]
    return np.concatenate(found), np.concatenate(whole)


def in_chunks_on(model: Model, cache: Cache, ids: list[int]) -> Any:
    """The logits of tokens that go on from a cache, one at a time."""
    return np.concatenate([step(*model, Batch([[i]]), cache).logits[0] for i in ids])


@row("000.order-against-001", "3.4.3", "注意力包含词元自己的键（先拼接）；与 001 第 2 到 5 步的次序（不含自己的键）", "attention takes in the token's own key (joined first); beside 001's order of steps 2 to 5, without it", Same(False), note=("000 先拼接 k_t，是对的；见 001.decode-order", "000 joins k_t first (and is right); see 001.decode-order"), stages=("weather", f"{SELF}.weights", f"{SELF}.context"))
def _() -> Any:
    run = trace("weather")
    return attention_of(run, SELF, 6, 6), run[f"{SELF}.context"][0, 0, 6]


@row("000.store-last", "3.4.3", "k_t、v_t 最后存（列表）还是拼接时存（图）：下一步用到的键与一次算出的", "k_t and v_t are stored last (the list) or when joined (the drawing): the keys that the next step reads, beside those of one pass", Same(True), note=("注意力只读 k_t 与 v_t，不改它们", "attention reads k_t and v_t and does not change them"))
def _() -> Any:
    model = small(model="decoder-only")
    cache = in_chunks(model, [1, 2, 3, 4], (1, 1, 1, 1))[1]
    cache.reserve(1)
    stored = cache.append(0, **{name: np.zeros((1, 1, 1, 6)) for name in ("keys", "values")})["keys"][0, 0, :4]
    cache.rollback()
    return stored, record(*model, Batch([[1, 2, 3, 4]]), gradients=False)[f"{SELF}.keys"][0, 0]


@row("000.diagram", "3.4.3", "图：Linear 给出 q_t、k_t、v_t；注意力读拼接后的键与值（阶段的输入）", "the drawing: Linear gives q_t, k_t, v_t; attention reads the joined keys and values (inputs of its stages)", Equal([["queries", "all_keys"], ["weights", "all_values"]]), note=("图与列表一致，001 的列表不一致", "the drawing agrees with the list; 001's list does not"))
def _() -> Any:
    graph = resolve(small(model="decoder-only")[0], labels=False, phases=("prefill", "decode.0"), cached=True)
    wired = {stage.name: stage.inputs for stage in graph}
    place = f"decode.0.{SELF}"
    return [[name.rpartition(".")[2] for name in wired[f"{place}.{leaf}"][:2]] for leaf in ("products", "context")]


@row("000.linear-memory", "3.4.3", "缓存随序列长度线性增长：长度加倍，缓存的数变为几倍", "the cache grows in proportion to the length: times as many numbers for twice the tokens", Equal(2.0))
def _() -> Any:
    model = small(model="decoder-only", decoder_layers=2)
    sizes = [in_chunks(model, [1] * n, (n,))[1].numbers for n in (4, 8)]
    return sizes[1] / sizes[0]


@row("000.128k", "3.4.3", "128k 的上下文", "a context of 128k tokens", Definition(128 * 1024), at="85: 128")
def _() -> Any:
    size = sum(cache_numbers(GPT_3, 128 * 1024)) * 2 / 1e9
    return Found(None, f"这是上下文的长度，不属于某个模型；按 GPT-3 的形状（96 层，宽 12288，每个数 2 字节）这样的缓存占 {size:.0f} GB", f"a size of contexts, of no model in particular; with GPT-3's shape (96 layers, width 12288, 2 bytes) such a cache takes {size:.0f} GB")


@row("000.fewer-heads", "3.4.3", "MQA、GQA 减少 K、V 的头数，缓存缩小的倍数（8 个头，2 组与 1 组）", "MQA and GQA have fewer K and V heads: how many times smaller the cache is (8 heads; 2 groups and 1)", Equal((4.0, 8.0)))
def _() -> Any:
    sizes = [in_chunks(small(model="decoder-only", width=16, heads=8, key_value_heads=g), [1, 2, 3], (3,))[1].numbers for g in (8, 2, 1)]
    return sizes[0] / sizes[1], sizes[0] / sizes[2]


@row("000.fewer-heads-cached", "3.4.3", "MQA 用缓存与不用缓存的 logits", "MQA's logits with a cache and without", Same(True))
def _() -> Any:
    model = small(model="decoder-only", width=16, heads=8, key_value_heads=1)
    return in_chunks(model, [1, 2, 3, 4], (2, 1, 1))[0], logits_of(model, Batch([[1, 2, 3, 4]]))[0]


@row("000.space-for-time", "3.4.3", "空间换时间：六步的乘加次数，不用缓存与用缓存", "fewer operations for more memory: multiply-adds of six steps, without and with a cache", Order(("without", "with")))
def _() -> Any:
    return {name: cost((), 6, 8, name == "with", total=True) for name in ("without", "with")}


@row("000.figures", "3.4", "两张图（掩码、显存曲线），没有自己的数", "two pictures (a mask, a memory curve) without numbers of their own", Definition("<img>"), note=("文本里没有图；图中所示见 000.mask-matrix 与 000.linear-memory", "pictures are not in the text; what they show is in 000.mask-matrix and 000.linear-memory"), at="29: 80; 89: 80")
def _() -> Any:
    return None


@row("000.everything-is-transformer", "3.4", "ChatGPT、Claude、Stable Diffusion 都源于 Transformer", "ChatGPT, Claude and Stable Diffusion rest on the Transformer", Definition("-"), note=("说的是别的系统，此处不算；Stable Diffusion 是带注意力层的卷积 U-Net（Rombach 等，2022）", "a statement about other systems, not computed here; Stable Diffusion is a convolutional U-Net with attention layers (Rombach et al., 2022)"))
def _() -> Any:
    return None
