"""A second hand's answers: other readers, other habits."""

from __future__ import annotations

import math

import numpy as np
from wrong_answers import RIGHT, UNKNOWN, answer


def rows_softmax(m):
    m = np.asarray(m, float)
    m = m - np.nanmax(m, 1, keepdims=True)
    return np.exp(m) / np.exp(m).sum(1, keepdims=True)


# lesson 3: a table filled cell by cell, with the loop variables in the wrong place
@answer("attention_weights", "softmax along the columns", "divided by d_k")
def _(queries, keys):
    T, S, d = len(queries), len(keys), len(queries[0])
    e = [
        [math.exp(sum(queries[t][i] * keys[s][i] for i in range(d)) / d) for s in range(S)]
        for t in range(T)
    ]
    return [[e[t][s] / sum(e[u][s] for u in range(T)) for s in range(S)] for t in range(T)]


@answer("attention_weights", "transposed", "not divided by sqrt(d_k)")
def _(queries, keys):
    return rows_softmax(np.inner(keys, queries))


@answer("attention_weights", "exponentials that are not divided")
def _(queries, keys):
    return np.exp(np.inner(queries, keys) / math.sqrt(keys.shape[1]))


@answer("attention_weights", "softmax left out")
def _(queries, keys):
    return np.inner(queries, keys) / math.sqrt(keys.shape[1])


@answer("attention_weights", "no exponential")
def _(queries, keys):
    s = np.inner(queries, keys) / math.sqrt(keys.shape[1])
    return s / s.sum(axis=1)[:, None]


@answer("attention_weights", "cosines")
def _(queries, keys):
    q = queries / np.sqrt((queries**2).sum(1))[:, None]
    k = keys / np.sqrt((keys**2).sum(1))[:, None]
    return rows_softmax(q @ k.T / math.sqrt(keys.shape[1]))


@answer("attention_weights", "the largest of row j")
def _(queries, keys):
    s = np.inner(queries, keys) / math.sqrt(keys.shape[1])
    e = np.exp(s - s.max(1))
    return e / e.sum(1, keepdims=True)


@answer("attention_weights", UNKNOWN)
def _(queries, keys):
    s = np.inner(queries, keys) / math.sqrt(keys.shape[1])
    return rows_softmax(np.maximum(s, 0))


@answer("attention_weights", "cosines", "not divided by sqrt(d_k)")
def _(queries, keys):
    s = np.inner(queries, keys)
    s /= np.outer(np.linalg.norm(queries, axis=1), np.linalg.norm(keys, axis=1))
    return rows_softmax(s)


# lesson 4
@answer("masked_weights", "no causal mask")
def _(scores, real):
    s = np.array([[x if ok else -np.inf for x, ok in zip(row, real)] for row in scores])
    return rows_softmax(s)


@answer("masked_weights", "later tokens are seen")
def _(scores, real):
    out = np.zeros(scores.shape)
    for t in range(len(scores)):
        e = [math.exp(scores[t, s]) if s >= t and real[s] else 0 for s in range(len(scores))]
        out[t] = np.array(e) / (sum(e) or 1)
    return out


@answer("masked_weights", "what may be seen is hidden")
def _(scores, real):
    mask = np.tril(np.ones(scores.shape, bool)) & real
    e = np.exp(scores)
    e[mask] = 0
    total = e.sum(1, keepdims=True)
    return np.divide(e, total, out=np.zeros_like(e), where=total > 0)


@answer("masked_weights", "softmax along the columns")
def _(scores, real):
    mask = np.tril(np.ones(scores.shape, bool)) & real
    e = np.where(mask, np.exp(scores), 0.0)
    total = e.sum(0)
    return e / np.where(total > 0, total, 1)


@answer("masked_weights", "real the wrong way round")
def _(scores, real):
    mask = np.tril(np.ones(scores.shape, bool)) & np.logical_not(real)
    e = np.where(mask, np.exp(scores), 0.0)
    return e / np.maximum(e.sum(1), 1e-300)[:, None]


@answer("masked_weights", "rows of padding are hidden, too")
def _(scores, real):
    out = np.zeros(scores.shape)
    for t in np.flatnonzero(real):
        seen = np.flatnonzero(real[: t + 1])
        e = np.exp(scores[t, seen])
        out[t, seen] = e / e.sum()
    return out


@answer("masked_weights", "padding is not hidden", "strict by one")
def _(scores, real):
    out = np.zeros(scores.shape)
    for t in range(1, len(scores)):
        e = np.exp(scores[t, :t])
        out[t, :t] = e / e.sum()
    return out


# lesson 5
@answer("add_and_norm", "norm before the residual: norm(x) + y")
def _(x, y, gain, bias, epsilon):
    n = (x - x.mean(1)[:, None]) / np.sqrt(x.var(1) + epsilon)[:, None]
    return n * gain + bias + y


