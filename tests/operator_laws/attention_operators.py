"""Attention operators in NumPy, written for the laws' tests: a right one, and mistakes in it."""

from __future__ import annotations

import numpy as np

# Each mistake by the law that names it.
MISTAKES = {
    "no scale": "A1",
    "scale twice": "A1",
    "softmax over the queries": "A1",
    "float32 within a step": "A1",
    "upper left": "A2",
    "causal one later": "A2-later",
    "mask turned round": "A3",
    "mask of the first row": "A3",
    "mask left out when causal": "A3-causal",
    "NaN for nothing": "A4",
    "mean for nothing": "A4",
    "bias before the scale": "A5",
    "scale beside the default": "A6",
    "window one wider": "A7",
    "window one narrower": "A7-self",
    "window of at most 4": "A7-none",
    "cap after the mask": "A8",
    "cap before the scale": "A8",
    "cap of at most 50": "A8-none",
    "sink as a value": "A9",
    "sink added twice": "A9",
    "sink clipped from below": "A9-none",
    "heads mixed": "A10",
    "groups tiled": "A11",
    "slopes rise": "A12",
    "lse without the largest": "A13",
    "lse in base 2": "A13",
    "merge by the lse of the first head": "A13-merge",
    "first row's keys for all": "A14",
    "no largest": "A15",
    "dk without the scale": "A16",
    "dq of the first key only": "A16",
    "dk of the first head of a group": "A16-grouped",
    "gradient to masked keys": "A16-nothing",
    "dv of the mean": "A16-differences",
}


class Operator:
    """All that can be asked for; `mistake` is one of MISTAKES, or none."""

    kind = "attention"
    grouped = True
    lse = True

    def __init__(self, mistake: str = "") -> None:
        assert not mistake or mistake in MISTAKES
        self.mistake = mistake
        self.name = mistake or "right"

    def __call__(
        self, q, k, v, *, causal=False, mask=None, bias=None, window=None, softcap=None,
        sinks=None, scale=None, slopes=None,
    ):  # fmt: skip
        given = {
            "causal": causal, "mask": mask, "bias": bias, "window": window, "softcap": softcap,
            "sinks": sinks, "scale": scale, "slopes": slopes,
        }  # fmt: skip
        weights, lse, _ = self.weights(q, k, **given)
        values = self.repeated(v, q)
        out = np.einsum("bhts,bhsd->bhtd", weights, values)
        m = self.mistake
        if m == "sink as a value" and sinks is not None:
            share = 1.0 - weights.sum(-1, keepdims=True)
            out = out + share * values.mean(2, keepdims=True)
        if m == "heads mixed" and out.shape[1] > 2:
            out[:, 1] = 0.5 * (out[:, 0] + out[:, 1])
        if m == "float32 within a step":
            out = out.astype(np.float16)
        if m == "first row's keys for all" and len(q) > 1:
            out[1:] = np.einsum("hts,bhsd->bhtd", weights[0], values[1:])
        return out.astype(q.dtype), lse.astype(q.dtype)

    def repeated(self, x, q):
        times = q.shape[1] // x.shape[1]
        if self.mistake == "groups tiled":
            return np.tile(x, (1, times, 1, 1))
        return np.repeat(x, times, 1)

    def allowed(self, q, k, causal, mask, window):
        m, (queries, keys) = self.mistake, (q.shape[2], k.shape[2])
        offset = 0 if m == "upper left" else keys - queries
        behind = np.arange(queries)[:, None] + offset - np.arange(keys)
        seen = np.ones((len(q), 1, queries, keys), bool)
        if causal:
            seen &= behind >= (-1 if m == "causal one later" else 0)
        if window is not None:
            window += {"window one wider": 1, "window one narrower": -1}.get(m, 0)
            if m == "window of at most 4":
                window = min(window, 4)
            seen &= abs(behind) < window
        if mask is not None and not (m == "mask left out when causal" and causal):
            mask = mask[:1] if m == "mask of the first row" else mask
            seen &= ~mask if m == "mask turned round" else mask
        return seen, behind

    def weights(self, q, k, *, causal, mask, bias, window, softcap, sinks, scale, slopes):
        m, dtype = self.mistake, q.dtype.type
        own = dtype(q.shape[3] ** -0.5)
        scale = own if scale is None else dtype(scale)
        if m == "scale beside the default" and scale != own:
            scale = scale * own
        scale = {"no scale": dtype(1), "scale twice": scale * scale}.get(m, scale)
        seen, behind = self.allowed(q, k, causal, mask, window)
        scores = np.einsum("bhtd,bhsd->bhts", q, self.repeated(k, q))
        if m == "bias before the scale" and bias is not None:
            scores = scores + bias
        slope = dtype(1)
        if m == "cap before the scale" and softcap is not None:
            scores = softcap * np.tanh(scores / softcap)
        scores = scores * scale
        if m == "cap after the mask":
            scores = np.where(seen, scores, -np.inf)
        if softcap is not None and m != "cap before the scale":
            cap = dtype(min(softcap, 50.0) if m == "cap of at most 50" else softcap)
            bent = np.tanh(scores / cap)
            scores, slope = cap * bent, 1 - bent**2
        if m == "cap after the mask" and softcap is not None:
            seen = np.ones_like(seen)
        if bias is not None and m != "bias before the scale":
            scores = scores + bias
        if slopes is not None:
            sign = 1 if m == "slopes rise" else -1
            scores = scores + sign * slopes[:, None, None] * abs(behind).astype(dtype)
        scores = np.where(seen, scores, dtype(-np.inf))
        return (*self.softmax(scores, sinks), slope)

    def softmax(self, scores, sinks):
        m, dtype = self.mistake, scores.dtype.type
        axis = -2 if m == "softmax over the queries" else -1
        top = scores.max(axis, keepdims=True)
        if sinks is not None:
            sinks = np.maximum(sinks, -3.0) if m == "sink clipped from below" else sinks
            sinks = sinks[:, None, None].astype(dtype)
            top = np.maximum(top, sinks)
        top = np.where(np.isneginf(top), dtype(0), top)
        if m == "no largest":
            top = np.zeros_like(top)
        with np.errstate(all="ignore"):
            powers = np.exp(scores - top)
            total = powers.sum(axis, keepdims=True)
            largest = 0.0 if m == "lse without the largest" else top
            lse = (np.log(total) + largest)[..., 0] if axis == -1 else top[:, :, 0, :1]
            lse = np.broadcast_to(lse, scores.shape[:3])
            if m == "lse in base 2":
                lse = lse / dtype(np.log(2.0))
            if m == "merge by the lse of the first head":
                lse = np.broadcast_to(lse[:, :1], lse.shape)
            if sinks is not None:
                total = total + (2 if m == "sink added twice" else 1) * np.exp(sinks - top)
            if m == "NaN for nothing":
                return powers / total, lse
            weights = powers / np.where(total > 0, total, 1)
        if m == "mean for nothing":
            weights = np.where(total > 0, weights, dtype(1.0 / scores.shape[-1]))
        return weights, lse

    def backward(self, dout, q, k, v, **given):
        m, groups = self.mistake, k.shape[1]
        names = ["causal", "mask", "bias", "window", "softcap", "sinks", "scale", "slopes"]
        given = {name: given.get(name) for name in names}
        weights, _, slope = self.weights(q, k, **given)
        scale = q.dtype.type(q.shape[3] ** -0.5 if given["scale"] is None else given["scale"])
        dweights = np.einsum("bhtd,bhsd->bhts", dout, self.repeated(v, q))
        dscores = weights * (dweights - (weights * dweights).sum(-1, keepdims=True)) * slope
        if m == "gradient to masked keys":
            dscores = dscores + q.dtype.type(1e-3) * (weights == 0)
        dq = scale * np.einsum("bhts,bhsd->bhtd", dscores, self.repeated(k, q))
        if m == "dq of the first key only":
            dq = scale * dscores[..., :1] * self.repeated(k, q)[:, :, :1]
        dk = np.einsum("bhts,bhtd->bhsd", dscores, q)
        dk = dk if m == "dk without the scale" else scale * dk
        dv = np.einsum("bhts,bhtd->bhsd", weights, dout)
        if m == "dv of the mean":
            dv = np.broadcast_to(dv.mean(2, keepdims=True), dv.shape)
        dk, dv = (x.reshape(len(x), groups, -1, *x.shape[2:]) for x in (dk, dv))
        if m == "dk of the first head of a group":
            return dq, dk[:, :, 0], dv.sum(2)
        return dq, dk.sum(2), dv.sum(2)


