"""Exercises on positions: the table of sines, distances, turns, slower angles."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..answering.cases import draw, words
from ..answering.exercise import At, Case, exercise
from ..config.rotary import LinearScaling
from ..ops.alibi import distance_bias as bias_of
from ..ops.angles import frequencies
from ..ops.positions import rotate_forward, rotation, sinusoidal
from ..shapes import Array

FIXED = ("用了 10000，不是给出的 base", "10000, not the base that was given")
FROM_ONE = ("位置从 1 数起，应当从 0", "positions counted from 1, not from 0")


@exercise(
    "02",
    zh="""
    正弦位置表。

    length, width  行数与列数（width 是偶数）；base 是底
    返回           [length, width]：第 p 行的第 i 对列是 sin 与 cos，角度是 p / base^(2i/width)，
                   正弦在第 2i 列，余弦在第 2i+1 列
    """,
    en="""
    The table of sinusoidal positions.

    length, width  rows and columns (width is even); base is the base
    returns        [length, width]: pair i of the columns of row p holds sine and
                   cosine of the angle p / base^(2i/width), the sine in column
                   2i, the cosine in column 2i + 1
    """,
    hints=[
        ("先做角度的表 [length, width/2]：位置与每一对的速度的外积。",
         "First the table of angles, [length, width/2]: every position with every pair's speed."),
        ("第 0 行应当是 0 1 0 1 ...：正弦与余弦交错，不是先后两半。",
         "Row 0 is 0 1 0 1 ...: sines and cosines take turns; they are no two halves."),
    ],
    answer="""
    i = np.arange(width // 2)
    angles = np.arange(length)[:, None] / base ** (2 * i / width)
    table = np.empty((length, width))
    table[:, 0::2], table[:, 1::2] = np.sin(angles), np.cos(angles)
    return table
    """,
    reference=lambda length, width, base: (
        sinusoidal(np.arange(length)[None], width, base, "float64")[0]
    ),
    cases=lambda: [
        Case((7, 4, 100.0), words("weather", "encoder")),
        *(Case(x) for x in ((5, 8, 10000.0), (3, 6, 7.0), (9, 10, 50.0), (12, 4, 1.2))),
    ],
)  # fmt: skip
def positions(at: At, length: int, width: int, base: float) -> Any:
    p = at(np.arange(length), (*FROM_ONE, lambda: np.arange(1, length + 1)))
    column = np.arange(width)
    pair = 2 * (column // 2) / width
    exponent = at(
        pair,
        ("指数是 i/width，不是 2i/width", "exponent i/width, not 2i/width", lambda: pair / 2),
        ("指数没有除以 width", "exponent not over width", lambda: pair * width),
        ("指数用了列号：一对里的余弦转得更慢", "exponent of the column: a pair's cosine is slower",
         lambda: column / width),
        ("指数用了两倍的列号", "exponent of twice the column", lambda: 2 * column / width),
        ("对从 1 数起", "pairs counted from 1", lambda: pair + 2 / width),
        ("指数除以了 width/2，不是 width", "exponent over width/2, not over width", lambda: 2 * pair),
    )  # fmt: skip
    angles = at(
        p[:, None] / base**exponent,
        ("乘了 base 的幂，不是除", "multiplied by the power of the base, not divided",
         lambda: p[:, None] * base**exponent),
        ("各对同速：没有用到 base", "all pairs at one speed: the base is not used",
         lambda: p[:, None] + 0 * exponent),
        (*FIXED, lambda: p[:, None] / 10000.0**exponent),
        ("base 乘了指数，不是乘方", "base times exponent, not to its power",
         lambda: p[:, None] / np.maximum(base * exponent, 1.0)),
        ("角度当作了度数", "angles taken as degrees", lambda: np.radians(p[:, None] / base**exponent)),
    )  # fmt: skip
    sine, cosine, even = np.sin(angles), np.cos(angles), column % 2 == 0
    return at(
        np.where(even, sine, cosine),
        ("正弦与余弦对调了", "sine and cosine exchanged", lambda: np.where(even, cosine, sine)),
        ("先写了全部正弦，再写全部余弦，没有交错", "halves: all sines, then all cosines, not in turns",
         lambda: np.concatenate([sine[:, 0::2], cosine[:, 1::2]], 1)),
        ("先写了全部余弦，再写全部正弦", "halves: all cosines, then all sines",
         lambda: np.concatenate([cosine[:, 1::2], sine[:, 0::2]], 1)),
        ("每一列都是正弦", "sines in every column", lambda: sine),
    )  # fmt: skip


@exercise(
    "21",
    zh="""
    按距离减分（ALiBi）。

    length, heads  序列长度；头数是二的幂
    返回           [heads, length, length]：第 h 个头（从 1 数起）的斜率是 2^(-8h/heads)，
                   加在分数上的是负的斜率乘以查询与键的距离
    """,
    en="""
    What distance takes from scores (ALiBi).

    length, heads  of the sequence; the heads are a power of two
    returns        [heads, length, length]: the slope of head h (counted from 1)
                   is 2^(-8h/heads), and what is added to a score is minus the
                   slope times the distance of query and key
    """,
    hints=[
        ("先做距离的表 [length, length]：对角线是 0，没有负数。",
         "First the distances, [length, length]: 0 on the diagonal, and none is negative."),
        ("斜率只有 heads 个，第一个最陡；再与距离表相乘，得到三个轴。",
         "There are as many slopes as heads, the steepest first; times distances: three axes."),
    ],
    answer="""
    p = np.arange(length)
    distance = np.abs(p[:, None] - p[None, :])
    slopes = 2.0 ** (-8 * np.arange(1, heads + 1) / heads)
    return -slopes[:, None, None] * distance
    """,
    reference=lambda length, heads: (
        bias_of(np.arange(length)[None], np.arange(length)[None], heads, "float64")[0]
    ),
    cases=lambda: [Case(x) for x in ((5, 4), (3, 8), (7, 2), (4, 16))],
)  # fmt: skip
def distance_bias(at: At, length: int, heads: int) -> Any:
    p = np.arange(length)
    apart = p[:, None] - p[None, :]
    distance = at(
        np.abs(apart),
        ("距离没有取绝对值", "distance without its absolute value", lambda: apart),
        ("距离的正负反了，也没有取绝对值", "key less query, without its absolute value",
         lambda: -apart),
        ("后面的键距离算作 0", "keys to the right at distance 0", lambda: np.maximum(apart, 0)),
        ("距离多了 1", "distances larger by one", lambda: np.abs(apart) + 1),
        ("用了距离的平方", "squares of distances", lambda: apart**2),
        ("用了键的位置，不是距离", "the key's position, not the distance",
         lambda: np.broadcast_to(p, apart.shape)),
    )  # fmt: skip
    h = np.arange(1, heads + 1)
    slopes = at(
        2.0 ** (-8 * h / heads),
        ("头从 0 数起：斜率都多了一倍档", "heads counted from 0", lambda: 2.0 ** (-8 * (h - 1) / heads)),
        ("斜率是 2^(-h)，没有按头数分", "slopes 2^(-h), whatever the number of heads",
         lambda: 2.0**-h),
        ("斜率的指数少了负号", "the exponent of the slopes without its sign",
         lambda: 2.0 ** (8 * h / heads)),
        ("斜率少了 8", "slopes without the 8", lambda: 2.0 ** (-h / heads)),
        ("斜率的次序反了", "slopes in reverse order", lambda: 2.0 ** (-8 * h / heads)[::-1]),
        ("以 e 为底，不是 2", "powers of e, not of 2", lambda: np.exp(-8 * h / heads)),
        ("斜率是 1/h", "slopes 1/h", lambda: 1.0 / h),
        ("所有头斜率相同", "one slope for all heads", lambda: np.full(heads, 2.0 ** (-8 / heads))),
    )  # fmt: skip
    return at(
        -slopes[:, None, None] * distance,
        ("少了负号：越远分数越高", "the sign missing: far keys gain",
         lambda: slopes[:, None, None] * distance),
        ("后面的键是 -inf：掩码不属于这里", "-inf at later keys: the mask has no place here",
         lambda: np.where(apart < 0, -np.inf, -slopes[:, None, None] * distance)),
        ("轴的次序错了：头在最后", "heads as the last axis",
         lambda: -slopes * distance[:, :, None]),
    )  # fmt: skip


@exercise(
    "22",
    zh="""
    旋转位置。

    x      [T, r]，第 p 行在位置 p（从 0 数起）；第 2i、2i+1 两列是一对（r 是偶数）
    base   底
    返回   [T, r]：第 i 对 (a, b) 转过角度 p * base^(-2i/r)，逆时针
    """,
    en="""
    Rotary positions.

    x        [T, r], row p stands at position p (from 0); columns 2i and 2i + 1
             are a pair (r is even)
    base     the base
    returns  [T, r]: pair i, (a, b), turned counter-clockwise by p * base^(-2i/r)
    """,
    hints=[
        ("第 0 行不动；每一对的长度不变。先看这两点是否成立。",
         "Row 0 stays, and every pair keeps its length. See first whether these hold."),
        ("逆时针转角 t：点 (1, 0) 到 (cos t, sin t)。",
         "A turn by t takes the point (1, 0) to (cos t, sin t)."),
    ],
    answer="""
    T, r = x.shape
    angles = np.arange(T)[:, None] * base ** (-np.arange(0, r, 2) / r)
    a, b, out = x[:, 0::2], x[:, 1::2], np.empty(x.shape)
    out[:, 0::2] = a * np.cos(angles) - b * np.sin(angles)
    out[:, 1::2] = a * np.sin(angles) + b * np.cos(angles)
    return out
    """,
    reference=lambda x, base: rotate_forward(
        x[None, None],
        rotation(np.arange(len(x))[None], x.shape[1], base, "interleaved", "float64"),
    )[0, 0],
    cases=lambda: [
        Case((*draw(22 + t, (t, r)), base))
        for t, r, base in ((5, 4, 10000.0), (3, 6, 10.0), (7, 8, 100.0), (4, 4, 1.2))
    ],
)  # fmt: skip
def rotate(at: At, x: Array, base: float) -> Any:
    length, width = x.shape
    p = at(np.arange(length), (*FROM_ONE, lambda: np.arange(1, length + 1)))
    pair = np.arange(0, width, 2) / width
    exponent = at(
        pair,
        ("指数是 i/r，不是 2i/r", "exponent i/r, not 2i/r", lambda: pair / 2),
        ("指数没有除以 r", "exponent not over r", lambda: pair * width),
        ("对从 1 数起", "pairs counted from 1", lambda: pair + 2 / width),
        ("指数除以了 r/2，不是 r", "exponent over r/2, not over r", lambda: 2 * pair),
    )  # fmt: skip
    speed = at(
        base**-exponent,
        ("指数少了负号：后面的对转得更快", "exponent without its sign: later pairs turn faster",
         lambda: base**exponent),
        ("各对同速：没有用到 base", "all pairs at one speed: the base is not used",
         lambda: np.ones(len(exponent))),
        (*FIXED, lambda: 10000.0**-exponent),
        ("base 乘了指数，不是乘方", "base times exponent, not to its power",
         lambda: -base * exponent),
    )  # fmt: skip
    angles = at(
        p[:, None] * speed,
        ("转反了：顺时针", "turned the other way, clockwise", lambda: -p[:, None] * speed),
        ("角度当作了度数", "angles taken as degrees", lambda: np.radians(p[:, None] * speed)),
    )  # fmt: skip
    cosine, sine = np.cos(angles), np.sin(angles)

    def turned(a: Array, b: Array) -> list[Array]:
        return [a * cosine - b * sine, a * sine + b * cosine]

    def halves() -> Array:
        return np.concatenate(turned(x[:, : width // 2], x[:, width // 2 :]), 1)

    def in_turns(first: Array, second: Array) -> Array:
        return np.stack([first, second], -1).reshape(x.shape)

    a, b = x[:, 0::2], x[:, 1::2]
    return at(
        in_turns(*turned(a, b)),
        ("对取错了：前一半配后一半，不是相邻两列", "pairs of halves, not of neighbouring columns", halves),
        ("对取对了，结果却放成了前后两半", "right pairs, but the result stands in two halves",
         lambda: np.concatenate(turned(a, b), 1)),
        ("正弦与余弦对调了", "sine and cosine exchanged",
         lambda: in_turns(a * sine - b * cosine, a * cosine + b * sine)),
        ("两个正弦项同号，不是转动", "both terms with the sine have one sign: no turn",
         lambda: in_turns(a * cosine + b * sine, a * sine + b * cosine)),
        ("算第二列时用了已经改过的第一列", "the second column made from the first one already changed",
         lambda: in_turns(a * cosine - b * sine, (a * cosine - b * sine) * sine + b * cosine)),
        ("只乘了余弦", "times the cosine alone", lambda: in_turns(a * cosine, b * cosine)),
    )  # fmt: skip


@exercise(
    "23",
    zh="""
    放慢的角度：要读 factor 倍长的文本，所有位置除以 factor（线性缩放）。

    length, width  行数；旋转的列数（偶数）；base 是底
    返回           [length, width/2]，第 p 行第 i 对的角度，p 从 0 数起；
                   不缩放时是 p * base^(-2i/width)
    """,
    en="""
    Slower angles: for texts factor times as long, all positions are divided by
    factor (linear scaling).

    length, width  rows; columns that turn (an even number); base is the base
    returns        [length, width/2], the angle of pair i at position p (from 0),
                   which without scaling is p * base^(-2i/width)
    """,
    hints=[
        ("第 factor 行应当等于不缩放时的第 1 行。", "Row `factor` is what row 1 was without scaling."),
        ("缩放对每一对都一样；base 与指数都不动。",
         "The scaling is the same for every pair; base and exponent stay as they are."),
    ],
    answer="""
    speed = base ** (-np.arange(0, width, 2) / width)
    return np.arange(length)[:, None] / factor * speed
    """,
    reference=lambda length, width, base, factor: (
        np.arange(length)[:, None] * frequencies(width, base, LinearScaling(factor=factor))
    ),
    cases=lambda: [
        Case(x)
        for x in ((6, 8, 10000.0, 4.0), (5, 4, 100.0, 2.0), (9, 6, 10.0, 2.5), (3, 4, 1.2, 8.0))
    ],
)  # fmt: skip
def scaled_angles(at: At, length: int, width: int, base: float, factor: float) -> Any:
    p = at(np.arange(length), (*FROM_ONE, lambda: np.arange(1, length + 1)))
    pair = np.arange(0, width, 2) / width
    exponent = at(
        pair,
        ("指数是 i/width，不是 2i/width", "exponent i/width, not 2i/width", lambda: pair / 2),
        ("指数除以了 width/2，不是 width", "exponent over width/2, not over width", lambda: 2 * pair),
        ("指数没有除以 width", "exponent not over width", lambda: pair * width),
    )  # fmt: skip
    speed = at(
        base**-exponent,
        ("指数少了负号：后面的对转得更快", "exponent without its sign: later pairs turn faster",
         lambda: base**exponent),
        (*FIXED, lambda: 10000.0**-exponent),
        ("缩放了 base，不是位置", "the base scaled, not the positions",
         lambda: factor * (base * factor) ** -exponent),
        ("base 除以了 factor，不是位置", "the base divided by factor, not the positions",
         lambda: factor * (base / factor) ** -exponent),
    )  # fmt: skip
    return at(
        p[:, None] / factor * speed,
        ("没有缩放", "not scaled", lambda: p[:, None] * speed),
        ("乘了 factor，不是除", "multiplied by factor, not divided",
         lambda: p[:, None] * factor * speed),
        ("位置取了整：p // factor", "positions rounded down after dividing",
         lambda: p[:, None] // factor * speed),
        ("除了两次", "divided twice", lambda: p[:, None] / factor**2 * speed),
        ("最快的一对没有缩放", "the fastest pair not scaled",
         lambda: p[:, None] * np.where(pair == 0, speed, speed / factor)),
    )  # fmt: skip
