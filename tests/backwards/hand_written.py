"""Operations and their backward passes as people write them, each with mistakes to be made."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Made = tuple[Any, Any, tuple[Any, ...]]
G = np.random.default_rng(5)
X, GAIN, BIAS = G.normal(size=(2, 3, 8)), G.normal(size=8), G.normal(size=8)
W, B = G.normal(size=(8, 5)), G.normal(size=5)
SQUARE = G.normal(size=(8, 8))
IDS, TABLE = np.array([[1, 2, 1, 0], [3, 4, 1, 3]]), G.normal(size=(7, 5))
LOGITS, LABELS = G.normal(size=(2, 3, 11)), np.array([[2, -100, 7], [0, 9, -100]])
Q, K, V = (G.normal(size=s) for s in ((2, 4, 3, 6), (2, 2, 5, 6), (2, 2, 5, 7)))


def softmax(x: Any) -> Any:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def layer_norm(mistake: str = "") -> Made:
    def forward(x, gain, bias):
        away = x - x.mean(-1, keepdims=True)
        inverse = 1.0 / np.sqrt((away**2).mean(-1, keepdims=True) + 1e-5)
        return away * inverse * gain + bias, (away * inverse, inverse, gain)

    def backward(d, kept):
        n, inverse, gain = kept
        g = d if mistake == "no gain" else d * gain
        level, spread = g.mean(-1, keepdims=True), n * (g * n).mean(-1, keepdims=True)
        level = level * {"no mean": 0.0, "mean twice": 2.0}.get(mistake, 1.0)
        spread = spread * (mistake != "no variance")
        dgain = (d if mistake == "gain not normalised" else d * n).sum((0, 1))
        dbias = d[0].sum(0) if mistake == "bias of one row" else d.sum((0, 1))
        return inverse * (g - level - spread), dgain, dbias

    return forward, backward, (X, GAIN, BIAS)


def rms_norm(mistake: str = "") -> Made:
    def forward(x, gain):
        inverse = 1.0 / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-6)
        return x * inverse * gain, (x * inverse, inverse, gain)

    def backward(d, kept):
        n, inverse, gain = kept
        g = d * gain
        spread = n * (g * n).mean(-1, keepdims=True) * (mistake != "no variance")
        level = g.mean(-1, keepdims=True) if mistake == "mean" else 0.0
        dx = inverse * (g - level - spread) / (inverse if mistake == "not divided" else 1.0)
        return dx, (d * n).sum((0, 1))

    return forward, backward, (X, GAIN)


def soft_max(mistake: str = "") -> Made:
    def backward(d, x):
        w = softmax(x)
        if mistake == "diagonal":
            return w * (1.0 - w) * d
        return w * (d - (w * d).sum(-1, keepdims=True) * (mistake != "no dot"))

    return softmax, backward, (X,)


def gelu(mistake: str = "") -> Made:
    erf, phi = np.vectorize(math.erf), lambda x: np.exp(-x * x / 2.0) / math.sqrt(2.0 * math.pi)

    def backward(d, x):
        cdf = 0.5 * (1.0 + erf(x / math.sqrt(2.0)))
        if mistake == "tanh":
            t = np.tanh(c := math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3))
            inner = math.sqrt(2.0 / math.pi) * (1.0 + 3.0 * 0.044715 * x * x)
            assert c.shape == x.shape
            return d * (0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * inner)
        return d * (cdf + (0.0 if mistake == "one term" else x * phi(x)))

    return lambda x: 0.5 * x * (1.0 + erf(x / math.sqrt(2.0))), backward, (X,)


def linear(mistake: str = "") -> Made:
    w = SQUARE if mistake in ("transposed", "not transposed") else W

    def backward(d, x, w, b):
        dw = np.einsum("btd,btf->df", x, d)
        if mistake == "transposed":
            dw = dw.T
        if mistake == "one row":
            dw = x[-1].T @ d[-1]
        db = d.sum((0, 1)) / (6.0 if mistake == "mean" else 1.0)
        return d @ (w if mistake == "not transposed" else w.T), dw, db

    return lambda x, w, b: x @ w + b, backward, (X, w, GAIN if w is SQUARE else B)


def embedding(mistake: str = "") -> Made:
    def backward(d, ids, table):
        found = np.zeros_like(table)
        if mistake == "last":
            found[ids] += d
        else:
            np.add.at(found, ids, d)
        return found

    return lambda ids, table: table[ids], backward, (IDS, TABLE)


def cross_entropy(mistake: str = "") -> Made:
    seen = LABELS != -100

    def forward(logits, labels):
        logs = np.log(softmax(logits))
        picked = np.take_along_axis(logs, np.where(seen, labels, 0)[..., None], -1)[..., 0]
        return -(picked * seen).sum() / seen.sum()

    def backward(d, logits, labels):
        p = softmax(logits)
        hot = np.eye(11)[np.where(seen, labels, 0)]
        found = d * (p if mistake == "no label" else p - hot) * seen[..., None]
        return (
            found
            / (labels.size if mistake == "all positions" else seen.sum())
            * (-1.0 if mistake == "sign" else 1.0)
        )

    return forward, backward, (LOGITS, LABELS)


def attention(mistake: str = "") -> Made:
    scale, group = 6.0**-0.5, 2
    mask = np.tri(3, 5, 2, dtype=bool)

    def forward(q, k, v):
        k, v = np.repeat(k, group, 1), np.repeat(v, group, 1)
        w = softmax(np.where(mask, q @ k.swapaxes(2, 3) * scale, -np.inf))
        return w @ v, (w, q, k, v)

    def backward(d, kept):
        w, q, k, v = kept
        if mistake == "no mask":
            s = q @ k.swapaxes(2, 3) * scale
            total = np.log(np.where(mask, np.exp(s), 0.0).sum(-1, keepdims=True))
            dv = np.exp(s - total).swapaxes(2, 3) @ d
        else:
            dv = w.swapaxes(2, 3) @ d
        dw = d @ v.swapaxes(2, 3)
        ds = w * (dw - (mistake != "no dot") * (w * dw).sum(-1, keepdims=True))
        ds = ds * {"no scale": 1.0, "scale twice": scale**2}.get(mistake, scale)
        dk = ds.swapaxes(2, 3) @ q
        dk, dv = (x.reshape(2, 2, group, 5, -1) for x in (dk, dv))
        return ds @ k, dk[:, :, 0] if mistake == "one head" else dk.sum(2), dv.sum(2)

    return forward, backward, (Q, K, V)


def sine(mistake: str = "") -> Made:
    """Of no operation of numtx's: what is wrong is said by what it is beside the right numbers."""

    def backward(d, x):
        right = np.cos(x) * d
        return {
            "": right,
            "sign": -right,
            "twice": 2.0 * right,
            "three times": 3.0 * right,
            "factor": 0.7 * right,
            "ones": np.cos(x),
            "cotangent twice": np.cos(x) * d * d,
            "left out": d,
            "zero": 0.0 * right,
            "float32": right.astype(np.float32),
            "reversed": right[:, ::-1],
            "moved": np.roll(right, 1, 1),
            "order": right[..., [3, 0, 1, 2, 7, 6, 5, 4]],
            "decay": right + 0.01 * x,
            "nan": np.where(x > 1.0, np.nan, right),
            "level": right + d.sum(-1, keepdims=True),
        }[mistake]

    return np.sin, backward, (X,)


def square_sine(mistake: str = "") -> Made:
    return np.sin, lambda d, x: (np.cos(x) * d).T if mistake else np.cos(x) * d, (SQUARE,)


def turned(mistake: str = "") -> Made:
    """A rotation of pairs, of rows of its own: not one that numtx knows."""
    a = np.arange(3.0)[:, None] + np.arange(4.0)

    def turn(x, sign=1.0):
        u, v, c, s = x[..., ::2], x[..., 1::2], np.cos(a), sign * np.sin(a)
        return np.stack([u * c - v * s, u * s + v * c], -1).reshape(x.shape)

    return turn, lambda d, x: turn(d, 1.0 if mistake else -1.0), (X,)


def by_columns(mistake: str = "") -> Made:
    """A sum over rows of what a look-up gives, times a table of its own."""

    def backward(d, table):
        first = np.cos(table) * d[0].sum(0)
        return first if mistake else np.cos(table) * d.sum((0, 1))

    return lambda table: np.sin(table) * np.ones((4, 3, 1)), backward, (GAIN,)