class InBlocks:
    """Keys a block at a time, with the sums so far rescaled; always causal.

    axis      that of the sum of a block: the keys, -1
    rescaled  False: what was summed is not shrunk to the new largest
    """

    kind = "attention"
    causal = True

    def __init__(self, block: int = 2, axis: int = -1, rescaled: bool = True) -> None:
        self.block, self.axis, self.rescaled = block, axis, rescaled

    def __call__(self, q, k, v):
        queries, keys = q.shape[2], k.shape[2]
        q = q * q.dtype.type(q.shape[3] ** -0.5)
        total, out = np.zeros((*q.shape[:3], 1), q.dtype), np.zeros_like(q)
        top = np.full_like(total, -np.inf)
        seen = np.tri(queries, keys, keys - queries, dtype=bool)
        for start in range(0, keys, self.block):
            part = slice(start, start + self.block)
            scores = np.einsum("bhtd,bhsd->bhts", q, k[:, :, part])
            scores = np.where(seen[:, part], scores, q.dtype.type(-np.inf))
            new = np.maximum(top, scores.max(-1, keepdims=True))
            safe = np.where(np.isneginf(new), q.dtype.type(0), new)
            powers, shrink = np.exp(scores - safe), np.exp(top - safe)
            if not self.rescaled:
                shrink = np.ones_like(shrink)
            summed = powers.sum(self.axis, keepdims=True)
            if self.axis != -1:
                summed = np.broadcast_to(summed[..., :1], total.shape)
            total = total * shrink + summed
            out = out * shrink + np.einsum("bhts,bhsd->bhtd", powers, v[:, :, part])
            top = new
        return out / np.where(total > 0, total, q.dtype.type(1))
