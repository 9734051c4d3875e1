"""More of them: words, positions, experts."""

from __future__ import annotations

import numpy as np
from wrong_answers import RIGHT, UNKNOWN, answer, soft

# --- lesson 2


@answer("positions", "counted from 1")
def _(length, width, base):
    return [
        [f(p / base ** (2 * i / width)) for i in range(width // 2) for f in (np.sin, np.cos)]
        for p in range(1, length + 1)
    ]


@answer("positions", "halves: all sines")
def _(length, width, base):
    a = np.outer(np.arange(length), base ** (-2 * np.arange(width // 2) / width))
    return np.hstack([np.sin(a), np.cos(a)])


@answer("positions", "sine and cosine exchanged")
def _(length, width, base):
    out = np.zeros((length, width))
    for p in range(length):
        for i in range(0, width, 2):
            angle = p / np.power(base, i / width)
            out[p, i], out[p, i + 1] = np.cos(angle), np.sin(angle)
    return out


@answer("positions", "exponent of the column")
def _(length, width, base):
    out = np.zeros((length, width))
    for p in range(length):
        for j in range(width):
            angle = p / base ** (j / width)
            out[p, j] = np.sin(angle) if j % 2 == 0 else np.cos(angle)
    return out


@answer("positions", "exponent i/width")
def _(length, width, base):
    a = np.arange(length)[:, None] * np.exp(-np.log(base) * np.arange(width // 2) / width)
    return np.stack([np.sin(a), np.cos(a)], 2).reshape(length, width)


@answer("positions", UNKNOWN)
def _(length, width, base):
    a = np.arange(length)[:, None] * np.exp(-np.log10(base) * np.arange(0, width, 2) / width)
    return np.stack([np.sin(a), np.cos(a)], 2).reshape(length, width)


# --- lessons 1, 9, 15, 16, 17


@answer("padded_labels", "not shifted")
def _(rows, bos, eos):
    width = 1 + max(len(row) for row in rows)
    out = np.full((len(rows), width), -100)
    for i, row in enumerate(rows):
        out[i, : len(row) + 1] = [bos] + row
    return out


@answer("padded_labels", "gaps hold 0")
def _(rows, bos, eos):
    out = np.zeros((len(rows), 1 + max(len(row) for row in rows)), int)
    for i, row in enumerate(rows):
        for j, token in enumerate(row + [eos]):
            out[i, j] = token
    return out


@answer("next_probabilities", "the first row")
def _(hidden, w):
    return soft(hidden @ w)[0]


@answer("keep_top_p", "crosses p is not kept")
def _(logits, p):
    q, out, total = soft(logits), np.full(len(logits), -np.inf), 0.0
    for i in np.argsort(q)[::-1]:
        total += q[i]
        if total > p:
            break
        out[i] = logits[i]
    return out


@answer("keep_top_p", "0 in place of -inf")
def _(logits, p):
    q, out, total = soft(logits), np.zeros(len(logits)), 0.0
    for i in sorted(range(len(q)), key=lambda i: -q[i]):
        out[i] = logits[i]
        total += q[i]
        if total >= p:
            break
    return out


@answer("keep_top_p", UNKNOWN)
def _(logits, p):
    best = np.argsort(-logits)[: max(1, int(p * len(logits)))]
    return [x if i in best else -np.inf for i, x in enumerate(logits)]


@answer("labels_after", "<sep> does not count")
def _(ids, separator):
    out, on = [], False
    for now, following in zip(ids[:-1], ids[1:]):
        out.append(following if on else -100)
        on = on or now == separator
    return out


# --- lessons 21 to 24


@answer("distance_bias", "the sign missing")
def _(length, heads):
    d = np.abs(np.subtract.outer(range(length), range(length)))
    return np.array([d * 2 ** (-8 * (h + 1) / heads) for h in range(heads)])


@answer("distance_bias", "counted from 0")
def _(length, heads):
    d = np.abs(np.subtract.outer(range(length), range(length)))
    return np.array([-d * 2 ** (-8 * h / heads) for h in range(heads)])


@answer("rotate", "pairs of halves")
def _(x, base):
    r = x.shape[1] // 2
    t = np.outer(range(len(x)), base ** (-np.arange(r) / r))
    a, b = x[:, :r], x[:, r:]
    return np.hstack([a * np.cos(t) - b * np.sin(t), b * np.cos(t) + a * np.sin(t)])


@answer("rotate", "clockwise")
def _(x, base):
    t = np.outer(range(len(x)), base ** (-np.arange(0, x.shape[1], 2) / x.shape[1]))
    z = (x[:, ::2] + 1j * x[:, 1::2]) * np.exp(-1j * t)
    return np.stack([z.real, z.imag], 2).reshape(x.shape)


@answer("rotate", "already changed")
def _(x, base):
    for p in range(len(x)):
        for i in range(0, x.shape[1], 2):
            c, s = np.cos(p * base ** (-i / x.shape[1])), np.sin(p * base ** (-i / x.shape[1]))
            x[p, i] = c * x[p, i] - s * x[p, i + 1]
            x[p, i + 1] = s * x[p, i] + c * x[p, i + 1]
    return x


@answer("rotate", "counted from 1", "exponent i/r")
def _(x, base):
    t = np.outer(1 + np.arange(len(x)), base ** -(np.arange(x.shape[1] // 2) / x.shape[1]))
    z = (x[:, ::2] + 1j * x[:, 1::2]) * np.exp(1j * t)
    return np.stack([z.real, z.imag], 2).reshape(x.shape)


@answer("scaled_angles", "multiplied by factor")
def _(length, width, base, factor):
    return np.outer(factor * np.arange(length), 1 / base ** (np.arange(0, width, 2) / width))


@answer("route", "not renormalised")
def _(scores, count):
    w = soft(scores)
    for row in w:
        row[np.argsort(row)[:-count]] = 0
    return w


@answer("route", "one too many")
def _(scores, count):
    w = scores.copy()
    for row in w:
        row[row < np.sort(row)[-count - 1]] = -np.inf
    return soft(w)


@answer("route", RIGHT)
def _(scores, count):
    w = soft(scores)
    for row in w:
        row[np.argsort(row)[:-count]] = 0
        row /= row.sum()
    return w


# --- lesson 9, the choice


@answer("greedy_choice", "the first place")
def _(logits):
    return [max(range(len(row[0])), key=lambda i: row[0][i]) for row in logits]


@answer("greedy_choice", "lowest score")
def _(logits):
    return np.argsort(logits[:, -1])[:, 0]


@answer("greedy_choice", "the score, not the id")
def _(logits):
    return [max(row[-1]) for row in logits]


@answer("greedy_choice", "the second best", "the sum of all places")
def _(logits):
    return [sorted(range(len(s)), key=lambda i: -s[i])[1] for s in logits.sum(1)]


@answer("greedy_choice", RIGHT)
def _(logits):
    out = []
    for row in logits:
        best = 0
        for i, score in enumerate(row[-1]):
            if score > row[-1][best]:
                best = i
        out.append(best)
    return out
