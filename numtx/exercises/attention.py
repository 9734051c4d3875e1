"""Exercises on attention: weights, masks, two lengths, the cache, heads that share keys."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..answering.cases import draw, scale_slips, softmax, softmax_slips, traced, words
from ..answering.exercise import At, Case, exercise
from ..masks import allowed
from ..ops.attend import mask_forward
from ..ops.grouped import products_forward, weigh_forward
from ..ops.heads import merge_heads
from ..ops.softmax import softmax_forward
from ..shapes import Array


def attend(queries: Array, keys: Array) -> Any:
    """Weights of [H, T, k] and [G, S, k], or of [T, k] and [S, k], without a mask."""
    q, k = (x[None] if x.ndim == 3 else x[None, None] for x in (queries, keys))
    found = softmax_forward(products_forward(q, k) / math.sqrt(q.shape[-1]))[0]
    return found if queries.ndim == 3 else found[0]


def of_weights() -> list[Case]:
    trace, names = traced("weather"), words("weather", "encoder")
    place = "encoder.0.self_attention"
    own = [trace[f"{place}.{x}"][0, 0] for x in ("queries", "keys")]
    sizes = [((3, 5), (6, 5)), ((5, 3), (2, 3)), ((4, 4), (4, 4)), ((1, 8), (7, 8))]
    return [Case((*own,), names, names), *(Case((*draw(i, *s),)) for i, s in enumerate(sizes))]


@exercise(
    "03",
    zh="""
    自注意力的权重。

    queries  [T, d_k]，一行一个查询
    keys     [S, d_k]，一行一个键
    返回     [T, S]，每行是一个查询分给各个键的份额：内积，缩放，softmax（第三课的前三步）
    """,
    en="""
    The weights of self-attention.

    queries  [T, d_k], a query in each row
    keys     [S, d_k], a key in each row
    returns  [T, S]: in each row the shares that a query gives to the keys, by
             products, scale and softmax (the first three steps of lesson three)
    """,
    hints=[
        ("先只写内积的矩阵：行是查询，列是键，所以键要转置。",
         "Begin with the matrix of products: rows are queries, columns keys; one is turned."),
        ("每一行的和应当是一；缩放用的是一个查询有几个数，在 softmax 之前。",
         "Each row sums to one; the scale is of how many numbers a query has, before softmax."),
    ],
    answer="""
    scores = queries @ keys.T / np.sqrt(queries.shape[1])
    e = np.exp(scores - scores.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)
    """,
    reference=attend,
    cases=of_weights,
)  # fmt: skip
def attention_weights(at: At, queries: Array, keys: Array) -> Any:
    width = queries.shape[1]
    products = at(
        queries @ keys.T,
        ("内积转置了：行是键，列是查询", "products transposed: rows are keys, columns are queries",
         lambda: keys @ queries.T),
        ("键没有转置", "keys not transposed", lambda: queries @ keys),
        ("每个向量先除以了自己的长度（余弦）", "vectors over their lengths first (cosines)",
         lambda: queries / np.linalg.norm(queries, axis=1, keepdims=True)
         @ (keys / np.linalg.norm(keys, axis=1, keepdims=True)).T),
    )  # fmt: skip
    scores = at(
        products / math.sqrt(width), *scale_slips(products, width, len(keys)),
        ("除以了查询的个数的平方根，不是 d_k 的", "divided by the root of the number of queries, not of d_k",
         lambda: products / math.sqrt(len(queries))),
    )  # fmt: skip
    weights = at(softmax(scores), *softmax_slips(scores))
    return at(
        weights,
        ("softmax 之后才缩放", "scaled after softmax, not before",
         lambda: softmax(products) / math.sqrt(width)),
        ("遮住了后面的键，这里没有掩码", "a causal mask, where there is none",
         lambda: softmax(np.where(np.tri(len(queries), len(keys), dtype=bool), scores, -np.inf))),
        ("缩放了两次，softmax 之前和之后", "scaled twice, before and after softmax",
         lambda: weights / math.sqrt(width)),
    )  # fmt: skip


def masked(scores: Array, real: Array) -> Array:
    mask = allowed(real[None], len(real), causal=True).allowed[0, 0]
    return softmax_forward(mask_forward(scores, mask))


def of_masked() -> list[Case]:
    place, names = "decoder.0.self_attention.scores", words("padding", "decoder", side="left")
    trace, cases = traced("padding", side="left"), []
    real = np.array([name != "<pad>" for name in names])
    cases.append(Case((trace[place][0, 0], real), names, names))
    patterns = ("1111", "01111", "11101", "0011010")
    for seed, text in enumerate(patterns):
        real = np.array([c == "1" for c in text])
        cases.append(Case((draw(seed, (len(real),) * 2)[0], real)))
    return cases


@exercise(
    "04",
    zh="""
    解码器的权重：因果掩码和填充掩码一起。

    scores   [T, T]，已缩放的分数，行是查询，列是键
    real     [T] 布尔，<pad> 处为 False
    返回     [T, T]，每行的份额；不许看的恰好是 0；什么也看不到的一行全是 0
    """,
    en="""
    The weights of a decoder: the causal mask and that of padding together.

    scores   [T, T], scaled scores, rows are queries, columns keys
    real     [T] boolean, False at <pad>
    returns  [T, T], the shares of each row; what is hidden has exactly 0, and a
             row that sees nothing is 0 throughout
    """,
    hints=[
        ("先写出布尔的掩码：一个位置可以看自己和左边，且只看真词元。谁被遮住：行还是列？",
         "First the boolean mask: itself and to the left, and real tokens alone. Which is hidden, "
         "a row or a column?"),
        ("遮住的分数在 softmax 之前换成负无穷；整行都是负无穷时，另外处理。",
         "Hidden scores become minus infinity before softmax; see to rows that are so throughout."),
    ],
    answer="""
    T = len(scores)
    mask = np.tri(T, dtype=bool) & real[None, :]
    e = np.where(mask, np.exp(scores - scores.max()), 0.0)
    total = e.sum(1, keepdims=True)
    return e / np.where(total == 0, 1.0, total)
    """,
    reference=masked,
    cases=of_masked,
)  # fmt: skip
def masked_weights(at: At, scores: Array, real: Array) -> Any:
    size = len(scores)
    causal = at(
        np.tri(size, dtype=bool),
        ("因果掩码太严：连自己也遮住了", "causal mask too strict by one: a token hides itself",
         lambda: np.tri(size, k=-1, dtype=bool)),
        ("因果掩码差一格：看得到后面一个", "causal mask off by one: the next token is seen",
         lambda: np.tri(size, k=1, dtype=bool)),
        ("三角反了：看后面，不看前面", "the other triangle: later tokens are seen, not earlier ones",
         lambda: ~np.tri(size, k=-1, dtype=bool)),
        ("没有因果掩码", "no causal mask", lambda: np.ones((size, size), bool)),
    )  # fmt: skip
    mask = at(
        causal & real,
        ("没有遮住填充", "padding is not hidden", lambda: causal),
        ("遮住了填充的行，不是列", "rows of padding are hidden, not columns",
         lambda: causal & real[:, None]),
        ("填充的行也遮住了", "rows of padding are hidden, too",
         lambda: causal & real & real[:, None]),
        ("填充的真假反了：遮住了真词元", "real the wrong way round: real tokens are hidden",
         lambda: causal & ~real),
        ("两个掩码用“或”合在一起，不是“且”", "the masks joined by or, not by and",
         lambda: causal | real),
    )  # fmt: skip
    seen = at(
        mask,
        ("掩码的真假反了：可以看的被遮住", "mask the wrong way round: what may be seen is hidden",
         lambda: ~mask),
        ("掩码转置了", "mask transposed", lambda: mask.T),
    )  # fmt: skip
    hidden = np.where(seen, scores, -np.inf)

    def nothing_seen(rows: Array) -> Array:
        return np.where(seen.any(1, keepdims=True), softmax_forward(hidden), rows)

    blind = ("什么也看不到的一行没有处理：得到 NaN", "a row that sees nothing is not seen to: NaN")
    large = (
        "用很大的负数代替负无穷：什么也看不到的一行仍得到份额",
        "a large negative number in place of -inf: a row that sees nothing gets shares",
    )
    return at(
        softmax_forward(hidden),
        ("遮住的分数换成了 0，不是负无穷", "0 in place of -inf at hidden scores",
         lambda: softmax(np.where(seen, scores, 0.0))),
        ("softmax 之后才遮，没有重新归一", "masked after softmax: rows no longer sum to one",
         lambda: np.where(seen, softmax(scores), 0.0)),
        *softmax_slips(hidden),
        (*blind, lambda: nothing_seen(np.full_like(scores, np.nan))),
        (*large, lambda: nothing_seen(np.full_like(scores, 1.0 / size))),
        (*large, lambda: nothing_seen(softmax(scores))),
        ("什么也看不到的一行只看了自己", "a row that sees nothing looks at itself",
         lambda: nothing_seen(np.eye(size))),
        ("加上了真假值本身（0 与 1），没有遮住什么", "the truth values (0 and 1) are added to scores",
         lambda: softmax(scores + seen)),
    )  # fmt: skip


def across(x: Array, memory: Array, w_q: Array, w_k: Array, w_v: Array) -> Any:
    return weigh_forward(attend(x @ w_q, memory @ w_k)[None, None], (memory @ w_v)[None, None])[
        0, 0
    ]


def of_across() -> list[Case]:
    trace, place = traced("weather"), "decoder.0.cross_attention"
    own = (trace["decoder.0.self_attention.norm"][0], trace["encoder.output"][0],
           *(trace.parameters[f"{place}.{w}"] for w in ("w_q", "w_k", "w_v")))  # fmt: skip
    sizes = [(3, 5, 4, 6), (4, 4, 6, 6), (2, 6, 3, 3), (5, 2, 7, 2)]
    cases = [Case(own, words("weather", "decoder"))]
    for seed, (t, s, d, k) in enumerate(sizes):
        cases.append(Case((*draw(seed, (t, d), (s, d), (d, k), (d, k), (d, k)),)))
    return cases


@exercise(
    "10",
    zh="""
    交叉注意力，一个头，没有掩码。

    x              [T, d]，解码器的行
    memory         [S, d]，编码器的结果 H_enc
    w_q, w_k, w_v  [d, d_k]
    返回           [T, d_k]，权重乘以值
    """,
    en="""
    Cross-attention with one head and without a mask.

    x              [T, d], rows of the decoder
    memory         [S, d], what the encoder gave, H_enc
    w_q, w_k, w_v  [d, d_k]
    returns        [T, d_k], weights times values
    """,
    hints=[
        ("三个投影各从哪里来？结果的行数是解码器的，所以查询来自解码器。",
         "Where does each of the three come from? The rows of the result are the decoder's."),
        ("键和值都是 memory 乘一个矩阵，不是 memory 本身，也不是同一个矩阵。",
         "Keys and values are memory times a matrix, not memory itself, and not one matrix."),
    ],
    answer="""
    q, k, v = x @ w_q, memory @ w_k, memory @ w_v
    scores = q @ k.T / np.sqrt(k.shape[1])
    e = np.exp(scores - scores.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True) @ v
    """,
    reference=across,
    cases=of_across,
)  # fmt: skip
def cross_attention(at: At, x: Array, memory: Array, w_q: Array, w_k: Array, w_v: Array) -> Any:
    asks, asked = at(
        (x, memory),
        ("查询和键对调了：编码器问解码器", "queries and keys exchanged: the encoder asks the decoder",
         lambda: (memory, x)),
        ("这是自注意力：没有用到编码器", "self-attention: the encoder is not consulted", lambda: (x, x)),
    )  # fmt: skip
    of_keys, of_values = at(
        (w_k, w_v), ("W_K 与 W_V 对调了", "W_K and W_V exchanged", lambda: (w_v, w_k))
    )
    queries = at(
        asks @ w_q,
        ("查询没有乘 W_Q", "queries without W_Q", lambda: asks),
        ("查询来自编码器，不是解码器", "queries from the encoder, not the decoder",
         lambda: memory @ w_q),
        ("查询乘了 W_K", "queries made with W_K", lambda: asks @ w_k),
    )  # fmt: skip
    keys = at(
        asked @ of_keys,
        ("键是 H_enc 本身，没有乘 W_K", "keys are H_enc itself, without W_K", lambda: asked),
        ("键来自解码器，不是编码器", "keys from the decoder, not the encoder", lambda: x @ w_k),
        ("键乘了 W_V", "keys made with W_V", lambda: asked @ w_v),
        ("键乘了 W_Q", "keys made with W_Q", lambda: asked @ w_q),
    )  # fmt: skip
    values = at(
        asked @ of_values,
        ("值是 H_enc 本身，没有乘 W_V", "values are H_enc itself, without W_V", lambda: asked),
        ("值来自解码器，不是编码器", "values from the decoder, not the encoder", lambda: x @ w_v),
        ("值乘了 W_K", "values made with W_K", lambda: asked @ w_k),
        ("值乘了 W_Q", "values made with W_Q", lambda: asked @ w_q),
    )  # fmt: skip
    products = queries @ keys.T
    scores = at(products / math.sqrt(w_k.shape[1]),
                *scale_slips(products, w_k.shape[1], len(memory)),
                ("除以了 d 的平方根，不是 d_k 的", "divided by the root of d, not of d_k",
                 lambda: products / math.sqrt(x.shape[1])))  # fmt: skip
    weights = at(softmax(scores), *softmax_slips(scores))
    return at(
        weights @ values,
        ("只做到权重，没有乘以值", "weights alone, not times the values", lambda: weights),
    )


def in_heads(queries: Array, keys: Array, values: Array) -> Any:
    return merge_heads(weigh_forward(attend(queries, keys)[None], values[None]))[0]


def of_heads() -> list[Case]:
    trace, place = traced("padding"), "decoder.0.cross_attention"
    own = tuple(trace[f"{place}.{x}"][0] for x in ("queries", "keys", "values"))
    sizes = [(4, 2, 3, 5, 3, 2), (6, 3, 2, 4, 5, 3), (4, 1, 3, 2, 2, 4), (3, 3, 4, 4, 4, 2)]
    cases = [Case(own, words("padding", "decoder"))]
    for seed, (h, g, t, s, k, v) in enumerate(sizes):
        cases.append(Case((*draw(seed, (h, t, k), (g, s, k), (g, s, v)),)))
    return cases


@exercise(
    "14",
    zh="""
    几个查询头共用一组键和值（GQA），没有掩码，各头并排拼回去。

    queries  [H, T, k]
    keys     [G, S, k]，G 整除 H；相邻的 H/G 个查询头用同一组
    values   [G, S, v]
    返回     [T, H*v]，第 h 个头占第 h*v 列起的 v 列
    """,
    en="""
    Attention whose query heads share keys and values (GQA), without a mask, and
    the heads side by side again.

    queries  [H, T, k]
    keys     [G, S, k]; G divides H, and H/G neighbouring query heads share one
    values   [G, S, v]
    returns  [T, H*v], where head h owns the v columns from h*v on
    """,
    hints=[
        ("先把键和值变成 H 份：哪几个查询头用第 0 组？",
         "First make H of the keys and values: which query heads have the group 0?"),
        ("拼回去时，一行里放的是同一个词元的各个头：先换轴，再改形状。",
         "Side by side, a row has all heads of one token: change the axes before the shape."),
    ],
    answer="""
    H, T, k = queries.shape
    keys, values = (np.repeat(x, H // len(x), axis=0) for x in (keys, values))
    scores = queries @ keys.transpose(0, 2, 1) / np.sqrt(k)
    e = np.exp(scores - scores.max(-1, keepdims=True))
    context = e / e.sum(-1, keepdims=True) @ values
    return context.transpose(1, 0, 2).reshape(T, -1)
    """,
    reference=in_heads,
    cases=of_heads,
)  # fmt: skip
def grouped_attention(at: At, queries: Array, keys: Array, values: Array) -> Any:
    heads, length, width = queries.shape
    groups = len(keys)
    near = np.arange(heads) // (heads // groups)
    group = at(
        near,
        ("隔着取组：第 h 个头用了第 h % G 组", "groups in turn: head h has the group h % G",
         lambda: np.arange(heads) % groups),
        ("组的次序反了", "groups in reverse order", lambda: near[::-1]),
        ("第 h 个头用了第 h // G 组", "head h has the group h // G, not h // (H / G)",
         lambda: np.arange(heads) // groups),
        ("所有的头都用了第 0 组", "all heads have the group 0", lambda: 0 * near),
    )  # fmt: skip
    products = queries @ keys[group].swapaxes(1, 2)
    scores = at(products / math.sqrt(width), *scale_slips(products, width, keys.shape[1]),
                ("除以了全部头合起来的宽度的平方根", "divided by the root of the width of all heads",
                 lambda: products / math.sqrt(width * heads)))  # fmt: skip
    weights = at(softmax(scores), *softmax_slips(scores))
    context = weights @ values[group]
    return at(
        context.transpose(1, 0, 2).reshape(length, -1),
        ("没有换轴就改了形状：不同词元混在一行", "reshaped without changing the axes: tokens are mixed",
         lambda: context.reshape(length, -1)),
        ("各头的列交错排列，不是一个头一段", "columns of the heads interleaved, not a head at a time",
         lambda: context.transpose(1, 2, 0).reshape(length, -1)),
        ("头的次序反了", "heads in reverse order",
         lambda: context[::-1].transpose(1, 0, 2).reshape(length, -1)),
        ("各头加在了一起，没有并排", "heads are added, not side by side", lambda: context.sum(0)),
        ("各头取了平均，没有并排", "heads are averaged, not side by side", lambda: context.mean(0)),
    )  # fmt: skip
