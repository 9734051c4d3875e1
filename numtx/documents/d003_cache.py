"""Document 003: training against inference, and the cache."""
# fmt: off

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from ..batch import Batch
from ..cache import Cache
from ..config import Config
from ..costs import cache_numbers, count_generation
from ..decoding import Filters, generate, sampler
from ..examples.translation import TARGET
from ..model import backward, forward
from ..step import step
from ..trace.trace import Trace, record
from .d000 import GPT_3
from .judges import Can, Definition, Equal, Order, Printed, Same, Within
from .row import row
from .runs import (
    CROSS,
    SELF,
    Kept,
    example,
    gradients,
    in_chunks,
    logits_of,
    moves,
    names,
    prefix,
    said,
    small,
    small_shape,
    tokens,
    trace,
    trained,
    with_ids,
    written,
)

# The paragraph's own sizes: six layers and 100 positions, width 4.
SIX = Config(model="encoder-decoder", width=4, encoder_layers=6, decoder_layers=6, hidden=16, vocabulary=10)
PAIR: dict[str, Any] = {"model": "encoder-decoder", "decoder_layers": 1}
LATENT: dict[str, Any] = {"model": "decoder-only", "width": 8, "heads": 4, "positions": "rotary", "key_value_latent": 3, "rotary_width": 2}
LATENTS = "decoder.0.self_attention"


def first_words(n: int) -> Batch:
    """A source of seven tokens and the first of the target"""
    return Batch([[3, 4, 4, 5, 6, 7, 2]], [[1] * n])


@Kept
def saved(steps: int) -> dict[str, tuple[int, int]]:
    """Multiply-adds of Q, K, V of a generation without and with a cache: of self- and of cross-attention"""
    model = small(**PAIR)
    runs = [count_generation(*model, first_words(1), max_new_tokens=steps, use_cache=cached) for cached in (False, True)]
    groups = {"cross": "cross Q, K, V projections", "self": "Q, K, V projections"}
    without, cached = ({name: sum(one.total(group) for one in run) for name, group in groups.items()} for run in runs)
    return {name: (without[name], cached[name]) for name in groups}


def latent_run(leaf: str) -> Any:
    """A stage of the latent attention of a whole run over four tokens"""
    return latents()[f"{LATENTS}.{leaf}"]


@Kept
def latents() -> Trace:
    """A run of a small model with latent attention over four tokens"""
    return record(*small(**LATENT), Batch([[1, 2, 3, 4]]), gradients=False)


@row("003.ten-losses", "对比·一", "目标长十，十个位置的损失同时算出（这里是 weather 的七个）", "a target of ten: ten losses at once (here weather's seven)", Equal(7), note=("每个位置一个，与长度无关", "one per position, whatever the length"), at="669: 一 一 十 十 一 一 二 一 三 两")
def _() -> Any:
    return int((trace("weather")["loss.per_token"] > 0).sum())


@row("003.parallel", "对比·一", "一次前向给出的各位置，与一个一个生成的：训练过的 weather 的词", "all positions in one pass, beside one by one: the words of the trained weather", Equal([[*"今天天气很好", "<eos>"]] * 2))
def _() -> Any:
    made = trained("weather")
    return said("weather"), names(made, written(made, most=10).new[0])


@row("003.thousands-of-cores", "对比·一", "GPU 的数千个核心", "thousands of cores of a GPU", Definition("数千"), note=("硬件的事实，此处不算", "a fact about hardware, not computed here"), at="669: 千")
def _() -> Any:
    return None


@row("003.error-travels", "对比·二", "第三步的词不合适，会影响后面：会动的位置", "an unfit word 3 affects the later steps: positions that move", Equal((3, 4, 5)), at="671: 二 三 四", stages=("story", "logits"))
def _() -> Any:
    return moves("story", 3, "logits")


@row("003.own-output", "对比·二", "训练时喂正确的词，推理时喂自己的词：学会之后两者的输入", "training feeds the right words, inference the model's own: both inputs once it has learnt", Equal([["<bos>", *TARGET]] * 2))
def _() -> Any:
    made = trained("translation", layers=1)
    new = written(made, most=10).new[0]
    return trace("translation").tokens["decoder"][0], ["<bos>", *names(made, new[:-1])]


