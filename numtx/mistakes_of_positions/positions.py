"""Mistakes in positions: tables, sinusoids, rotations, slopes."""

from __future__ import annotations

import numpy as np

from ..mistakes.at import At, Forms
from ..mistakes.cause import cause
from ..shapes import Array


@cause("旋转", "rotation", "@rotate")
def rotations(at: At) -> Forms:
    a, (x, positions) = at.stage.attributes, at.inputs
    other = "interleaved" if a["layout"] == "half" else "half"
    yield f"layout {other}, not {a['layout']}", at.again(layout=other)
    back = {1: -positions}  # the sine changes its sign with the angle, the cosine does not
    yield "the other way round (sign of the sine)", at.again(back)
    yield f"layout {other} and the other way round", at.again(back, layout=other)
    yield "left out", x
    yield "positions one too large", at.again({1: positions + 1})
    yield "positions one too small", at.again({1: positions - 1})
    plain = np.broadcast_to(np.arange(positions.shape[1]), positions.shape)
    yield "positions counted over padding too", at.again({1: plain})
    for base in (10000.0, 100.0, 1000.0, 100000.0, 500000.0, 1000000.0):
        if base != a["base"]:
            yield f"base {base:g}, not {a['base']:g}", at.again(base=base)
    yield "positions are the number of the row", at.again({1: rows_of(positions)})
    for power, word in ((2.0, "4i / r"), (0.5, "i / r")):
        yield f"exponent {word}, not 2i / r", at.again(base=a["base"] ** power)
    yield "only a half of it rotated", at.again(width=a["width"] // 4 * 2)
    if a["width"] != x.shape[-1]:
        yield "all of d_k rotated", at.again(width=x.shape[-1] // 2 * 2)


def rows_of(positions: Array) -> Array:
    """The number of the row in the batch, where a position should be."""
    return np.broadcast_to(np.arange(len(positions))[:, None], positions.shape)


@cause("查表", "look-up", "@lookup")
def tables(at: At) -> Forms:
    ids, a = at.inputs[0], at.stage.attributes
    yield "rows one too far", at.again({0: ids + 1})
    yield "rows one too early", at.again({0: ids - 1})
    plain = np.broadcast_to(np.arange(ids.shape[1]), ids.shape)
    if at.stage.leaf.name == "positions":
        yield "counted over padding too", at.again({0: plain})
        yield "the number of the row", at.again({0: rows_of(ids)})
        yield "from the last token on", at.again({0: plain[:, ::-1]})
        if a.get("offset"):
            yield "offset forgotten", at.again(offset=0)
    if len(at.inputs) > 1 and at.config.embedding_scale != 1.0:
        yield "scaled already", at.again() * at.config.embedding_scale


@cause("位置", "positions", "positions")
def sinusoids(at: At) -> Forms:
    if len(at.inputs) > 1:
        return
    y, a = at.again(), at.stage.attributes
    columns = np.arange(y.shape[-1])
    halves = a["layout"] == "half"
    sine = columns < len(columns) // 2 if halves else columns % 2 == 0
    if halves:
        yield "sines and cosines in turn", at.again(layout="interleaved")
    else:
        yield "all sines before all cosines", at.again(layout="half")
    swapped = np.empty_like(y)
    swapped[..., sine], swapped[..., ~sine] = y[..., ~sine], y[..., sine]
    yield "sine and cosine swapped", swapped
    exponent = columns / len(columns)
    for detail, power in (
        ("exponent i/d for each component i", exponent),
        ("exponent 2i/d for each component i", 2 * exponent),
    ):
        angles = at.inputs[0][..., None] / a["base"] ** power
        yield detail, np.where(sine, np.sin(angles), np.cos(angles))
    for base in (10000.0, 100.0, 1000.0):
        if base != a["base"]:
            yield f"base {base:g}, not {a['base']:g}", at.again(base=base)


@cause("斜率", "slopes", "@distance")
def slopes(at: At) -> Forms:
    """The bias by distance with a mistake; the right one is the slopes times -distance."""
    right, (queries, keys) = at.again(), at.inputs
    away = queries[:, None, :, None] - keys[:, None, None, :]
    size, slope = np.abs(away), _slopes(right, away)  # [B, 1, T, S], [H, 1, 1]
    heads = right.shape[1]
    n = 1 << (heads.bit_length() - 1)
    powers = np.arange(1, heads + 1)[:, None, None]
    plain = np.broadcast_to(np.arange(keys.shape[1]), keys.shape)
    yield "the other sign: farther keys gain", -right
    yield "left out", np.zeros_like(right)
    yield (
        "positions counted over padding too",
        at.again({0: plain[:, -queries.shape[1] :], 1: plain}),
    )
    if n < heads:
        yield "2^(-8h/H), though H is no power of two", -(2.0 ** (-8 * powers / heads)) * size
        yield "the slopes in falling order", -np.sort(slope, 0)[::-1] * size
        every = np.concatenate([slope[:n], 2.0 ** (-4 * powers[: heads - n] / n)])
        yield "the heads beyond take every slope, not each other one", -every * size
    yield "in reverse order of the heads", right[:, ::-1]
    yield "of the key's position, without the query's", slope * keys[:, None, None, :]
    yield "one slope for all heads", -slope[:1] * size
    yield "signed: later keys gain", -slope * away
    yield "slopes from 2^0 on", -(2.0 ** (-8 * (powers - 1) / n)) * size


def _slopes(bias: Array, away: Array) -> Array:
    """The slope of each head, from a bias that is right."""
    size = np.broadcast_to(np.abs(away), bias.shape)
    there = np.argwhere(size[0, 0] > 0)
    if not len(there):
        return np.ones((bias.shape[1], 1, 1))
    t, s = there[0]
    return np.asarray(-bias[0, :, t, s] / size[0, :, t, s])[:, None, None]
