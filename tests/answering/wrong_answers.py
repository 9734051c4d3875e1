"""Answers to the exercises as readers write them: in their own words, with loops, einsum, other
formulas, sometimes two mistakes at once, sometimes one that nobody foresaw, sometimes right.

Nothing here is made from the declared mistakes. With each answer stands a part of the name that
the report must have; several are of two mistakes at once. UNKNOWN is for what no name fits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

RIGHT, UNKNOWN = "right", "not known"


class Answer(NamedTuple):
    exercise: str
    kinds: tuple[str, ...]
    function: Callable[..., Any]


ANSWERS: list[Answer] = []


def answer(exercise: str, *kinds: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def enter(function: Callable[..., Any]) -> Callable[..., Any]:
        ANSWERS.append(Answer(exercise, kinds, function))
        return function

    return enter


def soft(x):
    e = np.exp(x - np.max(x, axis=-1, keepdims=True))
    return e / np.sum(e, axis=-1, keepdims=True)


def plain_softmax(row):
    total = sum(np.exp(x) for x in row)
    return [np.exp(x) / total for x in row]


# --- lesson 3


@answer("attention_weights", "not divided by sqrt(d_k)")
def _(queries, keys):
    return [plain_softmax([sum(a * b for a, b in zip(q, k)) for k in keys]) for q in queries]


@answer("attention_weights", "divided by d_k")
def _(queries, keys):
    return soft(np.einsum("td,sd->ts", queries, keys) / keys.shape[-1])


@answer("attention_weights", "softmax along the columns")
def _(queries, keys):
    s = np.dot(queries, keys.T) / queries.shape[1] ** 0.5
    return np.exp(s) / np.exp(s).sum(axis=0)


@answer("attention_weights", "transposed")
def _(queries, keys):
    s = np.einsum("td,sd->st", queries, keys) * queries.shape[1] ** -0.5
    return soft(s)


@answer("attention_weights", "keepdims missing")
def _(queries, keys):
    s = queries.dot(keys.T) / np.sqrt(queries.shape[1])
    e = np.exp(s)
    return e / np.sum(e, axis=1)


@answer("attention_weights", "not divided by sqrt(d_k)", "softmax along the columns")
def _(queries, keys):
    s = queries @ keys.transpose()
    s -= s.max()
    return np.exp(s) / np.exp(s).sum(0, keepdims=True)


@answer("attention_weights", "multiplied by sqrt(d_k)")
def _(queries, keys):
    s = queries @ keys.T
    for i in range(len(s)):
        s[i] = soft(s[i] * queries.shape[1] ** 0.5)
    return s


@answer("attention_weights", "number of keys")
def _(queries, keys):
    return soft(queries @ keys.T / len(keys) ** 0.5)


@answer("attention_weights", "scaled after softmax")
def _(queries, keys):
    return soft(queries @ keys.T) / queries.shape[1] ** 0.5


@answer("attention_weights", "whole matrix")
def _(queries, keys):
    e = np.exp(queries @ keys.T / np.sqrt(keys.shape[1]))
    return e / e.sum()


@answer("attention_weights", UNKNOWN)
def _(queries, keys):
    return soft(-np.abs(queries[:, None] - keys[None]).sum(-1))


@answer("attention_weights", UNKNOWN)
def _(queries, keys):
    return soft(queries @ keys.T / np.cbrt(queries.shape[1]))


@answer("attention_weights", RIGHT)
def _(queries, keys):
    q, k = queries.astype(np.float32), keys.astype(np.float32)
    return soft(q @ k.T / np.float32(np.sqrt(q.shape[1])))


@answer("attention_weights", RIGHT)
def _(queries, keys):
    queries /= np.sqrt(queries.shape[1])
    return [plain_softmax(row) for row in (keys @ queries.T).T.tolist()]


# --- lesson 4


@answer("masked_weights", "strict by one")
def _(scores, real):
    T = len(scores)
    out = np.zeros((T, T))
    for i in range(T):
        for j in range(i):
            if real[j]:
                out[i, j] = np.exp(scores[i, j])
        if out[i].sum() > 0:
            out[i] /= out[i].sum()
    return out


@answer("masked_weights", "0 in place of -inf")
def _(scores, real):
    mask = np.tril(np.ones_like(scores)) * real
    return soft(scores * mask)


@answer("masked_weights", "masked after softmax")
def _(scores, real):
    return soft(scores) * np.tril(np.ones(scores.shape)) * real[None].astype(float)


@answer("masked_weights", "padding is not hidden")
def _(scores, real):
    hidden = np.triu(np.ones(scores.shape, bool), 1)
    return soft(np.where(hidden, -np.inf, scores))


@answer("masked_weights", "rows of padding are hidden, not columns")
def _(scores, real):
    keep = np.tril(np.ones(scores.shape, bool)) & real.reshape(-1, 1)
    e = np.exp(scores) * keep
    return e / np.maximum(e.sum(1, keepdims=True), 1e-30)


@answer("masked_weights", "large negative number")
def _(scores, real):
    keep = np.tril(np.ones(scores.shape, bool)) & real
    s = scores.copy()
    s[~keep] = -1e9
    return soft(s)


@answer("masked_weights", "large negative number")
def _(scores, real):
    keep = np.tri(len(real)) * real
    return soft(scores + (1 - keep) * -1e6)


@answer("masked_weights", "NaN")
def _(scores, real):
    T = len(real)
    s = np.array(scores)
    for i in range(T):
        for j in range(T):
            if j > i or not real[j]:
                s[i, j] = -np.inf
    return soft(s)


@answer("masked_weights", "the next token is seen")
def _(scores, real):
    keep = (np.arange(len(real))[None] <= np.arange(len(real))[:, None] + 1) & real
    e = np.where(keep, np.exp(scores), 0)
    return e / np.where(e.sum(1) == 0, 1, e.sum(1))[:, None]


@answer("masked_weights", RIGHT)
def _(scores, real):
    out = np.zeros_like(scores)
    for i, row in enumerate(scores):
        seen = [j for j in range(i + 1) if real[j]]
        if seen:
            out[i, seen] = plain_softmax(row[seen])
    return out


# --- lessons 10, 11, 12, 14


@answer("cross_attention", "H_enc itself, without W_V")
def _(x, memory, w_q, w_k, w_v):
    q, k = x @ w_q, memory @ w_k
    return soft(q @ k.T / np.sqrt(q.shape[1])) @ memory


@answer("cross_attention", "self-attention")
def _(x, memory, w_q, w_k, w_v):
    q, k, v = (x @ w for w in (w_q, w_k, w_v))
    return soft(np.einsum("ik,jk->ij", q, k) / len(k[0]) ** 0.5) @ v


@answer("cross_attention", "W_K and W_V exchanged")
def _(x, memory, w_q, w_k, w_v):
    k, v = memory @ w_v, memory @ w_k
    return soft((x @ w_q) @ k.T / np.sqrt(k.shape[1])) @ v


@answer("chunk_mask", "positions from 0")
def _(cached, new):
    return np.tri(new, cached + new, dtype=bool)


@answer("chunk_mask", "hidden, not where it may look")
def _(cached, new):
    return np.triu(np.ones((new, cached + new)), cached + 1) == 1


@answer("cached_step", "before appending")
def _(query, key, value, keys, values, length):
    old_k, old_v = keys[:length], values[:length]
    return soft(old_k @ query / np.sqrt(query.size)) @ old_v


@answer("cached_step", "position off by one")
def _(query, key, value, keys, values, length):
    keys[length - 1] = key
    values[length - 1] = value
    return soft(query @ keys[:length].T / np.sqrt(query.size)) @ values[:length]


@answer("cached_step", "the whole room")
def _(query, key, value, keys, values, length):
    keys[length], values[length] = key, value
    return values.T @ soft(keys @ query / np.sqrt(query.size))


@answer("grouped_attention", "without changing the axes")
def _(queries, keys, values):
    r = len(queries) // len(keys)
    k, v = np.repeat(keys, r, 0), np.repeat(values, r, 0)
    w = soft(np.einsum("htk,hsk->hts", queries, k) / np.sqrt(queries.shape[-1]))
    return np.einsum("hts,hsv->htv", w, v).reshape(queries.shape[1], -1)


@answer("grouped_attention", "groups in turn")
def _(queries, keys, values):
    heads = []
    for h, q in enumerate(queries):
        k, v = keys[h % len(keys)], values[h % len(keys)]
        heads.append(soft(q @ k.T / np.sqrt(q.shape[-1])) @ v)
    return np.concatenate(heads, axis=1)


@answer("grouped_attention", "not divided by sqrt(d_k)", "heads in reverse order")
def _(queries, keys, values):
    r, heads = len(queries) // len(keys), []
    for h, q in enumerate(queries):
        heads.insert(0, soft(q @ keys[h // r].T) @ values[h // r])
    return np.concatenate(heads, axis=1)