@row("003.deterministic", "对比·三", "相同的输入与参数，梯度完全相同：两次", "the same input and parameters give the same gradients: twice", Same(True), note=("没有 dropout", "no dropout"), at="673: 三")
def _() -> Any:
    one, other = gradients("weather"), example("weather").trace()
    return [np.concatenate([run.grad(n).ravel() for n in one.gradients]) for run in (one, other)]


@row("003.sampling-varies", "对比·三", "随机采样每次可能不同：十个种子写出的不同文本数", "random sampling may differ each time: different texts of ten seeds", Within((2, 10)))
def _() -> Any:
    made = example("story")
    return len({tuple(written(made, most=8, choose=sampler(Filters(), seed)).new[0]) for seed in range(10)})


@row("003.sampling-repeats", "对比·三", "（同一个种子）两次采样的词", "(one seed) the words of two draws", Same(True))
def _() -> Any:
    made = example("story")
    return [written(made, most=8, choose=sampler(Filters(), 5)).new[0] for _ in range(2)]


@row("003.greedy-deterministic", "对比·三", "贪心解码是确定性的：两次生成的 logits", "greedy decoding is deterministic: the logits of two generations", Same(True))
def _() -> Any:
    return [[one.logits for one in written(example("story"), most=8).steps] for _ in range(2)]


@row("003.ten-rows", "对比·五", "训练：输入 [10, 4]，输出 [10, 10000]；推理（不用缓存）：1、2 与 10 行", "training: input [10, 4], output [10, 10000]; inference (without a cache): 1, 2 and 10 rows", Equal(((10, 4), (10, 10000), (1, 2, 10))), at="677: 五 十 四 十 一万 二 一 四 两 四 十 十 四 一 一")
def _() -> Any:
    made = example("translation", layers=6, words=10000)
    run = with_ids(made, [1, *range(3, 12)])
    steps = generate(made.config, made.parameters, dataclasses.replace(made.batch, decoder_ids=[[1]], labels=None), max_new_tokens=10, use_cache=False).steps
    return small_shape(run["decoder.input"]), small_shape(run["logits"]), [steps[n].computed for n in (0, 1, 9)]


@row("003.cache-step-3", "KV Cache", "第三步（不用缓存）算三个 Query、三个 Key、三个 Value", "step 3 (without a cache) computes three queries, keys and values", Equal((3, 3, 3)), at="684: 三 三 三 三 三 二")
def _() -> Any:
    return [prefix("story", 3)[f"{SELF}.{leaf}"].shape[2] for leaf in ("queries", "keys", "values")]


@row("003.keys-own-content", "KV Cache", "键与值只依赖自己的位置和内容：换掉词 1，位置 2 的键会动的层", "keys and values depend on their own position and content only: layers whose keys at position 2 move with token 1", Equal(()), note=("只有第 0 层如此；第 1 层起，键里有下面的注意力取来的内容", "true in layer 0 alone; from layer 1 on a key holds what attention has taken in below"), stages=("weather", "decoder.1.self_attention.keys"))
def _() -> Any:
    return [n for n in (0, 1) if 2 in moves("weather", 1, f"decoder.{n}.self_attention.keys")]


@row("003.keys-not-future", "KV Cache", "不依赖未来的词元：换掉词 4，位置 2 的键会动的层", "keys do not depend on later tokens: layers whose keys at position 2 move with token 4", Equal(()), note=("这正是缓存需要的，由因果掩码保证", "this is what a cache needs, and the causal mask is what gives it"))
def _() -> Any:
    return [n for n in (0, 1) if 2 in moves("weather", 4, f"decoder.{n}.self_attention.keys")]


