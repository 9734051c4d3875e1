"""A second hand's answers on positions, words and experts."""

from __future__ import annotations

import math

import numpy as np
from wrong_answers import RIGHT, UNKNOWN, answer
from wrong_answers_of_a_class import rows_softmax


# lessons 2, 21, 22, 23
@answer("positions", "multiplied by the power of the base")
def _(length, width, base):
    out = np.zeros((length, width))
    for p in range(length):
        for i in range(width // 2):
            out[p, 2 * i] = math.sin(p * base ** (2 * i / width))
            out[p, 2 * i + 1] = math.cos(p * base ** (2 * i / width))
    return out


@answer("positions", "counted from 1", "halves: all sines")
def _(length, width, base):
    a = (np.arange(length)[:, None] + 1) / base ** (np.arange(0, width, 2) / width)
    return np.concatenate((np.sin(a), np.cos(a)), 1)


@answer("positions", "halves: all cosines")
def _(length, width, base):
    a = np.arange(length)[:, None] / base ** (np.arange(0, width, 2) / width)
    return np.concatenate((np.cos(a), np.sin(a)), 1)


@answer("positions", UNKNOWN)
def _(length, width, base):
    a = np.arange(length)[:, None] / base ** (np.arange(0, width, 2) / (width - 2 or 1))
    return np.stack((np.sin(a), np.cos(a)), -1).reshape(length, width)


@answer("distance_bias", "whatever the number of heads")
def _(length, heads):
    p = np.arange(length)
    d = abs(p[:, None] - p)
    return np.array([-d / 2 ** (h + 1) for h in range(heads)])


@answer("distance_bias", "without its absolute value")
def _(length, heads):
    p = np.arange(length)
    return np.array([2.0 ** (-8 * h / heads) * (p - p[:, None]) for h in range(1, heads + 1)])


@answer("distance_bias", "slopes in reverse order", "the sign missing")
def _(length, heads):
    p = np.arange(length)
    m = sorted(2.0 ** (-8 * h / heads) for h in range(1, heads + 1))
    return np.array(m)[:, None, None] * abs(p - p[:, None])


@answer("rotate", "two halves")
def _(x, base):
    t = np.arange(len(x))[:, None] / base ** (np.arange(0, x.shape[1], 2) / x.shape[1])
    a, b = x[:, ::2], x[:, 1::2]
    return np.hstack([a * np.cos(t) - b * np.sin(t), a * np.sin(t) + b * np.cos(t)])


@answer("rotate", "counted from 1")
def _(x, base):
    out = x.copy()
    for p, row in enumerate(out, 1):
        for i in range(0, len(row), 2):
            z = complex(row[i], row[i + 1]) * np.exp(1j * p / base ** (i / len(row)))
            row[i], row[i + 1] = z.real, z.imag
    return out


@answer("rotate", "pairs of halves", "clockwise")
def _(x, base):
    h = x.shape[1] // 2
    t = np.arange(len(x))[:, None] / base ** (np.arange(h) / h)
    z = (x[:, :h] + 1j * x[:, h:]) * np.exp(-1j * t)
    return np.hstack([z.real, z.imag])


@answer("rotate", UNKNOWN)
def _(x, base):
    t = np.arange(len(x))[::-1, None] / base ** (np.arange(0, x.shape[1], 2) / x.shape[1])
    z = (x[:, ::2] + 1j * x[:, 1::2]) * np.exp(1j * t)
    return np.stack([z.real, z.imag], -1).reshape(x.shape)


@answer("scaled_angles", "the base scaled")
def _(length, width, base, factor):
    return np.outer(np.arange(length), (base * factor) ** (-np.arange(0, width, 2) / width))


@answer("scaled_angles", "not scaled")
def _(length, width, base, factor):
    return np.outer(np.arange(length), base ** (-np.arange(0, width, 2) / width))


@answer("scaled_angles", "rounded down")
def _(length, width, base, factor):
    speeds = [base ** (-2 * i / width) for i in range(width // 2)]
    return [[int(p / factor) * w for w in speeds] for p in range(length)]


# lessons 1, 9, 11, 15, 16, 17, 24
@answer("padded_labels", "bos too many")
def _(rows, bos, eos):
    full = [[bos, *r, eos] for r in rows]
    return [r + [-100] * (max(map(len, full)) - len(r)) for r in full]


@answer("padded_labels", "gaps hold eos")
def _(rows, bos, eos):
    n = max(map(len, rows)) + 1
    return [r + [eos] * (n - len(r)) for r in rows]


@answer("padded_labels", "eos left out")
def _(rows, bos, eos):
    n = max(map(len, rows))
    return [r + [-100] * (n - len(r)) for r in rows]


@answer("padded_labels", UNKNOWN)
def _(rows, bos, eos):
    n = max(map(len, rows)) + 1
    return [
        (r + [eos]) * 1 + [-100] * (n - len(r) - 1) if i else [-100] * n for i, r in enumerate(rows)
    ]


@answer("next_probabilities", "log-probabilities")
def _(hidden, w):
    z = hidden[-1] @ w
    return z - np.log(np.exp(z).sum())


@answer("next_probabilities", "the mean of all rows")
def _(hidden, w):
    return rows_softmax((hidden.mean(0) @ w)[None])[0]


@answer("next_probabilities", "along the places")
def _(hidden, w):
    z = np.exp(hidden @ w)
    return (z / z.sum(0))[-1]


@answer("chunk_mask", "a token hides itself")
def _(cached, new):
    return [[key < cached + row for key in range(cached + new)] for row in range(new)]


@answer("chunk_mask", "what is cached is not seen")
def _(cached, new):
    return np.hstack([np.zeros((new, cached), bool), np.tri(new, dtype=bool)])


@answer("chunk_mask", RIGHT)
def _(cached, new):
    return np.hstack([np.ones((new, cached)), np.tri(new)])


@answer("keep_top_p", "a word too many")
def _(logits, p):
    q = np.exp(logits) / np.exp(logits).sum()
    out, total, done = np.full(len(q), -np.inf), 0.0, False
    for i in np.argsort(-q):
        out[i] = logits[i]
        if done:
            break
        total += q[i]
        done = total >= p
    return out


@answer("keep_top_p", "sum to one, not logits")
def _(logits, p):
    q = np.exp(logits) / np.exp(logits).sum()
    out, total = np.zeros(len(q)), 0.0
    for i in np.argsort(-q):
        if total < p:
            out[i] = q[i]
        total += q[i]
    return out / out.sum()


@answer("keep_top_p", "not added up")
def _(logits, p):
    q = np.exp(logits) / np.exp(logits).sum()
    return np.where(q >= p, logits, -np.inf)


@answer("cross_entropy", "the sign missing")
def _(logits, labels):
    got = []
    for z, k in zip(logits.reshape(-1, logits.shape[-1]), labels.ravel()):
        if k != -100:
            got.append(math.log(math.exp(z[k]) / np.exp(z).sum()))
    return np.mean(got)


@answer("cross_entropy", "the rows' means")
def _(logits, labels):
    rows = []
    for z, k in zip(logits, labels):
        keep = k >= 0
        p = rows_softmax(z)[keep]
        rows.append(-np.log(p[np.arange(len(p)), k[keep]]).mean())
    return np.mean(rows)


@answer("cross_entropy", "minus the probability")
def _(logits, labels):
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    keep = labels >= 0
    return -p[keep][np.arange(keep.sum()), labels[keep]].mean()


@answer("cross_entropy", "sum, not the mean", "base 2")
def _(logits, labels):
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    keep = labels >= 0
    return -np.log2(p[keep][np.arange(keep.sum()), labels[keep]]).sum()


@answer("labels_after", "not shifted")
def _(ids, separator):
    out = ids[:-1].copy()
    for i in range(len(out)):
        if out[i] == separator:
            break
        out[i] = -100
    return out


@answer("labels_after", "the source counts")
def _(ids, separator):
    return ids[1:]


@answer("labels_after", "0 in place of -100")
def _(ids, separator):
    at = list(ids).index(separator)
    return [0] * at + list(ids[at + 1 :])


@answer("route", "equal weights")
def _(scores, count):
    w = np.zeros(scores.shape)
    for t, row in enumerate(scores):
        w[t, np.argsort(row)[::-1][:count]] = 1 / count
    return w


@answer("route", "smallest scores")
def _(scores, count):
    w = np.zeros(scores.shape)
    for t, row in enumerate(scores):
        best = np.argsort(row)[:count]
        w[t, best] = np.exp(row[best]) / np.exp(row[best]).sum()
    return w


@answer("route", "sigmoid, over its sum")
def _(scores, count):
    w = np.zeros(scores.shape)
    for t, row in enumerate(scores):
        best = row.argsort()[-count:]
        s = 1 / (1 + np.exp(-row[best]))
        w[t, best] = s / s.sum()
    return w


@answer("route", UNKNOWN)
def _(scores, count):
    w = np.where(scores >= np.sort(scores, 1)[:, [-count]], scores, -np.inf)
    return rows_softmax(w / 2)


@answer("window_mask", "a token too many")
def _(length, window):
    return [[i - window <= j <= i for j in range(length)] for i in range(length)]


@answer("window_mask", "not causal", "off by one: a token too many")
def _(length, window):
    return np.tri(length, length, length) - np.tri(length, length, -window - 1) > 0


@answer("rms_norm", "epsilon outside the root")
def _(x, gain, epsilon):
    return [gain * row / (math.sqrt(np.dot(row, row) / len(row)) + epsilon) for row in x]


@answer("rms_norm", "the mean is subtracted")
def _(x, gain, epsilon):
    return gain * (x - x.mean(1)[:, None]) / np.sqrt(x.var(1) + epsilon)[:, None]


@answer("rms_norm", "the variance, not the mean square")
def _(x, gain, epsilon):
    return gain * x / np.sqrt(x.var(-1, keepdims=True) + epsilon)
