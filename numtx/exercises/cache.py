"""Exercises on writing with a cache: the mask of a chunk, and a step."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..answering.cases import draw, scale_slips, softmax, softmax_slips
from ..answering.exercise import At, Case, exercise
from ..masks import allowed
from ..ops.grouped import weigh_forward
from ..shapes import Array
from .attention import attend


@exercise(
    "11",
    zh="""
    几个新词一起进来时的因果掩码：前面的 cached 个词已在缓存里。

    cached, new  个数；新词的位置从 cached 数起
    返回         [new, cached + new] 布尔，True 表示可以看：旧的都可以看，新的看到自己为止
    """,
    en="""
    The causal mask of some new tokens, where `cached` tokens are in the cache.

    cached, new  how many; the positions of the new ones go on from cached
    returns      [new, cached + new] boolean, True where it may look: at all that
                 is cached, and at the new ones up to itself
    """,
    hints=[
        ("一行一个新词，一列一个键：第 i 个新词站在第几格？",
         "A row is a new token, a column a key: at which position does new token i stand?"),
        ("最后一行全是 True；cached 为 0 时就是普通的三角。",
         "The last row is True throughout; with cached = 0 it is the plain triangle."),
    ],
    answer="""
    return np.arange(cached + new) <= cached + np.arange(new)[:, None]
    """,
    reference=lambda cached, new: (
        allowed(np.ones((1, cached + new), bool), new, causal=True).allowed[0, 0]
    ),
    cases=lambda: [Case(x) for x in ((3, 2), (4, 4), (0, 3), (2, 1), (1, 5))],
)  # fmt: skip
def chunk_mask(at: At, cached: int, new: int) -> Any:
    place = at(
        cached + np.arange(new),
        ("位置从 0 数起，没有接着缓存", "positions from 0, not from those cached", lambda: np.arange(new)),
        ("位置少了 1：看不到自己", "positions off by one: a token hides itself",
         lambda: cached + np.arange(new) - 1),
        ("位置多了 1：看得到后面一个", "positions off by one: the next token is seen",
         lambda: cached + np.arange(new) + 1),
        ("位置错移了 new 格，不是 cached 格", "positions moved by new, not by cached",
         lambda: new + np.arange(new)),
        ("所有新词用了最后的位置：都看得到全部", "all new tokens at the last position: they see all",
         lambda: np.full(new, cached + new)),
    )[:, None]  # fmt: skip
    key = np.arange(cached + new)
    seen = at(
        key <= place,
        ("三角反了：看后面，不看前面", "the other triangle: later keys are seen, not earlier ones",
         lambda: key >= place),
        ("看不到缓存里的", "what is cached is not seen", lambda: (key <= place) & (key >= cached)),
        ("只看得到自己和缓存里的", "only itself and what is cached is seen",
         lambda: (key == place) | (key < cached)),
    )  # fmt: skip
    return at(
        seen,
        ("真假反了：True 表示遮住", "True where it is hidden, not where it may look", lambda: ~seen),
        ("转置了：行是键", "transposed: rows are keys", lambda: seen.T),
        ("只给出了新词的列", "only the columns of new tokens", lambda: seen[:, cached:]),
    )  # fmt: skip


@exercise(
    "26",
    zh="""
    带窗口的因果掩码。

    length, window  序列长度；窗口的词元数，自己也算一个
    返回            [length, length] 布尔，True 表示可以看：自己，和前面 window - 1 个
    """,
    en="""
    The causal mask with a window.

    length, window  of the sequence; how many tokens are seen, itself among them
    returns         [length, length] boolean, True where it may look: at itself,
                    and at the window - 1 tokens before it
    """,
    hints=[
        ("先做查询位置减键位置的表。", "First the table of query positions less key positions."),
        ("window 为 1 时只有对角线；很大时是普通的三角。",
         "With a window of 1 only the diagonal is left; with a large one the plain triangle."),
    ],
    answer="""
    apart = np.arange(length)[:, None] - np.arange(length)
    return (apart >= 0) & (apart < window)
    """,
    reference=lambda length, window: (
        allowed(
            np.ones((1, length), bool), length, causal=True, window=window,
            query_positions=np.arange(length)[None], key_positions=np.arange(length)[None],
        ).allowed[0, 0]
    ),
    cases=lambda: [Case(x) for x in ((9, 3), (5, 2), (4, 1), (6, 8), (3, 3))],
)  # fmt: skip
def window_mask(at: At, length: int, window: int) -> Any:
    apart = np.arange(length)[:, None] - np.arange(length)
    near = at(
        apart < window,
        ("窗口差一格：多看了一个", "window off by one: a token too many is seen", lambda: apart <= window),
        ("窗口差一格：少看了一个", "window off by one: a token too few is seen",
         lambda: apart < window - 1),
        ("没有窗口", "no window", lambda: apart < length),
        ("反了：窗口之外才看", "the wrong side: only what is outside the window is seen",
         lambda: apart >= window),
        ("切成了块，不是窗口", "chunks, not a window",
         lambda: np.arange(length)[:, None] // window == np.arange(length) // window),
        ("只看窗口的边上那一个和自己", "only itself and the farthest of the window are seen",
         lambda: (apart == window - 1) | (apart == 0)),
    )  # fmt: skip
    seen = at(
        near & (apart >= 0),
        ("没有因果限制：后面的也看", "not causal: later tokens are seen", lambda: near),
        ("看得到后面一个", "the next token is seen", lambda: near & (apart >= -1)),
        ("向两边都看", "the window reaches to both sides", lambda: near & (apart > -window)),
        ("看不到自己", "a token does not see itself", lambda: near & (apart > 0)),
    )  # fmt: skip
    return at(
        seen,
        ("真假反了：True 表示遮住", "True where it is hidden, not where it may look", lambda: ~seen),
        ("看后面，不看前面", "later tokens are seen, not earlier ones", lambda: seen.T),
    )  # fmt: skip


def step_of(query: Array, key: Array, value: Array, keys: Array, values: Array, length: int) -> Any:
    keys[length], values[length] = key, value
    weights = attend(query[None], keys[: length + 1])
    return weigh_forward(weights[None, None], values[None, None, : length + 1])[0, 0, 0]


@exercise(
    "12",
    zh="""
    带缓存的一步，一个头。

    query, key, value  [d_k]，新词的三个向量
    keys, values       [C, d_k]，缓存的空间；前 length 行有内容，其余是没有意义的数
    length             缓存里已有几个词，小于 C
    返回               [d_k]，新词的结果：接上新的一行，再看所有已有的词和自己
    """,
    en="""
    A step with a cache, one head.

    query, key, value  [d_k], the three vectors of the new token
    keys, values       [C, d_k], the room of the cache: the first `length` rows are
                       in use, the others hold numbers without meaning
    length             the tokens in the cache, less than C
    returns            [d_k], the context of the new token: its row is appended,
                       and it looks at all tokens there are and at itself
    """,
    hints=[
        ("新的一行写在第几行？行号从 0 数起。", "Into which row does the new one go? Rows count from 0."),
        ("写好以后，看几行？后面的空间里是没有意义的数。",
         "How many rows are looked at then? Those behind hold numbers without meaning."),
    ],
    answer="""
    keys[length], values[length] = key, value
    scores = keys[: length + 1] @ query / np.sqrt(len(query))
    e = np.exp(scores - scores.max())
    return e / e.sum() @ values[: length + 1]
    """,
    reference=step_of,
    cases=lambda: [
        Case((*draw(seed, (k,), (k,), (k,), (c, k), (c, k)), n))
        for seed, (c, k, n) in enumerate(((6, 4, 3), (5, 3, 1), (8, 6, 5), (4, 5, 2), (9, 2, 4)))
    ],
)  # fmt: skip
def cached_step(
    at: At, query: Array, key: Array, value: Array, keys: Array, values: Array, length: int
) -> Any:
    def written(row: int) -> tuple[Array, Array]:
        k, v = keys.copy(), values.copy()
        k[row], v[row] = key, value
        return k, v

    place, rows = at(
        (length, length + 1),
        ("位置差一格：写在最后一个旧词上，也少看一行",
         "position off by one: written over the last token, and a row less is looked at",
         lambda: (length - 1, length)),
        ("写在了最后一个旧词上（差一格）", "written over the last token: position off by one",
         lambda: (length - 1, length + 1)),
        ("写得太靠后一格，或者没有写", "written a row too far (position off by one), or not at all",
         lambda: (length + 1, length + 1)),
        ("写得太靠后一格，也多看一行", "position off by one: written a row too far, and a row too many looked at",
         lambda: (length + 1, length + 2)),
        ("写在了第 0 行", "written into row 0", lambda: (0, length + 1)),
        ("先看后接：看不到自己", "attended before appending: the token does not see itself",
         lambda: (length, length)),
        ("看了整个空间，连没有意义的行", "the whole room is looked at, rows without meaning, too",
         lambda: (length, len(keys))),
        ("多看了一行", "a row too many is looked at", lambda: (length, length + 2)),
    )  # fmt: skip
    k, v = at(
        written(place),
        ("新的键没有写进去", "the new key is not written", lambda: (keys, written(place)[1])),
        ("新的值没有写进去", "the new value is not written", lambda: (written(place)[0], values)),
        ("键和值对调了", "key and value exchanged", lambda: written(place)[::-1]),
    )  # fmt: skip
    products = (k[:rows] @ query)[None]
    scores = at(products / math.sqrt(len(query)), *scale_slips(products, len(query), rows))
    weights = at(softmax(scores), *softmax_slips(scores)[2:7], *softmax_slips(scores)[9:12])

    return at(
        weights @ v[:rows],
        ("只看自己", "it looks at itself alone", lambda: value[None]),
        ("只做到权重，没有乘以值", "weights alone, not times the values", lambda: weights),
    )[0]