@row("003.cache-grows", "KV Cache", "第一步缓存一个 Key 与一个 Value（四维），然后两个、三个：列数与每列每层的数", "one key and one value in step 1, then two, then three (of four numbers): columns, and numbers of each in a layer", Equal(((1, 2, 3), 8)), at="686: 一 一 一 四 二 一 一 两 三 一 三 一")
def _() -> Any:
    model = small(model="decoder-only", width=4)
    caches = [in_chunks(model, [1, 2, 3], [1] * n)[1] for n in (1, 2, 3)]
    return [one.length for one in caches], caches[2].numbers // caches[2].length


@row("003.cross-cache", "KV Cache", "交叉注意力的键与值第一步算好就缓存，以后直接用：缓存的各步与完整前向的 logits", "cross-attention's keys and values are computed once and kept: logits of cached steps, beside a full pass", Same(True), at="688: 一", stages=("story", f"{CROSS}.keys"))
def _() -> Any:
    made = example("story")
    model, cache, found = (made.config, made.parameters), Cache(made.config, made.parameters, 1), []
    ids = tokens("story")
    for n, token in enumerate(ids):
        part = Batch(made.batch.ids if not n else None, [[token]])
        found.append(step(*model, part, cache).logits[0, 0])
    return found, trace("story")["logits"][0]


@row("003.cross-cache-padded", "KV Cache", "一批源句长度不同时：缓存的步与完整前向的 logits", "with sources of different lengths in a batch: logits of cached steps, beside a full pass", Same(True))
def _() -> Any:
    model = small(**PAIR)
    ids, mask = [[3, 4, 5, 6], [7, 8, 0, 0]], [[True] * 4, [True, True, False, False]]
    cache, found = Cache(*model, 2), []
    for n in range(3):
        part = Batch(ids if not n else None, [[n + 1], [n + 2]], mask=mask if not n else None)
        found.append(step(*model, part, cache).logits[:, 0])
    return np.stack(found, 1), logits_of(model, Batch(ids, [[1, 2, 3], [2, 3, 4]], mask=mask))


@row("003.cross-cache-more", "KV Cache", "在交叉注意力中更加显著：40 步里省掉的份额（Q、K、V 的乘加次数）", "the cache saves even more in cross-attention: the share saved over 40 steps (multiply-adds of Q, K, V)", Order(("cross", "self")), note=("按份额：K、V 只算一次，Q 每步都要算", "as a share; keys and values are made once, a query in every step"))
def _() -> Any:
    return {name: (a - b) / a for name, (a, b) in saved(40).items()}


@row("003.cross-cache-number", "KV Cache", "同上，按省掉的次数（40 步）", "the same by the number of multiply-adds saved (40 steps)", Order(("cross", "self")), note=("自注意力每步多一个键，一长就反过来：这句话取决于怎样衡量", "self-attention has one more key in every step, so it turns round for long texts: it depends on the measure"))
def _() -> Any:
    return {name: a - b for name, (a, b) in saved(40).items()}


@row("003.cross-cache-story", "KV Cache", "同上，按次数，故事的六步", "the same by number, over the six steps of the story", Order(("cross", "self")))
def _() -> Any:
    return {name: a - b for name, (a, b) in saved(6).items()}


@row("003.tenth-query", "KV Cache", "第十步的 Query 与十个 Key 做点积，其中缓存的九个", "query 10 meets ten keys, nine of them cached", Equal((10, 9)), at="690: 十 十 九 十 十")
def _() -> Any:
    model = small(**PAIR)
    tenth = generate(*model, first_words(1), max_new_tokens=10).steps[9]
    return tenth.attention[1], tenth.read


@row("003.cross-shape-all", "KV Cache", "交叉注意力要存的键：每层 7 x 4", "keys of cross-attention to keep: 7 x 4 a layer", Equal((7, 4)))
def _() -> Any:
    return small_shape(trace("story")[f"{CROSS}.keys"])


@row("003.cache-4800", "KV Cache", "六层 x 100 个位置 x 两个矩阵 x 四维 = 4800 个数", "6 layers * 100 positions * 2 matrices * 4 numbers", Equal(4800), note=("只算自注意力；缓存里数出的", "self-attention alone; counted in a cache"), at="692: 六 100 六 100 两 四 4800")
def _() -> Any:
    model = small(model="decoder-only", width=4, decoder_layers=6, hidden=16)
    return in_chunks(model, [1] * 100, (100,))[1].numbers


