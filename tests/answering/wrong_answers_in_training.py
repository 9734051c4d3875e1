"""More of them: norms, gradients, a step of an optimiser, the loss."""

from __future__ import annotations

import numpy as np
from wrong_answers import RIGHT, answer, soft

# --- lesson 5


@answer("add_and_norm", "d - 1")
def _(x, y, gain, bias, epsilon):
    h = x + y
    return [
        (row - np.mean(row)) / np.sqrt(np.var(row, ddof=1) + epsilon) * gain + bias for row in h
    ]


@answer("add_and_norm", "epsilon outside the root")
def _(x, y, gain, bias, epsilon):
    h = x + y
    return gain * (h - h.mean(-1)[:, None]) / (h.std(-1)[:, None] + epsilon) + bias


@answer("add_and_norm", "residual missing")
def _(x, y, gain, bias, epsilon):
    m, v = y.mean(1, keepdims=True), y.var(1, keepdims=True)
    return gain * (y - m) * (v + epsilon) ** -0.5 + bias


@answer("add_and_norm", "x + norm(y)")
def _(x, y, gain, bias, epsilon):
    m, v = y.mean(1, keepdims=True), y.var(1, keepdims=True)
    return x + gain * (y - m) / np.sqrt(v + epsilon) + bias


@answer("add_and_norm", "root missing", "bias left out")
def _(x, y, gain, bias, epsilon):
    h = x + y
    return gain * (h - h.mean(1, keepdims=True)) / (h.var(1, keepdims=True) + epsilon)


@answer("add_and_norm", "normalised along columns")
def _(x, y, gain, bias, epsilon):
    h = x + y
    return gain * (h - h.mean(0)) / np.sqrt(h.var(0) + epsilon) + bias


@answer("add_and_norm", "not subtracted")
def _(x, y, gain, bias, epsilon):
    h = x + y
    return gain * h / np.sqrt((h * h).sum(1, keepdims=True) / h.shape[1] + epsilon) + bias


# --- lesson 6


@answer("softmax_backward", "row's product left out")
def _(dweights, weights):
    return np.multiply(weights, dweights)


@answer("softmax_backward", "the diagonal alone")
def _(dweights, weights):
    return dweights * weights - dweights * weights**2


@answer("softmax_backward", "sum along columns")
def _(dweights, weights):
    return weights * (dweights - np.einsum("ij,ij->j", weights, dweights))


@answer("softmax_backward", RIGHT)
def _(dweights, weights):
    return [(np.diag(w) - np.outer(w, w)) @ d for w, d in zip(weights, dweights)]


@answer("logits_gradient", "not divided by the number")
def _(logits, labels):
    d = soft(logits)
    for t, label in enumerate(labels):
        if label == -100:
            d[t] = 0
        else:
            d[t, label] -= 1
    return d


@answer("logits_gradient", "all places")
def _(logits, labels):
    d = soft(logits)
    for t, label in enumerate(labels):
        d[t, label if label >= 0 else 0] -= 1
        d[t] *= label >= 0
    return d / len(labels)


@answer("logits_gradient", "the answer is not subtracted")
def _(logits, labels):
    seen = labels >= 0
    return soft(logits) * seen[:, None] / np.count_nonzero(seen)


@answer("norm_backward", "through the mean left out")
def _(dy, x, gain, epsilon):
    c = x - x.mean(1, keepdims=True)
    inv = 1 / np.sqrt(x.var(1, keepdims=True) + epsilon)
    g = dy * gain
    return inv * g - c * inv**3 * (g * c).mean(1, keepdims=True)


@answer("norm_backward", "through the variance left out", "through the mean left out")
def _(dy, x, gain, epsilon):
    return [d * gain / np.sqrt(row.var() + epsilon) for d, row in zip(dy, x)]


@answer("norm_backward", "gain left out")
def _(dy, x, gain, epsilon):
    s = np.sqrt(x.var(1, keepdims=True) + epsilon)
    n = (x - x.mean(1, keepdims=True)) / s
    d = x.shape[1]
    return (d * dy - dy.sum(1, keepdims=True) - n * (dy * n).sum(1, keepdims=True)) / (d * s)


# --- lesson 7


@answer("adamw_step", "neither m nor v corrected")
def _(weights, gradient, moments, step, rate, decay):
    m, v = moments[0] * 0.9 + gradient * 0.1, moments[1] * 0.999 + gradient**2 * 0.001
    weights = weights * (1 - rate * decay)
    return weights - rate * m / (v**0.5 + 1e-8)


@answer("adamw_step", "decay added to the gradient")
def _(weights, gradient, moments, step, rate, decay):
    g = gradient + decay * weights
    m = (0.9 * moments[0] + 0.1 * g) / (1 - 0.9**step)
    v = (0.999 * moments[1] + 0.001 * g * g) / (1 - 0.999**step)
    return weights - rate * m / (np.sqrt(v) + 1e-8)


@answer("adamw_step", "epsilon inside the root")
def _(weights, gradient, moments, step, rate, decay):
    m = (0.9 * moments[0] + 0.1 * gradient) / (1 - 0.9**step)
    v = (0.999 * moments[1] + 0.001 * gradient**2) / (1 - 0.999**step)
    return weights - rate * (m / (v + 1e-8) ** 0.5 + decay * weights)


@answer("cross_entropy", "sum, not the mean")
def _(logits, labels):
    total = 0.0
    for row, wanted in zip(logits, labels):
        for x, label in zip(row, wanted):
            if label >= 0:
                total += np.log(np.exp(x).sum()) - x[label]
    return total


@answer("cross_entropy", "base 2")
def _(logits, labels):
    keep = labels != -100
    p = soft(logits)[keep]
    return -np.mean(np.log2(p[np.arange(len(p)), labels[keep]]))


@answer("cross_entropy", "all places")
def _(logits, labels):
    p = np.log(soft(logits))
    got = [p[b, t, l] for b, row in enumerate(labels) for t, l in enumerate(row) if l != -100]
    return -sum(got) / labels.size


@answer("cross_entropy", "shifted once more")
def _(logits, labels):
    logits, labels = logits[:, :-1], labels[:, 1:]
    keep = labels != -100
    p = soft(logits[keep])
    return -np.log(p[range(len(p)), labels[keep]]).mean()


@answer("cross_entropy", "softmax taken twice")
def _(logits, labels):
    p, keep = soft(soft(logits)), labels >= 0
    return -np.log(p[keep][range(keep.sum()), labels[keep]]).mean()


@answer("cross_entropy", "padding is counted")
def _(logits, labels):
    p = np.take_along_axis(soft(logits), np.maximum(labels, 0)[..., None], -1)
    return -np.log(p).mean()