@answer("add_and_norm", "epsilon left out")
def _(x, y, gain, bias, epsilon):
    z = x + y
    return (z - z.mean(1)[:, None]) / z.std(1)[:, None] * gain + bias


@answer("add_and_norm", "epsilon left out", "d - 1")
def _(x, y, gain, bias, epsilon):
    z = x + y
    return (z - z.mean(1)[:, None]) / z.std(1, ddof=1)[:, None] * gain + bias


@answer("add_and_norm", "epsilon outside the root", "d - 1")
def _(x, y, gain, bias, epsilon):
    z = x + y
    return (z - z.mean(1)[:, None]) / (z.std(1, ddof=1)[:, None] + epsilon) * gain + bias


@answer("add_and_norm", "gain left out")
def _(x, y, gain, bias, epsilon):
    z = x + y
    z = z - np.average(z, 1)[:, None]
    return z / np.sqrt(np.average(z**2, 1)[:, None] + epsilon) + bias


@answer("add_and_norm", UNKNOWN)
def _(x, y, gain, bias, epsilon):
    z = x + y
    z = z - np.median(z, 1)[:, None]
    return z / np.sqrt(np.average(z**2, 1)[:, None] + epsilon) * gain + bias


@answer("add_and_norm", UNKNOWN)
def _(x, y, gain, bias, epsilon):
    z = x + y
    z = z - z.mean(1)[:, None]
    return z / (np.abs(z).mean(1)[:, None] + epsilon) * gain + bias


@answer("add_and_norm", RIGHT)
def _(x, y, gain, bias, epsilon):
    x += y
    x -= x.mean(1, keepdims=True)
    x /= np.sqrt(x.var(1, keepdims=True) + epsilon)
    return (x * gain + bias).tolist()


# lesson 6
@answer("softmax_backward", "not times the weights")
def _(dweights, weights):
    return dweights - (dweights * weights).sum(1, keepdims=True)


@answer("softmax_backward", "sum of the gradients")
def _(dweights, weights):
    return weights * (dweights - dweights.sum(1, keepdims=True))


@answer("softmax_backward", "whole matrix")
def _(dweights, weights):
    return weights * (dweights - np.vdot(dweights, weights))


@answer("softmax_backward", UNKNOWN)
def _(dweights, weights):
    return dweights * weights - weights.mean(1, keepdims=True) * dweights


@answer("logits_gradient", "the sign reversed", "not divided by the number")
def _(logits, labels):
    p = rows_softmax(logits)
    hot = np.zeros(p.shape)
    for t, k in enumerate(labels):
        if k >= 0:
            hot[t, k] = 1
    return (hot - p) * (labels >= 0)[:, None]


@answer("logits_gradient", "size of the vocabulary")
def _(logits, labels):
    p = rows_softmax(logits)
    for t, k in enumerate(labels):
        p[t] = p[t] - np.eye(p.shape[1])[k] if k >= 0 else 0
    return p / p.shape[1]


@answer("logits_gradient", "places that do not count have a gradient")
def _(logits, labels):
    p = rows_softmax(logits)
    seen = np.flatnonzero(labels >= 0)
    p[seen, labels[seen]] -= 1
    return p / len(seen)


@answer("norm_backward", "not divided by the deviation")
def _(dy, x, gain, epsilon):
    n = (x - x.mean(1)[:, None]) / np.sqrt(x.var(1) + epsilon)[:, None]
    g = dy * gain
    return g - g.mean(1)[:, None] - n * (g * n).mean(1)[:, None]


@answer("norm_backward", "as a sum, not a mean", "as a sum, not a mean")
def _(dy, x, gain, epsilon):
    s = np.sqrt(x.var(1) + epsilon)[:, None]
    n = (x - x.mean(1)[:, None]) / s
    g = dy * gain
    return (g - g.sum(1)[:, None] - n * (g * n).sum(1)[:, None]) / s


@answer("norm_backward", "through the variance left out")
def _(dy, x, gain, epsilon):
    g = dy * gain
    return (g - g.mean(1)[:, None]) / np.sqrt(x.var(1) + epsilon)[:, None]


# lesson 7
@answer("adamw_step", "v not corrected")
def _(weights, gradient, moments, step, rate, decay):
    m = 0.9 * moments[0] + 0.1 * gradient
    v = 0.999 * moments[1] + 0.001 * gradient**2
    return weights * (1 - rate * decay) - rate * (m / (1 - 0.9**step)) / (np.sqrt(v) + 1e-8)


@answer("adamw_step", "decay not times the rate")
def _(weights, gradient, moments, step, rate, decay):
    m = (0.9 * moments[0] + 0.1 * gradient) / (1 - 0.9**step)
    v = (0.999 * moments[1] + 0.001 * gradient**2) / (1 - 0.999**step)
    return weights * (1 - decay) - rate * m / (np.sqrt(v) + 1e-8)