@row("003.cache-whole", "KV Cache", "总共 4800（含同一节要求缓存的交叉注意力）", "4800 is all that must be stored (with the cross-attention cache that the section asks for)", Equal(4800), note=("六层还各存七个源词元的键与值：多 336", "six layers keep keys and values of the seven source tokens as well: 336 more"))
def _() -> Any:
    return sum(cache_numbers(SIX, 100, source=7))


@row("003.cache-counted", "KV Cache", "缓存的大小：公式与运行中缓存里的数（六层，5 个位置，7 个源词元）", "the size of a cache: by formula, beside the numbers in one that ran (six layers, 5 positions, 7 source tokens)", Same(True))
def _() -> Any:
    model = small(model="encoder-decoder", width=4, encoder_layers=6, decoder_layers=6, hidden=16)
    cache = Cache(*model, 1)
    step(*model, first_words(5), cache)
    return sum(cache_numbers(model[0], 5, source=7)), cache.numbers


@row("003.gpt-3", "KV Cache", "换成 12288 维，“这个内存开销”（六层、100 个位置）达到几个 GB", "at a width of 12288 'this cost' (of six layers and 100 positions) reaches several GB", Within((2, 9)), note=("GB；float32。该段自己的尺寸只有 0.06 GB", "GB, in float32; at the paragraph's own sizes it is 0.06 GB"), at="692: 3 12288")
def _() -> Any:
    config = dataclasses.replace(SIX, model="decoder-only", encoder_layers=0, width=12288, heads=96, hidden=49152)
    return cache_numbers(config, 100)[0] * 4 / 1e9


@row("003.gpt-3-whole", "KV Cache", "GPT-3 自己的 96 层、2048 个词元可能达到几个 GB", "GPT-3's own 96 layers and 2048 tokens may take several GB", Can(Within((2, 10))), note=("GB；每个数两字节；Brown 等，2020", "GB, at two bytes a number; Brown et al., 2020"))
def _() -> Any:
    return cache_numbers(GPT_3, 2048)[0] * 2 / 1e9


@row("003.mqa-gqa", "KV Cache", "MQA、GQA 缓解缓存：4 个头时缓存的份额（4、2、1 个键值头）", "MQA and GQA ease the cache: its share with 4, 2 and 1 key/value heads of four", Equal((1.0, 0.5, 0.25)))
def _() -> Any:
    sizes = [in_chunks(small(model="decoder-only", width=8, heads=4, key_value_heads=g), [1, 2, 3], (3,))[1].numbers for g in (4, 2, 1)]
    return [size / sizes[0] for size in sizes]


@row("003.mla", "KV Cache", "MLA 缓解缓存：每个词元每层的数（四个头、宽 8；潜向量 3 加旋转 2）", "MLA eases the cache: numbers a token a layer (four heads, width 8; latent 3 and rotated 2)", Order(("MHA", "MLA")))
def _() -> Any:
    plain = small(model="decoder-only", width=8, heads=4, positions="rotary")
    return {name: in_chunks(model, [1, 2, 3], (3,))[1].numbers / 3 for name, model in (("MHA", plain), ("MLA", small(**LATENT)))}


@row("003.mla-cached", "KV Cache", "MLA 用缓存（吸收）与不用缓存（展开）的 logits", "MLA's logits with a cache (absorbed), beside those without (expanded)", Same(True))
def _() -> Any:
    model = small(**LATENT)
    return in_chunks(model, [1, 2, 3, 4], (2, 1, 1))[0], logits_of(model, Batch([[1, 2, 3, 4]]))[0]


@row("003.mla-one-latent", "KV Cache", "MLA 的键与值都由潜向量展开：latent·W_UK、latent·W_UV 与运行的", "MLA makes keys and values from the latent: latent·W_UK and latent·W_UV, beside those of the run", Same(True))
def _() -> Any:
    p, latent = latents().parameters, latent_run("latent")[0]
    own = [latent_run(leaf)[0] for leaf in ("keys", "values")]
    made = [(latent @ p[f"{LATENTS}.{name}"]).reshape(4, 4, 2).swapaxes(0, 1) for name in ("w_uk", "w_uv")]
    return made, own