@answer("adamw_step", "no decay", "neither m nor v corrected")
def _(weights, gradient, moments, step, rate, decay):
    m = 0.9 * moments[0] + 0.1 * gradient
    v = 0.999 * moments[1] + 0.001 * gradient**2
    return weights - rate * m / (np.sqrt(v) + 1e-8)


@answer("adamw_step", UNKNOWN)
def _(weights, gradient, moments, step, rate, decay):
    return weights - rate * np.sign(gradient) - rate * decay * weights


# lessons 10, 12, 14
@answer("cross_attention", "self-attention")
def _(x, memory, w_q, w_k, w_v):
    w = rows_softmax((x @ w_q) @ (x @ w_k).T / math.sqrt(w_k.shape[1]))
    return w @ (x @ w_v)


@answer("cross_attention", "the encoder asks the decoder")
def _(x, memory, w_q, w_k, w_v):
    x, memory = memory, x
    return rows_softmax((x @ w_q) @ (memory @ w_k).T / math.sqrt(w_k.shape[1])) @ (memory @ w_v)


@answer("cross_attention", "weights alone")
def _(x, memory, w_q, w_k, w_v):
    return rows_softmax((x @ w_q) @ (memory @ w_k).T / math.sqrt(w_k.shape[1]))


@answer("cached_step", "the new value is not written")
def _(query, key, value, keys, values, length):
    keys[length] = key
    s = keys[: length + 1] @ query / math.sqrt(len(query))
    return rows_softmax(s[None])[0] @ values[: length + 1]


@answer("cached_step", "not divided by sqrt(d_k)")
def _(query, key, value, keys, values, length):
    k = np.vstack([keys[:length], key])
    v = np.vstack([values[:length], value])
    e = np.exp(k @ query)
    return (e[:, None] * v).sum(0) / e.sum()


@answer("cached_step", RIGHT)
def _(query, key, value, keys, values, length):
    k = np.vstack([key, keys[:length]])
    v = np.vstack([value, values[:length]])
    e = np.exp(k @ query / math.sqrt(len(query)))
    return e @ v / e.sum()


@answer("cached_step", UNKNOWN)
def _(query, key, value, keys, values, length):
    k = np.vstack([key, keys[:length]])
    v = np.vstack([values[:length], value])
    e = np.exp(k @ query / math.sqrt(len(query)))
    return e @ v / e.sum()


@answer("grouped_attention", "all heads have the group 0")
def _(queries, keys, values):
    out = [rows_softmax(q @ keys[0].T / math.sqrt(q.shape[1])) @ values[0] for q in queries]
    return np.hstack(out)


@answer("grouped_attention", "columns of the heads interleaved")
def _(queries, keys, values):
    n = len(queries) // len(keys)
    out = [
        rows_softmax(q @ keys[h // n].T / math.sqrt(q.shape[1])) @ values[h // n]
        for h, q in enumerate(queries)
    ]
    return np.stack(out, -1).reshape(len(out[0]), -1)


@answer("grouped_attention", "width of all heads")
def _(queries, keys, values):
    n = len(queries) // len(keys)
    d = queries.shape[0] * queries.shape[2]
    return np.hstack(
        [
            rows_softmax(q @ keys[h // n].T / math.sqrt(d)) @ values[h // n]
            for h, q in enumerate(queries)
        ]
    )


# two mistakes at once, one of them in where things come from
@answer("add_and_norm", "x + norm(y)", "d - 1")
def _(x, y, gain, bias, epsilon):
    n = (y - y.mean(1)[:, None]) / np.sqrt(y.var(1, ddof=1) + epsilon)[:, None]
    return x + n * gain + bias


@answer("add_and_norm", "not from what is divided")
def _(x, y, gain, bias, epsilon):
    z = x + y
    return z / np.sqrt(z.var(1) + epsilon)[:, None] * gain + bias


@answer("cached_step", "position off by one", "not divided by sqrt(d_k)")
def _(query, key, value, keys, values, length):
    keys[length - 1], values[length - 1] = key, value
    e = np.exp(keys[:length] @ query)
    return e @ values[:length] / e.sum()


@answer("cross_attention", "W_K and W_V exchanged", "divided by d_k")
def _(x, memory, w_q, w_k, w_v):
    s = (x @ w_q) @ (memory @ w_v).T / w_q.shape[1]
    return rows_softmax(s) @ (memory @ w_k)


@answer("cross_attention", "self-attention", "not divided by sqrt(d_k)")
def _(x, memory, w_q, w_k, w_v):
    return rows_softmax(x @ w_q @ w_k.T @ x.T) @ x @ w_v