@row("003.mla-scores", "KV Cache", "MLA 的分数 = (内容 + 旋转位置) / sqrt(d_k + d_r)：与运行的", "MLA's scores are (content + rotated position) / sqrt(d_k + d_r): beside those of the run", Same(True))
def _() -> Any:
    content = latent_run("queries")[0] @ latent_run("keys")[0].swapaxes(1, 2)
    place = latent_run("rotated_queries")[0] @ latent_run("rotated_key")[0].T
    return (content + place) / np.sqrt(2 + 2), latent_run("scores")[0]


@row("003.mla-context", "KV Cache", "MLA 的 context = 权重·V：与运行的", "MLA's context is weights·V: beside that of the run", Same(True))
def _() -> Any:
    return latent_run("weights")[0] @ latent_run("values")[0], latent_run("context")[0]


@row("003.mla-generates", "KV Cache", "MLA 的模型用缓存与不用缓存生成的 logits", "the logits of a generation with MLA, with a cache and without", Same(True))
def _() -> Any:
    model = small(**LATENT)
    runs = [generate(*model, Batch([[1, 2]]), max_new_tokens=4, use_cache=cached) for cached in (True, False)]
    return [[one.logits for one in run.steps] for run in runs]


@row("003.mla-relative", "KV Cache", "MLA 的位置另走旋转的部分，只看距离：所有位置一起后移 5，logits 与不移的", "MLA's positions are in the rotated parts and tell distances alone: logits with all positions moved by 5, beside those before", Same(True))
def _() -> Any:
    model = small(**LATENT)
    return logits_of(model, Batch([[1, 2, 3, 4]], positions=[[5, 6, 7, 8]])), logits_of(model, Batch([[1, 2, 3, 4]]))


@row("003.mla-order", "KV Cache", "（位置起作用）词元 1 2 3 4 与 2 1 3 4：最后位置的 logits", "(positions tell) tokens 1 2 3 4 beside 2 1 3 4: logits of the last place", Same(False))
def _() -> Any:
    return [logits_of(small(**LATENT), Batch([ids]))[0, -1] for ids in ([1, 2, 3, 4], [2, 1, 3, 4])]


@row("003.mla-trains", "KV Cache", "MLA 可以训练：手写的梯度沿随机方向的斜率，与差商最多差", "MLA can be trained: slopes along random directions by the gradients written by hand, and how far difference quotients are from them", Printed(0.0, 6))
def _() -> Any:
    config, p = small(**LATENT)
    batch, rng, worst = Batch([[1, 2, 3, 4]], labels=[[2, 3, 4, 5]]), np.random.default_rng(0), 0.0
    gradient = backward(forward(config, p, batch)[1])
    for name in p:
        way = rng.standard_normal(p[name].shape)
        losses = [float(forward(config, {**p, name: p[name] + h * way}, batch)[0].loss) for h in (1e-5, -1e-5)]  # type: ignore[arg-type]
        worst = max(worst, abs((losses[0] - losses[1]) / 2e-5 - float((gradient[name] * way).sum())))
    return worst


@row("003.paged", "对比·五", "推理引擎（vLLM）优化 KV Cache：分块存放、共享前缀的缓存与从头算的 logits", "engines such as vLLM improve the cache: blocks that share a prefix, beside the logits from the start", Same(True))
def _() -> Any:
    model = small(model="decoder-only", decoder_layers=2)
    cache = Cache(*model, 1, storage="paged", block_size=2)
    step(*model, Batch([[1, 2, 3]]), cache)
    other = cache.fork()
    found = [step(*model, Batch([[i]]), one).logits[0, 0] for i, one in ((4, cache), (6, other), (5, cache), (7, other))]
    whole = [logits_of(model, Batch([[1, 2, 3, *ids]]))[0, 3:] for ids in ([4, 5], [6, 7])]
    return found, [one[n] for n in range(2) for one in whole]
